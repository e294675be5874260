"""The work by hand: a WSGI application with the standard library alone. Every ratio is to this one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    segments = [unquote(segment) for segment in environ["RAW_URI"].partition("?")[0].split("/") if segment]
    route = environ["REQUEST_METHOD"], segments[1]
    if route == ("GET", "product"):
        query = parse_qs(environ["QUERY_STRING"])
        answer = {"id": segments[2], "q": query["q"][-1], "price": 12.5, "tags": ["a", "b"]}
    elif route == ("POST", "echo"):
        answer = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    else:
        start_response("404 Not Found", [("Content-Length", "0")])
        return []
    body = json.dumps(answer, separators=(",", ":")).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
