"""Guards: steps around a handler that run in its request: the verification of a sender, an API key, a rate limit.

Decorators note them in the policy of a function, and what loads the site puts them around the call of its handler. They
run behind middleware, so that no rewrite leads past them, and in the order of their places, whatever the order of the
decorators is.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from wixhttp.concurrency.service_threads import begin_on_thread
from wixhttp.http.request import AsyncRequest, Request
from wixhttp.http.request_head import Head, Notes
from wixhttp.http.response import Response

ADDRESS_RATE, SENDER, KEY, RATE, ONCE, DEFERRED = 10, 20, 30, 35, 40, 50
"""The places of the guards: rate limits by address, the verification of a sender, API keys, other rate limits, the
idempotency of deliveries, deferred work. The lowest runs first, and leaves last."""


class GuardedRequest:
    """A request as guards see it. ``name`` is the handler's in the log; ``body`` the exact bytes; ``request`` the
    request of a ``def``, for functions of users' that make a key of it. ``asked`` is what the handler takes: a request,
    or the state of one for an endpoint."""

    __slots__ = ("asked", "body", "head", "name", "notes", "request")

    def __init__(self, head: Head, name: str, body: bytes, request: Request) -> None:
        self.head = head
        self.name = name
        self.body = body
        self.request = request
        self.asked: Any = None
        self.notes = head.notes = Notes()

    @property
    def url(self) -> str:
        """The whole public URL, query included."""
        return self.request.url


class Guard(Protocol):
    """One step around a handler. ``blocks``: it may wait for a database, a disk or another host, and so runs on a
    thread in front of an ``async def``."""

    @property
    def place(self) -> int:
        """One of the places of this module."""

    @property
    def blocks(self) -> bool:
        """Return whether its methods may block."""

    def check(self, request: GuardedRequest) -> Response | None:
        """Let a request pass (``None``), or answer in place of the handler.

        Raises:
            HTTPError: the request is refused.
            NotYet: to be called again, after a while.
        """

    def leave(self, request: GuardedRequest, response: Response) -> Response:
        """Return the answer to a request that it let pass, or answered."""

    def fail(self, request: GuardedRequest, error: BaseException) -> None:
        """Note that what is behind it raised ``error``: a refusal, the handler's own, or its cancellation."""


class NotYet(Exception):
    """Raised by `Guard.check` to be called again after ``seconds``: nothing waits on a thread meanwhile that an event
    loop can wait for."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def merged(own: Sequence[Guard], of_site: Iterable[Guard]) -> tuple[Guard, ...]:
    """The guards of a handler in their order: its own, and those of the site for places where it has none."""
    places = {guard.place for guard in own}
    return tuple(sorted((*own, *(each for each in of_site if each.place not in places)), key=lambda each: each.place))


class Guarded:
    """The call of a handler with its guards around it: takes what the handler takes, and returns its response, or an
    awaitable of one.

    ``seen`` gives the request of a call as guards see it; it may block where ``seen_blocks`` says so of the call.
    ``answer_of`` makes a response of what the handler returned, ``sent`` the kind of response that its caller takes.
    """

    __slots__ = ("answer_of", "blocks", "call", "guards", "seen", "seen_blocks", "sent")

    def __init__(
        self,
        call: Callable[[Any], Any],
        guards: tuple[Guard, ...],
        seen: Callable[[Any], GuardedRequest],
        answer_of: Callable[[Any], Response],
        seen_blocks: Callable[[Any], bool] = lambda call: False,
        sent: Callable[[Response], Response] = lambda response: response,
    ) -> None:
        self.call = call
        self.guards = guards
        self.seen = seen
        self.seen_blocks = seen_blocks
        self.answer_of = answer_of
        self.sent = sent
        self.blocks = any(guard.blocks for guard in guards)

    def _seen(self, asked: Any) -> GuardedRequest:
        request = self.seen(asked)
        request.asked = asked
        return request

    # --- for a def ---

    def run(self, asked: Any) -> Any:
        """Call a ``def`` handler. Where it returns an awaitable, so does this."""
        passage = Passage(self.guards, self._seen(asked))
        try:
            while (response := passage.enter()) is None and passage.waits:
                time.sleep(passage.waits)
            if response is None:
                value = self.call(asked)
                if isinstance(value, Awaitable) and not isinstance(value, Response):
                    return self._end(passage, value)
                response = self.answer_of(value)
            return self.sent(passage.leave(response))
        except BaseException as error:
            passage.fail(error)
            raise

    # --- for an async def ---

    async def run_async(self, asked: Any) -> Response:
        """Call an ``async def`` handler."""
        if self.seen_blocks(asked):
            passage = Passage(self.guards, await begin_on_thread("the request", lambda: self._seen(asked), "guards"))
        else:
            passage = Passage(self.guards, self._seen(asked))
        try:
            while (response := await self._on_thread(passage.enter)) is None and passage.waits:
                import asyncio  # it runs already

                await asyncio.sleep(passage.waits)
            if response is not None:
                return self.sent(await self._on_thread(lambda: passage.leave(response)))
        except BaseException as error:
            await self._on_thread(functools.partial(passage.fail, error))
            raise
        return await self._end(passage, self.call(asked))

    async def _end(self, passage: Passage, value: Awaitable[Any]) -> Response:
        try:
            response = self.answer_of(await value)
            return self.sent(await self._on_thread(lambda: passage.leave(response)))
        except BaseException as error:
            await self._on_thread(functools.partial(passage.fail, error))
            raise

    async def _on_thread(self, step: Callable[[], Any]) -> Any:
        return await begin_on_thread("a guard", step, "guards") if self.blocks else step()


class Passage:
    """The way of one request through its guards. ``waits`` are the seconds until `enter` is to be called again, 0 once
    all have let it pass."""

    __slots__ = ("_entered", "_guards", "_request", "waits")

    def __init__(self, guards: tuple[Guard, ...], request: GuardedRequest) -> None:
        self._guards = guards
        self._request = request
        self._entered = 0
        self.waits = 0.0

    def enter(self) -> Response | None:
        """Call the guards that have not let the request pass yet. The answer of the one that gives one; else ``None``.

        Raises:
            HTTPError: one refuses the request.
        """
        self.waits = 0.0
        for guard in self._guards[self._entered :]:
            try:
                response = guard.check(self._request)
            except NotYet as wait:
                self.waits = wait.seconds
                return None
            self._entered += 1
            if response is not None:
                return response
        return None

    def leave(self, response: Response) -> Response:
        """The answer that is sent in place of ``response``, after all that have let the request pass."""
        while self._entered:
            guard = self._guards[self._entered - 1]
            response = guard.leave(self._request, response)
            self._entered -= 1
        return response

    def fail(self, error: BaseException) -> None:
        """Tell the error to all that have let the request pass."""
        while self._entered:
            self._entered -= 1
            self._guards[self._entered].fail(self._request, error)


def guarded_function(
    call: Callable[[Any], Any],
    guards: tuple[Guard, ...],
    name: str,
    answer_of: Callable[[Any], Response],
    *,
    is_async: bool,
) -> Callable[[Any], Any]:
    """The call of an HTTP function with its guards around it."""

    def seen(request: Request | AsyncRequest) -> GuardedRequest:
        return GuardedRequest(request._head, name, request._body.buffer(), Request.of(request))

    guarded = Guarded(call, guards, seen, answer_of)
    return guarded.run_async if is_async else guarded.run
