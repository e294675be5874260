"""The route /api/orders/17: params["id"] is "17". A function takes what it needs of the context, by name."""

from wixhttp.endpoints import AsyncRequest, Response

Params = dict[str, str | None]


def GET(params: Params) -> Response:
    """Show an order."""
    return Response.json({"id": params["id"]})


async def PUT(params: Params, request: AsyncRequest) -> Response:
    """Take an order as JSON. An `async def` awaits the body."""
    order = await request.json()
    if not isinstance(order, dict) or "item" not in order:
        return Response.json({"error": "an order is an object with an item"}, status=400)
    return Response.json({"id": params["id"], "ordered": order["item"]}, status=201)
