"""The orders of the sample, and who wants to hear of new ones, in memory."""

from __future__ import annotations

import itertools
from datetime import datetime, timezone
from typing import Any

Order = dict[str, Any]

_numbers = itertools.count(3)
_orders: list[Order] = [
    {"id": 1, "item": "tea", "quantity": 2, "created": datetime(2025, 1, 7, 9, 30, tzinfo=timezone.utc)},
    {"id": 2, "item": "cups", "quantity": 6, "created": datetime(2025, 1, 8, 16, 5, tzinfo=timezone.utc)},
]
_hook_numbers = itertools.count(1)
_hooks: dict[str, str] = {}


def newest_first(limit: int = 100) -> list[Order]:
    """The last orders, the newest first."""
    return _orders[: -limit - 1 : -1]


def place(item: str, quantity: int) -> Order:
    """Add an order, and tell all who subscribed."""
    order = {"id": next(_numbers), "item": item, "quantity": quantity, "created": datetime.now(timezone.utc)}
    _orders.append(order)
    notify(order)
    return order


def subscribe(url: str) -> str:
    """Remember a URL that wants every new order; gives the id to unsubscribe with."""
    number = str(next(_hook_numbers))
    _hooks[number] = url
    return number


def unsubscribe(number: str | None) -> None:
    """Forget a URL. One that is not known is forgotten already."""
    _hooks.pop(number or "", None)


def notify(order: Order) -> None:
    """Where every subscriber would be sent the order, by POST as JSON. The sample only says so in the log."""
    for number, url in list(_hooks.items()):
        print(f"hook {number}: order {order['id']} would be sent to {url}")
