"""The state of one request for an endpoint, shared by its middleware, its handler and its rewrites.

Members that cost something are made when they are first read. Users' code sees them through `context`.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from wixhttp.concurrency.bridge import Bridge, WaitGroup
from wixhttp.endpoints.routing.patterns import Pattern
from wixhttp.endpoints.static.manifest import Built
from wixhttp.endpoints.static.public_files import PublicFile
from wixhttp.endpoints.static.static_paths import StaticPaths
from wixhttp.endpoints.web.cookies import Cookies
from wixhttp.endpoints.web.request import AsyncRequest, Request, SharedBody
from wixhttp.endpoints.web.response import Response, web_response
from wixhttp.endpoints.web.url import URL
from wixhttp.errors import HTTPError, InvalidInput, Unavailable
from wixhttp.http.allowed_methods import MethodTable
from wixhttp.http.body import SpooledBody, too_large
from wixhttp.http.encoding import as_stream
from wixhttp.http.policy import Policy
from wixhttp.http.problem import error_response
from wixhttp.http.request_head import Head
from wixhttp.logs.refusals import log_reason
from wixhttp.project.config import Config

from .csrf import public_origin
from .locals import Locals
from .prerendered_request import PrerenderedHead, PrerenderedURL

MOST_REWRITES = 3
_NO_COOKIES: list[str] = []

Target = str | URL | Request | AsyncRequest
"""Where a request can be rewritten to: a path or a URL of the site, or a whole request for one."""

_Request = TypeVar("_Request", Request, AsyncRequest)
_Value = TypeVar("_Value")

logger = logging.getLogger("wixhttp")


class RequestHandler(Protocol):
    """A handler as a request and the dispatcher know it: `handlers.EndpointHandler`."""

    exported_name: str
    is_async: bool
    is_threaded: bool
    policy: Policy
    call: Callable[[RequestState], Any]

    def answer(self, state: RequestState, index: int = 0) -> Response:
        """The response of the middleware at ``index`` and what is behind it, for a thread that may block."""

    def answer_async(self, state: RequestState, index: int = 0) -> Awaitable[Response]:
        """The response of the middleware at ``index`` and what is behind it, on an event loop."""


class MatchedRoute(Protocol):
    """A route as a request knows it: `endpoint_table.Route`."""

    @property
    def pattern(self) -> Pattern:
        """Its pattern."""

    @property
    def file_name(self) -> str:
        """Its file, as messages name it."""

    @property
    def methods(self) -> MethodTable[RequestHandler]:
        """Its handlers by method."""

    @property
    def static_paths(self) -> StaticPaths | None:
        """The paths of a static route that has parameters."""


class RouteMatch:
    """The outcome of routing: the path string of a request, and what there is at it.

    ``route`` is ``None`` where no route matches. ``built`` is the file of the path: of a build, or a public one.
    ``is_static``: a static route that is answered by its code. ``moved`` is the raw URL to redirect to
    (``trailing_slash``).
    """

    __slots__ = ("built", "is_static", "moved", "params", "path", "route")

    def __init__(
        self,
        path: str,
        route: MatchedRoute | None,
        params: dict[str, str | None],
        is_static: bool = False,
        built: Built | PublicFile | None = None,
    ) -> None:
        self.path = path
        self.route = route
        self.params = params
        self.is_static = is_static
        self.built = built
        self.moved: str | None = None


class RequestRouter(Protocol):
    """The endpoints of a site as a request knows them: `endpoint_table.Endpoints`."""

    bridge: Bridge
    config: Config
    locales: tuple[str, ...]
    prefix: str
    site: URL | None
    warned: set[tuple[str, str]]

    @property
    def error_page(self) -> MatchedRoute | None:
        """The route of ``500.py``."""

    def error_handler(self, method: str) -> RequestHandler | None:
        """The handler of ``500.py`` for a method."""

    def not_found_handler(self, method: str) -> RequestHandler | None:
        """The handler of ``404.py`` for a method."""

    def rewritten(self, head: Head, own: URL, url: URL) -> RouteMatch:
        """The match of another URL of the site."""

    def select(
        self, match: RouteMatch, head: Head, public_url: str, is_rewrite: bool = False
    ) -> tuple[RequestHandler | None, HTTPError | None]:
        """The handler of a match, and the error that it is to answer with."""


class SettledCalls(Protocol):
    """The calls of a session as a request knows them: `session_calls.SessionCalls`."""

    async def settled(self) -> None:
        """Wait for all of them. Raises the error of a change that nobody awaited."""


class SavedSession(Protocol):
    """A session as a request knows it: `session_store.SessionState`."""

    @property
    def calls(self) -> SettledCalls | None:
        """The calls of an ``async def`` that came before it was loaded."""

    def save(self) -> None:
        """Write what has changed."""


class RequestState:
    """A request for a path. ``path`` is the path string that all see; ``route`` is ``None`` where none matches.
    ``cookie_fields`` go with the answer; ``None`` until that is made.

    ``public_url`` is the setting, or empty. ``timeout`` is in seconds, 0 for none. ``refusal`` is the error to answer
    with where there is no handler. ``bridge`` leads to the event loop that serves. ``depth`` counts the rewrites that
    led here. ``is_static``: nothing of the request itself is known, as when the site is built. ``running_threads``
    counts the threads of the request, ``None`` before the first. ``stream_context`` is the context of the handler whose
    streamed answer came over a bridge, ``None`` for that of the call.

    With ``shared`` it has the cookies, ``locals`` and body of that request.
    """

    __slots__ = (
        "_content",
        "_cookies",
        "_first",
        "_locals",
        "_refusal",
        "_requests",
        "_session",
        "_url",
        "body",
        "bridge",
        "built",
        "cookie_fields",
        "depth",
        "endpoints",
        "head",
        "is_static",
        "params",
        "path",
        "props",
        "public_url",
        "query",
        "route",
        "running_threads",
        "stream_context",
        "timeout",
    )  # fmt: skip

    def __init__(
        self,
        endpoints: RequestRouter,
        head: Head,
        public_url: str,
        match: RouteMatch,
        timeout: float,
        refusal: HTTPError | None = None,
        props: Mapping[str, Any] | None = None,
        shared: RequestState | None = None,
    ) -> None:
        self.endpoints = endpoints
        self.head = head
        self.public_url = public_url
        self.path = match.path
        self.route = match.route
        self.params = match.params
        self.is_static = match.is_static
        self.built = match.built
        self.query = head.query
        self.props: Mapping[str, Any] = {} if props is None else props
        self.timeout = timeout
        self.depth = 0
        self.body: bytes | SpooledBody = b""
        self.running_threads: WaitGroup | None = None
        self.stream_context: contextvars.Context | None = None
        self.cookie_fields: list[str] | None = None
        self._first: RequestState | None = None
        self._session: SavedSession | None = None
        self._url: URL | None = None
        self._refusal = refusal
        self._requests: dict[type, Request | AsyncRequest] | None = None
        self._content: SharedBody | None
        self._cookies: Cookies | None
        self._locals: Locals | None
        if shared is None:
            self.bridge = endpoints.bridge
            self._content = self._cookies = self._locals = None
        else:
            self.bridge = shared.bridge
            self._content, self._cookies, self._locals = shared._content, shared._cookies, shared._locals

    # --- for the dispatcher ---

    def start(self, body: bytes | SpooledBody, bridge: Bridge | None = None) -> None:
        """Give the request its body, and the bridge to the event loop that serves; ``None``: that of the endpoints."""
        self.body = body
        if not isinstance(body, bytes):  # all readers share one file
            self._content = SharedBody(body.file, self.head.header("content-type"))
        if bridge is not None:
            self.bridge = bridge

    def finish(self, response: Any) -> Response:
        """The response to send. ``cookie_fields`` go with it, and not into it: it may be one for many requests."""
        cookies = self._cookies
        if cookies is None:
            self.cookie_fields = _NO_COOKIES
        else:
            self.cookie_fields = cookies.headers()
            cookies.close()
        return response  # type: ignore[no-any-return]  # a handler's `call` gives nothing else

    def error_page(self, error: BaseException) -> tuple[RequestHandler, RequestState] | None:
        """The handler of ``500.py`` and the request that it answers; ``None`` without it, or where it failed itself."""
        endpoints = self.endpoints
        page = endpoints.error_page
        handler = endpoints.error_handler(self.head.method)
        if handler is None or self.route is page:
            return None
        match = RouteMatch(self.path, page, {})
        shown = RequestState(
            endpoints, self.head, self.public_url, match, self.timeout, props={"error": error}, shared=self
        )
        shown.body = self.body
        if shown._cookies is not None:
            shown._cookies.reopen()
        return handler, shown

    # --- for contexts ---

    @property
    def visible_head(self) -> Head:
        """The head that the handler sees: of a static endpoint nothing that a client sent."""
        return PrerenderedHead(self.head, self.warn) if self.is_static else self.head

    @property
    def url(self) -> URL:
        """The URL, with the path string as its ``pathname``."""
        url = self._url
        if url is None:
            origin, pathname = public_origin(self.head, self.public_url), self.head.base + self.path
            known = not self.is_static
            url = URL.of(origin, pathname, self.query) if known else PrerenderedURL.seen_by(self.warn, origin, pathname)
            self._url = url
        return url

    @property
    def content(self) -> SharedBody:
        """The body, which all Request objects of this request share."""
        content = self._content
        if content is None:
            body = self.body if isinstance(self.body, bytes) else b""
            content = self._content = SharedBody(body, self.head.header("content-type"))
        return content

    @property
    def cookies(self) -> Cookies:
        """The cookies of request and response."""
        cookies = self._cookies
        if cookies is None:
            if self.is_static:
                self.warn("cookies")
            cookies = self._cookies = Cookies(None if self.is_static else self.head.header("cookie"))
            if self.is_answered:
                cookies.close()
        return cookies

    @property
    def locals(self) -> Locals:
        """Values that middleware and handler share."""
        if self._locals is None:
            self._locals = Locals()
        return self._locals

    @property
    def session(self) -> SavedSession | None:
        """The session, where it was used: one for the request and all that it was rewritten to."""
        return (self._first or self)._session

    @session.setter
    def session(self, session: SavedSession) -> None:
        (self._first or self)._session = session

    @property
    def is_answered(self) -> bool:
        """True once the headers of the answer are made: within its stream."""
        return (self._first or self).cookie_fields is not None

    @property
    def is_rewritten(self) -> bool:
        """True of a request that another one was rewritten to."""
        return self._first is not None

    @property
    def received(self) -> RequestState:
        """The request that a client has sent: this one, or that which was rewritten to it."""
        return self._first or self

    def sent_body(self) -> bytes:
        """The body that was sent with the head of this request: by the client, whoever has read it meanwhile, or by the
        middleware that made the request. May block, where it is long.

        Raises:
            BodyAlreadyUsed: it was in a file, or is middleware's, and was read.
        """
        received = self.received
        if self.head is received.head and isinstance(received.body, bytes):
            return received.body
        taken = self.content.clone().take()
        return taken if isinstance(taken, bytes) else taken.read()

    def request(self, kind: type[_Request]) -> _Request:
        """The Request object for one kind of handler."""
        requests = self._requests
        if requests is None:
            requests = self._requests = {}
        made = requests.get(kind)
        if made is None:
            made = requests[kind] = kind.of(self.visible_head, self.url, self.content)
        return made  # type: ignore[return-value]  # kept under its kind

    def refused(self, error: HTTPError) -> Response:
        """The web response that an HTTP error is; its reason goes to the log.

        Raises:
            ValueError: a header of the error cannot be sent.
        """
        log_reason(self.head, error)
        return web_response(error_response(error, self.head.request_id, self.head))

    def take_refusal(self) -> HTTPError:
        """The error for a request without a handler, to be raised. It is forgotten here, which breaks the reference
        cycle error -> traceback -> frame -> request."""
        refusal, self._refusal = self._refusal, None
        return refusal or HTTPError(404, "There is nothing at this path.")

    def wait(self, start: Callable[[], Awaitable[_Value]]) -> _Value:
        """Await ``start()`` on the event loop that serves, and return its value; for a thread that may block.

        Raises:
            HTTPError: 504, the time of the call is over.
        """
        value: _Value = self.bridge.wait(start, self.timeout)
        return value

    @property
    def queue_timeout(self) -> float:
        """Seconds that the handler waits for a thread, 0 for no limit. That of ``500.py`` answers what has begun."""
        endpoints = self.endpoints
        return 0 if self.route is not None and self.route is endpoints.error_page else endpoints.config.queue_timeout

    def answer_on_loop(self, answer: Callable[[], Awaitable[Response]]) -> Response:
        """As `wait`, for the rest of the way to the handler: a stream that it returns is drawn where it was made."""
        context = contextvars.copy_context()
        response: Response = self.bridge.wait(lambda: self._answer_settled(answer), self.timeout, context)
        self._note_stream(response, context)
        return response

    async def _answer_settled(self, answer: Callable[[], Awaitable[Response]]) -> Response:
        """The value of ``answer()``; behind it a ``def`` goes on, which sees the session as it then is."""
        try:
            response = await answer()
        except HTTPError:
            await self._settle_session()
            raise
        await self._settle_session()
        return response

    async def _settle_session(self) -> None:
        """Wait for the calls on the session that an ``async def`` has not awaited: a ``def`` must not overtake them."""
        session = self.session
        if session is not None and session.calls is not None:
            await session.calls.settled()

    async def answer_in_thread(self, answer: Callable[[], Response]) -> Response:
        """As `in_thread`, for the rest of the way to the handler: a stream that it returns is drawn where it was made.

        Raises:
            HTTPError: 503, no thread was free within the setting ``queue_timeout``.
        """
        await self._settle_session()
        context = contextvars.copy_context()
        response = await self.in_thread(answer, self.queue_timeout, context)
        self._note_stream(response, context)
        return response

    def _note_stream(self, response: Response, context: contextvars.Context) -> None:
        first = self._first or self
        if first.stream_context is None and as_stream(response.body) is not None:
            first.stream_context = context

    async def in_thread(
        self, work: Callable[[], _Value], queue_timeout: float = 0, context: contextvars.Context | None = None
    ) -> _Value:
        """Run ``work()`` on a thread, and return its value. The slot of the request is held until it has ended.

        Raises:
            HTTPError: 503, no thread was free within ``queue_timeout`` seconds (0: no limit).
        """
        running_threads = self.running_threads
        if running_threads is None:
            running_threads = self.running_threads = WaitGroup()
        running_threads.begin()
        return await self.bridge.in_thread(work, running_threads.end, queue_timeout, context)

    def rewritten(self, target: Target, *, counts: bool = True) -> tuple[RequestHandler, RequestState]:
        """The request for another path of the site, which shares everything but path and query with this one, and the
        handler that answers it, if only with a refusal. A `Request` has method, headers and body of its own, too. Its
        time is that of the first request. It ``counts`` where all middleware runs again: that could go on without end.

        Raises:
            HTTPError: 508 past three rewrites; 400, the path cannot be decoded; 403 and 413: the target does not take
                the request.
            InvalidInput: 400, the target is on another site, or is no URL.
            TypeError: it is neither text nor URL nor Request.
        """
        if counts and self.depth >= MOST_REWRITES:
            raise HTTPError(508, "The request goes round in circles.", reason=f"more than {MOST_REWRITES} rewrites")
        _ = self.cookies, self.locals, self.content  # made now, so that both requests share them
        endpoints, head = self.endpoints, self.head
        request = target if isinstance(target, Request | AsyncRequest) else None
        if request is None and not isinstance(target, str | URL):
            raise TypeError(f"a request is rewritten to a path such as '/other', a URL or a Request, not {target!r}")
        try:
            url = URL(str(target if request is None else request.url), self.url)
        except ValueError as error:
            raise InvalidInput("The request leads to no path of this site.", reason=f"rewrite(): {error}") from None
        if request is not None:
            head = request.as_received(head)
        match = endpoints.rewritten(head, self.url, url)
        handler, refusal = endpoints.select(match, head, self.public_url, is_rewrite=True)
        assert handler is not None  # noqa: S101  # of a rewrite there is always one
        most = handler.policy.max_body
        if most is not None and head.length > most:
            raise too_large(most)
        made = RequestState(endpoints, head, self.public_url, match, self.timeout, refusal, shared=self)
        if request is not None:
            made._content = request._content
        made.query = url.search.removeprefix("?")
        made.depth = self.depth + counts
        made.is_static = made.is_static or self.is_static
        made._first = self._first or self
        if self.running_threads is None:
            self.running_threads = WaitGroup()
        made.running_threads = self.running_threads
        return handler, made

    # --- for static endpoints ---

    def is_listed(self) -> bool:
        """Return whether ``getStaticPaths`` lists the path of a static endpoint. May block.

        From here on the request is the one that a build makes for the path, whatever way the client has spelled it:
        with its parameters, props and URL.
        """
        route = self.route
        if route is None:
            return True
        if route.static_paths is not None:
            entry = route.static_paths.find(self.params, self.wait)
            if entry is None:
                return False
            self.params, self.props, path = dict(entry.params), dict(entry.props), entry.path
        elif route.pattern.names:
            return True
        else:
            path = route.pattern.build({})
        path = (self.endpoints.prefix + path).rstrip("/")
        if not path or (self.path.endswith("/") and self.endpoints.config.trailing_slash == "always"):
            path += "/"
        if path != self.path:
            self.path, self._url, self._requests = path, None, None
        return True

    def unlisted(self) -> RequestHandler:
        """The handler of ``404.py``, for a path that a static endpoint does not list; it sees the whole request.

        Raises:
            HTTPError: 404, there is no such page.
        """
        page = self.endpoints.not_found_handler(self.head.method)
        if page is None:
            raise self.take_refusal()
        self.is_static = False
        return page

    def unavailable(self, member: str, reason: str) -> Unavailable:
        """The error for a member that is not there."""
        where = self.route.file_name if self.route is not None else "this path"
        return Unavailable(f"context.{member} is not available in {where}: {reason}")

    def warn(self, member: str) -> None:
        """Log, once, that a static endpoint reads a member that is empty when it is built."""
        where = self.route.file_name if self.route is not None else "this path"
        if (where, member) not in self.endpoints.warned:
            self.endpoints.warned.add((where, member))
            logger.warning("%s is static (prerender = True) and reads %s, which is empty in it", where, member)
