"""Run with: pytest. The fixtures come with wixhttp."""

from collections.abc import Callable
from types import ModuleType

from wixhttp.endpoints import Response
from wixhttp.testing import TestClient


def test_hello(client: TestClient) -> None:
    answer = client.get("/api/hello?name=Ada")
    assert answer.json() == {"message": "Hello, Ada!"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_orders(client: TestClient) -> None:
    assert client.get("/api/orders/17").json() == {"id": "17"}
    assert client.put("/api/orders/17", json={"item": "tea"}).status_code == 201
    assert client.put("/api/orders/17", json=[]).status_code == 400


def test_about(client: TestClient) -> None:
    assert client.get("/api/about.json").json()["version"] == 1


def test_a_handler_by_itself(
    load_endpoint: Callable[[str], ModuleType], call_endpoint: Callable[..., Response]
) -> None:
    hello = load_endpoint("src/pages/api/hello.py")
    assert call_endpoint(hello.GET, "/api/hello").json() == {"message": "Hello, world!"}
