"""The ASGI interface (3.0): ``async def`` handlers on the server's event loop, ``def`` handlers on a thread pool.

``wixhttp.asgi:application`` serves the project that ``WIXHTTP_PROJECT`` names, by default the current folder, under any
ASGI server. It is loaded when that name is first read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from typing import Any

from wixhttp.concurrency.bridge import Bridge
from wixhttp.concurrency.deadlines import InactivityTimeout
from wixhttp.concurrency.event_loop import ValueOrError
from wixhttp.concurrency.executor import Executor
from wixhttp.context import current_request
from wixhttp.dispatch.app import App
from wixhttp.dispatch.async_stream import AsyncStream, Receive, Scope, Send, send_whole
from wixhttp.dispatch.call import Call
from wixhttp.dispatch.site import load_site
from wixhttp.dispatch.timeouts import timed_out
from wixhttp.http.body import LINGER, BodyBuffer, SpooledBody, too_large
from wixhttp.http.encoding import Encoded
from wixhttp.http.request_head import MALFORMED, UNKNOWN, Head, RequestHeaders
from wixhttp.http.response import Response
from wixhttp.http.url import ascii_target, quote_path, split_target
from wixhttp.logs.access_log import AccessLog
from wixhttp.logs.captured_prints import flush_prints
from wixhttp.project.config import load_config

from .errors import HTTPError

GATEWAY_TIMEOUT = 504
CLIENT_LEFT = 499  # status in the access line of a request whose client hung up (nginx has it so)

_CLOSING = (408, 413)  # answers to a body that is not read to its end; no further request can follow it
_NAMES: dict[str, bytes] = {}  # header names in bytes


def __getattr__(name: str) -> Any:
    if name == "application":
        globals()["application"] = loaded = make_application()
        return loaded
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def make_application(project: str | None = None) -> ASGIApplication:
    """The ASGI application of a project folder; ``None`` for ``WIXHTTP_PROJECT``, else the current folder.

    Raises:
        ProjectError: the project cannot be loaded.
    """
    return ASGIApplication(App(load_site(load_config(project))))


class ASGIHead(Head):
    """A head read from an ASGI scope."""

    __slots__ = ("scope", "table")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        headers = scope["headers"]
        self.table: dict[bytes, bytes] = dict(headers)
        if len(self.table) < len(headers):
            joined = RequestHeaders.of(self.fields())
            self.table = {name.encode("latin-1"): value.encode("latin-1") for name, value in joined.items()}
        self.function = ""
        self.method = scope["method"]
        self.query = ascii_target(scope["query_string"])
        if "#" in self.query:
            self.query = self.query.partition("#")[0]
        raw = scope.get("raw_path")
        path = split_target(ascii_target(raw))[0] if raw else quote_path(scope["path"])
        self.base = base = scope.get("root_path", "")
        if base:
            self.base = base = quote_path(base.rstrip("/"))
            path = path.removeprefix(base)
        self.path = path
        self.scheme = scope.get("scheme", "http")
        client = scope.get("client")
        self.client = client[0] if client else ""
        host = self.table.get(b"host")
        if host is not None:
            self.host = host.decode("latin-1")
        else:
            self.host = "localhost" if scope.get("http_version") == "1.0" else None
        self.length = _length(self.table)

    @property
    def port(self) -> int | None:  # type: ignore[override]  # read only where health_port is set
        """The port of the socket by which the request came in."""
        server = self.scope.get("server")
        return server[1] if server else None

    def header(self, name: str) -> str | None:
        value = self.table.get(_NAMES.get(name) or _NAMES.setdefault(name, name.encode("latin-1")))
        return None if value is None else value.decode("latin-1")

    def fields(self) -> Iterator[tuple[str, str]]:
        for name, value in self.scope["headers"]:
            yield name.decode("latin-1"), value.decode("latin-1")


def _length(table: dict[bytes, bytes]) -> int:
    if b"" in table:  # obsolete line folding, which a parser takes for a field without a name
        return MALFORMED
    announced = table.get(b"content-length")
    if announced is not None:
        return int(announced) if announced.isdigit() and len(announced) < 40 else MALFORMED
    coding = table.get(b"transfer-encoding")
    if coding is None:
        return 0
    return UNKNOWN if coding.strip().lower() == b"chunked" else MALFORMED


class ASGIApplication:
    """The dispatcher as an ASGI application: ``app`` is the one that it serves."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.runner = Executor(app.config.threads)
        self.bridge = Bridge(app.config.threads)
        self.disk = Bridge(app.config.threads)  # for long bodies: they do not wait for handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._serve(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    # --- one request ---

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        app, head = self.app, ASGIHead(scope)
        current_request.set(head)
        status, sent = CLIENT_LEFT, 0
        whole = not head.length  # whether the request was read to its end
        try:
            call = app.begin(head)
            if isinstance(call, Encoded):
                encoded = call
            else:
                try:
                    body: bytes | SpooledBody = b"" if whole else await self._read_body(call, receive)
                    whole = True
                    if call.state is not None:
                        self.bridge.loop = asyncio.get_running_loop()
                    app.start(call, body, self.bridge)
                except HTTPError as error:
                    response: Response | None = app.fail(call, error)
                else:
                    response = await self._handle(call, send)
                if response is None:
                    status = GATEWAY_TIMEOUT
                    return
                encoded = app.encode(call, response)
            if encoded.stream is not None and not isinstance(call, Encoded):
                status, sent = await self._stream(call, encoded, scope, receive, send)
            else:
                status, sent = encoded.status, len(encoded.data)
                if not whole and status in _CLOSING and scope.get("http_version") != "2":
                    encoded.fields.append(("Connection", "close"))
                await send_whole(scope, encoded, send)
            if not whole and head.header("expect") is None:
                await self._linger(receive)
        finally:
            flush_prints()
            if app.access is not None:
                app.access.line(head, status, started, sent)

    async def _handle(self, call: Call, send: Send) -> Response | None:
        """The response to a call; ``None`` where its time ran out and the 504 is sent already.

        The counterpart in a thread is `wixhttp.dispatch.blocking._handle`.
        """
        app, runner = self.app, self.runner
        result: ValueOrError | None
        if call.function.is_async:
            result = await runner.run_here(
                call.run, call.timeout, lambda: self._answer_late(call, send), lambda: app.release(call)
            )
        else:
            try:
                result = await runner.run_thread(call.run, call.timeout, lambda: app.release(call))
            except TimeoutError:
                return app.fail(call, timed_out(call))
            value, error = result
            if error is None and value.__class__ is not Response and isinstance(value, Awaitable):
                result = await runner.run_here(
                    lambda: value, call.timeout, lambda: self._answer_late(call, send), lambda: None
                )
        if result is None:
            return None
        value, error = result
        if error is None:
            return app.finish(call, value)
        response = app.answer_failure(call, error)
        error = result = None  # breaks the reference cycle error -> traceback -> frame
        return await self._handle(response, send) if isinstance(response, Call) else response

    def _answer_late(self, call: Call, send: Send) -> None:
        """Send a 504, by a task of its own."""
        encoded = self.app.encode(call, self.app.fail(call, timed_out(call)))
        scope = call.head.scope  # type: ignore[attr-defined]  # an ASGIHead
        self.runner.keep(asyncio.get_running_loop().create_task(send_whole(scope, encoded, send)))

    async def _stream(
        self, call: Call, encoded: Encoded, scope: Scope, receive: Receive, send: Send
    ) -> tuple[int, int]:
        """Stream an answer, and return its status and the bytes sent. Where it fails before its first chunk, the answer
        of the failure is sent instead.

        The counterpart in a thread is `wixhttp.dispatch.blocking._begin_stream`.
        """
        app = self.app
        stream = AsyncStream(self.runner, call, encoded, receive, send)
        try:
            failure = await stream.run()
        except TimeoutError:
            failure = timed_out(call)
        if failure is None:
            return encoded.status, stream.sent
        answered = app.answer_failure(call, failure)
        failure = stream.failed = None  # breaks the reference cycle error -> traceback -> frame
        response = await self._handle(answered, send) if isinstance(answered, Call) else answered
        if response is None:
            return GATEWAY_TIMEOUT, 0
        answer = app.encode(call, response)
        if answer.stream is not None:
            return await self._stream(call, answer, scope, receive, send)
        await send_whole(scope, answer, send)
        return answer.status, len(answer.data)

    async def _read_body(self, call: Call, receive: Receive) -> bytes | SpooledBody:
        """The body, at most ``call.max_body`` bytes of it.

        Raises:
            HTTPError: 413, it is longer; 408, it stops coming; 400, it is cut.
        """
        buffer = BodyBuffer(spools=call.state is not None)
        try:
            with InactivityTimeout(self.app.config.body_timeout) as inactivity:
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise HTTPError(400, "The body is shorter than announced.")
                    if part := message.get("body", b""):
                        is_much = buffer.add(part)
                        if buffer.size > call.max_body:
                            raise too_large(call.max_body)
                        if is_much:
                            await self.disk.in_thread(buffer.spool)
                        inactivity.renew()
                    if not message.get("more_body", False):
                        return buffer.end()
        finally:
            buffer.close()

    async def _linger(self, receive: Receive) -> None:
        async def drain() -> None:
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass

        try:
            await asyncio.wait_for(drain(), LINGER)
        except asyncio.TimeoutError:
            pass

    # --- life ---

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            loop.set_task_factory(self.runner.make_task)  # type: ignore[arg-type]  # typeshed asks for a generic one
        if isinstance(self.app.access, AccessLog):
            self.app.access.writer.later = loop.call_soon
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.runner.settle(self.app.config.graceful_timeout)
        if isinstance(self.app.access, AccessLog):
            self.app.access.writer.later = None
            self.app.access.writer.flush()
        await send({"type": "lifespan.shutdown.complete"})
