"""One request of a connection and its answer, as the ASGI application sees them: ``receive`` and ``send``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

from wixhttp.dispatch.async_stream import PIECE, NoRoom
from wixhttp.dispatch.stream_chunks import StreamBroken
from wixhttp.http.encoding import STATUS_LINES

from .limits import Client, Limits

Scope = MutableMapping[str, Any]
Message = Mapping[str, Any]
ASGIApp = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_STATUS_LINES = {code: f"HTTP/1.1 {STATUS_LINES.get(code, f'{code} Unknown')}\r\n".encode() for code in range(200, 600)}
_DISCONNECT = {"type": "http.disconnect"}

logger = logging.getLogger("wixhttp")


class Connection(Client, Protocol):
    """The connection of an exchange."""

    loop: asyncio.AbstractEventLoop
    limits: Limits
    writable: asyncio.Event | None
    is_stopping: bool

    def resume_reading(self) -> None:
        """Read on."""

    def write(self, data: bytes) -> None:
        """Send data, as soon as the client takes it."""

    def end_exchange(self, exchange: Exchange) -> None:
        """The answer is complete: go on to the next request, or end the connection."""

    def close(self) -> None:
        """End the connection once all is sent."""

    def refuse(self, status: int, reason: str) -> None:
        """Answer with a problem document, where no answer has begun, and end the connection."""


class Exchange:
    """A request and its answer. ``keeps_alive``: another request may follow. ``is_whole``: all of it was received.

    The head of an answer is held back until the first part of its body, so that both are one write.
    """

    __slots__ = (
        "_body", "_has_told_end", "_head", "_is_chunked", "_left", "_sends_body", "_waiter", "connection",
        "expects_continue", "is_answered", "is_cut", "is_lost", "is_old", "is_whole", "keeps_alive", "scope",
        "started", "task",
    )  # fmt: skip

    def __init__(self, connection: Connection, scope: Scope, keeps_alive: bool, is_old: bool) -> None:
        self.connection = connection
        self.scope = scope
        self.keeps_alive = keeps_alive
        self.is_old = is_old  # HTTP/1.0, which knows no chunks
        self.expects_continue = False  # its client waits for 100 (Continue) before it sends the body
        self.is_whole = True
        self.is_cut = False  # its client has ended its side in the middle of the body
        self.is_lost = False  # its client has left, or was refused
        self.started = False  # the head of the answer is on its way
        self.is_answered = False
        self.task: asyncio.Task[None] | None = None
        self._body: list[bytes] = []  # received, and not yet taken
        self._has_told_end = False
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""  # of the answer, until it is sent
        self._is_chunked = False
        self._sends_body = True
        self._left = -1  # bytes of the announced length that are to come; -1 where none is announced

    async def run(self, app: ASGIApp, tasks: set[asyncio.Task[None]]) -> None:
        """Have the application answer; ``tasks`` are those that run, of which this one is taken out at its end. An
        application that fails, or breaks off an answer, ends the connection."""
        try:
            await app(self.scope, self.receive, self.send)
        except StreamBroken:  # is in the log
            self.connection.close()
        except Exception:
            logger.exception("the application failed")
            self.connection.refuse(500, "the application failed")
        else:
            if not self.is_answered and not self.is_lost:
                self.connection.close()  # it has ended its answer early, on purpose
        finally:
            if not self.is_answered:  # else `send` has, and the next request may hold an answer
                self.connection.limits.release(self.connection)
            if self.task is not None:
                tasks.discard(self.task)
                self.task = None  # breaks the reference cycle of both

    # --- the request ---

    def add(self, data: bytes) -> int:
        """Add received data of the body; the number of bytes that wait to be taken."""
        self._body.append(data)
        return sum(map(len, self._body)) if len(self._body) < 64 else self._join()

    def _join(self) -> int:
        self._body[:] = [b"".join(self._body)]
        return len(self._body[0])

    def wake(self) -> None:
        """Have `receive` look at what has changed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        """The next part of the body; ``http.disconnect`` once the answer is complete, or no more can come."""
        connection = self.connection
        while not (self.is_answered or self.is_lost):
            if self._body or (self.is_whole and not self._has_told_end):
                data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
                self._body.clear()
                self._has_told_end = self.is_whole
                return {"type": "http.request", "body": data, "more_body": not self.is_whole}
            if self.is_cut:
                break
            if self.expects_continue:
                self.expects_continue = False
                connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.resume_reading()
            self._waiter = connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return _DISCONNECT

    # --- the answer ---

    @property
    def is_stream(self) -> bool:
        """True once the head of an answer of unknown length is sent."""
        return self.started and self._left < 0 and self._sends_body

    def end_stream(self) -> bool:
        """End a stream in order, in place of its application, which is told that the client has left. Return whether
        that can be done: it is sent in chunks, or its end is that of the connection."""
        if not self._is_chunked or self.is_answered or self.is_lost or self.connection.writable is not None:
            return False  # of a chunk that waits for the client, a part may be out
        self.connection.write(b"0\r\n\r\n")
        self.is_lost = True
        self.wake()
        return True

    async def send(self, message: Message) -> None:
        """Send a part of the answer, and wait until the client has taken most of it (backpressure). Nothing is sent to
        a client that has left.

        Raises:
            NoRoom: it is a large one, and others that are not read yet fill the memory for them.
            RuntimeError: the parts do not make an answer.
        """
        if self.is_lost:
            return
        kind = message["type"]
        if kind == "http.response.start" and not (self._head or self.started):
            self._head = self._begin_answer(message)
        elif kind == "http.response.body" and not self.is_answered and (self._head or self.started):
            is_last = not message.get("more_body", False)
            body = message.get("body", b"")
            data = self._frame(body, is_last)
            connection = self.connection
            if self._head:
                data, self._head = self._head + data, b""
                self.started = True
            if len(body) > PIECE and not is_last:
                await self._send_large(data)
            elif data:
                connection.write(data)
            if is_last:
                self.is_answered = True
                connection.limits.release(connection)
                connection.end_exchange(self)
            elif connection.writable is not None:
                await connection.writable.wait()
        else:
            raise RuntimeError(f"{kind!r} has no place in this answer")

    async def _send_large(self, data: bytes) -> None:
        """Send a large chunk of a stream, which is held until its client has read most of it. Where there is no memory
        to hold it, the client gives way."""
        connection = self.connection
        if not connection.limits.hold(connection, len(data)):
            connection.abort("its stream has large chunks, and max_unsent is used up")
            return
        view = memoryview(data)
        for start in range(0, len(data), PIECE):
            connection.write(bytes(view[start : start + PIECE]))
            if connection.writable is not None:
                await connection.writable.wait()
            if self.is_lost:
                break
        connection.limits.release(connection)

    def _begin_answer(self, message: Message) -> bytes:
        limits = self.connection.limits
        size = message.get("wixhttp.size")
        if size is not None and not limits.hold(self.connection, size):
            raise NoRoom(f"answers of max_unsent = {limits.max_unsent} bytes are not read yet")
        return self._encode_head(message["status"], message["headers"])

    def _frame(self, data: bytes, is_last: bool) -> bytes:
        """A part of the body as it is sent."""
        if self._is_chunked:
            return (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if is_last else b"")
        if not self._sends_body:
            return b""
        if self._left >= 0:
            self._left -= len(data)
            if self._left < 0 or (is_last and self._left):
                self.connection.close()
                raise RuntimeError("an answer is not as long as its Content-Length says")
        return data

    def _encode_head(self, status: int, fields: list[tuple[bytes, bytes]]) -> bytes:
        connection = self.connection
        lines = [_STATUS_LINES[status], connection.limits.date]
        for name, value in fields:
            length = len(name)
            if length == 10 and name.lower() == b"connection":  # which is written below
                self.keeps_alive = self.keeps_alive and value != b"close"
                continue
            if length == 14 and name.lower() == b"content-length":
                self._left = int(value)
            lines += (name, b": ", value, b"\r\n")
        self._sends_body = status not in (204, 304) and self.scope["method"] != "HEAD"
        if self._left < 0 and self._sends_body:
            if self.is_old:  # its end is the end of the connection
                self.keeps_alive = False
            else:
                self._is_chunked = True
                lines.append(b"Transfer-Encoding: chunked\r\n")
        if self.keeps_alive and (self.expects_continue or connection.is_stopping):
            self.keeps_alive = False  # a client that was not told to continue may send its body, or not
        if not self.keeps_alive:
            lines.append(b"Connection: close\r\n\r\n")
        elif self.is_old:
            lines.append(b"Connection: keep-alive\r\n\r\n")
        else:
            lines.append(b"\r\n")
        return b"".join(lines)
