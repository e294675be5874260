"""The context of a request, which handlers take whole, or members of it by name (Astro's ``APIContext``).

https://docs.astro.build/en/reference/api-reference/
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

from wixhttp.endpoints.web.cookies import Cookies
from wixhttp.endpoints.web.request import AsyncRequest, Request
from wixhttp.endpoints.web.response import Response
from wixhttp.endpoints.web.url import URL
from wixhttp.errors import HeadersSent, ProjectError
from wixhttp.messages import brief, nearest
from wixhttp.project.signatures import parameters_of, place_of
from wixhttp.promises import Promise, Reading

from .locals import Locals
from .request_state import RequestState, Target

if TYPE_CHECKING:
    from .session import AsyncSession, Session


class _BaseContext:
    """The members that both kinds of context have: all but those that are awaited in an ``async def``."""

    __slots__ = ("_state",)

    def __init__(self, state: RequestState) -> None:
        self._state = state

    @property
    def params(self) -> dict[str, str | None]:
        """The parts of the path that the file's name leaves open; an empty ``[...rest]`` is ``None``."""
        return self._state.params

    @property
    def url(self) -> URL:
        """The URL of the request. ``url.pathname`` is the one string that router and params see."""
        return self._state.url

    @property
    def cookies(self) -> Cookies:
        """The cookies of the request, and those that the response will set."""
        return self._state.cookies

    @property
    def locals(self) -> Locals:
        """Values that middleware and handler share, by attribute or key. It is the request's own, and cannot be
        replaced."""
        return self._state.locals

    @locals.setter
    def locals(self, value: object) -> NoReturn:
        raise AttributeError("context.locals cannot be replaced; set what is in it: context.locals.user = ...")

    @property
    def props(self) -> Mapping[str, Any]:
        """The props that ``getStaticPaths`` lists for this path; in ``500.py`` the ``error``; else empty."""
        return self._state.props

    @property
    def site(self) -> URL:
        """The setting ``public_url``.

        Raises:
            Unavailable: it is not set.
        """
        state = self._state
        if state.endpoints.site is None:
            raise state.unavailable("site", "set public_url")
        return state.endpoints.site

    @property
    def clientAddress(self) -> str:
        """The client's address; behind trusted proxies the one that they forward.

        Raises:
            Unavailable: the endpoint is static.
        """
        state = self._state
        if state.is_static:
            raise state.unavailable("clientAddress", "it is static, and answers nobody in particular")
        return state.head.client

    @property
    def routePattern(self) -> str:
        """The route as its file names it: ``/api/users/[id]``; of an unmatched path ``/404``."""
        route = self._state.route
        return "/404" if route is None else route.pattern.text

    @property
    def isPrerendered(self) -> bool:
        """True if the endpoint is static."""
        return self._state.is_static

    @property
    def preferredLocale(self) -> str | None:
        """The one of the configured ``locales`` that ``Accept-Language`` prefers; ``None`` where it accepts none.

        Raises:
            Unavailable: no locales are configured, or the endpoint is static.
        """
        state = self._state
        locales = state.endpoints.locales
        if not locales:
            raise state.unavailable("preferredLocale", "set locales = ['en', ...]")
        if state.is_static:
            raise state.unavailable("preferredLocale", "it is static, and answers nobody in particular")
        return preferred_locale(state.head.header("accept-language"), locales)

    def redirect(self, path: str | URL, status: int = 302) -> Response:
        """A response that leads elsewhere: to a path of the site, or to a whole ``https://`` URL.

        Raises:
            ValueError: the status is not 301, 302, 303, 307 or 308.
            InvalidInput: 400, the path is empty, or leads to another site unsaid (``//``).
            HeadersSent: within a stream, the headers of the response are out.
        """
        if self._state.is_answered:
            raise HeadersSent(f"the client cannot be redirected to {brief(str(path))}")
        return Response.redirect(path, status)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.head.method} {self._state.path}>"


