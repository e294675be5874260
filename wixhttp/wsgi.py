"""The WSGI interface (PEP 3333): the only module that knows the keys of its environment.

``wixhttp.wsgi:application`` serves the project that ``WIXHTTP_PROJECT`` names, by default the current folder, under any
WSGI server. It is loaded when that name is first read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from socket import SHUT_RD
from typing import Any

from wixhttp.concurrency.event_loop import background
from wixhttp.dispatch.app import App
from wixhttp.dispatch.blocking import answer
from wixhttp.dispatch.blocking_stream import BlockingStream
from wixhttp.dispatch.call import Call
from wixhttp.dispatch.timeouts import thread_deadlines
from wixhttp.http.body import BodyBuffer, SpooledBody, body_due, too_large
from wixhttp.http.encoding import HeaderFields
from wixhttp.http.request_head import MALFORMED, UNKNOWN, Head
from wixhttp.http.request_target import host_of, split_absolute
from wixhttp.http.url import ascii_target, quote_path, split_target
from wixhttp.measurements import counted
from wixhttp.project.config import load_config

from .errors import HTTPError

StartResponse = Callable[..., Any]
Environ = dict[str, Any]

_READ_SIZE = 65_536  # bytes asked of wsgi.input at once, at most
_FIRST_READ = 1024  # at first: a read returns when all is there, and how slow that may be is known by each read alone
_KEYS = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def __getattr__(name: str) -> Any:
    if name == "application":
        globals()["application"] = loaded = make_application()
        return loaded
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def make_application(project: str | None = None) -> WSGIApplication:
    """The WSGI application of a project folder; ``None`` for ``WIXHTTP_PROJECT``, else the current folder. Rate limits
    and metrics are counted as the settings of the one that was made last in a process say.

    Raises:
        ProjectError: the project cannot be loaded.
    """
    from .services import load_for_any_server

    return WSGIApplication(App(load_for_any_server(load_config(project))))


class WSGIHead(Head):
    """A head read from a WSGI environment."""

    __slots__ = ("environ",)

    def __init__(self, environ: Environ) -> None:
        target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
        if target:
            if not target.isascii():
                target = ascii_target(target.encode("latin-1"))
            if target[0] != "/":
                environ, target = _in_origin_form(environ, target)
        self.environ = environ
        self.function = ""
        get = environ.get
        self.method = environ["REQUEST_METHOD"]
        query = get("QUERY_STRING", "")
        self.query = query if query.isascii() else ascii_target(query.encode("latin-1"))
        base = get("SCRIPT_NAME", "")
        if base:
            base = quote_path(base.encode("latin-1").decode("utf-8", "replace").rstrip("/"))
        self.base = base
        if target:
            path = split_target(target)[0]
            self.path = path.removeprefix(base) if base else path
        else:
            self.path = quote_path(get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace"))
        self.scheme = environ["wsgi.url_scheme"]
        self.host = get("HTTP_HOST")
        if self.host is None and get("SERVER_PROTOCOL") == "HTTP/1.0":
            self.host = environ["SERVER_NAME"]  # that version has no Host header
        self.client = get("REMOTE_ADDR", "")
        self.length = _length(environ)

    @property
    def port(self) -> int | None:  # type: ignore[override]  # read only where health_port is set
        """The port of the socket by which the request came in."""
        port = str(self.environ.get("SERVER_PORT", ""))
        return int(port) if port.isdecimal() else None

    def header(self, name: str) -> str | None:
        key = _KEYS.get(name) or _KEYS.setdefault(name, "HTTP_" + name.upper().replace("-", "_"))
        value: str | None = self.environ.get(key)
        return value

    def fields(self) -> Iterator[tuple[str, str]]:
        for key, value in self.environ.items():
            if key.startswith("HTTP_"):
                yield key[5:].replace("_", "-"), value
            elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
                yield key.replace("_", "-"), value


def _in_origin_form(environ: Environ, target: str) -> tuple[Environ, str]:
    """The environment of a request that came in absolute form, and its target, as they were in origin form, with the
    authority as the Host; any other as it is."""
    split = split_absolute(target)
    if split is None:
        return environ, target
    is_old = environ.get("SERVER_PROTOCOL") == "HTTP/1.0"  # that version has no Host header
    host = host_of(split[0], environ.get("HTTP_HOST", "" if is_old else None))
    return environ if host is None else {**environ, "HTTP_HOST": host}, split[1]


def _length(environ: Environ) -> int:
    announced = environ.get("CONTENT_LENGTH")
    if announced:
        return int(announced) if announced.isdecimal() and announced.isascii() and len(announced) < 40 else MALFORMED
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if not coding:
        return 0
    return UNKNOWN if coding.strip().lower() == "chunked" else MALFORMED


class WSGIApplication:
    """The dispatcher as a WSGI application: ``app`` is the one that it serves."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._background = app.site.background
        self._has_exit = False
        background.grace = app.config.graceful_timeout

    def start_background(self) -> None:
        """Start the work that this process does beside requests, once; it is stopped as the process ends. A process
        that a server forks is another one, so the first request in it starts it, unless the server does."""
        for work in self._background:
            work.start()
        if not self._has_exit:
            self._has_exit = True
            background.stop_first(self.stop_background)

    def begin_stop(self) -> None:
        """Begin no more work beside requests: the server has begun to stop. Safe in a signal handler."""
        for work in self._background:
            work.begin_stop()

    def stop_background(self) -> None:
        """Wait for the work beside requests, and end it. Called again it does nothing."""
        for work in self._background:
            work.stop(self.app.config.graceful_timeout)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        if self._background:
            self.start_background()
        head = WSGIHead(environ)
        encoded = answer(self.app, head, self._read_body)
        fields, status = encoded.fields, encoded.status
        if not encoded.data and status != 204 and status != 304:
            _add_type(fields)
        start_response(encoded.status_line, fields)
        access = self.app.access
        if isinstance(encoded.stream, BlockingStream):
            return _SentChunks(self.app, head, status, started, encoded.stream)
        if access is not None:
            access.line(head, status, started, len(encoded.data))
        return (encoded.data,) if encoded.data else ()

    def _read_body(self, call: Call) -> bytes | SpooledBody:
        """The body, at most ``call.max_body`` bytes of it.

        Raises:
            HTTPError: 413, it is longer; 408, it stops coming; 400, it is cut; 411, it has no end.
        """
        environ, length = call.head.environ, call.head.length  # type: ignore[attr-defined]  # a WSGIHead
        slow = _SlowBody(environ, self.app.config.body_timeout)
        if length == UNKNOWN and not environ.get("wsgi.input_terminated"):
            raise HTTPError(411, "This server takes a body with a Content-Length only.")
        connection = environ.get("gunicorn.socket")
        timeout = connection.gettimeout() if connection is not None else None
        try:
            if connection is not None:
                connection.settimeout(self.app.config.body_timeout or None)
            return self._read(environ["wsgi.input"], call, length, slow)
        except TimeoutError:
            raise _too_slow() from None
        except HTTPError as error:
            if slow.is_cut and error.status == 400:
                raise _too_slow() from None
            raise
        except Exception as error:  # each server has its own for a connection that ends or a malformed chunk
            if slow.is_cut:
                raise _too_slow() from None
            reason = f"the body cannot be read: {type(error).__name__}: {error}"
            raise HTTPError(400, "The body cannot be read.", reason=reason) from error
        finally:
            slow.end()
            if connection is not None:
                connection.settimeout(timeout)

    def _read(self, stream: Any, call: Call, length: int, slow: _SlowBody) -> bytes | SpooledBody:
        missing = call.max_body + 1 if length == UNKNOWN else length
        buffer = BodyBuffer(spools=call.state is not None)
        size = _FIRST_READ
        try:
            while missing:
                asked = min(missing, size)
                slow.expect(buffer.size + asked)
                part = stream.read(asked)
                if not part:
                    break
                if buffer.add(part):
                    buffer.spool()
                missing -= len(part)
                size = min(4 * size, _READ_SIZE)
            if length == UNKNOWN:
                if not missing:
                    raise too_large(call.max_body)
            elif missing:
                raise HTTPError(400, "The body is shorter than its Content-Length.")
            return buffer.end()
        finally:
            buffer.close()


