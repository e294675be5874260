"""Guards: steps around a handler that run in its request: the verification of a sender, an API key, a rate limit.

Decorators note them in the policy of a function, and what loads the site puts them around the call of its handler. They
run behind middleware, so that no rewrite leads past them, and in the order of their places, whatever the order of the
decorators is.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import Any, Protocol

from wixhttp.concurrency.service_threads import begin_on_thread
from wixhttp.errors import HTTPError, WixHTTPError
from wixhttp.http.request import AsyncRequest, Request, set_body
from wixhttp.http.request_head import Head, Notes
from wixhttp.http.response import Response
from wixhttp.logs.tracebacks import summary_of
from wixhttp.messages import brief

ADDRESS_RATE, SENDER, KEY, RATE, ONCE, DEFERRED = 10, 20, 30, 35, 40, 50
"""The places of the guards: rate limits by address, the verification of a sender, API keys, other rate limits, the
idempotency of deliveries, deferred work. The lowest runs first, and leaves last."""

MOST_AT_ONCE = 262_144
"""Bytes of a body that guards may read, as for its HMAC, on the thread of an event loop."""

_NO_KEY = "The request does not say which one it is."
_OF_JSON = (dict, list, str, int, float, type(None))

logger = logging.getLogger("wixhttp")


class GuardedRequest:
    """A request as guards see it. ``name`` is the handler's in the log, ``unique_name`` the one under which guards keep
    and count: a function of the test site has another one than that of the site. ``asked`` is what the handler takes: a
    request, or the state of one for an endpoint. ``began`` is the time by ``time.monotonic`` at which it came here.
    ``kept`` is what guards keep from one call to the next, by its class; those of one kind may share it.

    ``read`` gives the body, and may block; ``velo`` is the request of a ``def``, which has none yet.
    """

    __slots__ = ("_body", "_read", "_velo", "asked", "began", "head", "kept", "name", "notes", "unique_name")

    def __init__(
        self, head: Head, name: str, velo: Request, read: Callable[[], bytes], unique_name: str | None = None
    ) -> None:
        self._velo = velo
        self._read = read
        self._body: bytes | None = None
        self.head = head
        self.name = name
        self.unique_name = name if unique_name is None else unique_name
        self.asked: Any = None
        self.began = time.monotonic()
        self.notes = head.notes = Notes()
        self.kept: dict[type, Any] = {}

    @property
    def body(self) -> bytes:
        """The exact bytes of the body."""
        body = self._body
        if body is None:
            body = self._body = self._read()
            set_body(self._velo, body)
        return body

    @property
    def request(self) -> Request:
        """The request as a ``def`` takes it, for functions of users' that make a key of it."""
        _ = self.body
        return self._velo

    @property
    def url(self) -> str:
        """The whole public URL, query included."""
        return self._velo.url

    @property
    def seconds_left(self) -> float:
        """Seconds until the ``timeout`` of the handler is over; infinity without one."""
        deadline = getattr(self.head, "deadline", 0.0)  # a request that a test makes has none
        return deadline - time.monotonic() if deadline else math.inf


class Guard(Protocol):
    """One step around a handler. What may wait for a database, a disk or another host runs on a thread in front of an
    ``async def``."""

    @property
    def place(self) -> int:
        """One of the places of this module."""

    @property
    def blocks(self) -> bool:
        """Return whether `check` may wait."""

    @property
    def blocks_leaving(self) -> bool:
        """Return whether `leave` and `fail` may wait."""

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


class CheckGuard:
    """The base of guards that only check, and leave every answer as it is."""

    blocks_leaving = False

    def leave(self, request: GuardedRequest, response: Response) -> Response:
        """Return the answer as it is."""
        return response

    def fail(self, request: GuardedRequest, error: BaseException) -> None:
        """There is nothing to note."""


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