class Context(_BaseContext):
    """The context of a ``def``."""

    __slots__ = ()

    @property
    def request(self) -> Request:
        """The request: headers, and a body that is read once."""
        return self._state.request(Request)

    @property
    def session(self) -> Session:
        """The visitor's session, kept in the project's data store; loaded lazily."""
        from .session import Session

        return Session.of(self._state)

    def rewrite(self, target: Target) -> Response:
        """The response of another path of the site, or of a `Request` for one, through routing and middleware again.

        Raises:
            HTTPError: 508 where it is the fourth in a row.
            InvalidInput: 400, the target is on another site, or is no URL.
            TypeError: it is neither text nor URL nor Request.
        """
        handler, state = self._state.rewritten(target)
        return handler.answer(state)


class AsyncContext(_BaseContext):
    """The context of an ``async def``: that of ``Context``, with ``rewrite`` and the readers of ``request`` and
    ``session`` awaited."""

    __slots__ = ()

    @property
    def request(self) -> AsyncRequest:
        """The request: headers, and a body that is read once."""
        return self._state.request(AsyncRequest)

    @property
    def session(self) -> AsyncSession:
        """The visitor's session, kept in the project's data store; loaded lazily."""
        from .session import AsyncSession

        return AsyncSession.of(self._state)

    def rewrite(self, target: Target) -> Promise[Response]:
        """See ``Context.rewrite``."""
        return Reading("rewrite(...)", lambda: self._rewrite(target))

    async def _rewrite(self, target: Target) -> Response:
        handler, state = self._state.rewritten(target)
        return await handler.answer_async(state)


MEMBERS = tuple(name for name in dir(Context) if not name.startswith("_"))
"""The names that a handler may ask for."""


_SHARED = frozenset(
    {"cookies", "locals", "params", "props", "url"}
)  # members that a RequestState has by the same names


def preferred_locale(accepted: str | None, locales: tuple[str, ...]) -> str | None:
    """The one of ``locales`` that an ``Accept-Language`` header (RFC 9110, 12.5.4) prefers, or ``None``."""
    from werkzeug.datastructures import LanguageAccept
    from werkzeug.http import parse_accept_header

    return parse_accept_header(accepted, LanguageAccept).best_match(locales) if accepted else None


def bind(name: str, target: Callable[..., Any], kind: type[Context | AsyncContext]) -> Callable[[RequestState], Any]:
    """``target`` as a callable of the request's state, whatever it takes: the context, or members of it by name.

    Raises:
        ProjectError: a parameter is no member, or there are several that cannot be passed by name.
    """
    try:
        parameters = parameters_of(target)
    except (TypeError, ValueError):  # a callable written in C without a signature
        return lambda state: target(kind(state))
    if not parameters:
        return lambda state: target()
    first = parameters[0]
    is_named = first.name in MEMBERS and first.kind is not first.POSITIONAL_ONLY
    if not is_named and first.kind not in (first.KEYWORD_ONLY, first.VAR_KEYWORD) and _is_alone(parameters):
        return lambda state: target(kind(state))
    unknown = [p.name for p in parameters if p.name not in MEMBERS or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if unknown:
        file, line = place_of(target)
        raise ProjectError(
            f"{name} ({file}:{line}) asks for {', '.join(unknown)}{_nearly(unknown[0])}. "
            f"A handler takes the whole context, or members of it by name: {', '.join(MEMBERS)}"
        )
    return _by_name(target, parameters, kind)


def _nearly(name: str) -> str:
    hint = nearest(name, MEMBERS)
    return f"; {hint}" if hint.startswith("did") else ""


def _is_alone(parameters: list[inspect.Parameter]) -> bool:
    """Return whether a call need pass the first parameter only."""
    return all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters[1:])


def _by_name(
    target: Callable[..., Any], parameters: list[inspect.Parameter], kind: type[Context | AsyncContext]
) -> Callable[[RequestState], Any]:
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    if not keywords and _SHARED.issuperset(positional):
        shared = attrgetter(*positional)
        if len(positional) == 1:
            return lambda state: target(shared(state))
        return lambda state: target(*shared(state))

    if not keywords:
        get = attrgetter(*positional)
        if len(positional) == 1:
            return lambda state: target(get(kind(state)))
        return lambda state: target(*get(kind(state)))

    def call(state: RequestState) -> Any:
        context = kind(state)
        named = {name: getattr(context, name) for name in keywords}
        return target(*[getattr(context, name) for name in positional], **named)

    return call