def _too_slow() -> HTTPError:
    counted("limit_hit", limit="time")
    return HTTPError(408, "The body did not arrive in time.")


class _SlowBody:
    """Ends the reading of a body that comes too slowly (`wixhttp.http.body.body_due`), though the thread that reads it
    waits in the server's own reader: by ending the client's side of the connection.

    That takes a server that hands its socket on, as gunicorn does, and a connection without TLS, which has no such end.
    """

    def __init__(self, environ: Environ, body_timeout: float) -> None:
        self._connection = environ.get("gunicorn.socket")
        self._watches = bool(body_timeout) and self._connection is not None and not hasattr(self._connection, "unwrap")
        self._started = time.monotonic()
        self.is_cut = False

    def expect(self, size: int) -> None:
        """Note that the body is being read up to so many bytes."""
        if self._watches:
            thread_deadlines.add(self, body_due(self._started, size), self._cut)

    def _cut(self) -> None:
        self.is_cut = True
        with suppress(OSError):  # the client has ended it
            self._connection.shutdown(SHUT_RD)  # type: ignore[union-attr]  # seen before

    def end(self) -> None:
        """Note that it was read."""
        if self._watches:
            thread_deadlines.discard(self)


def _add_type(fields: HeaderFields) -> None:
    """PEP 3333's checkers want a Content-Type even of an empty answer."""
    if not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("Content-Type", "text/plain; charset=utf-8"))


class _SentChunks:
    """The chunks of a stream, which the server draws; closing it writes the access line."""

    def __init__(self, app: App, head: Head, status: int, started: float, chunks: BlockingStream) -> None:
        self.app, self.head, self.status, self.started, self.chunks = app, head, status, started, chunks
        self.bytes_out = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.chunks)
        self.bytes_out += len(chunk)
        return chunk

    def close(self) -> None:
        self.chunks.close()
        if self.app.access is not None:
            self.app.access.line(self.head, self.status, self.started, self.bytes_out)
