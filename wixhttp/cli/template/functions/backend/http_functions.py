"""The HTTP functions of this site: get_hello answers GET /_functions/hello."""

from wixhttp import badRequest, created, ok


def get_hello(request):
    """Say hello: /_functions/hello/Ada?greeting=Good+morning"""
    name = request.path[0] or "world"
    greeting = request.query["greeting"] or "Hello"
    return ok({"body": {"message": f"{greeting}, {name}!"}})


async def post_orders(request):
    """Take an order as JSON. An `async def` awaits the body, as on Wix."""
    order = await request.body.json()
    if not isinstance(order, dict) or "item" not in order:
        return badRequest({"body": {"error": "an order is an object with an item"}})
    return created({"body": {"ordered": order["item"]}})
