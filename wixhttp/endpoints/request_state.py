"""One request for an endpoint on its way: what its middleware, its handler and its rewrites share.

Members that cost something are made when they are read. `context` shows them to users' code.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Protocol, TypeVar

from wixhttp.concurrency.bridge import Bridge, WaitGroup
from wixhttp.endpoints.web.cookies import Cookies
from wixhttp.endpoints.web.request import AsyncRequest, Content, Request
from wixhttp.endpoints.web.response import Response, web_response
from wixhttp.endpoints.web.url import URL, URLSearchParams
from wixhttp.errors import HTTPError, Unavailable
from wixhttp.http.body import SpooledBody
from wixhttp.http.request_head import Head, PlainHead
from wixhttp.http.response import Response as CoreResponse
from wixhttp.http.url import DEFAULT_PORTS
from wixhttp.project.config import Config

MOST_REWRITES = 3
_NO_COOKIES: list[str] = []
_FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})

_Request = TypeVar("_Request", Request, AsyncRequest)
_Value = TypeVar("_Value")

logger = logging.getLogger("wixhttp")


class Route(Protocol):
    """What a request knows of its route: that of `table`."""

    pattern: Any
    file_name: str
    is_static: bool
    methods: Any
    static_paths: Any


class Routing(Protocol):
    """What a request asks of the site's endpoints: those of `table`."""

    bridge: Bridge
    config: Config
    error_page: Any
    locales: tuple[str, ...]
    not_found_page: Any
    prefix: str
    site: URL | None
    warned: set[tuple[str, str]]

    def handler(self, exchange: Exchange) -> Any:
        """What answers a request."""

    def page(self, route: Any, method: str) -> Any:
        """The handler of a page for errors, or ``None``."""

    def rewritten(self, exchange: Exchange, url: URL) -> Exchange:
        """The request for another URL."""


class Saved(Protocol):
    """A session: that of `session`."""

    def save(self) -> None:
        """Write what has changed."""


class Locals(SimpleNamespace):
    """What middleware and handler tell each other, for one request: ``locals.user`` is ``locals["user"]``."""

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(f"locals has no {name!r}; a middleware sets it: context.locals[{name!r}] = ...") from None

    def __setitem__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        del self.__dict__[name]

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def get(self, name: str, default: Any = None) -> Any:
        """The value under a name, else ``default``."""
        return self.__dict__.get(name, default)


