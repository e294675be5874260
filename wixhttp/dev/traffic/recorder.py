"""The recorder: an ASGI application around the site's, which keeps both sides of each request.

On the event loop it only notes references and times; what is kept is made of them on the writer's thread of the store,
and only for the requests that are not pushed out by later ones before it comes to them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter, time
from typing import Any

from wixhttp.context import current_request
from wixhttp.dispatch.async_stream import Message, Receive, Scope, Send
from wixhttp.dispatch.stream_chunks import StreamBroken
from wixhttp.http.request_head import Head
from wixhttp.http.url import quote_path
from wixhttp.logs.formats import exception_of
from wixhttp.logs.masking import masked
from wixhttp.logs.setup import OWN_LOGGERS

from .kept_requests import CLIENT_LEFT, MOST_BODY, KeptRequest, LogLine, header
from .store import RequestStore

OWN_PAGES = "/_wixhttp/"  # requests for what is below are never kept
REPLAY_OF = "wixhttp.replay_of"  # in a scope: the id of the kept request that it repeats
RECORDING = "wixhttp.recording"  # in a scope: the recording of its request, while it runs
_MOST_LINES = 1_000  # log lines that are kept of a request
_MOST_MESSAGE = 20_000  # characters of each
_PATIENCE = 2.0  # seconds for the rest of a body that nobody else reads
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"expect"})


class Recording:
    """A request in flight. ``logs`` grow while it runs; ``failure`` is the report of its exception, set by the error
    page. Of ``scope``, ``head`` and ``answer``, the message that began it, what is kept is made later.
    """

    # Defaults of the class: most requests never set most of them.
    started: float
    weight: int
    scope: Scope
    head: Head | None = None
    answer: Message | None = None
    body_ended = was_answered = ended = 0.0
    received: bytes | list[bytes] = b""
    received_size = 0
    sent: bytes | list[bytes] = b""
    sent_size = 0
    has_left = False
    logs: list[LogLine] | None = None
    failure: dict[str, Any] | None = None
    as_kept: KeptRequest | None = None

    def note_received(self, message: Message) -> None:
        """Note a message of the client."""
        if message["type"] != "http.request":
            self.has_left = True
            return
        if part := message.get("body"):
            if self.received_size < MOST_BODY:
                self.received = _with_part(self.received, part)
            self.received_size += len(part)
        if not message.get("more_body"):
            self.body_ended = perf_counter()

    def add_line(self, record: logging.LogRecord) -> None:
        """Keep a log record."""
        if self.logs is None:
            self.logs = []
        if len(self.logs) < _MOST_LINES:
            message = masked(record.getMessage())
            if exception := exception_of(record):
                message += "\n" + exception
            self.logs.append(LogLine(record.created, record.levelname, record.name, message[:_MOST_MESSAGE]))

    def note_sent(self, part: bytes) -> None:
        """Note a part of the answer's body that is not its first."""
        if self.sent_size < MOST_BODY:
            self.sent = _with_part(self.sent, part)
        self.sent_size += len(part)

    def end(self, head: Head | None) -> None:
        """Note that the request has ended; ``head`` is its own, where it has come to have one."""
        self.ended = perf_counter()
        scope = self.scope
        if head is not None and (own := head.scope).get(RECORDING) is self:  # type: ignore[attr-defined]  # an ASGIHead
            self.head = head
            if own is not scope:  # of a target in absolute form
                del own[RECORDING]
        if REPLAY_OF not in scope:  # who replays takes it out
            del scope[RECORDING]  # breaks the reference cycle of both
        size = self.received_size + self.sent_size
        self.weight = 1_000 + (size if size <= MOST_BODY else _length(self.received) + _length(self.sent))

    def kept(self) -> KeptRequest:
        """The request as it is kept: until it has ended as far as it is, then made once, with the store's id in it."""
        if not self.ended:
            return self._kept(perf_counter())
        if self.as_kept is None:
            self.as_kept = self._kept(self.ended)
        return self.as_kept

    def _kept(self, ended: float) -> KeptRequest:
        scope, head, answer = self.scope, self.head, self.answer
        get = scope.get
        request_headers = _pairs(scope["headers"])
        response_headers = _pairs(answer["headers"]) if answer is not None else []
        path, query = get("raw_path") or quote_path(scope["path"]).encode(), get("query_string")
        client = get("client")
        return KeptRequest(
            id=0,
            request_id=(head.request_id if head else "") or header(response_headers, "x-request-id") or "",
            time=time() - (perf_counter() - self.started),
            method=scope["method"],
            target=(path + b"?" + query if query else path).decode("latin-1"),
            http_version=get("http_version") or "1.1",
            scheme=head.scheme if head else get("scheme", "http"),
            host=(head.host if head else None) or header(request_headers, "host") or "",
            client=head.client if head else client[0] if client else "",
            request_headers=request_headers,
            request_body=_whole(self.received)[:MOST_BODY],
            request_size=self.received_size,
            function=head.function if head else "",
            status=answer["status"] if answer is not None else CLIENT_LEFT if self.has_left else 500,
            response_headers=response_headers,
            response_body=_whole(self.sent)[:MOST_BODY],
            response_size=self.sent_size,
            duration=_milliseconds(self.started, ended),
            timings=self._timings(ended),
            logs=self.logs or [],
            failure=self.failure,
            replay_of=get(REPLAY_OF),
        )

    def _timings(self, ended: float) -> dict[str, float]:
        found = {}
        begun = self.started
        if self.body_ended:
            found["body"] = _milliseconds(begun, self.body_ended)
            begun = self.body_ended
        answered = max(self.was_answered, begun) if self.was_answered else ended  # it may come before the body
        found["handler"] = _milliseconds(begun, answered)
        if self.was_answered:
            found["send"] = _milliseconds(answered, ended)
        return found


