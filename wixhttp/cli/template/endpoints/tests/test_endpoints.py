"""Run with: pytest. The fixtures come with wixhttp."""


def test_hello(client):
    answer = client.get("/api/hello?name=Ada")
    assert answer.json() == {"message": "Hello, Ada!"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_orders(client):
    assert client.get("/api/orders/17").json() == {"id": "17"}
    assert client.put("/api/orders/17", json={"item": "tea"}).status_code == 201
    assert client.put("/api/orders/17", json=[]).status_code == 400


def test_about(client):
    assert client.get("/api/about.json").json()["version"] == 1


def test_a_handler_by_itself(load_endpoint, call_endpoint):
    hello = load_endpoint("src/pages/api/hello.py")
    assert call_endpoint(hello.GET, "/api/hello").json() == {"message": "Hello, world!"}
