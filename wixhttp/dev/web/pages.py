"""Answers of the pages of `wixhttp dev`: HTML that no other site can read, frame or script, and its assets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wixhttp.dispatch.async_stream import Receive, Scope, Send, send_whole
from wixhttp.errors import HTTPError
from wixhttp.http.encoding import encode
from wixhttp.http.problem import error_response
from wixhttp.http.response import Response

from .context import DevelopmentContext
from .templates import render

ASSETS = "/_wixhttp/assets/"
HIDING_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of everything below ``/_wixhttp/``, and of error pages: no other site can embed it, and no cache keeps it."""

PAGE_HEADERS = {
    **HIDING_HEADERS,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with "no-referrer" browsers send our own forms with "Origin: null"
    "X-Frame-Options": "DENY",
}

_FOLDER = Path(__file__).parent / "assets"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def page(context: DevelopmentContext, name: str, status: int = 200, **values: Any) -> Response:
    """The answer with a page made of a template that extends ``base.html``: ``page(context, "requests.html", ...)``.

    Each has ``generation`` and ``token`` as values; ``section`` is the entry of the navigation that it belongs to.
    """
    values.setdefault("section", "")
    values.setdefault("is_answer_to_form", False)
    html = render(name, generation=context.generation, token=context.token, **values)
    return Response(status, html, PAGE_HEADERS)


def redirect(location: str) -> Response:
    """The answer to a form that was sent: the page to show next."""
    return Response(303, None, {**HIDING_HEADERS, "Location": location})


async def send_response(scope: Scope, send: Send, response: Response) -> None:
    """Send an answer whose body is at hand."""
    await send_whole(scope, encode(response, scope["method"]), send)


async def serve_asset(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of the style sheet and the scripts, below `ASSETS`."""
    await send_response(scope, send, asset(scope["path"].removeprefix(ASSETS)))


def asset(name: str) -> Response:
    """The answer with an asset: one of the files of the folder, which a name is looked up in."""
    file = {path.name: path for path in _FOLDER.iterdir()}.get(name)
    if file is None or file.suffix not in _TYPES:
        return error_response(HTTPError(404, "There is no such file."), "")
    return Response(200, file.read_bytes(), {**HIDING_HEADERS, "Content-Type": _TYPES[file.suffix]})
