"""Answers sent over ASGI: whole, or streamed with backpressure. The counterpart in a thread is `blocking_stream`."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from wixhttp.concurrency.event_loop import ValueOrError
from wixhttp.concurrency.executor import Executor
from wixhttp.concurrency.thread_pool import WorkItem
from wixhttp.http.encoding import Encoded, chunk_bytes, close_stream, is_async_stream

from .call import Call
from .stream_chunks import END, broken_off, draw, report_broken

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PIECE = 65_536  # bytes of a large body that are handed to the server at once, so that it waits for slow readers


async def send_whole(scope: Scope, encoded: Encoded, send: Send) -> None:
    """Send an answer whose body is at hand, a large one piece by piece."""
    await send({"type": "http.response.start", "status": encoded.status, "headers": wire_fields(scope, encoded)})
    data = encoded.data
    if len(data) > PIECE:
        view = memoryview(data)
        last = (len(data) - 1) // PIECE * PIECE
        for start in range(0, last, PIECE):
            await send({"type": "http.response.body", "body": bytes(view[start : start + PIECE]), "more_body": True})
        data = bytes(view[last:])
    await send({"type": "http.response.body", "body": data})


def wire_fields(scope: Scope, encoded: Encoded) -> list[tuple[bytes, bytes]]:
    """The header fields in bytes; in lower case where HTTP/2 asks for it, else as given."""
    if scope.get("http_version") == "2":
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in encoded.fields]
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in encoded.fields]


class AsyncStream:
    """A streamed answer: drawn as fast as the client reads (backpressure), until it ends or the client leaves. The
    counterpart in a thread is `blocking_stream.BlockingStream`."""

    def __init__(self, runner: Executor, call: Call, encoded: Encoded, receive: Receive, send: Send) -> None:
        self.runner = runner
        self.call = call
        self.encoded = encoded
        self.receive = receive
        self.out = send
        self.sent = 0
        self.failed: BaseException | None = None
        self.began = False
        self.drawing: asyncio.Future[ValueOrError] | None = None

    async def run(self) -> BaseException | None:
        """Send it all, and return ``None``; or return the error that came before its first chunk: then nothing is sent.

        Raises:
            TimeoutError: that chunk did not come in the time that the function has.
            StreamBroken: it failed after its first bytes; the server is to end the connection.
        """
        loop = asyncio.get_running_loop()
        first: asyncio.Future[ValueOrError] = loop.create_future()
        pump = loop.create_task(self._pump(first))
        watch = None
        try:
            await self.runner.deadlines(loop).wait(first, self.call.timeout)
            if self.began:
                watch = loop.create_task(self._until_disconnect())
                await asyncio.wait({pump, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pump.cancel()
            if watch is not None:
                watch.cancel()
        if self.failed is None or not self.began:
            return self.failed
        raise broken_off(self.call, self.failed) from self.failed

    async def _until_disconnect(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def _pump(self, first: asyncio.Future[ValueOrError]) -> None:
        try:
            chunk = await self._draw()
            start = {"type": "http.response.start", "status": self.encoded.status}
            scope = self.call.head.scope  # type: ignore[attr-defined]  # an ASGIHead
            self.began = True
            _relay_first(first)
            await self.out({**start, "headers": wire_fields(scope, self.encoded)})
            while chunk is not None:
                await self.out({"type": "http.response.body", "body": chunk, "more_body": True})
                self.sent += len(chunk)
                await asyncio.sleep(0)  # neither a stream that never waits nor a client that has left holds up others
                chunk = await self._draw()
            await self.out({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.failed = error
        finally:
            _relay_first(first)
            await self._close()

    async def _draw(self) -> bytes | None:
        """The next chunk that is not empty; ``None`` at the end."""
        stream = self.encoded.stream
        while True:
            if is_async_stream(stream):
                try:
                    chunk = await stream.__anext__()
                except StopAsyncIteration:
                    return None
            else:
                chunk = await self._in_thread(lambda: draw(stream))
                if chunk is END:
                    return None
            if data := chunk_bytes(chunk):
                return data

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        self.drawing = loop.create_future()
        self.runner.pool(loop).submit(WorkItem(work, self.drawing, contextvars.copy_context()))
        value, error = await asyncio.shield(self.drawing)
        if error is not None:
            raise error
        return value

    async def _close(self) -> None:
        """Close the stream; where a thread is still inside it, once that is out."""
        stream = self.encoded.stream
        try:
            if is_async_stream(stream):
                closing = close_stream(stream)
                if isinstance(closing, Awaitable):
                    await closing
            elif self.drawing is not None and not self.drawing.done():
                self.drawing.add_done_callback(lambda drawn: self._close_in_thread())
            else:
                self._close_in_thread()
        except Exception as error:
            report_broken(self.call, error)

    def _close_in_thread(self) -> None:
        loop = asyncio.get_running_loop()
        stream = self.encoded.stream

        def close() -> Any:
            try:
                return close_stream(stream)  # type: ignore[arg-type]  # seen by the caller
            except Exception as error:
                report_broken(self.call, error)

        def closed(waiter: asyncio.Future[ValueOrError]) -> None:
            if isinstance(waiter.result()[0], Awaitable):  # an asynchronous stream that HEAD does not send
                self.runner.keep(loop.create_task(_await(waiter.result()[0])))

        waiter: asyncio.Future[ValueOrError] = loop.create_future()
        waiter.add_done_callback(closed)
        self.runner.pool(loop).submit(WorkItem(close, waiter, contextvars.copy_context()))


def _relay_first(first: asyncio.Future[ValueOrError]) -> None:
    if not first.done():
        first.set_result((None, None))


async def _await(awaitable: Awaitable[Any]) -> None:
    await awaitable
