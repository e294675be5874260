"""A client's connection: HTTP/1.1 (RFC 9112), parsed by httptools, within bounds of time, size and memory.

It is the ``http`` protocol of uvicorn's `Server`, in place of uvicorn's own, which has no time limit for a head or for
a client that does not read, bounds neither heads nor chunks, sends chunks to HTTP/1.0, and answers what it refuses in
plain text.

A request is served once its head is there, while its body arrives. The next one (pipelining) waits for the answer.
"""

from __future__ import annotations

import asyncio
import contextvars
import fcntl
import logging
import math
import re
import sys
import termios
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote_to_bytes

import httptools
import uvicorn
from uvicorn.server import ServerState

from wixhttp.http.body import LINGER
from wixhttp.http.json_codec import encode_json
from wixhttp.http.problem import PROBLEM_TYPE, problem
from wixhttp.measurements import counted

from .chunked import BadChunk, ChunkedBody
from .exchange import Exchange, Scope
from .limits import Limits

if TYPE_CHECKING:
    from wixhttp.asgi import ASGIApplication

IDLE_GRACE = 1.0
"""Seconds that an idle connection is kept after SIGTERM, for a request that is on its way; and that a stream goes on
whose client has ended its side."""

HALF_CLOSED = 30.0
"""Seconds for which a stream goes on whose client has ended its side."""

