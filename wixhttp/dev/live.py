"""The stream of events by which open pages learn of a reload: ``GET /_wixhttp/live``.

It says once which reload this worker is of, and whether the project could be loaded. When the worker is replaced it
ends, the page connects again, and sees another number.
"""

from __future__ import annotations

import json

from wixhttp.dispatch.async_stream import Receive, Scope, Send

LIVE = "/_wixhttp/live"

_AGAIN = 200  # milliseconds after which a browser connects again
_HEADERS = [
    (b"Content-Type", b"text/event-stream"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
]


async def serve_live(generation: int, is_loaded: bool, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the event, and keep the stream open until the client leaves or this worker ends."""
    data = json.dumps({"generation": generation, "ok": is_loaded})
    event = f"retry: {_AGAIN}\nevent: generation\ndata: {data}\n\n"
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": event.encode(), "more_body": scope["method"] == "GET"})
    while scope["method"] == "GET" and (await receive())["type"] != "http.disconnect":
        pass
