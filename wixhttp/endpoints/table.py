"""The endpoints of a project: its files below ``src/pages``, loaded once into a closed table of routes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..bridge import Bridge
from ..config import Config
from ..errors import HTTPError, ProjectError
from ..functions import Methods
from ..head import Head
from ..response import Response as CoreResponse
from ..url import ascii_target
from .context import Context
from .entries import StaticPaths
from .exchange import Exchange
from .handlers import Handler
from .manifest import Manifest
from .middleware import Middleware
from .paths import normalize, slash_redirect
from .responses import Response
from .routes import Pattern, RouteTable
from .static import StaticFiles
from .web import URL


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
        self.prefix = normalize(ascii_target((config.base_path + config.pages_prefix).encode()) or "/").rstrip("/")
        self.static: StaticFiles | None = None
        self.warned: set[tuple[str, str]] = set()
        self._table: RouteTable[Route] = RouteTable([(route.pattern, route) for route in routes])
        self._rule = config.trailing_slash
        self._refuser = Handler("the refusal", "of a request", _refuse, middleware)

    @property
    def patterns(self) -> list[str]:
        """The routes as their files name them, in the order in which they are asked."""
        return [self.prefix + route.pattern.text for route in self.routes]

    def doubts(self) -> Iterator[str]:
        """What a server says at its start: static endpoints that are not built, or have changed since."""
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
        elif self.static is not None and head.method in ("GET", "HEAD"):
            exchange.built = self.static.find(path)
        return exchange

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

    def send_built(self, exchange: Exchange) -> CoreResponse:
        """The answer of a file that was built."""
        exchange.head.function = "static file"
        assert self.static is not None  # noqa: S101  # `receive` found it there
        return self.static.answer(exchange.built, exchange.head)

    def rewritten(self, exchange: Exchange, url: URL) -> Exchange:
        """The request for another URL of the same site, not yet connected with the first.

        Raises:
            ValueError: it is on another site.
            HTTPError: 400, the path cannot be decoded.
        """
        if url.origin != exchange.url.origin:
            raise ValueError(f"rewrite() stays on {exchange.url.origin}, and cannot go to {url.href!r}; use redirect()")
        path = normalize(ascii_target(url.pathname.encode()).removeprefix(exchange.head.base))
        made = self._exchange(exchange.head, exchange.origin, path)
        made.query = url.search.removeprefix("?")
        return made

    def handler(self, exchange: Exchange) -> Handler:
        """What answers a request, if only with a refusal."""
        methods = exchange.methods
        handler: Handler | None = None if methods is None else methods.resolve(exchange.head.method)
        if handler is not None:
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
            raise error
        exchange.refusal = error
        return self._refuser

    @staticmethod
    def page(route: Route | None, method: str) -> Handler | None:
        """The handler of ``404.py`` or ``500.py`` for a method: its own, or that of GET."""
        return None if route is None else route.methods.resolve(method) or route.methods.resolve("GET")
