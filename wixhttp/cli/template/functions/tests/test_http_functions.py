"""Run with: pytest. The fixtures come with wixhttp: the client has collections of its own, in memory."""

from collections.abc import Callable

from backend.http_functions import get_hello
from wixhttp import Request
from wixhttp.testing import FakeData, TestClient


def test_hello(fake_request: Callable[..., Request]) -> None:
    response = get_hello(fake_request("hello/Ada?greeting=Hi"))
    assert response.status == 200
    assert response.body == {"message": "Hi, Ada!"}


def test_orders(client: TestClient, wix_data: FakeData) -> None:
    assert client.post("orders", json={"item": "tea"}).json() == {"ordered": "tea"}
    with wix_data.acting_as(role="siteOwner"):
        assert wix_data.query("orders").eq("item", "tea").count() == 1


def test_what_is_no_order(client: TestClient) -> None:
    assert client.post("orders", json=[]).status_code == 400
    assert client.post("orders", text="no JSON").status_code == 400
