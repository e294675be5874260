"""The endpoints of a project: its files below ``src/pages``, loaded once into a closed table of routes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wixhttp.concurrency.bridge import Bridge
from wixhttp.endpoints.routing.paths import normalize, route_prefix, slash_redirect
from wixhttp.endpoints.routing.patterns import Pattern, RouteTable
from wixhttp.endpoints.static.files import StaticFiles
from wixhttp.endpoints.static.manifest import Manifest
from wixhttp.endpoints.static.static_paths import StaticPaths
from wixhttp.endpoints.web.response import Response, web_response
from wixhttp.endpoints.web.url import URL
from wixhttp.errors import HTTPError, ProjectError
from wixhttp.http.request_head import SAFE_METHODS, Head
from wixhttp.http.url import ascii_target
from wixhttp.project.config import Config
from wixhttp.project.function_table import Methods

from .context import Context
from .handlers import Handler
from .middleware import Middleware
from .request_state import Exchange


class Route:
    """One file: its pattern, and its handlers by method. ``static_paths`` are those of a static one with parameters."""

    __slots__ = ("broken", "file", "file_name", "is_static", "methods", "pattern", "static_paths")

    def __init__(self, pattern: Pattern, file: Path, file_name: str, *, is_static: bool) -> None:
        self.pattern = pattern
        self.file = file
        self.file_name = file_name
        self.is_static = is_static
        self.methods: Methods[Handler] = Methods()
        self.static_paths: StaticPaths | None = None
        self.broken: ProjectError | None = None


def _refuse(context: Context) -> Response:
    raise context._exchange.refusal


class Endpoints:
    """What the dispatcher asks about requests that are not for HTTP functions."""

    def __init__(self, config: Config, routes: list[Route], middleware: list[Middleware]) -> None:
        self.config = config
        self.routes = routes
        self.middleware = middleware
        self.not_found_page: Route | None = None
        self.error_page: Route | None = None
        self.bridge = Bridge(config.threads)
        self.locales = config.locales
        self.site = None if config.public_url is None else URL(config.public_url)
        self.prefix = route_prefix(config.base_path + config.pages_prefix)
        self.static: StaticFiles | None = None
        self.warned: set[tuple[str, str]] = set()
        self._table: RouteTable[Route] = RouteTable([(route.pattern, route) for route in routes])
        self._rule = config.trailing_slash
        self._refuser = Handler("the refusal", "of a request", _refuse, middleware)
        self.built_handler = Handler("static", "file", self._send_built)

    @property
    def patterns(self) -> list[str]:
        """The routes as their files name them, in the order in which they are asked."""
        return [self.prefix + route.pattern.text for route in self.routes]

    def doubts(self) -> Iterator[str]:
        """What a server says at its start: routes that never answer; static ones not built, or changed since."""
        for first, second in self._table.shadowed():
            yield f"{second.file_name} never answers: {first.file_name} has the same route; remove one"
        files = [route for route in self.routes if route.is_static]
        manifest = self.config.build_dir / Manifest.NAME
        if self.static is None or not files:
            return
        if not manifest.is_file():
            yield f"{len(files)} static endpoints are not built, and answer at each request; run 'wixhttp build'"
            return
        built = manifest.stat().st_mtime_ns
        for route in files:
            if route.file.stat().st_mtime_ns > built:
                yield f"{route.file_name} has changed since it was built; run 'wixhttp build'"

    def receive(self, head: Head, origin: str) -> Exchange:
        """A request, with the route of its path; ``moved`` and ``built`` say where that decides.

        Raises:
            HTTPError: 400, the path cannot be decoded.
        """
        raw = head.path
        path = normalize(raw)
        exchange = self._exchange(head, origin, path)
        if self._rule != "ignore" and (moved := slash_redirect(path, raw, self._rule)) is not None:
            exchange.moved = head.base + moved + ("?" + head.query if head.query else "")
        else:
            self._look_for_file(exchange)
        return exchange

    def _look_for_file(self, exchange: Exchange) -> None:
        """Note the file that was built for a path. Once there is a build, a static endpoint has no other paths."""
        static = self.static
        if static is None or exchange.head.method not in ("GET", "HEAD"):
            return
        exchange.built = static.find(exchange.path)
        if exchange.built is not None:
            exchange.is_static = False
        elif exchange.is_static and len(static):
            exchange.route, exchange.params, exchange.is_static = None, {}, False

    def _exchange(self, head: Head, origin: str, path: str) -> Exchange:
        inner = path
        if prefix := self.prefix:
            inner = path[len(prefix) :] if path == prefix or path.startswith(prefix + "/") else ""
            if not inner and path != prefix:
                return Exchange(self, head, origin, path, None, {})
        found = self._table.find(inner)
        if found is None:
            return Exchange(self, head, origin, path, None, {})
        return Exchange(self, head, origin, path, found[1], found[2])

    def _send_built(self, context: Context) -> Response:
        """The answer of a file that was built. It reads the file, so it has a thread."""
        exchange = context._exchange
        assert self.static is not None  # noqa: S101  # the file was found there
        try:
            return web_response(self.static.answer(exchange.built, exchange.head))
        except HTTPError as error:  # 404: the file is gone
            page = self.page(self.not_found_page, exchange.head.method)
            if error.status != 404 or page is None:
                raise
            return page.answer(exchange, len(self.middleware))

    def check_origin(self, exchange: Exchange, handler: Handler) -> None:
        """See to it that a form comes from the site's own pages, unless setting or handler take others', too.

        Raises:
            HTTPError: 403, it does not.
        """
        is_refused = handler is self._refuser and exchange.methods is not None
        for each in exchange.methods.values() if is_refused else (handler,):
            checks = each.policy.check_origin
            if checks or (checks is None and self.config.check_origin):
                exchange.check_origin()
                return

    def rewritten(self, exchange: Exchange, url: URL) -> Exchange:
        """The request for another URL of the same site, not yet connected with the first.

        Raises:
            ValueError: it is on another site.
            HTTPError: 400, the path cannot be decoded.
        """
        if url.origin != exchange.url.origin:
            raise ValueError(f"rewrite() stays on {exchange.url.origin}, and cannot go to {url.href!r}; use redirect()")
        base, raw = exchange.head.base, ascii_target(url.pathname.encode())
        if base and (raw == base or raw.startswith(base + "/")):
            raw = raw[len(base) :]
        made = self._exchange(exchange.head, exchange.origin, normalize(raw))
        made.query = url.search.removeprefix("?")
        self._look_for_file(made)
        return made

    def handler(self, exchange: Exchange) -> Handler:
        """What answers a rewritten request, if only with a refusal.

        Raises:
            HTTPError: 403, 413: what it was rewritten to does not take it. Its time is that of the first.
        """
        if exchange.built is not None:
            return self.built_handler
        methods, head = exchange.methods, exchange.head
        handler: Handler | None = None if methods is None else methods.resolve(head.method)
        if handler is not None:
            if head.method not in SAFE_METHODS:
                self.check_origin(exchange, handler)
            most = handler.policy.max_body
            if most is not None and head.length > most:
                raise HTTPError(413, f"The body is larger than {most} bytes.")
            return handler
        if methods is None:
            return self.refuser(exchange, HTTPError(404, "There is nothing at this path."))
        allow = ", ".join(methods.allowed)
        return self.refuser(
            exchange, HTTPError(405, "This is not answered by this method.", headers={"Allow": allow}), always=True
        )

    def refuser(self, exchange: Exchange, error: HTTPError, *, always: bool = False) -> Handler:
        """What answers with an error that is the runtime's own: ``404.py``, and middleware in front of it.

        Raises:
            HTTPError: the error itself, where there is neither.
        """
        if error.status == 404 and (page := self.page(self.not_found_page, exchange.head.method)) is not None:
            return page
        if not self.middleware and not always and not exchange.depth:
            try:
                raise error
            finally:
                del error  # which holds its traceback, and that this frame
        exchange.refusal = error
        return self._refuser

    @staticmethod
    def page(route: Route | None, method: str) -> Handler | None:
        """The handler of ``404.py`` or ``500.py`` for a method: its own, or that of GET."""
        return None if route is None else route.methods.resolve(method) or route.methods.resolve("GET")
