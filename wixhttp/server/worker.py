"""gunicorn's ASGI worker, with connections that answer as the rest of wixhttp does.

The worker names its connection class in its module alone, and offers no setting for what is changed here, so this
module uses names of gunicorn 27 that are not public; ``pyproject.toml`` holds gunicorn below 28 for that.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import signal
import sys
from http import HTTPStatus
from typing import Any

from gunicorn.asgi import protocol
from gunicorn.asgi.parser import InvalidChunkSize, InvalidHeader, PythonProtocol
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

from wixhttp.http.body import LINGER
from wixhttp.http.json_codec import encode_json
from wixhttp.http.problem import PROBLEM_TYPE, problem

HEAD_TIMEOUT = 30.0  # seconds for a connection's first request line and headers
IDLE_GRACE = 1.0  # seconds that an idle connection is kept after SIGTERM, for a request that is on its way
CHUNK_LINE = 4096  # bytes of the line before a chunk: its size, and extensions, which are ignored

# A size of a chunk that is refused: of more than 16 digits, or of 2**48 bytes and more.
_NO_SIZE = re.compile(rb"[0-9A-Fa-f]{17}|0*[1-9A-Fa-f][0-9A-Fa-f]{12}")
_TITLES = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
}

logger = logging.getLogger("wixhttp")


class ChunkedBody(PythonProtocol):  # type: ignore[misc]  # gunicorn has no types for it
    """Reads a chunked body, in place of the parser that read its head.

    The C parser (gunicorn_h1c 0.6.9) lets the size of a chunk overflow, waits for ever for the end of a line that ends
    in a bare LF, and bounds no extension.
    """

    is_chunked: bool
    _state: str

    def __init__(self, connection: HTTPConnection, of_heads: Any) -> None:
        cfg = connection.cfg
        super().__init__(
            on_body=connection._on_body,
            on_message_complete=connection._on_message_complete,
            limit_request_fields=cfg.limit_request_fields,
            limit_request_field_size=cfg.limit_request_field_size,
        )
        self.connection = connection
        self.of_heads = of_heads
        self.is_chunked = True
        self._state = "chunked"

    def _find_line(self, limit: int, error: Exception) -> int:
        of_chunk = self._chunk_state == "size"
        limit = min(limit, CHUNK_LINE) if of_chunk else limit
        end: int = super()._find_line(limit, error)
        if end > limit:
            raise error
        if of_chunk and end >= 0 and _NO_SIZE.match(self._buffer):
            raise InvalidChunkSize("chunk size is too large")
        return end

    def reset(self) -> None:
        """Hand the connection back to the parser of heads."""
        self.of_heads.reset()
        self.connection._callback_parser = self.of_heads


class HTTPConnection(ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types for it
    """A connection that ends when its first head does not come, and whose errors are problem documents."""

    _head_timer: Any = None
    _response_begun = False  # of the request that is being served, or was last
    _refused = False  # by the parser: nothing that follows is read any more
    _ended = False  # the client has ended its side
    _closed: bool
    _callback_parser: Any
    _h2c_upgrade_settings: Any
    _body_is_next = False  # the head of a chunked request has been read, by the parser of heads
    _early = b""  # data of the next request (pipelining) that came before gunicorn is ready for it

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.worker.connections.add(self)
        self._head_timer = self.worker.loop.call_later(HEAD_TIMEOUT, self._close_transport)

    def _on_headers_complete(self) -> Any:
        timer = self._head_timer
        if timer is not None:
            timer.cancel()
            self._head_timer = None
        self._response_begun = False
        parser = self._callback_parser
        if parser.__class__ is not PythonProtocol and parser.get_header(b"") is not None:
            raise InvalidHeader("obsolete line folding")  # the C parser makes it a header without a name
        skip_body = super()._on_headers_complete()
        if parser.is_chunked:
            skip_body = self._body_is_next = True  # so that the parser leaves the body alone
        return skip_body

    def _on_message_complete(self) -> None:
        if self._body_is_next:
            self._begin_chunked_body()
        else:
            super()._on_message_complete()

    def _begin_chunked_body(self) -> None:
        self._body_is_next = False
        if self._h2c_upgrade_settings is not None:  # stay with HTTP/1.1, as a server may
            self._h2c_upgrade_settings = self._h2c_upgrade_body = None
            self._request_ready.set()
        of_heads = self._callback_parser
        self._callback_parser = body = ChunkedBody(self, of_heads)
        if rest := of_heads.remaining():
            body.feed(rest)

    def eof_received(self) -> bool:
        """A client that has sent its request and ended its side (``nc -N``) still gets its answer; one that ended in
        the middle of a body is told so. Once an answer is on its way, the end of its side is the end of both."""
        receiver, parser = self._body_receiver, self._callback_parser
        if self._is_ssl or parser is None:
            return False
        if not self._early and not (parser.is_complete and parser.remaining()):  # no further request is here
            if receiver is None or self._response_begun:
                return False
            if not receiver._complete:
                receiver.signal_disconnect()
        self._ended = True
        return True

    def data_received(self, data: bytes) -> None:
        """Take data. The next request (pipelining), which may come as soon as the answer is out, waits for its turn:
        gunicorn's parser keeps little of it, and the connection would be closed instead of answered."""
        parser = self._callback_parser
        if not self._early and (parser is None or not parser.is_complete or self._websocket is not None):
            super().data_received(data)
            return
        self._early += data
        if len(self._early) > self._max_buffer_size:
            self._pause_reading()

    def _resume_reading(self) -> None:
        super()._resume_reading()
        if self._early:
            self.worker.loop.call_soon(self._feed_early)  # once the parser is made ready, which follows at once

    def _feed_early(self) -> None:
        parser = self._callback_parser
        if self._early and parser is not None and not parser.is_complete and not self._closed:
            data, self._early = self._early, b""
            self.data_received(data)
            receiver = self._body_receiver
            if self._ended and receiver is not None and not receiver._complete:
                receiver.signal_disconnect()

    def _arm_keepalive_timer(self) -> None:
        if self._ended and not self._early:  # there will be no further request
            self._keepalive_timeout()
        else:
            super()._arm_keepalive_timer()

    def _send_response_start(self, status: int, headers: Any, request: Any, close: bool = False) -> None:
        self._response_begun = True
        super()._send_response_start(status, headers, request, close)

    def connection_lost(self, exc: Exception | None) -> None:
        self.worker.connections.discard(self)
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)
        # Breaks the reference cycle of connection and parser: the garbage collector does not see the C parser.
        self._callback_parser = None
        if self._flow_control is not None:
            self._flow_control.resume_writing()  # a task that waits for this client to read waits no longer
        if self._awaiting_request:
            self._request_ready.set()  # an idle connection's task ends now, not after the grace for running ones

    def _cancel_task_if_pending(self) -> None:
        """Let a handler whose client hung up run to its end: its request was delivered."""
        if self._current_request is None:
            super()._cancel_task_if_pending()

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """Answer a request that the parser refuses with a problem document (RFC 9457). Its text is not echoed."""
        self._refused = True
        self.log.info("refused a request with %s: %s", status, message)
        if self._response_begun and self._body_receiver is not None:
            return  # in the middle of an answer there is no place for another
        title = _TITLES.get(status, "Error")
        body = encode_json(problem(status, "The request is not well-formed HTTP.", title=title))
        extra = "".join(f"{name}: {value}\r\n" for name, value in extra_headers)
        self._safe_write(
            f"HTTP/1.1 {status} {title}\r\nContent-Type: {PROBLEM_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n".encode("latin-1")
            + body
        )

    def _close_transport(self) -> None:
        """Close. After a refusal close this side first (lingering close): data that the client still sends would reset
        the connection, and the answer with it."""
        transport = self.transport
        if not self._refused or self._closed or not transport.can_write_eof():
            super()._close_transport()
            return
        self._closed = True
        self._callback_parser = None  # what comes in is dropped
        if self._body_receiver is not None:
            self._body_receiver.signal_disconnect()
        transport.write_eof()
        self.worker.loop.call_later(LINGER, transport.close)


