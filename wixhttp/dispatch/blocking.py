"""One request through the dispatcher in the calling thread: shared by the WSGI edge, the test kit, ``wixhttp call``."""

from __future__ import annotations

import contextvars
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from wixhttp.concurrency.event_loop import ValueOrError, background
from wixhttp.context import current_request
from wixhttp.errors import HTTPError, WixHTTPError
from wixhttp.http.body import SpooledBody
from wixhttp.http.encoding import Encoded, Stream, chunk_bytes, close_stream, is_async_stream
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response
from wixhttp.logs.captured_prints import flush_prints

from .app import App, Call

logger = logging.getLogger("wixhttp")

ReadBody = Callable[[Call], "bytes | SpooledBody"]

END: Any = object()  # what stands behind the last chunk of a stream; a generator may yield None by mistake


class StreamBroken(WixHTTPError):
    """A streamed body ended in an error after its first bytes were sent. It is in the log; the connection must end."""


def answer(app: App, head: Head, read_body: ReadBody, *, reraise: bool = False) -> Encoded:
    """The answer to a request. ``reraise`` lets what the handler raised through, for tests.

    A streamed body comes as an iterator of bytes. Its first chunk is drawn here: one that fails at once is a 500.
    """
    context = contextvars.copy_context()
    return context.run(_answer, app, head, read_body, reraise, context)


def _answer(app: App, head: Head, read_body: ReadBody, reraise: bool, context: contextvars.Context) -> Encoded:
    current_request.set(head)
    call = app.begin(head)
    if call.response is None:
        try:
            app.start(call, read_body(call) if head.length else b"")
        except HTTPError as error:
            call.response = app.fail(call, error)
    response = call.response if call.response is not None else _handle(app, call, reraise)
    encoded = app.encode(call, response)
    if encoded.stream is not None:
        return _begin_stream(app, call, encoded, Chunks(call, encoded.stream, context), reraise)
    return encoded


def _handle(app: App, call: Call, reraise: bool) -> Response:
    try:
        value, error = _run(call)
    except TimeoutError:
        return app.fail(call, app.timed_out(call))
    finally:
        app.release(call)
    if error is None:
        return app.finish(call, value)
    if reraise and not isinstance(error, HTTPError):
        raise error
    response = app.fail(call, error)
    error = None  # which holds its traceback, and that this frame
    page = app.error_page(call)
    return response if page is None else _handle(app, page, reraise)


def _run(call: Call) -> ValueOrError:
    """What the handler comes to. An ``async def`` runs on the background loop; a ``def`` here, and cannot be stopped.

    Raises:
        TimeoutError: an awaited handler ran past its time.
    """
    if call.function.is_async:
        return background.run(call.run, call.timeout)
    overdue.watch(call)
    try:
        value = call.run()
    except BaseException as error:
        _pass_interrupt(error)
        return None, error
    finally:
        overdue.forget(call)
        flush_prints()
    if value.__class__ is not Response and isinstance(value, Awaitable):
        return background.run(lambda: value, call.timeout)
    return value, None


def _pass_interrupt(error: BaseException) -> None:
    """Raise a KeyboardInterrupt that Ctrl-C may have made. In a server's worker it makes none; only a function can."""
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        raise error


# --- streams ---------------------------------------------------------------------------------------------------------


def _begin_stream(app: App, call: Call, encoded: Encoded, chunks: Chunks, reraise: bool) -> Encoded:
    try:
        chunks.first = chunks.draw()
    except BaseException as error:
        _pass_interrupt(error)
        chunks.close()
        if reraise:
            raise
        response = app.fail(call, error)
        page = app.error_page(call)
        encoded = app.encode(call, response if page is None else _handle(app, page, reraise))
        if encoded.stream is not None:
            return _begin_stream(app, call, encoded, Chunks(call, encoded.stream, chunks.context), reraise)
        return encoded
    encoded.stream = chunks
    return encoded


class Chunks:
    """The chunks of a streamed body in bytes, drawn in the context of their request."""

    def __init__(self, call: Call, stream: Stream, context: contextvars.Context) -> None:
        self.call = call
        self.stream = stream
        self.context = context
        self.first: bytes | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk, self.first = self.first, None
        if chunk is None:
            try:
                chunk = self.context.copy().run(self.draw)
            except BaseException as error:
                _pass_interrupt(error)
                self.context.copy().run(report_broken, self.call, error)
                raise StreamBroken(f"the stream of {self.call.head.function} broke off") from error
        if chunk is None:
            raise StopIteration
        return chunk

    def draw(self) -> bytes | None:
        """The next chunk that is not empty; ``None`` at the end."""
        while True:
            chunk = draw_awaited(self.stream) if is_async_stream(self.stream) else draw(self.stream)
            if chunk is END:
                return None
            if data := chunk_bytes(chunk):
                return data

    def close(self) -> None:
        """End the stream, read to its end or not."""
        self.context.copy().run(self._close)

    def _close(self) -> None:
        try:
            closing = close_stream(self.stream)
            if isinstance(closing, Awaitable):
                _raise_error(background.run(lambda: closing))
        except BaseException as error:
            _pass_interrupt(error)
            report_broken(self.call, error)


def draw(stream: Any) -> Any:
    """The next chunk of an iterator; ``END`` at the end."""
    return next(stream, END)


def draw_awaited(stream: Any) -> Any:
    """The next chunk of an asynchronous iterator, drawn on the background loop; ``END`` at the end."""
    value, error = background.run(stream.__anext__)
    if isinstance(error, StopAsyncIteration):
        return END
    return _raise_error((value, error))


def _raise_error(outcome: ValueOrError) -> Any:
    value, error = outcome
    if error is not None:
        raise error
    return value


def report_broken(call: Call, error: BaseException) -> None:
    """Log what ended a stream half-way."""
    logger.error("the stream of %s broke off: %s", call.head.function, type(error).__name__, exc_info=error)


# --- handlers that cannot be stopped ---------------------------------------------------------------------------------


class Overdue:
    """Says in the log which ``def`` handlers run past their time, while they do: nothing can stop them here."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[float, Call]] = {}
        self._thread: threading.Thread | None = None

    def watch(self, call: Call) -> None:
        """Note that a handler begins."""
        if call.timeout:
            self._running[id(call)] = (time.monotonic() + call.timeout, call)
            if self._thread is None or not self._thread.is_alive():  # a fork leaves threads behind
                self._thread = threading.Thread(target=self._look, name="wixhttp-overdue", daemon=True)
                self._thread.start()

    def forget(self, call: Call) -> None:
        """Note that it has ended."""
        self._running.pop(id(call), None)

    def _look(self) -> None:
        while True:
            time.sleep(0.5)
            now = time.monotonic()
            for key, (deadline, call) in list(self._running.items()):
                if now >= deadline and self._running.pop(key, None) is not None:
                    logger.error(
                        "%s runs past its timeout of %g seconds; under this server nothing is answered until it ends",
                        call.function.exported_name, call.timeout,
                        extra={"keys": {"request_id": call.head.request_id, "function": call.function.exported_name}},
                    )  # fmt: skip


overdue = Overdue()
