"""A streamed body, drawn in the calling thread. The counterpart on an event loop is `async_stream`."""

from __future__ import annotations

import contextvars
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from wixhttp.concurrency.event_loop import background
from wixhttp.http.encoding import Stream, close_stream, is_async_stream

from .call import Call
from .stream_chunks import broken_off, draw_chunk, next_chunk, report_broken
from .timeouts import timed_out


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
                chunk = self.draw()
            except BaseException as error:
                pass_interrupt(error)
                raise self.context.run(broken_off, self.call, error) from error
        if chunk is None:
            raise StopIteration
        return chunk

    def draw(self, timeout: float = 0) -> bytes | None:
        """The next chunk that is not empty; ``None`` at the end.

        Raises:
            HTTPError: 504, one of an asynchronous stream took longer than ``timeout`` seconds (0: no limit).
        """
        stream = self.stream
        if is_async_stream(stream):
            chunk: bytes | None = self._awaited(lambda: next_chunk(stream), timeout)
            return chunk
        return self.context.run(draw_chunk, stream)

    def close(self) -> None:
        """End the stream, read to its end or not."""
        try:
            closing = self.context.run(close_stream, self.stream)
            if isinstance(closing, Awaitable):
                self._awaited(lambda: closing)
        except BaseException as error:
            pass_interrupt(error)
            self.context.run(report_broken, self.call, error)

    def _awaited(self, start: Callable[[], Awaitable[Any]], timeout: float = 0) -> Any:
        """The result of what is awaited on the background loop."""
        try:
            value, error = background.run(start, timeout, context=self.context)
        except TimeoutError:
            raise timed_out(self.call) from None
        try:
            if error is not None:
                raise error
        finally:
            error = None  # breaks the reference cycle error -> traceback -> frame
        return value


def pass_interrupt(error: BaseException) -> None:
    """Raise a KeyboardInterrupt that Ctrl-C may have made. In a server's worker it makes none; only a function can."""
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        raise error