def made_key(make: Callable[[Any], object], request: GuardedRequest, where: str) -> str | None:
    """The key that a function of users' makes of a request, as text; ``None`` where it gives ``None`` or no text.

    Raises:
        HTTPError: 400, the request does not hold it: the function misses a member, or finds a value of another kind, or
            gives what is neither text nor a whole number. ``where`` begins the reason, which the log has.
    """
    try:
        value = make(request.request)
    except WixHTTPError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, AttributeError) and not isinstance(error.obj, _OF_JSON):
            raise  # of an object that no request holds: the function itself is wrong
        raise HTTPError(400, _NO_KEY, reason=f"{where} raised {summary_of(error)}") from error
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise HTTPError(400, _NO_KEY, reason=f"{where} gave {brief(value)}, which is neither text nor a whole number")
    return str(value)


class Guarded:
    """The call of a handler with its guards around it: takes what the handler takes, and returns its response, or an
    awaitable of one.

    ``seen`` gives the request of a call as guards see it; ``is_slow`` says of a call whether its body is on a disk, or
    longer than `MOST_AT_ONCE`. ``answer_of`` makes a response of what the handler returned, ``sent`` the kind of
    response that its caller takes.
    """

    __slots__ = ("answer_of", "blocks", "blocks_leaving", "call", "guards", "is_slow", "seen", "sent")

    def __init__(
        self,
        call: Callable[[Any], Any],
        guards: tuple[Guard, ...],
        seen: Callable[[Any], GuardedRequest],
        answer_of: Callable[[Any], Response],
        is_slow: Callable[[Any], bool] = lambda call: False,
        sent: Callable[[Response], Response] = lambda response: response,
    ) -> None:
        self.call = call
        self.guards = guards
        self.seen = seen
        self.is_slow = is_slow
        self.answer_of = answer_of
        self.sent = sent
        self.blocks = any(guard.blocks for guard in guards)
        self.blocks_leaving = any(guard.blocks_leaving for guard in guards)

    def _passage(self, asked: Any) -> Passage:
        request = self.seen(asked)
        request.asked = asked
        is_slow = self.is_slow(asked)
        return Passage(
            self.guards, request, blocks=self.blocks or is_slow, blocks_leaving=self.blocks_leaving or is_slow
        )

    # --- for a def ---

    def run(self, asked: Any) -> Any:
        """Call a ``def`` handler. Where it returns an awaitable, so does this."""
        passage = self._passage(asked)
        try:
            while (response := passage.enter()) is None and passage.waits:
                time.sleep(passage.waits)
            if response is None:
                value = self.call(asked)
                if isinstance(value, Awaitable) and not isinstance(value, Response):
                    return _GuardedAwaitable(self, passage, value)
                response = self.answer_of(value)
            return self.sent(passage.leave(response))
        except BaseException as error:
            passage.fail(error)
            raise

    # --- for an async def ---

    async def run_async(self, asked: Any) -> Response:
        """Call an ``async def`` handler."""
        passage = self._passage(asked)
        try:
            while (response := await passage.step(passage.enter)) is None and passage.waits:
                import asyncio  # it runs already

                await asyncio.sleep(passage.waits)
            if response is None:
                response = self.answer_of(await self.call(asked))
            return self.sent(await passage.leave_async(response))
        except BaseException as error:
            await passage.fail_async(error)
            raise

    async def end(self, passage: Passage, value: Awaitable[Any]) -> Response:
        """The response of a ``def`` that returned an awaitable."""
        try:
            response = self.answer_of(await value)
            return self.sent(await passage.leave_async(response))
        except BaseException as error:
            await passage.fail_async(error)
            raise


class _GuardedAwaitable(Awaitable[Response]):
    """The response of a guarded ``def`` that returned an awaitable. One that nobody awaits, as the time of the request
    was over, ends its passage all the same."""

    __slots__ = ("_guarded", "_passage", "_value")

    def __init__(self, guarded: Guarded, passage: Passage, value: Awaitable[Any]) -> None:
        self._guarded = guarded
        self._passage: Passage | None = passage
        self._value = value

    def __await__(self) -> Generator[Any, Any, Response]:
        passage, self._passage = self._passage, None
        if passage is None:
            raise RuntimeError("the answer of a handler is awaited once")
        return self._guarded.end(passage, self._value).__await__()

    def __del__(self) -> None:
        passage, self._passage = self._passage, None
        if passage is None:
            return
        error = TimeoutError("nobody awaited what the handler returned")
        if passage.blocks:  # this may be the thread of an event loop
            threading.Thread(target=passage.fail, args=(error,), name="wixhttp-guards-late").start()
        else:
            passage.fail(error)


