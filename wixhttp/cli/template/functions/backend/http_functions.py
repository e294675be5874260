"""The HTTP functions of this site: get_hello answers GET /_functions/hello."""

from wixhttp import AsyncRequest, Request, Response, badRequest, created, ok
from wixhttp.data import aio as wix_data


def get_hello(request: Request) -> Response:
    """Say hello: /_functions/hello/Ada?greeting=Good+morning"""
    name = request.path[0] or "world"
    greeting = request.query["greeting"] or "Hello"
    return ok({"body": {"message": f"{greeting}, {name}!"}})


async def post_orders(request: AsyncRequest) -> Response:
    """Keep an order, sent as JSON. An `async def` awaits the body and calls on collections, as on Wix."""
    order = await request.body.json()
    if not isinstance(order, dict) or "item" not in order:
        return badRequest({"body": {"error": "an order is an object with an item"}})
    kept = await wix_data.insert("orders", {"item": order["item"]}, {"suppressAuth": True})
    return created({"body": {"ordered": kept["item"]}})
