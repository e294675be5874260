"""The work as a function of functions-framework. One serves a whole process, so it looks at the path itself."""

from typing import Any

from flask import Request


def handle(request: Request) -> Any:
    segments = request.path.split("/")
    route = request.method, segments[2]
    if route == ("GET", "product"):
        return {"id": segments[3], "q": request.args["q"], "price": 12.5, "tags": ["a", "b"]}
    if route == ("POST", "echo"):
        return request.get_json()
    return "", 404
