"""Calls of an ASGI application, as a server makes them: a fresh scope, receive, send, on one event loop of uvloop.

The cost of the copied scope and of the two channels is part of every figure, the same for all. All calls are awaited in
one task: a server's task for each request costs every application the same, too, and is not in the figures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import uvloop
import workload

Message = dict[str, Any]
ASGIApplication = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class ASGICalls:
    """Calls of one application, on an event loop of their own, between the application's startup and shutdown.

    Raises:
        ValueError: it does not say that its startup is complete.
    """

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application
        self._loop = uvloop.new_event_loop()
        self._lifespan = _Lifespan(application)
        self._loop.run_until_complete(self._lifespan.tell("startup"))

    def answer(self, case: workload.Case) -> tuple[int, bytes]:
        """Make one call, and return status and body."""
        exchange = _Exchange(case.body)
        self._loop.run_until_complete(self._call(_scope(case), exchange))
        start, *parts = exchange.sent
        return start["status"], b"".join(part.get("body", b"") for part in parts)

    def time(self, case: workload.Case, calls: int) -> float:
        """Microseconds per call, the mean of `calls` calls in a row."""
        return self._loop.run_until_complete(self._time(_scope(case), case.body, calls))

    def close(self) -> None:
        self._loop.run_until_complete(self._lifespan.tell("shutdown"))
        self._loop.close()

    async def _call(self, scope: Message, exchange: _Exchange) -> None:
        await self._application(scope, exchange.receive, exchange.send)

    async def _time(self, scope: Message, body: bytes, calls: int) -> float:
        application, headers = self._application, scope["headers"]
        begin = perf_counter()
        for _ in range(calls):
            call = scope.copy()
            call["headers"] = headers.copy()
            call["state"] = {}
            exchange = _Exchange(body)
            await application(call, exchange.receive, exchange.send)
        return (perf_counter() - begin) / calls * 1e6


class _Exchange:
    """The two channels of one request, whose body has arrived whole."""

    __slots__ = ("body", "sent")

    def __init__(self, body: bytes) -> None:
        self.body: bytes | None = body
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        body, self.body = self.body, None
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


class _Lifespan:
    """An application's startup and shutdown, as messages to a task of its own."""

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application
        self._task: asyncio.Task[None] | None = None
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()

    async def tell(self, event: str) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        await self._events.put({"type": f"lifespan.{event}"})
        answer = await self._answers.get()
        if answer["type"] != f"lifespan.{event}.complete":
            raise ValueError(f"said {answer!r} at {event}")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self._application(scope, self._events.get, self._answers.put)
        except Exception as error:  # noqa: BLE001  # a peer may fail in any way, and the table says which
            await self._answers.put({"type": "lifespan.failed", "message": f"{type(error).__name__}: {error}"})


def _scope(case: workload.Case) -> Message:
    """The scope that uvicorn makes for a request of `wrk`."""
    content = [(b"content-type", b"application/json"), (b"content-length", str(len(case.body)).encode())]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8080),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1:8080"),
            (b"user-agent", b"benchmark"),
            (b"accept", b"*/*"),
            *(content if case.body else []),
        ],
        "state": {},
        "method": case.method,
        "path": case.path.replace("%20", " "),
        "raw_path": case.path.encode(),
        "query_string": case.query.encode(),
    }