class Worker(gasgi.ASGIWorker):  # type: ignore[misc]  # gunicorn has no types for it
    """The worker of ``wixhttp serve``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.connections: set[HTTPConnection] = set()
        self._serving: asyncio.Task[None] | None = None

    def init_process(self) -> None:
        gasgi.ASGIProtocol = HTTPConnection
        for status in HTTPStatus:
            protocol._REASON_PHRASES.setdefault(status.value, status.phrase)
        # It looks for the C parser through the class of the connection, and for what it found in its own: asked of a
        # subclass first, it would settle for the parser in Python.
        if ASGIProtocol._check_h1c_protocol_available():
            # It keeps all of what follows a head, which is less than two reads: see HTTPConnection.data_received.
            whole = functools.partial(ASGIProtocol._h1c_protocol_class, limit_remaining=0)
            ASGIProtocol._h1c_protocol_class = whole
        super().init_process()

    def run(self) -> None:
        """Serve. A SystemExit or KeyboardInterrupt of a callback of the loop ends this worker, and has it replaced:
        gunicorn takes some exit codes of a worker for the end of all, and KeyboardInterrupt for its own."""
        try:
            super().run()
        except (SystemExit, KeyboardInterrupt) as error:
            if not self.servers:  # it could not start
                raise
            logger.critical("a callback of the event loop ended this worker: %r", error, exc_info=error)
            sys.exit(1)

    def init_signals(self) -> None:
        """Let the signals that end the worker do so at once until the loop runs, which would lose them."""
        super().init_signals()
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_DFL)

    async def _serve(self) -> None:
        for number, handler in _ENDINGS.items():
            self.loop.add_signal_handler(number, functools.partial(handler, self))
        self._serving = asyncio.current_task()
        await super()._serve()

    def handle_exit_signal(self) -> None:
        """Stop now on SIGTERM: gunicorn's loop would look once a second."""
        if self.alive and self._serving is not None and len(self.servers) == len(self.sockets):
            self._serving.cancel()  # its loop ends by that
        super().handle_exit_signal()

    async def _shutdown(self) -> None:
        """Wait for the connections, then for tasks of handlers; gunicorn would give those 30 seconds more."""
        end = self.loop.time() + self.cfg.graceful_timeout
        lifespan: Any = self.lifespan
        self.lifespan: Any = None
        self.loop.call_later(IDLE_GRACE, self._close_idle)
        await super()._shutdown()
        if not self._quick_shutdown and lifespan is not None:
            await self.asgi.runner.settle(end - self.loop.time())
            await lifespan.shutdown()

    def _close_idle(self) -> None:
        for connection in list(self.connections):
            if connection._awaiting_request:
                connection._close_transport()


_ENDINGS = {
    signal.SIGTERM: Worker.handle_exit_signal,
    signal.SIGQUIT: Worker.handle_quit_signal,
    signal.SIGINT: Worker.handle_quit_signal,
}
