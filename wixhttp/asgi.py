"""The ASGI interface (3.0): ``async def`` handlers on the server's event loop, ``def`` handlers on a thread pool.

``wixhttp.asgi:application`` serves the project that ``WIXHTTP_PROJECT`` names, by default the current folder, under any
ASGI server. It is loaded when that name is first read.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Iterator
from contextvars import Context
from typing import Any

from wixhttp.concurrency.bridge import Bridge
from wixhttp.concurrency.deadlines import BodyDeadline, uncancel
from wixhttp.concurrency.event_loop import ValueOrError
from wixhttp.concurrency.executor import Executor, this_task
from wixhttp.concurrency.overload import Busy
from wixhttp.context import current_request
from wixhttp.dispatch.app import App
from wixhttp.dispatch.async_stream import AsyncStream, NoRoom, Receive, Scope, Send, is_large, send_whole
from wixhttp.dispatch.call import Call
from wixhttp.dispatch.meter import SlowAnswer
from wixhttp.dispatch.timeouts import timed_out
from wixhttp.http.body import LINGER, BodyBuffer, SpooledBody, too_large
from wixhttp.http.encoding import Encoded
from wixhttp.http.request_head import MALFORMED, UNKNOWN, Head, RequestHeaders
from wixhttp.http.request_target import host_of, split_absolute
from wixhttp.http.response import Response
from wixhttp.http.url import ascii_target, quote_path, split_target
from wixhttp.logs.access_log import AccessLog
from wixhttp.logs.captured_prints import flush_prints
from wixhttp.project.config import load_config

from .errors import HTTPError

CLIENT_LEFT = 499  # status in the access line of a request whose client hung up (nginx has it so)

_CLOSING = (408, 413)  # answers to a body that is not read to its end; no further request can follow it
_NAMES: dict[str, bytes] = {}  # header names in bytes


def __getattr__(name: str) -> Any:
    if name == "application":
        globals()["application"] = loaded = make_application()
        return loaded
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def make_application(project: str | None = None) -> ASGIApplication:
    """The ASGI application of a project folder; ``None`` for ``WIXHTTP_PROJECT``, else the current folder. Rate limits
    and metrics are counted as the settings of the one that was made last in a process say.

    Raises:
        ProjectError: the project cannot be loaded.
    """
    from .services import load_for_any_server

    return ASGIApplication(App(load_for_any_server(load_config(project))))


class ASGIHead(Head):
    """A head read from an ASGI scope."""

    __slots__ = ("scope", "table")

    def __init__(self, scope: Scope) -> None:
        raw = scope.get("raw_path")
        if raw and not raw.startswith(b"/"):
            scope, raw = _in_origin_form(scope, raw)
        self.scope = scope
        headers = scope["headers"]
        table: dict[bytes, bytes] = dict(headers)
        if len(table) < len(headers):
            joined = RequestHeaders.of(self.fields())
            table = {name.encode("latin-1"): value.encode("latin-1") for name, value in joined.items()}
        self.table = table
        self.function = ""
        self.method = scope["method"]
        query = ascii_target(scope["query_string"])
        self.query = query.partition("#")[0] if "#" in query else query
        get = scope.get
        path = split_target(ascii_target(raw))[0] if raw else quote_path(scope["path"])
        base = get("root_path", "")
        if base:
            base = quote_path(base.rstrip("/"))
            path = path.removeprefix(base)
        self.base = base
        self.path = path
        self.scheme = get("scheme", "http")
        client = get("client")
        self.client = client[0] if client else ""
        host = table.get(b"host")
        if host is not None:
            self.host = host.decode("latin-1")
        else:
            self.host = "localhost" if get("http_version") == "1.0" else None
        self.length = _length(table)

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


def _in_origin_form(scope: Scope, raw: bytes) -> tuple[Scope, bytes]:
    """The scope of a request that came in absolute form, and its path, as they were in origin form, with the authority
    as the Host; any other scope as it is. Some servers leave the whole target in ``raw_path``."""
    split = split_absolute(ascii_target(raw))
    if split is None:
        return scope, raw
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    is_old = not hosts and scope.get("http_version") == "1.0"  # that version has no Host header
    host = host_of(split[0], "" if is_old else ", ".join(hosts) if hosts else None)
    headers = [field for field in scope["headers"] if field[0] != b"host"]
    if host is not None:
        headers.append((b"host", host.encode("latin-1")))
    return {**scope, "headers": headers}, split[1].encode("ascii")


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


def _sent(call: Call | Encoded | None, stream: AsyncStream | None) -> tuple[int, int]:
    """Status, and bytes of the body, of an answer that was not sent whole: streamed, as far as it came, or late."""
    if stream is not None and stream.began:
        return stream.encoded.status, stream.sent
    late = None
    if isinstance(call, Call):
        late = call.late_answer or (call.error_page.late_answer if call.error_page is not None else None)
    return (late.status, len(late.data)) if late is not None else (CLIENT_LEFT, 0)


def _ended() -> HTTPError:
    """The error for a request whose handler still ran when the time to stop was over."""
    reason = "it was ended: graceful_timeout was over"
    return HTTPError(503, "The server stops or reloads; this request did not end in time.", reason=reason)


class ASGIApplication:
    """The dispatcher as an ASGI application: ``app`` is the one that it serves. ``is_ending``: the server cancels what
    still runs, since its time to stop is over."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.is_ending = False
        self._unstarted = app.site.background
        self.runner = Executor(app.config.threads, app.config.queue_timeout, is_large, times_steps=app.development)
        self.bridge = Bridge(app.config.threads)
        self.disk = Bridge(app.config.threads)  # for long bodies and reports, which do not wait for handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._serve_other(scope["type"], receive, send)
            return
        started = time.perf_counter()
        app, head = self._app() if self._unstarted else self.app, ASGIHead(scope)
        current_request.set(head)
        status, sent = 0, 0
        call: Call | Encoded | None = None
        stream = None
        whole = not head.length  # whether the request was read to its end
        try:
            call = app.begin(head)
            if isinstance(call, Encoded):
                encoded = await self.disk.in_thread(call.make) if isinstance(call, SlowAnswer) else call
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
                while response is not None and (encoded := app.encode(call, response)).stream is not None:
                    stream = AsyncStream(self.runner, call, encoded, call.stream_context, receive, send)
                    response = await self._stream(call, stream, send)
                if response is None:
                    return
            status, sent = encoded.status, len(encoded.data)
            if not whole and status in _CLOSING and scope.get("http_version") != "2":
                encoded.fields.append(("Connection", "close"))
            try:
                await send_whole(scope, encoded, send)
            except NoRoom as error:
                assert isinstance(call, Call)  # noqa: S101  # other answers are small
                encoded = app.encode(call, app.fail(call, error))
                status, sent = encoded.status, len(encoded.data)
                await send_whole(scope, encoded, send)
            if not whole and head.header("expect") is None:
                await self._linger(receive)
        finally:
            flush_prints()
            if app.access is not None:
                status, sent = (status, sent) if status else _sent(call, stream)
                app.access.line(head, status, started, sent)

    async def _handle(self, call: Call, send: Send) -> Response | None:
        """The response to a call; ``None`` where its time ran out and the 504 is sent already.

        The counterpart in a thread is `wixhttp.dispatch.blocking._handle`.
        """
        app, runner = self.app, self.runner
        context = call.new_context()
        result: ValueOrError | None
        if call.function.is_async:
            try:
                result = await runner.run_here(call.run, context, call.timeout, self._answer_late, call, send)
            finally:
                app.release(call)
        else:
            try:
                result = await runner.run_thread(call.run, context, call.timeout, lambda: app.release(call))
            except TimeoutError:
                return app.fail(call, timed_out(call))
            except asyncio.CancelledError:
                if not self.is_ending:
                    raise
                uncancel(this_task(asyncio.get_running_loop()))
                return app.fail(call, _ended())
            value, error = result
            if error is None and value.__class__ is not Response and isinstance(value, Awaitable):
                result = await runner.run_here(lambda: value, context, call.timeout, self._answer_late, call, send)
        if result is None:
            return None
        value, error = result
        if error is None:
            return app.finish(call, value)
        if call.failure is not None and isinstance(error, Busy):
            return call.failure
        try:
            return await self._answer_failure(call, error, send)
        finally:
            error = result = None  # breaks the reference cycle error -> traceback -> frame

    async def _answer_failure(self, call: Call, error: BaseException, send: Send) -> Response | None:
        """The response to a call whose handler or stream failed; ``None`` as in `_handle`."""
        page = self.app.on_failure
        if self.is_ending and isinstance(error, asyncio.CancelledError):
            error = _ended()
        elif page is not None and not isinstance(error, HTTPError):
            await self.disk.in_thread(functools.partial(page.prepare, call.head, error))
        answered = self.app.answer_failure(call, error)
        del error  # breaks the reference cycle error -> traceback -> frame
        return await self._handle(answered, send) if isinstance(answered, Call) else answered

    def _answer_late(self, call: Call, send: Send) -> None:
        """Send a 504, by a task of its own. To be called by a timer, outside of the context of the request."""

        def answer() -> None:
            current_request.set(call.head)
            call.late_answer = encoded = self.app.encode(call, self.app.fail(call, timed_out(call)))
            scope = call.head.scope  # type: ignore[attr-defined]  # an ASGIHead
            self.runner.keep(asyncio.get_running_loop().create_task(send_whole(scope, encoded, send)))

        Context().run(answer)

    async def _stream(self, call: Call, stream: AsyncStream, send: Send) -> Response | None:
        """Stream an answer. Where it fails before its first chunk, return the response that is to be sent instead;
        ``None`` where none is.

        The counterpart in a thread is `wixhttp.dispatch.blocking._begin_stream`.
        """
        failure = await stream.run(lambda: self._answer_late(call, send))
        try:
            return None if failure is None else await self._answer_failure(call, failure, send)
        finally:
            failure = None  # breaks the reference cycle error -> traceback -> frame

    async def _read_body(self, call: Call, receive: Receive) -> bytes | SpooledBody:
        """The body, at most ``call.max_body`` bytes of it.

        Raises:
            HTTPError: 413, it is longer; 408, it stops coming; 400, it is cut.
        """
        buffer = BodyBuffer(spools=call.state is not None)
        deadlines = self.runner.deadlines(asyncio.get_running_loop())
        add, most, now = buffer.add, call.max_body, time.monotonic
        try:
            with BodyDeadline(deadlines, self.app.config.body_timeout, lambda: buffer.size) as deadline:
                while True:  # the work of each part is small: a client may send single bytes
                    message = await receive()
                    if message["type"] != "http.request":
                        raise HTTPError(400, "The body is shorter than announced.")
                    if part := message.get("body"):
                        is_much = add(part)
                        if buffer.size > most:
                            raise too_large(most)
                        deadline.last = now()
                        if is_much:
                            await self.disk.in_thread(buffer.spool)
                            deadline.paused += now() - deadline.last
                            deadline.last = now()
                    if not message.get("more_body"):
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

    # --- what is no request ---

    def _app(self) -> App:
        """The dispatcher; the work beside requests is started, which a server that knows no lifespan does not."""
        self._start_background()
        return self.app

    def _start_background(self) -> None:
        """Start the work that this process does beside requests."""
        unstarted, self._unstarted = self._unstarted, ()
        for work in unstarted:
            work.start(asyncio.get_running_loop())

    def begin_stop(self) -> None:
        """Begin no more work beside requests: the server has begun to stop."""
        self._unstarted = ()
        for work in self.app.site.background:
            work.begin_stop()

    async def _serve_other(self, kind: str, receive: Receive, send: Send) -> None:
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            loop.set_task_factory(self.runner.make_task)  # type: ignore[arg-type]  # typeshed asks for a generic one
        log = self.app.access_log
        if isinstance(log, AccessLog):
            log.writer.later = loop.call_soon
        self._start_background()
        await send({"type": "lifespan.startup.complete"})
        grace = self.app.config.graceful_timeout
        try:
            await receive()
            self.begin_stop()
            await self.runner.settle(grace)
            for work in self.app.site.background:
                await asyncio.to_thread(work.stop, grace)
        except asyncio.CancelledError:  # the server stops at once, without asking
            return
        finally:
            if isinstance(log, AccessLog):
                log.writer.later = None
                log.writer.flush()
        await send({"type": "lifespan.shutdown.complete"})
