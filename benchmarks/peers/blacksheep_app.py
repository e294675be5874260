"""The work in BlackSheep."""

from typing import Any

from blacksheep import Application, FromJSON, Response, get, json, post

application = Application()


@get("/_functions/product/{product_id}")
async def get_product(product_id: str, q: str) -> Response:
    return json({"id": product_id, "q": q, "price": 12.5, "tags": ["a", "b"]})


@post("/_functions/echo")
async def post_echo(data: FromJSON[dict[str, Any]]) -> Response:
    return json(data.value)
