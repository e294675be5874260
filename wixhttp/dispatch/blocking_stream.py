"""A streamed body, drawn in the calling thread. The counterpart on an event loop is `async_stream`."""

from __future__ import annotations

import contextvars
import signal
import threading
from collections.abc import Awaitable, Iterator
from typing import Any

from wixhttp.concurrency.event_loop import ValueOrError, background
from wixhttp.http.encoding import Stream, chunk_bytes, close_stream, is_async_stream

from .call import Call
from .stream_chunks import END, broken_off, draw, report_broken


class BlockingStream:
    """The chunks of a streamed body in bytes, drawn in the context of their request. The counterpart on an event loop
    is `async_stream.AsyncStream`."""

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
                pass_interrupt(error)
                raise self.context.copy().run(broken_off, self.call, error) from error
        if chunk is None:
            raise StopIteration
        return chunk

    def draw(self) -> bytes | None:
        """The next chunk that is not empty; ``None`` at the end."""
        while True:
            chunk = _draw_awaited(self.stream) if is_async_stream(self.stream) else draw(self.stream)
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
            pass_interrupt(error)
            report_broken(self.call, error)


def _draw_awaited(stream: Any) -> Any:
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


def pass_interrupt(error: BaseException) -> None:
    """Raise a KeyboardInterrupt that Ctrl-C may have made. In a server's worker it makes none; only a function can."""
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        raise error