class _HeadOfNone(PlainHead):
    """The head that a static endpoint sees: nothing of who asks is known when it is built."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        head = exchange.head
        super().__init__("GET", head.path, scheme=head.scheme, host=head.host, client="")
        self.request_id = head.request_id
        self._exchange = exchange

    def fields(self) -> Iterable[tuple[str, str]]:
        self._exchange.warn("request.headers")
        return ()


class _URLOfNone(URL):
    """The URL that a static endpoint sees: without a query."""

    __slots__ = ("_exchange",)

    _exchange: Exchange

    @classmethod
    def seen_by(cls, exchange: Exchange, origin: str, pathname: str) -> _URLOfNone:
        """The URL of a request."""
        url: _URLOfNone = cls.of(origin, pathname, "")  # type: ignore[assignment]  # of the class it is asked of
        url._exchange, url._href = exchange, URL.of(origin, pathname, "").href
        return url

    @property
    def search(self) -> str:
        self._exchange.warn("url.search")
        return ""

    @property
    def searchParams(self) -> URLSearchParams:
        self._exchange.warn("url.searchParams")
        return super().searchParams


class Exchange:
    """A request for a path. ``path`` is the one string that all see; ``route`` is ``None`` where none matches.

    ``bridge`` leads to the loop that serves. ``refuse`` makes the response that an HTTP error is. ``depth`` counts the
    rewrites that led here. ``is_static``: nothing of the request itself is known, as when the site is built.
    """

    __slots__ = (
        "_content", "_cookies", "_first", "_locals", "_refusal", "_requests", "_session", "_url", "body", "bridge",
        "built", "cookie_fields", "depth", "endpoints", "head", "is_static", "moved", "origin", "params", "path",
        "props", "query", "refuse", "route", "timeout", "working",
    )  # fmt: skip

    refuse: Callable[[Head, HTTPError], CoreResponse]

    def __init__(
        self,
        endpoints: Routing,
        head: Head,
        origin: str,
        path: str,
        route: Route | None,
        params: dict[str, str | None],
    ) -> None:
        self.endpoints = endpoints
        self.head = head
        self.origin = origin
        self.path = path
        self.query = head.query
        self.route = route
        self.params = params
        self.props: Mapping[str, Any] = {}
        self.depth = 0
        self.is_static = route is not None and route.is_static
        self.bridge: Bridge = endpoints.bridge
        self.body: bytes | SpooledBody = b""
        self.moved: str | None = None
        self.built: Any = None
        self._first: Exchange | None = None
        self._session: Saved | None = None
        self.timeout = 0.0
        self.working: WaitGroup | None = None
        self.cookie_fields: list[str] = _NO_COOKIES
        self._content: Content | None = None
        self._cookies: Cookies | None = None
        self._locals: Locals | None = None
        self._url: URL | None = None
        self._refusal: HTTPError | None = None
        self._requests: dict[type, Request | AsyncRequest] = {}

    # --- for the dispatcher ---

    @property
    def methods(self) -> Any:
        """The handlers of its route by method; ``None`` where there is no route."""
        return None if self.route is None else self.route.methods

    def check_origin(self) -> None:
        """See to it that a form was sent from a page of the site itself: others' pages can send forms, too.

        Raises:
            HTTPError: 403, it was not.
        """
        head = self.head
        kind = head.header("content-type")
        if kind and kind.partition(";")[0].strip().lower() not in _FORM_TYPES:
            return
        given = head.header("origin")
        own = self.public_origin
        if given is None or given.lower() != own:
            raise HTTPError(
                403,
                "Forms and requests without a Content-Type are taken from the site's own pages only.",
                reason=f"the header Origin is {given!r}, not {own!r} (settings check_origin, public_url)",
            )

    def take_body(self, body: bytes | SpooledBody) -> None:
        """Give the request its body."""
        self.body = body
        if not isinstance(body, bytes):  # whoever reads it reads from one file
            self._content = Content(body.file, self.head.header("content-type"))

    def finish(self, response: Any) -> CoreResponse:
        """The response to send, which may be one for many requests; ``cookie_fields`` go with it."""
        if self._cookies is not None:
            self.cookie_fields = self._cookies.headers()
        return response  # type: ignore[no-any-return]  # a handler's `call` gives nothing else

    def error_page(self, error: BaseException) -> Any:
        """The handler of ``500.py`` and the request that it answers; ``None`` without it, or where it failed itself."""
        page = self.endpoints.error_page
        handler = self.endpoints.page(page, self.head.method)
        if handler is None or self.route is page:
            return None
        shown = Exchange(self.endpoints, self.head, self.origin, self.path, page, {})
        shown.props = {"error": error}
        shown.bridge, shown.refuse = self.bridge, self.refuse
        shown._cookies, shown._locals, shown._content = self._cookies, self._locals, self._content
        shown.body, shown.timeout = self.body, self.timeout
        return handler, shown

    # --- for contexts ---

    @property
    def public_origin(self) -> str:
        """Scheme and host of the site as it was called, or as ``public_url`` fixes them."""
        if self.origin:
            return self.origin
        head = self.head
        host = (head.host or "localhost").lower().rstrip(":")
        return f"{head.scheme}://{host.removesuffix(':' + DEFAULT_PORTS.get(head.scheme, ''))}"

    @property
    def visible_head(self) -> Head:
        """What the handler may see of the request: nothing where it is static."""
        return _HeadOfNone(self) if self.is_static else self.head

    @property
    def url(self) -> URL:
        """The URL, with the one path string."""
        url = self._url
        if url is None:
            origin, pathname = self.public_origin, self.head.base + self.path
            known = not self.is_static
            url = URL.of(origin, pathname, self.query) if known else _URLOfNone.seen_by(self, origin, pathname)
            self._url = url
        return url

    @property
    def content(self) -> Content:
        """The body, which all faces of this request share."""
        content = self._content
        if content is None:
            body = self.body if isinstance(self.body, bytes) else b""
            content = self._content = Content(body, self.head.header("content-type"))
        return content

    @property
    def cookies(self) -> Cookies:
        """The cookies of request and response."""
        cookies = self._cookies
        if cookies is None:
            if self.is_static:
                self.warn("cookies")
            cookies = self._cookies = Cookies(None if self.is_static else self.head.header("cookie"))
        return cookies

    @property
    def locals(self) -> Locals:
        """What middleware and handler tell each other."""
        if self._locals is None:
            self._locals = Locals()
        return self._locals

    @property
    def not_found_page(self) -> Any:
        """The handler of ``404.py``, or ``None``."""
        return self.endpoints.page(self.endpoints.not_found_page, self.head.method)

    @property
    def session(self) -> Saved | None:
        """The session, where it was used: one for the request and all that it was rewritten to."""
        return (self._first or self)._session

    @session.setter
    def session(self, session: Saved) -> None:
        (self._first or self)._session = session

    @property
    def refusal(self) -> HTTPError:
        """Why there is no handler for it; to be raised, once: it would hold its traceback, and that this request."""
        refusal, self._refusal = self._refusal, None
        return refusal or HTTPError(404, "There is nothing at this path.")

    @refusal.setter
    def refusal(self, error: HTTPError) -> None:
        self._refusal = error

    def request(self, kind: type[_Request]) -> _Request:
        """The request, for one kind of handler."""
        made = self._requests.get(kind)
        if made is None:
            made = self._requests[kind] = kind.of(self.visible_head, self.url, self.content)
        return made  # type: ignore[return-value]  # kept under its kind

    def refused(self, error: HTTPError) -> Response:
        """An HTTP error as the web response that it is."""
        return web_response(self.refuse(self.head, error))

    def wait(self, start: Callable[[], Awaitable[_Value]]) -> _Value:
        """What awaiting ``start()`` on the loop that serves gives, for a thread that may wait.

        Raises:
            HTTPError: 504, the time of the call is over.
        """
        value: _Value = self.bridge.wait(start, self.timeout)
        return value

    async def in_thread(self, work: Callable[[], _Value]) -> _Value:
        """What ``work()`` gives on a thread, which holds the slot of the request until it has ended."""
        working = self.working
        if working is None:
            working = self.working = WaitGroup()
        working.begin()
        return await self.bridge.in_thread(work, working.end)

    def rewritten(self, target: str | URL) -> Exchange:
        """The request for another path of the site, which shares everything but path and query with this one.

        Raises:
            HTTPError: 508 past three rewrites.
            ValueError: the target is on another site.
        """
        if self.depth >= MOST_REWRITES:
            raise HTTPError(508, "The request goes round in circles.", reason=f"more than {MOST_REWRITES} rewrites")
        shared = self.cookies, self.locals, self.content
        made = self.endpoints.rewritten(self, URL(str(target), self.url))
        made.depth = self.depth + 1
        made._cookies, made._locals, made._content = shared
        made.refuse, made.bridge, made.timeout = self.refuse, self.bridge, self.timeout
        if self.working is None:
            self.working = WaitGroup()
        made.working = self.working
        made._first = self._first or self
        made.is_static = made.is_static or self.is_static
        return made

    def is_listed(self) -> bool:
        """Whether ``getStaticPaths`` gives the path of a static endpoint, whose ``props`` are known then. May wait."""
        paths = None if self.route is None else self.route.static_paths
        if paths is None:
            return True
        props = paths.props_of(self.params, self.wait)
        if props is None:
            return False
        self.props = props
        return True

    def unavailable(self, member: str, reason: str) -> Unavailable:
        """The error for a member that is not there."""
        where = self.route.file_name if self.route is not None else "this path"
        return Unavailable(f"context.{member} is not available in {where}: {reason}")

    def warn(self, member: str) -> None:
        """Say, once, that a static endpoint reads what is not known when it is built."""
        where = self.route.file_name if self.route is not None else "this path"
        if (where, member) not in self.endpoints.warned:
            self.endpoints.warned.add((where, member))
            logger.warning("%s is static (prerender = True) and reads %s, which is empty in it", where, member)
