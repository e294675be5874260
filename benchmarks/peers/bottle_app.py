"""The work in Bottle."""

from typing import Any

from bottle import Bottle, request  # type: ignore[import-untyped]  # it has no types

application = Bottle()


@application.get("/_functions/product/<product_id>")  # type: ignore[untyped-decorator]
def get_product(product_id: str) -> dict[str, Any]:
    return {"id": product_id, "q": request.query["q"], "price": 12.5, "tags": ["a", "b"]}


@application.post("/_functions/echo")  # type: ignore[untyped-decorator]
def post_echo() -> Any:
    return request.json
