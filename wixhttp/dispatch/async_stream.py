"""Answers sent over ASGI: whole, or streamed with backpressure. The counterpart in a thread is `blocking_stream`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import Context
from typing import Any

from wixhttp.concurrency.contexts import await_in
from wixhttp.concurrency.deadlines import uncancel
from wixhttp.concurrency.event_loop import ValueOrError
from wixhttp.concurrency.executor import Executor, this_task
from wixhttp.concurrency.overload import RETRY_AFTER
from wixhttp.concurrency.thread_pool import WorkItem
from wixhttp.errors import HTTPError
from wixhttp.http.encoding import Encoded, close_stream, is_async_stream
from wixhttp.http.response import Response

from .call import Call
from .stream_chunks import broken_off, draw_chunk, next_chunk, report_broken
from .timeouts import timed_out

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PIECE = 65_536  # bytes of a large body that are handed to the server at once, so that it waits for slow readers


class NoRoom(HTTPError):
    """An answer so large that the server cannot hold it until its client has read it: 503. ``reason`` goes to the log.

    Raised by the server of ``wixhttp serve``, at the start of an answer that says its ``wixhttp.size``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            503, "The answer cannot be sent now; try again.", headers={"Retry-After": RETRY_AFTER}, reason=reason
        )


def is_large(value: Any) -> bool:
    """Return whether what a handler returned, or a chunk of a stream, has a body of more than a `PIECE`. The size of
    one that is to be JSON is not known yet."""
    body = value.body if isinstance(value, Response) else value
    return isinstance(body, (str, bytes, bytearray)) and len(body) > PIECE


async def send_whole(scope: Scope, encoded: Encoded, send: Send) -> None:
    """Send an answer whose body is at hand, a large one piece by piece.

    Raises:
        NoRoom: nothing of it was sent.
    """
    data = encoded.data
    start: Message = {"type": "http.response.start", "status": encoded.status, "headers": wire_fields(scope, encoded)}
    if len(data) > PIECE:
        await send({**start, "wixhttp.size": len(data)})
        view = memoryview(data)
        last = (len(data) - 1) // PIECE * PIECE
        for at in range(0, last, PIECE):
            await send({"type": "http.response.body", "body": bytes(view[at : at + PIECE]), "more_body": True})
        data = bytes(view[last:])
    else:
        await send(start)
    await send({"type": "http.response.body", "body": data})


def wire_fields(scope: Scope, encoded: Encoded) -> list[tuple[bytes, bytes]]:
    """The header fields in bytes; in lower case where HTTP/2 asks for it, else as given."""
    is_lower = scope.get("http_version") == "2"
    fields = []
    for name, value in encoded.fields:
        fields.append(((name.lower() if is_lower else name).encode(), value.encode("latin-1")))  # names are ASCII
    return fields


class AsyncStream:
    """A streamed answer: drawn as fast as the client reads (backpressure), until it ends or the client leaves. The
    counterpart in a thread is `blocking_stream.BlockingStream`.

    It is drawn and closed in ``context``, that of the handler that made it: by this task, or on a thread. Once it
    ``began`` the client has its head; ``sent`` counts the bytes of its body that the server has.
    """

    def __init__(
        self, runner: Executor, call: Call, encoded: Encoded, context: Context, receive: Receive, send: Send
    ) -> None:
        self.runner = runner
        self.call = call
        self.encoded = encoded
        self.context = context
        self.receive = receive
        self.out = send
        self.began = False
        self.sent = 0
        self._left = False  # the client has
        self._drawing: asyncio.Future[ValueOrError] | None = None

    async def run(self, late: Callable[[], None]) -> BaseException | None:
        """Send it all, and return ``None``; or return the error that came before its first chunk: then nothing is sent.
        Where an asynchronous one is not there in the time that the function has, ``late`` is called to answer.

        Raises:
            StreamBroken: it failed after its first bytes; the server is to end the connection.
        """
        try:
            first = await self._draw_first(late)
            if first is None:
                return None
            chunk, failed = first
            if failed is None:
                failed = await self._send(chunk)
        finally:
            await self._close()
        if failed is None or not self.began:
            return failed
        raise broken_off(self.call, failed) from failed

    async def _draw_first(self, late: Callable[[], None]) -> ValueOrError | None:
        """The first chunk or the error in its place; ``None`` where ``late`` was called."""
        stream, timeout = self.encoded.stream, self.call.timeout
        if is_async_stream(stream):
            return await self.runner.run_here(lambda: next_chunk(stream), self.context, timeout, late)
        try:
            return await self._in_thread(lambda: draw_chunk(stream), timeout)
        except TimeoutError:
            return None, timed_out(self.call)

    async def _send(self, chunk: bytes | None) -> BaseException | None:
        """Send head and chunks, and return the error that ended them, if one did."""
        scope = self.call.head.scope  # type: ignore[attr-defined]  # an ASGIHead
        task = this_task(asyncio.get_running_loop())
        watch = None
        self.began = True
        try:
            await self.out(
                {
                    "type": "http.response.start",
                    "status": self.encoded.status,
                    "headers": wire_fields(scope, self.encoded),
                }
            )
            if chunk is not None:
                watch = asyncio.create_task(self._until_disconnect(task))
            while chunk is not None and not self._left:
                self.sent += len(chunk)
                await self.out({"type": "http.response.body", "body": chunk, "more_body": True})
                await asyncio.sleep(0)  # neither a stream that never waits nor a client that has left holds up others
                chunk = await self._draw()
            if not self._left:
                await self.out({"type": "http.response.body", "body": b""})
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                return error
            if not self._left:
                raise
            uncancel(task)
        finally:
            if watch is not None:
                watch.cancel()
        return None

    async def _until_disconnect(self, task: asyncio.Task[Any]) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self._left = True
        task.cancel()

    async def _draw(self) -> bytes | None:
        """The next chunk that is not empty; ``None`` at the end."""
        stream = self.encoded.stream
        if is_async_stream(stream):
            chunk: bytes | None = await await_in(self.context, next_chunk(stream))
            return chunk
        chunk, error = await self._in_thread(lambda: draw_chunk(stream))
        try:
            if error is not None:
                raise error
        finally:
            del error  # breaks the reference cycle error -> traceback -> frame
        return chunk

    async def _in_thread(self, work: Callable[[], Any], timeout: float = 0) -> ValueOrError:
        """The outcome of work on a thread, in the context of the stream.

        Raises:
            TimeoutError: it was not there after ``timeout`` seconds (0: never); it goes on.
        """
        loop = asyncio.get_running_loop()
        self._drawing = drawing = loop.create_future()
        self.runner.stream_pool(loop).submit(WorkItem(work, drawing, self.context))
        return await self.runner.deadlines(loop).wait(asyncio.shield(drawing), timeout)

    async def _close(self) -> None:
        """Close the stream; where a thread is still inside it, once that is out."""
        stream = self.encoded.stream
        try:
            if is_async_stream(stream):
                closing = close_stream(stream)
                if isinstance(closing, Awaitable):
                    await await_in(self.context, closing)
            elif self._drawing is not None and not self._drawing.done():
                self._drawing.add_done_callback(lambda drawn: self._close_in_thread())
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
                self.runner.keep(loop.create_task(await_in(self.context, waiter.result()[0])))

        waiter: asyncio.Future[ValueOrError] = loop.create_future()
        waiter.add_done_callback(closed)
        self.runner.stream_pool(loop).submit(WorkItem(close, waiter, self.context))