READ_AHEAD = 65_536
"""Bytes of a body that nobody has taken, or of further requests, beyond which reading waits."""

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
# A request line whose method the parser does not know: as gunicorn's parser, of upper case and not longer than this.
_REQUEST_LINE = re.compile(rb"[!$-'*+.0-9A-Z^_|~-]{3,20} [!-~]+ HTTP/1\.[01]\r\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_OUTSIDE = contextvars.Context()  # of no request
_VISIBLE = "".join(map(chr, range(32, 127)))
_DETAILS = {
    414: "The request target is too long.",
    431: "The header fields are too large, or too many.",
    501: "The transfer coding is not served.",
    505: "The version of HTTP is not served.",
    500: "The server failed.",
    503: "Too many connections at once; try again.",
}

logger = logging.getLogger("wixhttp")


class ServerConfig(uvicorn.Config):
    """uvicorn's settings for a worker, the `Limits` of its connections, and ``grace``: the seconds that it may take to
    stop."""

    def __init__(self, application: ASGIApplication, limits: Limits, grace: float, **settings: Any) -> None:
        settings.setdefault("http", HTTPConnection)
        super().__init__(application, **settings)
        self.application = application
        self.limits = limits
        self.grace = grace


class _Refusal(Exception):
    """A head that is not served: the ``status`` of the answer, and the reason for the log."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class HTTPConnection(asyncio.Protocol):
    """A connection: reads requests, has the application answer them one after another, and ends in time."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.config = config
        self.limits = cast(ServerConfig, config).limits
        self.server_state = server_state
        self.loop = _loop or asyncio.get_running_loop()
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)  # until connection_made
        self.exchange: Exchange | None = None  # the request that is being served
        self.writable: asyncio.Event | None = None  # where too much is unsent: set once that was sent
        self.deadline = math.inf  # the loop's time at which `expire` is called
        self.is_closed = False  # nothing more is read or sent
        self.is_stopping = False  # the worker stops: no further request after this one
        self._has_ended = False  # the client has ended its side
        self._is_paused = False
        self._held = bytearray()  # a head that is not whole yet
        self._line = 0  # where its last line begins
        self._early = bytearray()  # requests that came before the answer to the one before them
        self._left = 0  # bytes of the body that are to come
        self._chunks: ChunkedBody | None = None
        self._parser: httptools.HttpRequestParser | None = None
        self._keeps_alive = self._upgrades = False  # what the parser told of the current head
        # What stays the same for all requests of a connection.
        self._scope: Scope = {}
        self._scheme_fields: dict[bytes, bytes] = {}
        self.unsent = 0  # bytes, when `check_progress` looked last
        self._written = 0  # bytes
        self.taken = 0  # bytes that the client had taken, when `check_progress` looked last
        self._progress_at = 0.0

    # --- the transport's calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        connections = cast("set[HTTPConnection]", self.server_state.connections)
        connections.add(self)
        peer = transport.get_extra_info("peername")
        server = transport.get_extra_info("sockname")
        client = tuple(peer[:2]) if isinstance(peer, tuple) else None
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "server": tuple(server[:2]) if isinstance(server, tuple) else (server or None, None),
            "client": client,
            "scheme": "http" if transport.get_extra_info("sslcontext") is None else "https",
            "root_path": self.config.root_path,
        }
        self._scheme_fields = self.limits.scheme_fields_of(client)
        self.deadline = self.loop.time() + self.limits.head_timeout
        if len(connections) > self.limits.connections:
            self.refuse(503, f"there are more than {self.limits.connections} connections")

    def data_received(self, data: bytes) -> None:
        """Take data: of a head, of the body of the current request, or early data of the next one."""
        exchange = self.exchange
        if self.is_closed:
            return
        if exchange is not None and not exchange.is_whole:
            self._take_body(exchange, data)
        elif exchange is None and not self._early:
            self._take_head(data)
        else:
            self._keep(data)

    def eof_received(self) -> bool:
        """A client that ended its side behind its request (``nc -N``) still gets the answer; one that ended it within a
        body is told so. A stream, which may have no end, goes on for `HALF_CLOSED` seconds, unless the client turns out
        to have left."""
        exchange = self.exchange
        self._has_ended = True
        if self.is_closed or self._scope["scheme"] == "https":
            return False
        if exchange is None or exchange.is_answered:
            return bool(self._early)
        if exchange.is_stream:
            self.deadline = self.loop.time() + (IDLE_GRACE if self.is_stopping else HALF_CLOSED)
        if not exchange.is_whole:
            exchange.is_cut = True
            exchange.wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        cast("set[HTTPConnection]", self.server_state.connections).discard(self)
        self._drop()
        self.exchange = None  # breaks the reference cycle of both
        self.resume_writing()

    def pause_writing(self) -> None:
        """The client reads more slowly than is sent: senders wait."""
        self.writable = asyncio.Event()

    def resume_writing(self) -> None:
        """The client has read: senders go on, and the next request is read."""
        if self.writable is not None:
            self.writable.set()
            self.writable = None
            if self.exchange is None and self._early:
                self._advance_soon()

    # --- reading ---

    def _take_head(self, data: bytes) -> None:
        held, start = self._held, 0
        if held:
            start = max(len(held) - 3, 0)
            held += data
            end = held.find(b"\r\n\r\n", start)
            if end >= 0:
                data = bytes(held)
                held.clear()
        else:
            if data[:1] in (b"\r", b"\n"):  # an empty line in front of a request (RFC 9112, 2.2)
                data = data.lstrip(b"\r\n")
                if not data:
                    return
            end = data.find(b"\r\n\r\n")
            if end < 0:
                held += data
                self.deadline = min(self.deadline, self.loop.time() + self.limits.head_timeout)
        if end < 0:
            self._check_begun(held, start)
        elif end > self.limits.head:
            self.refuse(*self._excess(data))
        else:
            end += 4
            self._begin(data if end == len(data) else data[:end], data[end:])

    def _check_begun(self, held: bytearray, start: int) -> None:
        """Refuse a head of which no end can make a request, without waiting for that end. What stands before ``start``
        was checked before."""
        if len(held) > self.limits.head:
            self.refuse(*self._excess(bytes(held)))
        elif not 33 <= held[0] < 127 or _BARE_LF.search(held, start):
            self.refuse(400, "the head is no HTTP")
        else:
            line_end = held.rfind(b"\n", start)
            if line_end >= 0 or not start:
                self._line = line_end + 1
            if self._line == 0 and len(held) > self.limits.line:
                self.refuse(414, f"the request line is longer than {self.limits.line} bytes")
            elif len(held) - self._line > self.limits.field + 2:
                self.refuse(431, f"a header field is longer than {self.limits.field} bytes")

    def _excess(self, head: bytes) -> tuple[int, str]:
        line = head.find(b"\n")
        if line < 0 or line > self.limits.line:
            return 414, f"the request line is longer than {self.limits.line} bytes"
        return 431, f"the head is longer than {self.limits.head} bytes"

    def on_headers_complete(self) -> None:
        """The parser's call at the end of a head, while it still knows what that says of the connection."""
        parser = self._parser
        assert parser is not None  # noqa: S101  # it calls
        self._keeps_alive = parser.should_keep_alive()
        self._upgrades = parser.should_upgrade()

    def _check(self, head: bytes) -> None:
        """Have the parser check a head: its lines, names and values, and what it says of the body.

        Raises:
            httptools.HttpParserError: it is malformed.
        """
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:  # it stops where another protocol would begin
            pass
        except httptools.HttpParserInvalidMethodError:
            if not _REQUEST_LINE.match(head):
                raise
            # A method is any token (RFC 9110, 9.1); the parser knows some by name. How a head is read depends on none.
            self._parser = None
            self._check(b"GET " + head.partition(b" ")[2])

    def _begin(self, head: bytes, rest: bytes) -> None:
        """Begin to serve the request of a head; ``rest`` is what came behind it."""
        try:
            exchange = self._read_head(head)
        except httptools.HttpParserError as error:
            self.refuse(400, str(error))
        except _Refusal as refusal:
            self.refuse(refusal.status, str(refusal))
        else:
            self._serve(exchange, rest)

    def _read_head(self, head: bytes) -> Exchange:
        """The exchange of a head.

        Raises:
            _Refusal, httptools.HttpParserError: it is not served, or malformed.
        """
        if not head.isascii():
            first, _, others = head.partition(b"\r\n")
            head = quote(first, safe=_VISIBLE).encode() + b"\r\n" + others  # browsers do, programs do not
        self._check(head)
        lines = head.split(b"\r\n")
        del lines[-2:]  # what the empty line is split into
        words = lines[0].split(b" ")
        if len(words) != 3:
            raise _Refusal(400, "the request line is not of three words")
        method, target, version = words
        fields = []
        framing: dict[bytes, bytes] = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            name, value = name.lower(), value.strip(b" \t")
            fields.append((name, value))
            if name in _FRAMING:
                framing[name] = value
        if version != b"HTTP/1.1" or len(head) > self.limits.smallest or len(fields) > self.limits.fields:
            self._check_bounds(lines, version)
        exchange = Exchange(
            self, self._make_scope(method, target, version, fields), self._keeps_alive, version == b"HTTP/1.0"
        )
        if framing:
            self._frame(exchange, framing)
        if method == b"CONNECT":
            exchange.keeps_alive = False  # its client may take what follows for a tunnel
        if self._upgrades or not exchange.is_whole:
            self._parser = None  # it waits for another protocol, or for a body
        return exchange

    def _check_bounds(self, lines: list[bytes], version: bytes) -> None:
        """Check version and sizes of a head.

        Raises:
            _Refusal: the version is not served, or there is too much of something.
        """
        limits = self.limits
        if version not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise _Refusal(505 if version > b"HTTP/1" else 400, f"{version!r} is not served")
        if len(lines[0]) > limits.line:
            raise _Refusal(414, f"the request line is longer than {limits.line} bytes")
        if len(lines) - 1 > limits.fields:
            raise _Refusal(431, f"there are more than {limits.fields} header fields")
        if max(map(len, lines[1:]), default=0) > limits.field:
            raise _Refusal(431, f"a header field is longer than {limits.field} bytes")

    def _make_scope(self, method: bytes, target: bytes, version: bytes, fields: list[tuple[bytes, bytes]]) -> Scope:
        path, _, query = target.partition(b"?")
        scope = {
            **self._scope,
            "http_version": "1.1" if version == b"HTTP/1.1" else "1.0",
            "method": method.decode("ascii"),
            "path": (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "headers": fields,
        }
        if self._scheme_fields:
            for name, value in fields:
                if name in self._scheme_fields:
                    scope["scheme"] = "https" if value == self._scheme_fields[name] else "http"
        return scope

    def _frame(self, exchange: Exchange, framing: dict[bytes, bytes]) -> None:
        """Note how the body of a request is framed (RFC 9112, 6).

        Raises:
            _Refusal: it cannot be read.
        """
        coding, length = framing.get(b"transfer-encoding"), framing.get(b"content-length")
        if self._upgrades and framing.get(b"upgrade", b"").lower() == b"websocket":
            raise _Refusal(400, "WebSocket is not served")
        if coding is not None:
            if exchange.is_old:
                raise _Refusal(400, "HTTP/1.0 has no Transfer-Encoding")
            if coding.lower() != b"chunked":
                raise _Refusal(501, f"the transfer coding {coding!r} is not served")
            self._chunks = ChunkedBody()
            exchange.is_whole = False
        elif length is not None:
            self._left = int(length)
            exchange.is_whole = not self._left
        if not exchange.is_whole and not exchange.is_old:
            exchange.expects_continue = framing.get(b"expect", b"").lower() == b"100-continue"

    def _serve(self, exchange: Exchange, rest: bytes) -> None:
        self.exchange = exchange
        self.deadline = math.inf
        if rest:
            if exchange.is_whole:
                self._keep(rest)
            else:
                self._take_body(exchange, rest)
                if self.is_closed:
                    return
        # In a context of its own: that of a callback of asyncio's may be the one of an earlier request.
        run = exchange.run(cast(Any, self.config.loaded_app), self.server_state.tasks)
        exchange.task = _OUTSIDE.run(self.loop.create_task, run)
        self.server_state.tasks.add(exchange.task)

    def _take_body(self, exchange: Exchange, data: bytes) -> None:
        chunks = self._chunks
        if chunks is not None:
            try:
                part, rest = chunks.feed(data), chunks.rest
            except BadChunk as error:
                self.refuse(400, str(error))
                return
        else:
            part = data if len(data) <= self._left else data[: self._left]
            self._left -= len(part)
            rest = None if self._left else data[len(part) :]
        if part and not exchange.is_answered and exchange.add(part) > READ_AHEAD:
            self.pause_reading()
        if rest is not None:
            exchange.is_whole = True
            self._chunks = None
            if rest:
                self._keep(rest)
            if exchange.is_answered:
                self._end_request()
                return
        exchange.wake()

    def _keep(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > READ_AHEAD:
            self.pause_reading()

    def pause_reading(self) -> None:
        """Have the client wait with what it sends."""
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless further requests fill the memory meant for them."""
        if self._is_paused and len(self._early) <= READ_AHEAD and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    # --- writing ---

    def write(self, data: bytes) -> None:
        """Send data, as soon as the client takes it."""
        self._written += len(data)
        self.transport.write(data)

    def check_progress(self) -> float:
        """Seconds for which the client has taken nothing of what is there for it; 0 where nothing is."""
        transport, now = self.transport, self.loop.time()
        self.unsent = transport.get_write_buffer_size()
        if self.unsent:
            taken = self._written - self.unsent - _unacknowledged(transport)
            if taken == self.taken:
                return now - self._progress_at
            self.taken = taken
        else:
            self.taken = self._written
        self._progress_at = now
        return 0.0

    # --- from one request to the next ---

    def end_exchange(self, exchange: Exchange) -> None:
        """The answer is complete: go on to the next request, or end the connection."""
        self.server_state.total_requests += 1
        if not exchange.keeps_alive:
            self.close()
        elif exchange.is_whole:
            self._end_request()
        else:  # the rest of its body is read and dropped, but not for long
            self.deadline = self.loop.time() + LINGER
            self.resume_reading()

    def _end_request(self) -> None:
        self.exchange = None
        if self._early:
            if self.writable is None:
                self._advance_soon()
        elif self._has_ended or self.is_stopping:
            self.close()
        else:
            self.deadline = self.loop.time() + self.limits.keep_alive
            if self._is_paused:
                self.resume_reading()

    def _advance_soon(self) -> None:
        self.loop.call_soon(self._advance)

    def _advance(self) -> None:
        """Begin with the requests that came early."""
        if self.exchange is None and self._early and not self.is_closed:
            data = bytes(self._early)
            self._early.clear()
            self._take_head(data)
            exchange = self.exchange
            if self._has_ended and exchange is not None and not exchange.is_whole:
                exchange.is_cut = True
                exchange.wake()
            elif self._has_ended and exchange is None:
                self.close()
            self.resume_reading()

    # --- ending ---

    def refuse(self, status: int, reason: str) -> None:
        """Answer with a problem document (RFC 9457), and end the connection. ``reason`` is for the log alone."""
        if self.is_closed:
            return
        counted("refusal", status=str(status))
        request_id = self.limits.ids.choose(None)
        logger.info("refused a request with %s: %s", status, reason, extra={"keys": {"request_id": request_id}})
        exchange = self.exchange
        if exchange is None or not exchange.started:  # in the middle of an answer there is no place for another
            detail = _DETAILS.get(status, "The request is not well-formed HTTP.")
            body = encode_json(problem(status, detail, request_id))
            retry = "Retry-After: 1\r\n" if status == 503 else ""
            title = problem(status)["title"]
            head = (
                f"Content-Type: {PROBLEM_TYPE}\r\nContent-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\n"
                f"{retry}Connection: close\r\n\r\n"
            )
            self.write(f"HTTP/1.1 {status} {title}\r\n".encode() + self.limits.date + head.encode() + body)
        self._linger()

    def close(self) -> None:
        """End the connection once all is sent. Where its client may still send, this side is ended first (lingering
        close): its data would reset the connection, and with it the answer."""
        exchange = self.exchange
        if self.is_closed:
            return
        if self._early or (exchange is not None and not exchange.is_whole):
            self._linger()
        else:
            self._drop()
            self.transport.close()

    def _linger(self) -> None:
        self._drop()
        transport = self.transport
        if not transport.can_write_eof() or transport.is_closing():
            transport.close()
            return
        transport.write_eof()
        self.deadline = self.loop.time() + LINGER
        self.resume_reading()

    def _drop(self) -> None:
        """Read and send nothing more, and let go what is held."""
        self.is_closed = True
        self.deadline = math.inf
        self._parser = None  # breaks the reference cycle of connection and parser
        self._held.clear()
        self._early.clear()
        exchange = self.exchange
        if exchange is not None:
            exchange.is_lost = True
            exchange.wake()

    def shutdown(self) -> None:
        """The worker stops: no further request is begun. An idle connection is kept for a moment, for one that is on
        its way; and so is a stream whose client has ended its side: most have left."""
        self.is_stopping = True
        if self.exchange is None or (self._has_ended and self.exchange.is_stream):
            self.deadline = min(self.deadline, self.loop.time() + IDLE_GRACE)

    def expire(self) -> None:
        """The deadline has passed: a head or a next request did not come, or a client went on sending. What is unsent
        is sent, but not for ever: under TLS nobody sees how much that is."""
        if self.transport.is_closing():
            self.transport.abort()
            return
        self._drop()
        self.transport.close()
        self.deadline = self.loop.time() + self.limits.keep_alive

    def abort(self, reason: str) -> None:
        """End the connection at once; what is unsent is lost. ``reason`` is for the log."""
        logger.info("ended a connection: %s", reason)
        self._drop()
        self.transport.abort()


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the system has taken of this process and not brought to the client: it may hold megabytes, and takes
    no more until much of that is read. 0 where it does not tell."""
    peer = transport.get_extra_info("socket")
    try:
        return int.from_bytes(fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0