class Passage:
    """The way of one request through its guards. ``waits`` are the seconds until `enter` is to be called again, 0 once
    all have let it pass.

    ``blocks``: its steps run on threads in front of an ``async def``. Where that is cancelled, the step that runs goes
    on, and the next one waits for it.
    """

    __slots__ = ("_blocks_leaving", "_entered", "_guards", "_is_over", "_lock", "_request", "blocks", "waits")

    def __init__(
        self, guards: tuple[Guard, ...], request: GuardedRequest, *, blocks: bool, blocks_leaving: bool = True
    ) -> None:
        self.blocks = blocks
        self._blocks_leaving = blocks_leaving
        self._guards = guards
        self._request = request
        self._lock = threading.Lock()
        self._entered = 0
        self._is_over = False
        self.waits = 0.0

    def enter(self) -> Response | None:
        """Call the guards that have not let the request pass yet. The answer of the one that gives one; else ``None``.

        Raises:
            HTTPError: one refuses the request; 504, it would wait for one beyond its time.
        """
        with self._lock:
            self.waits = 0.0
            for guard in () if self._is_over else self._guards[self._entered :]:
                try:
                    response = guard.check(self._request)
                except NotYet as wait:
                    self.waits = wait.seconds
                    break
                self._entered += 1
                if response is not None:
                    return response
        if self.waits >= self._request.seconds_left:
            reason = "it waited for another request until its timeout was over"
            raise HTTPError(504, "The function did not answer in time.", reason=reason)
        return None

    def leave(self, response: Response) -> Response:
        """The answer that is sent in place of ``response``, after all that have let the request pass."""
        with self._lock:
            while self._entered:
                response = self._guards[self._entered - 1].leave(self._request, response)
                self._entered -= 1
        return response

    def fail(self, error: BaseException) -> None:
        """Tell the error to all that have let the request pass. None is called afterwards."""
        with self._lock:
            self._is_over = True
            while self._entered:
                self._entered -= 1
                try:
                    self._guards[self._entered].fail(self._request, error)
                except Exception as other:  # noqa: BLE001 - those in front of it are told all the same
                    logger.error("%s: a guard failed: %s", self._request.name, other)

    async def step(self, step: Callable[[], Any]) -> Any:
        """Make one of the calls above, for an ``async def``."""
        if not self.blocks:
            return step()
        promise = begin_on_thread("a guard", step, "guards")
        try:
            return await promise
        finally:
            promise.forget()  # of a request that was cancelled nobody is told
            del promise, step  # breaks the reference cycle error -> traceback -> frame

    async def leave_async(self, response: Response) -> Response:
        """As `leave`, for an ``async def``."""
        if not self._blocks_leaving:
            return self.leave(response)
        left: Response = await self.step(functools.partial(self.leave, response))
        return left

    async def fail_async(self, error: BaseException) -> None:
        """As `fail`, for an ``async def``."""
        if isinstance(error, GeneratorExit):  # its loop has ended: nothing can be awaited
            self.fail(error)
        else:
            await self.step(functools.partial(self.fail, error))


def guarded_function(
    call: Callable[[Any], Any],
    guards: tuple[Guard, ...],
    name: str,
    answer_of: Callable[[Any], Response],
    *,
    is_async: bool,
    unique_name: str | None = None,
) -> Callable[[Any], Any]:
    """The call of an HTTP function with its guards around it."""

    def seen(request: Request | AsyncRequest) -> GuardedRequest:
        return GuardedRequest(request._head, name, Request.of(request), request._body.buffer, unique_name)

    def is_slow(request: Request | AsyncRequest) -> bool:
        return request._head.length > MOST_AT_ONCE

    guarded = Guarded(call, guards, seen, answer_of, is_slow)
    return guarded.run_async if is_async else guarded.run
