"""The handlers of endpoints: one method of one route, behind the site's middleware.

Handler and middleware may be of both kinds: each ``def`` runs on a thread, each ``async def`` on the event loop.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from wixhttp.endpoints.static.content_types import content_type
from wixhttp.endpoints.web.response import Response
from wixhttp.errors import HTTPError
from wixhttp.guards import Guard, merged
from wixhttp.http.policy import Policy, policy_of
from wixhttp.project.signatures import is_async_callable, place_of

from .context import AsyncContext, Context, bind
from .middleware import AsyncNext, Middleware, Next, wrong_answer
from .request_state import RequestState, Target


class EndpointHandler:
    """One method of one route, with the middleware in front of it.

    ``exported_name`` is its name in the log. ``is_async`` is the kind of what is called first. ``is_threaded``: at
    least a part of it takes a thread. ``call`` returns a web `Response`, or an awaitable of one. ``status`` takes the
    place of 200, for the pages for errors; ``None`` elsewhere.
    """

    __slots__ = (
        "_bound",
        "_middleware",
        "_name",
        "_unguarded",
        "call",
        "exported_name",
        "file",
        "is_async",
        "is_threaded",
        "line",
        "method",
        "policy",
        "runs_async",
        "status",
        "summary",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        route: str,
        target: Callable[..., Any],
        middleware: Sequence[Middleware] = (),
        *,
        file: str = "",
        status: int | None = None,
    ) -> None:
        self.method = method
        self.exported_name = f"{method} {route}"
        self.policy: Policy = policy_of(target)
        place, self.line = place_of(target)
        self.file = file or place
        self.summary = (inspect.getdoc(target) or "").partition("\n")[0]
        self.runs_async = is_async_callable(target)
        self.status = status
        self._name = f"{method} of {self.file}"
        self._bound = self._unguarded = bind(self._name, target, AsyncContext if self.runs_async else Context)
        if self.policy.guards:
            self.guard(())
        self._middleware = tuple(middleware)
        self.is_async = middleware[0].is_async if middleware else self.runs_async
        self.is_threaded = not (self.runs_async and all(each.is_async for each in middleware))
        self.call: Callable[[RequestState], Any] = self._call_async if self.is_async else self._call

    def guard(self, of_site: tuple[Guard, ...]) -> None:
        """Put guards around the call of the handler: its own, and those of the site of other kinds."""
        from .guarded_handler import guarded_handler

        self._bound = guarded_handler(
            self._unguarded, merged(self.policy.guards, of_site), self.exported_name, self._checked, self.runs_async
        )

    def leave_unguarded(self) -> None:
        """Let every request pass, for a test of the handler alone."""
        self._bound = self._unguarded

    def answer_deferred(self, state: RequestState) -> Any:
        """Call the handler alone, for a request that has passed its guards before: the value that it returns, or an
        awaitable of one. No middleware runs."""
        return self._unguarded(state)

    # --- the whole call, once per request ---

    def _call(self, state: RequestState) -> Response:
        try:
            response = self.answer(state)
        except HTTPError as error:
            response = state.refused(error)
        session = state.session
        if session is not None:
            if session.calls is not None:
                state.wait(session.calls.settled)
            session.save()
        return response

    async def _call_async(self, state: RequestState) -> Response:
        try:
            response = await self.answer_async(state)
        except HTTPError as error:
            response = state.refused(error)
        session = state.session
        if session is not None:
            if session.calls is not None:
                await session.calls.settled()
            await state.in_thread(session.save)
        return response

    # --- one step and those behind it ---

    def answer(self, state: RequestState, index: int = 0) -> Response:
        """The response of the middleware at ``index`` and what is behind it, for a thread that may block."""
        middleware = self._middleware
        if index >= len(middleware):
            if self.runs_async:
                return state.answer_on_loop(lambda: self.answer_async(state, index))
            if state.is_static:
                if not state.is_listed():
                    return self._unlisted(state)
                return _typed(state, self._checked(_awaited(state, self._bound(state))))
            value = self._bound(state)
            if value.__class__ is Response and self.status is None:
                made: Response = value
                return made
            return self._checked(_awaited(state, value))
        step = middleware[index]
        if step.is_async:
            return state.answer_on_loop(lambda: self.answer_async(state, index))
        next_ = Next(lambda target: self._behind(state, index + 1, target))
        return step.checked(_awaited(state, step.target(Context(state), next_)), next_)

    async def answer_async(self, state: RequestState, index: int = 0) -> Response:
        """The response of the middleware at ``index`` and what is behind it, on an event loop."""
        middleware = self._middleware
        is_last = index >= len(middleware)
        if not (self.runs_async if is_last else middleware[index].is_async):
            return await state.answer_in_thread(lambda: self.answer(state, index))
        if is_last:
            if state.is_static:
                if not await state.in_thread(state.is_listed):
                    return await state.answer_in_thread(lambda: self._unlisted(state))
                return _typed(state, self._checked(await self._bound(state)))
            return self._checked(await self._bound(state))
        step = middleware[index]
        next_ = AsyncNext(lambda target: self._behind_async(state, index + 1, target))
        value = await step.target(AsyncContext(state), next_)
        if isinstance(value, Awaitable):  # return next()
            value = await value
        return step.checked(value, next_)

    def _behind(self, state: RequestState, index: int, target: Target | None) -> Response:
        try:
            if target is None:
                return self.answer(state, index)
            handler, state = state.rewritten(target, counts=False)
            return handler.answer(state, index)
        except HTTPError as error:  # middleware sees a response
            return state.refused(error)

    async def _behind_async(self, state: RequestState, index: int, target: Target | None) -> Response:
        try:
            if target is None:
                return await self.answer_async(state, index)
            handler, state = state.rewritten(target, counts=False)
            return await handler.answer_async(state, index)
        except HTTPError as error:
            return state.refused(error)

    def _unlisted(self, state: RequestState) -> Response:
        """The answer for a path that a static endpoint does not have."""
        return state.unlisted().answer(state, len(self._middleware))

    def _checked(self, value: Any) -> Response:
        """Return ``value``, with the handler's status.

        Raises:
            WrongAnswer: it is no response.
        """
        if not isinstance(value, Response):
            raise wrong_answer(self._name, value, "return Response(...) or Response.json(...)")
        if self.status is not None and value.status == 200:
            copied: Response = copy.copy(value)  # it may be one for many requests
            copied.status = self.status
            return copied
        return value


def _typed(state: RequestState, response: Response) -> Response:
    """The response of a static endpoint, with the type that its file would have where it says none."""
    if response.headers.has("content-type") or (response.body is None and response.status != 200):
        return response
    copied: Response = copy.copy(response)  # it may be one for many requests
    copied.headers = response.headers
    copied.headers.set("Content-Type", content_type(state.path))
    return copied


def _awaited(state: RequestState, value: Any) -> Any:
    """``value``, awaited where it is awaitable: of an ``async def`` inside a decorator that hides it."""
    return state.wait(lambda: value) if isinstance(value, Awaitable) else value
