"""The requests that every candidate is sent, and the answers that it must give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

BENCHMARKS = Path(__file__).parent
SITE = BENCHMARKS / "site"
ENDPOINTS = BENCHMARKS / "endpoints"  # the same functions, with endpoints beside them

PRODUCT_PATH = "/_functions/product/sku%2042"
PRODUCT_ASYNC_PATH = "/_functions/productasync/sku%2042"
PRODUCT_QUERY = "q=blue+chair"
PRODUCT: Any = {"id": "sku 42", "q": "blue chair", "price": 12.5, "tags": ["a", "b"]}

ECHO_PATH = "/_functions/echo"
ECHO_ASYNC_PATH = "/_functions/echoasync"

WAIT_PATH = "/_functions/wait"  # waits 0.1 s in an `async def`
WAITED: Any = {"seconds": 0.1}
LARGE_PATH = "/_functions/large"
LARGE_BYTES = 5_000_000

ENDPOINT_PATH = "/api/product/sku%2042"
ENDPOINT_ASYNC_PATH = "/api/productasync/sku%2042"
ENDPOINT_ECHO_PATH = "/api/echo"
ENDPOINT_ECHO_ASYNC_PATH = "/api/echoasync"

ORDER_BYTES = 1024


def _order() -> dict[str, Any]:
    """An order of an online shop whose compact JSON is `ORDER_BYTES` long."""
    item = {"sku": "sku 42", "name": "blue chair", "quantity": 2, "price": 12.5, "options": {"color": "blue"}}
    order: dict[str, Any] = {"id": 1, "paid": True, "coupon": None, "items": [item] * 6, "note": ""}
    missing = ORDER_BYTES - len(json.dumps(order, separators=(",", ":")))
    return order | {"note": "x" * missing}


ORDER = _order()
ORDER_JSON = json.dumps(ORDER, separators=(",", ":")).encode()


class Case(NamedTuple):
    """A request, and the JSON of its answer."""

    method: str
    path: str
    query: str
    body: bytes
    answer: Any
