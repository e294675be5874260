"""Kept requests sent again: through the application of this process, as its server does, and recorded again."""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from wixhttp.context import current_request
from wixhttp.dispatch.async_stream import Message
from wixhttp.http.response import is_token
from wixhttp.http.url import ascii_target

from .kept_requests import KeptRequest, header
from .recorder import RECORDING, REPLAY_OF, Recorder, Recording

MOST_SECONDS = 60.0  # until the client of a replay leaves
_GRACE = 5.0  # seconds until an application that does not notice is cancelled
_OWN = ("content-length", "transfer-encoding", "expect", "connection")


class CannotReplay(ValueError):
    """A request that cannot be sent: its body was not kept as a whole, or a part of it is malformed."""


def edited(
    kept: KeptRequest,
    *,
    method: str | None = None,
    target: str | None = None,
    headers: list[tuple[str, str]] | None = None,
    body: bytes | None = None,
) -> KeptRequest:
    """A kept request as it is to be sent again, with other values for what is given. Its answer is empty. It does not
    bring the request id that it had: it is another request.

    Raises:
        CannotReplay: its body was cut, and there is no other one; or a part is malformed.
    """
    if body is None:
        if kept.is_cut:
            raise CannotReplay(
                f"request {kept.id} had a body of {kept.request_size} bytes, and {len(kept.request_body)} of them are "
                "kept; send it with another body (-d)"
            )
        body = kept.request_body
    fields = kept.request_headers if headers is None else headers
    fields = [(name, value) for name, value in fields if name.lower() not in _OWN]
    fields = [each for each in fields if each[0].lower() != "x-request-id" or each[1] != kept.request_id]
    method = method or kept.method
    target = (target or kept.target).replace(" ", "%20")
    _check(method, target, fields)
    if body or header(kept.request_headers, "content-length") is not None or method not in ("GET", "HEAD", "OPTIONS"):
        fields.append(("Content-Length", str(len(body))))
    if header(fields, "host") is None:
        fields.append(("Host", kept.host or "localhost"))
    return KeptRequest(
        id=0, request_id="", time=0.0, method=method, target=ascii_target(target.encode()),
        http_version="1.1", scheme=kept.scheme, host=header(fields, "host") or "", client=kept.client,
        request_headers=fields, request_body=body, request_size=len(body), function="", status=0, response_headers=[],
        response_body=b"", response_size=0, duration=0.0, replay_of=kept.id or None,
    )  # fmt: skip


def _check(method: str, target: str, fields: list[tuple[str, str]]) -> None:
    if not is_token(method):
        raise CannotReplay(f"a method is one word such as GET, not {method!r}")
    if not re.fullmatch(r"(/|https?://)[^\x00-\x20\x7f]*", target) and target != "*":
        raise CannotReplay(f"the target of a request is a path such as /_functions/hello?q=1, not {target!r}")
    for name, value in fields:
        if not is_token(name):
            raise CannotReplay(f"{name!r} is no name of a header field")
        if re.search(r"[\r\n\0]", value):
            raise CannotReplay(f"the header {name} has a line break: {value!r}")


def wire(text: str) -> bytes:
    """A header field in bytes: in Latin-1 as it came, or in UTF-8 what somebody has edited."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


async def replay(
    application: Any,
    kept: KeptRequest,
    *,
    method: str | None = None,
    target: str | None = None,
    headers: list[tuple[str, str]] | None = None,
    body: bytes | None = None,
) -> KeptRequest:
    """Send a kept request again, as it was or with what is given in place, and return it with its answer.

    ``application`` is the `Recorder` of the site, so that the replay is kept itself, with the id of the first one. A
    stream that does not end is left after `MOST_SECONDS`.

    Raises:
        CannotReplay: as `edited`.
    """
    request = edited(kept, method=method, target=target, headers=headers, body=body)
    recorder = cast("Recorder", application)
    scope = _scope(request)
    left = asyncio.Event()
    waiting: list[Message] = [{"type": "http.request", "body": request.request_body, "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            left.set()

    async def run() -> None:
        current_request.set(None)  # this is another request than that which asks for it
        await recorder(scope, receive, send)

    task = asyncio.ensure_future(run())
    try:
        await asyncio.wait([task], timeout=MOST_SECONDS)
        left.set()
        await asyncio.wait([task], timeout=_GRACE)
    finally:
        if not task.done():
            task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # a stream that broke off: its beginning is the answer
    await asyncio.get_running_loop().run_in_executor(None, recorder.store.flush)
    recording: Recording = scope.pop(RECORDING)
    return recording.kept()


def _scope(request: KeptRequest) -> dict[str, Any]:
    path, _, query = request.target.partition("?")
    host, _, port = request.host.rpartition(":") if request.host[-1:].isdigit() else (request.host, "", "")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme or "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(wire(name.lower()), wire(value)) for name, value in request.request_headers],
        "client": (request.client or "127.0.0.1", 0),
        "server": (host or "localhost", int(port) if port.isdigit() else 80),
        "state": {},
        REPLAY_OF: request.replay_of,
    }
