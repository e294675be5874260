"""Run with: pytest. The fixtures come with wixhttp."""

from backend.http_functions import get_hello


def test_hello(fake_request):
    response = get_hello(fake_request("hello/Ada?greeting=Hi"))
    assert response.status == 200
    assert response.body == {"message": "Hi, Ada!"}


def test_orders(client):
    assert client.post("orders", json={"item": "tea"}).json() == {"ordered": "tea"}
    assert client.post("orders", json=[]).status_code == 400
    assert client.post("orders", text="no JSON").status_code == 400
