"""What answers a request for an endpoint: a handler behind the site's middleware, each run where its kind runs."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from wixhttp.endpoints.web.response import Response
from wixhttp.errors import HTTPError
from wixhttp.http.policy import Policy, policy_of
from wixhttp.project.signatures import is_async_callable, place_of

from .context import AsyncContext, Context, bind
from .middleware import AsyncNext, Middleware, Next, wrong_answer
from .request_state import Exchange


class Handler:
    """One method of one route, with the middleware in front of it.

    ``exported_name`` is what the log calls it. ``is_async`` is the kind of what is called first. ``call`` gives a web
    `Response`, or an awaitable of one.
    """

    __slots__ = (
        "_bound", "_middleware", "_name", "call", "exported_name", "file", "is_async", "is_threaded", "line", "method",
        "policy", "runs_async", "status", "summary",
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
        self.status = status  # that takes the place of 200: of the pages for errors
        self._name = f"{method} of {self.file}"
        self._bound = bind(self._name, target, AsyncContext if self.runs_async else Context)
        self._middleware = tuple(middleware)
        self.is_async = middleware[0].is_async if middleware else self.runs_async
        self.is_threaded = not (self.runs_async and all(each.is_async for each in middleware))  # in part, at least
        self.call: Callable[[Exchange], Any] = self._call_async if self.is_async else self._call

    # --- the whole of it, once per request ---

    def _call(self, exchange: Exchange) -> Response:
        try:
            response = self.answer(exchange)
        except HTTPError as error:
            response = exchange.refused(error)
        if exchange.session is not None:
            exchange.session.save()
        return response

    async def _call_async(self, exchange: Exchange) -> Response:
        try:
            response = await self.answer_async(exchange)
        except HTTPError as error:
            response = exchange.refused(error)
        if exchange.session is not None:
            await exchange.in_thread(exchange.session.save)
        return response

    # --- one step and those behind it ---

    def answer(self, exchange: Exchange, index: int = 0) -> Response:
        """The response of the middleware at ``index`` and what is behind it, for a thread that may wait."""
        middleware = self._middleware
        if index == len(middleware):
            if self.runs_async:
                return exchange.wait(lambda: self.answer_async(exchange, index))
            if exchange.is_static and not exchange.is_listed():
                return self._unlisted(exchange)
            value = self._bound(exchange)
            if value.__class__ is Response and self.status is None:
                made: Response = value
                return made
            return self._checked(_awaited(exchange, value))
        step = middleware[index]
        if step.is_async:
            return exchange.wait(lambda: self.answer_async(exchange, index))
        next_ = Next(lambda: self._behind(exchange, index + 1))
        return step.checked(_awaited(exchange, step.target(Context(exchange), next_)), next_)

    async def answer_async(self, exchange: Exchange, index: int = 0) -> Response:
        """The response of the middleware at ``index`` and what is behind it, on an event loop."""
        middleware = self._middleware
        is_last = index == len(middleware)
        if not (self.runs_async if is_last else middleware[index].is_async):
            return await exchange.in_thread(lambda: self.answer(exchange, index))
        if is_last:
            if exchange.is_static and not await exchange.in_thread(exchange.is_listed):
                return await exchange.in_thread(lambda: self._unlisted(exchange))
            return self._checked(await self._bound(exchange))
        step = middleware[index]
        next_ = AsyncNext(lambda: self._behind_async(exchange, index + 1))
        value = await step.target(AsyncContext(exchange), next_)
        if isinstance(value, Awaitable):  # return next()
            value = await value
        return step.checked(value, next_)

    def _behind(self, exchange: Exchange, index: int) -> Response:
        try:
            return self.answer(exchange, index)
        except HTTPError as error:  # a middleware sees the response that it is
            return exchange.refused(error)

    async def _behind_async(self, exchange: Exchange, index: int) -> Response:
        try:
            return await self.answer_async(exchange, index)
        except HTTPError as error:
            return exchange.refused(error)

    def _unlisted(self, exchange: Exchange) -> Response:
        """The answer for a path that a static endpoint does not have."""
        page = exchange.not_found_page
        if page is None:
            raise exchange.refusal
        exchange.is_static = False
        response: Response = page.answer(exchange, len(self._middleware))
        return response

    def _checked(self, value: Any) -> Response:
        """``value``, where it is a response.

        Raises:
            WrongAnswer: it is anything else.
        """
        if not isinstance(value, Response):
            raise wrong_answer(self._name, value, "return Response(...) or Response.json(...)")
        if self.status is not None and value.status == 200:
            copied: Response = copy.copy(value)  # it may be one for many requests
            copied.status = self.status
            return copied
        return value


def _awaited(exchange: Exchange, value: Any) -> Any:
    """``value``, awaited where it is awaitable: of an ``async def`` inside a decorator that does not say so."""
    return exchange.wait(lambda: value) if isinstance(value, Awaitable) else value
