"""The work in Flask."""

from typing import Any

from flask import Flask, request

application = Flask(__name__)


@application.get("/_functions/product/<product_id>")
def get_product(product_id: str) -> dict[str, Any]:
    return {"id": product_id, "q": request.args["q"], "price": 12.5, "tags": ["a", "b"]}


@application.post("/_functions/echo")
def post_echo() -> Any:
    return request.get_json()
