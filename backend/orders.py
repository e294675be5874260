"""The orders of the sample, and the subscribers to new ones.

Both collections are private, whoever calls: the functions here look at the key first, then pass ``suppressAuth``.
"""

from __future__ import annotations

from typing import Any

from wixhttp.data import aio as wix_data

Order = dict[str, Any]

OURS = {"suppressAuth": True}


async def newest_first() -> list[Order]:
    """The last hundred orders, the newest first."""
    result = await wix_data.query("orders").descending("_createdDate").limit(100).find(OURS)
    return [_shown(order) for order in result.items]


async def place(item: str, quantity: int) -> Order:
    """Add an order, and tell all who subscribed."""
    order = _shown(await wix_data.insert("orders", {"item": item, "quantity": quantity}, OURS))
    await notify(order)
    return order


async def subscribe(url: str) -> str:
    """Remember a URL that wants every new order; gives the id to unsubscribe with."""
    hook: dict[str, str] = await wix_data.insert("orderHooks", {"url": url}, OURS)
    return hook["_id"]


async def unsubscribe(hook_id: str | None) -> None:
    """Forget a URL. One that is not known is forgotten already."""
    await wix_data.remove("orderHooks", hook_id or "", OURS)


async def notify(order: Order) -> None:
    """Send the order to every subscriber, by POST as JSON. The sample only says so in the log."""
    page = await wix_data.query("orderHooks").limit(1000).find(OURS)
    for hook in page.items:
        print(f"hook {hook['_id']}: order {order['id']} would be sent to {hook['url']}")


def _shown(order: Order) -> Order:
    """An order as Zapier wants it: it knows an item by ``id``."""
    return {
        "id": order["_id"],
        "item": order["item"],
        "quantity": order["quantity"],
        "created": order["_createdDate"],
    }