def recording_of(head: Any) -> Recording | None:
    """The recording of the request that a head belongs to; ``None`` outside of ``wixhttp dev``."""
    scope = getattr(head, "scope", None)
    recording: Recording | None = scope.get(RECORDING) if scope is not None else None
    return recording


class Recorder:
    """An ASGI application: that of the site, with each request kept in a store, but for those of the own pages.

    A body that the application does not read, of a request that it refuses, is read for it, since a delivery that
    failed is the one to be replayed; with ``reads_first`` before the application is called, for one that reads none.
    ``on_answer`` is called with the scope and the message that begins an answer, ``on_broken`` for a stream that broke
    off. They are here, and no applications of their own around this one, since each of those costs every request.
    """

    def __init__(
        self,
        inner: Any,
        store: RequestStore,
        *,
        reads_first: bool = False,
        on_answer: Callable[[Scope, Message], None] = lambda scope, message: None,
        on_broken: Callable[[StreamBroken], Awaitable[None]] | None = None,
    ) -> None:
        self.inner = inner
        self.store = store
        self.reads_first = reads_first
        self.on_answer = on_answer
        self.on_broken = on_broken
        record_logs()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(OWN_PAGES):
            await self.inner(scope, receive, send)
            return
        recording = Recording()
        recording.scope = scope
        scope[RECORDING] = recording
        recording.started = perf_counter()

        async def receive_noted() -> Message:
            message = await receive()
            recording.note_received(message)
            return message

        def send_noted(message: Message) -> Any:  # the awaitable of `send`, which saves one of our own
            if message["type"] == "http.response.body":
                if part := message.get("body"):
                    if recording.sent_size:
                        recording.note_sent(part)
                    else:
                        recording.sent = part
                        recording.sent_size = len(part)
            elif message["type"] == "http.response.start":
                recording.answer = message
                recording.was_answered = perf_counter()
                self.on_answer(scope, message)
                # The dispatcher has looked already: most requests have no body.
                head = current_request.get()
                if not recording.body_ended and (head is None or head.length) and _has_body(scope):
                    return _send_after_body(recording, receive_noted, send, message)
            return send(message)

        try:
            if self.reads_first and _has_body(scope):
                await _read_rest(recording, receive_noted)
            await self.inner(scope, receive_noted, send_noted)
        except StreamBroken as broken:
            if self.on_broken is not None:
                await self.on_broken(broken)
            raise
        finally:
            recording.end(current_request.get())
            self.store.add(recording)


def _has_body(scope: Scope) -> bool:
    """Return whether a request has a body that its client sends unasked."""
    fields = {name: value for name, value in scope["headers"] if name in _FRAMING}
    return b"expect" not in fields and (b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0")


async def _send_after_body(recording: Recording, receive: Receive, send: Send, message: Message) -> None:
    """Send the head of an answer once the body is there: after it there is nothing to receive."""
    await _read_rest(recording, receive)
    await send(message)


async def _read_rest(recording: Recording, receive: Receive) -> None:
    """Receive the rest of a body, as far as it is kept and comes in time."""

    async def read() -> None:
        while not recording.body_ended and not recording.has_left and recording.received_size < MOST_BODY:
            await receive()

    try:
        await asyncio.wait_for(read(), _PATIENCE)
    except asyncio.TimeoutError:  # the answer need not wait for it
        pass


class _LineRecorder(logging.Handler):
    """The second handler of the loggers, in development: it gives each record to the recording of its request."""

    def emit(self, record: logging.LogRecord) -> None:
        recording = recording_of(current_request.get())
        if recording is not None and record.name != "wixhttp.access":
            try:
                recording.add_line(record)
            except Exception:  # noqa: BLE001 - arguments that do not fit their message: the first handler says so
                return


def record_logs() -> None:
    """Have every line of the log, what is printed too, be kept with its request. To be called again where `configure`
    of `wixhttp.logs.setup` was."""
    for logger in (logging.getLogger(), *map(logging.getLogger, OWN_LOGGERS)):
        if not any(isinstance(handler, _LineRecorder) for handler in logger.handlers):
            logger.addHandler(_LineRecorder())


def _with_part(body: bytes | list[bytes], part: bytes) -> bytes | list[bytes]:
    """A body with one more part; most have only one."""
    if not body:
        return part
    if isinstance(body, list):
        body.append(part)
        return body
    return [body, part]


def _whole(body: bytes | list[bytes]) -> bytes:
    return body if isinstance(body, bytes) else b"".join(body)


def _length(body: bytes | list[bytes]) -> int:
    return len(body) if isinstance(body, bytes) else sum(map(len, body))


def _pairs(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


def _milliseconds(since: float, until: float) -> float:
    return int(max(until - since, 0.0) * 1e6) / 1000
