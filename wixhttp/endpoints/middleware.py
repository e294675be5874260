"""Middleware, ``src/middleware.py``: runs in front of every handler, and may answer itself or change the response.

    def onRequest(context, next):
        context.locals.started = time.monotonic()
        response = next()
        response.headers["X-Frame-Options"] = "DENY"
        return response

In an ``async def`` ``next()`` is awaited. ``next("/other")`` is a rewrite: only what is behind this middleware
runs, and sees a request for that path. ``context.rewrite("/other")`` begins anew with the first middleware.

https://docs.astro.build/en/guides/middleware/#rewriting
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from wixhttp.endpoints.web.response import Response
from wixhttp.errors import WrongAnswer
from wixhttp.project.function_table import habit_of
from wixhttp.project.signatures import accepting, is_async_callable, place_of

from .request_state import Target

NAME = "onRequest"
_PARTS = "__wixhttp_sequence__"
_RULE = "a middleware takes the context and next: def onRequest(context, next)"


class Next:
    """``next`` of a ``def``: calls the next middleware or the handler, once, and returns its response. With a target
    they see a request for that: a path or URL of the site, or a `Request`."""

    __slots__ = ("_run", "begun", "called", "response")

    def __init__(self, run: Callable[[Target | None], Response]) -> None:
        self._run = run
        self.called = self.begun = False
        self.response: Response | None = None

    def __call__(self, target: Target | None = None) -> Response:
        _call_once(self)
        self.begun = True
        self.response = self._run(target)
        return self.response


class AsyncNext:
    """``next`` of an ``async def``: as `Next`, awaited."""

    __slots__ = ("_run", "_waiting", "begun", "called", "response")

    def __init__(self, run: Callable[[Target | None], Awaitable[Response]]) -> None:
        self._run = run
        self._waiting: Coroutine[Any, Any, Response] | None = None
        self.called = self.begun = False
        self.response: Response | None = None

    def __call__(self, target: Target | None = None) -> Awaitable[Response]:
        _call_once(self)
        self._waiting = self._answer(target)
        return self._waiting

    async def _answer(self, target: Target | None) -> Response:
        self.begun = True
        self.response = await self._run(target)
        return self.response

    def close(self) -> None:
        """Close a coroutine that was never awaited, or Python warns of it."""
        if self._waiting is not None and not self.begun:
            self._waiting.close()


def _call_once(next_: Next | AsyncNext) -> None:
    if next_.called:
        raise RuntimeError("next() is called once: keep its response, or use context.rewrite(path)")
    next_.called = True


class Middleware:
    """One middleware: ``target`` takes context and next. ``is_async``: it runs on the event loop, else on a thread."""

    __slots__ = ("is_async", "name", "target")

    def __init__(self, target: Callable[..., Any]) -> None:
        file, line = place_of(target)
        self.name = f"{getattr(target, '__name__', NAME)} ({file}:{line})"
        self.is_async = is_async_callable(target)
        self.target = accepting(self.name, target, 2, _RULE)

    def checked(self, value: Any, next_: Next | AsyncNext) -> Response:
        """The response that the middleware returned; where it returned nothing, that of ``next()``.

        Raises:
            WrongAnswer: it returned no response, or nothing without a response of ``next()``.
        """
        if isinstance(value, Response):
            return value
        if isinstance(next_, AsyncNext):
            next_.close()
        if value is not None:
            raise wrong_answer(self.name, value, "return a Response, or what next() gave")
        if next_.response is not None:
            return next_.response
        if not next_.called:
            raise WrongAnswer(f"{self.name} returned nothing and never called next(); return a Response, or next()")
        if not next_.begun:
            raise WrongAnswer(f"{self.name} called next() and did not await it; write: return await next()")
        raise WrongAnswer(f"{self.name} returned nothing, and next() raised what it caught; return a Response then")


def sequence(*middleware: Callable[..., Any]) -> Callable[..., Any]:
    """Several middlewares as one: ``onRequest = sequence(log, authenticate)``. The first one is the outermost.

    Raises:
        TypeError: one of them is no function.
    """
    for each in middleware:
        if not callable(each):
            raise TypeError(f"sequence takes middlewares, functions of context and next, not {each!r}")
    parts = tuple(part for each in middleware for part in parts_of(each))
    if any(is_async_callable(part) for part in parts):

        async def run_async(context: Any, next: Callable[..., Any]) -> Any:
            return await _chained(parts, context, next)

        run: Callable[..., Any] = run_async
    else:

        def run(context: Any, next: Callable[..., Any]) -> Any:
            return _chained(parts, context, next)

    setattr(run, _PARTS, parts)
    return run


def _chained(
    parts: tuple[Callable[..., Any], ...], context: Any, next: Callable[..., Any], target: Target | None = None
) -> Any:
    """Call the middlewares of a sequence that is itself called by one. ``target`` is what an earlier part has rewritten
    the request to, and ``context`` is of that."""
    if not parts:
        return next() if target is None else next(target)

    def go_on(other: Target | None = None) -> Any:
        if other is None:
            return _chained(parts[1:], context, next, target)
        _, state = context._state.rewritten(other, counts=False)
        return _chained(parts[1:], type(context)(state), next, state.url)

    return parts[0](context, go_on)


def parts_of(target: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """The middlewares of a `sequence`; of any other function itself."""
    found: tuple[Callable[..., Any], ...] | None = getattr(target, _PARTS, None)
    return (target,) if found is None else found


def wrong_answer(name: str, value: object, remedy: str) -> WrongAnswer:
    """The error for a value that is no response; a coroutine is closed, since nobody awaits it."""
    remedy = habit_of(value, "Response.json(..., status={0})") or remedy
    kind = (
        "nothing" if value is None else f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    )
    return WrongAnswer(f"{name} returned {kind}, not a Response of wixhttp.endpoints; {remedy}")
