"""The work by hand over ASGI: what is left of a server's speed without any framework."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, unquote

Message = dict[str, Any]


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    segments = [unquote(segment) for segment in scope["raw_path"].decode().split("/") if segment]
    route = scope["method"], segments[1]
    if route == ("GET", "product"):
        query = parse_qs(scope["query_string"].decode())
        answer = {"id": segments[2], "q": query["q"][-1], "price": 12.5, "tags": ["a", "b"]}
    else:
        answer = json.loads(await _body(receive))
    body = json.dumps(answer, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _lifespan(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    for _ in range(2):  # startup, shutdown
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
