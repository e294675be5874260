"""This file is the route /api/hello. Its functions are the methods that it answers."""

from wixhttp.endpoints import URL, Response


def GET(url: URL) -> Response:
    """Say hello: /api/hello?name=Ada"""
    name = url.searchParams.get("name") or "world"
    return Response.json({"message": f"Hello, {name}!"})
