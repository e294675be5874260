"""The endpoints of a project: its files below ``src/pages``, loaded once into a closed table of routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from wixhttp.concurrency.bridge import Bridge
from wixhttp.endpoints.routing.paths import encode, normalize, route_prefix, slash_redirect
from wixhttp.endpoints.routing.patterns import Pattern, RouteTable, parse_pattern
from wixhttp.endpoints.static.files import StaticFiles
from wixhttp.endpoints.static.manifest import Manifest
from wixhttp.endpoints.static.public_files import FOLDER, PublicFile, PublicFiles
from wixhttp.endpoints.static.static_paths import StaticPaths
from wixhttp.endpoints.web.response import Response, web_response
from wixhttp.endpoints.web.url import URL
from wixhttp.errors import HTTPError, InvalidInput, ProjectError
from wixhttp.guards import Guard
from wixhttp.http.allowed_methods import cors_of, is_refused, not_allowed
from wixhttp.http.request_head import SAFE_METHODS, Head
from wixhttp.http.url import ascii_target
from wixhttp.messages import brief
from wixhttp.project.config import Config
from wixhttp.project.function_table import Methods

from .context import Context
from .csrf import check_origin
from .handlers import EndpointHandler
from .middleware import Middleware
from .request_state import RouteMatch

_OF_FILES = ("GET", "HEAD")


class Route:
    """One file: its pattern, and its handlers by method. ``static_paths`` are those of a static one with parameters.
    ``broken`` is the error for which it could not be loaded, in development."""

    __slots__ = ("broken", "file", "file_name", "is_static", "methods", "pattern", "static_paths")

    def __init__(self, pattern: Pattern, file: Path, file_name: str, *, is_static: bool) -> None:
        self.pattern = pattern
        self.file = file
        self.file_name = file_name
        self.is_static = is_static
        self.methods: Methods[EndpointHandler] = Methods()
        self.static_paths: StaticPaths | None = None
        self.broken: ProjectError | None = None


def _refuse(context: Context) -> Response:
    raise context._state.take_refusal()


class Endpoints:
    """The table of the endpoints of a site: finds the route of a path, and selects the handler of a request.

    ``prefix``, a path string, stands in front of each route; ``site`` is the setting ``public_url``. ``static`` are the
    files of the last build, ``None`` in development; ``public`` those of the folder ``public/``, ``None`` without one.
    ``warned`` are the pairs of file and member that were warned of. ``shows_details`` says whether a refusal tells what
    only the developer is to know.
    """

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
        self.public_prefix = route_prefix(config.base_path)
        self.static: StaticFiles | None = None
        self.public: PublicFiles | None = None
        self.warned: set[tuple[str, str]] = set()
        self.shows_details: Callable[[Head], bool] = lambda head: config.mode == "development"
        self._table: RouteTable[Route] = RouteTable([(route.pattern, route) for route in routes])
        self._rule = config.trailing_slash
        self._refuser = EndpointHandler("the refusal", "of a request", _refuse, middleware)
        self._built_handler = EndpointHandler("static", "file", self._send_built)
        folder = config.root / FOLDER
        self._files = Route(parse_pattern(["[...file]"], FOLDER), folder, FOLDER, is_static=False)
        self._files.methods.update(dict.fromkeys(_OF_FILES, self._built_handler))

    def guard(self, guards: tuple[Guard, ...]) -> None:
        """Put guards around all handlers of routes that have none of the kind, but for static ones: once these are
        built, their files are sent."""
        for route in self.routes:
            for handler in set() if route.is_static else set(route.methods.values()):
                handler.guard(guards)

    @property
    def patterns(self) -> list[str]:
        """The routes as their files name them, in the order in which they are tried."""
        return [self.prefix + route.pattern.text for route in self.routes]

    def startup_warnings(self) -> Iterator[str]:
        """Warnings for the log of a server that starts: routes that never answer; static ones that are not built, or
        have changed since."""
        for first, second in self._table.shadowed():
            yield f"{second.file_name} never answers: {first.file_name} has the same route; remove one"
        if self.public is not None:
            yield from self.public.problems
            yield from self.unsent_files()
        files = [route for route in self.routes if route.is_static]
        manifest = self.config.build_dir / Manifest.NAME
        if self.static is None:
            return
        if not manifest.is_file():
            if files:
                yield f"{len(files)} static endpoints are not built, and answer at each request; run 'wixhttp build'"
            return
        built = manifest.stat().st_mtime_ns
        for route in files:
            if route.file.stat().st_mtime_ns > built:
                yield f"{route.file_name} has changed since it was built; run 'wixhttp build'"
        for public in self.public.files() if self.public is not None else ():
            copy = self.static.find(self.public_prefix + public.path)
            if copy is not None and (public.mtime_ns, public.size) != (copy.mtime_ns, copy.size):
                yield f"{FOLDER}/{public.file} has changed since it was built; run 'wixhttp build'"
                return  # one for all: a folder may have thousands

    def unsent_files(self) -> Iterator[str]:
        """The public files that are not sent, since a route without parameters has their path, which comes first."""
        for public in self.public.files() if self.public is not None else ():
            if route := self.answers_first(public):
                name = route.file_name
                yield f"{FOLDER}/{public.file} is not sent at {public.path}: {name} has that path; rename one"

    def answers_first(self, public: PublicFile) -> Route | None:
        """The route without parameters that has the path of a public file, and so comes before it."""
        found = self._found(normalize(encode(self.public_prefix + public.path)))
        return found[1] if found is not None and found[0].is_static else None

    # --- the route of a path ---

    def find(self, head: Head) -> RouteMatch:
        """The match of a request's path. Its ``moved`` is set where the setting ``trailing_slash`` asks for a redirect.

        Raises:
            HTTPError: 400, the path cannot be decoded.
        """
        raw = head.path
        path = normalize(raw)
        match = self._match(head, path)
        if self._rule != "ignore" and (moved := slash_redirect(path, raw, self._rule)) is not None:
            match.moved = head.base + moved + ("?" + head.query if head.query else "")
        return match

    def rewritten(self, head: Head, own: URL, url: URL) -> RouteMatch:
        """The match of ``url``, to which a request for ``own`` is rewritten.

        Raises:
            InvalidInput: 400, it is on another site.
            HTTPError: 400, the path cannot be decoded.
        """
        if url.origin != own.origin:
            raise InvalidInput(
                "The request leads to no path of this site.",
                reason=f"rewrite() stays on {own.origin}, and cannot go to {brief(url.href)}; use redirect()",
            )
        base, raw = head.base, ascii_target(url.pathname.encode())
        if base and (raw == base or raw.startswith(base + "/")):
            raw = raw[len(base) :]
        return self._match(head, normalize(raw))

    def _found(self, path: str) -> tuple[Pattern, Route, dict[str, str | None]] | None:
        """The route of a path, as pattern, route and parameters."""
        prefix = self.prefix
        if not prefix:
            return self._table.find(path)
        if path == prefix or path.startswith(prefix + "/"):
            return self._table.find(path[len(prefix) :])
        return None

    def _match(self, head: Head, path: str) -> RouteMatch:
        """The match of a path string. Of the routes those without a parameter come first, then what was built and
        public files, then other routes."""
        found = self._found(path) if self.prefix else self._table.find(path)
        static, public = self.static, self.public
        if static is not None or public is not None:
            is_exact = found is not None and found[0].is_static
            if head.method == "GET" or head.method == "HEAD" or found is None:
                if static is not None and (built := static.find(path)) and not (is_exact and built.is_public):
                    route, params = (self._files, {}) if found is None else found[1:]
                    return RouteMatch(path, route, params, built=built)
                if not is_exact and public is not None and (file := public.find(path)):
                    return RouteMatch(path, self._files, {}, built=file)
            if (
                found is not None
                and static is not None
                and found[1].is_static
                and len(static)
                and head.method in _OF_FILES
            ):
                found = None  # once there is a build, it has no other paths
        if found is None:
            return RouteMatch(path, None, {})
        return RouteMatch(path, found[1], found[2], found[1].is_static)

    # --- the handler of a request ---

    def select(
        self, match: RouteMatch, head: Head, public_url: str, is_rewrite: bool = False
    ) -> tuple[EndpointHandler | None, HTTPError | None]:
        """The handler of a request, or of a rewrite, and the error that it is to answer with, where it is the one for
        refusals: 404, 405. The runtime itself answers with the error where the handler is ``None``: there is neither a
        page for it nor middleware to see it. Of a rewrite there is always a handler.

        Raises:
            HTTPError: 403, a form that is sent from another site (CSRF).
        """
        if match.built is not None and head.method in _OF_FILES:
            return self._built_handler, None
        refusal = None
        methods: Methods[EndpointHandler] | None = None if match.route is None else match.route.methods  # type: ignore[assignment]  # a route of this table
        handler = None if methods is None else methods.get(head.method) or methods.resolve(head.method)
        if handler is None:
            if is_refused(head.method):
                return None, self._nothing_here(head) if methods is None else self._not_allowed(methods)
            if methods is None:
                refusal, handler = self._nothing_here(head), self.not_found_handler(head.method)
            else:
                refusal = self._not_allowed(methods)
            if handler is not None:
                refusal = None
            elif match.route is self._files and not is_rewrite:
                return None, refusal  # before files no middleware runs, and there is no form to check
            elif self.middleware or is_rewrite:
                handler = self._refuser
            else:
                return None, refusal
        if head.method not in SAFE_METHODS:
            is_checked = self._is_checked(handler)
            if refusal is not None and methods is not None:
                is_checked = any(map(self._is_checked, methods.values()))
            if is_checked:
                check_origin(head, public_url, names_ways=self.shows_details(head))
        return handler, refusal

    def _is_checked(self, handler: EndpointHandler) -> bool:
        """Return whether a handler takes forms of the site's own pages only."""
        checks = handler.policy.check_origin
        return self.config.check_origin if checks is None else checks

    def _not_allowed(self, methods: Methods[EndpointHandler]) -> HTTPError:
        return not_allowed(methods, cors_of(methods, None, self.config.cors))

    def _nothing_here(self, head: Head) -> HTTPError:
        known = f" Known endpoints: {', '.join(self.patterns) or 'none'}." if self.shows_details(head) else ""
        return HTTPError(404, f"There is nothing at this path.{known}")

    def _send_built(self, context: Context) -> Response:
        """The answer of a file that was built. It reads the file, so it has a thread."""
        state = context._state
        files = self.public if isinstance(state.built, PublicFile) else self.static
        assert files is not None  # noqa: S101  # the file was found there
        try:
            return web_response(files.answer(state.built, state.head))  # type: ignore[arg-type]  # each has its own
        except HTTPError as error:  # 404: the file is gone
            page = self.not_found_handler(state.head.method)
            if error.status != 404 or page is None:
                raise
            return page.answer(state, len(self.middleware))

    def not_found_handler(self, method: str) -> EndpointHandler | None:
        """The handler of ``404.py`` for a method: its own, or that of GET."""
        return _of_page(self.not_found_page, method)

    def error_handler(self, method: str) -> EndpointHandler | None:
        """The handler of ``500.py`` for a method: its own, or that of GET."""
        return _of_page(self.error_page, method)


def _of_page(page: Route | None, method: str) -> EndpointHandler | None:
    return None if page is None else page.methods.resolve(method) or page.methods.resolve("GET")
