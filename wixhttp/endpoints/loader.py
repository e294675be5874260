"""The loader of endpoints: finds the files below ``src/pages``, imports them, and fills the table of routes."""

from __future__ import annotations

import ast
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from wixhttp.endpoints.routing.patterns import Pattern, parse_pattern, route_of
from wixhttp.endpoints.static.files import StaticFiles
from wixhttp.endpoints.static.static_paths import StaticPaths
from wixhttp.errors import ProjectError
from wixhttp.project.config import Config
from wixhttp.project.function_table import EVERY_METHOD, exported_names
from wixhttp.project.loader import load_file

from .endpoint_table import Endpoints, Route
from .handlers import EndpointHandler
from .middleware import NAME, Middleware, parts_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
"""The methods of RFC 9110 and PATCH (RFC 5789): the functions of an endpoint's file that are handlers."""
ALL = "ALL"
"""The handler of every method that has none of its own."""
PRERENDER, STATIC_PATHS = "prerender", "getStaticPaths"
"""The variable that makes an endpoint static, and the function of a static one that lists its parameters' values."""
NOT_FOUND, FAILED = "404.py", "500.py"
_PAGES = {NOT_FOUND: 404, FAILED: 500}

logger = logging.getLogger("wixhttp")


def load_endpoints(config: Config) -> Endpoints | None:
    """The endpoints of a project, all imported; ``None`` where there is no folder for them and no middleware.

    In development a file that cannot be imported fails by itself, and two files of one route are a warning.

    Raises:
        ProjectError: the name of a file is no route, a file cannot be imported or has a wrong handler, or two files
            are one route.
    """
    file = config.pages.parent / "middleware.py"
    if not config.pages.is_dir() and not file.is_file():
        return None
    for other in ("index.py", "__init__.py"):
        if (misplaced := file.with_suffix("") / other).is_file():
            raise ProjectError(
                f"{shown(misplaced, config)} is not run: middleware stands in {shown(file, config)}; move it"
            )
    middleware = list(_middleware(config, file)) if file.is_file() else []
    found = sorted(_routes(config), key=lambda route: route.pattern.key)
    endpoints = Endpoints(config, _without_doubles(found, config), middleware)
    for route in endpoints.routes:
        _fill(route, config, middleware, prefix=endpoints.prefix)
    for name, status in _PAGES.items():
        page = config.pages / name
        if page.is_file():
            route = Route(parse_pattern([name.removesuffix(".py")], name), page, shown(page, config), is_static=False)
            if _is_static(page, route.file_name):
                raise ProjectError(f"{route.file_name} answers requests and cannot be static; remove {PRERENDER}")
            _fill(route, config, middleware if name == NOT_FOUND else [], status=status)
            if name == NOT_FOUND:
                endpoints.not_found_page = route
            else:
                endpoints.error_page = route
    if config.mode == "production":
        endpoints.static = StaticFiles(config.build_dir, endpoints.prefix)
    return endpoints


def shown(file: Path, config: Config) -> str:
    """The path of a file as messages name it: below the project, where it is."""
    return file.relative_to(config.root).as_posix() if file.is_relative_to(config.root) else str(file)


def route_files(config: Config) -> Iterator[tuple[Pattern, Path]]:
    """The files that are routes, with their patterns, in the order of the file system.

    Raises:
        ProjectError: the name of one is no route.
    """
    if not config.pages.is_dir():
        return
    for file in config.pages.rglob("*.py"):
        name = file.relative_to(config.pages)
        if name.as_posix() not in _PAGES and file.is_file():
            pattern = route_of(PurePosixPath(name.as_posix()), shown(file, config))
            if pattern is not None:
                yield pattern, file


def _routes(config: Config) -> Iterator[Route]:
    for pattern, file in route_files(config):
        name = shown(file, config)
        try:
            yield Route(pattern, file, name, is_static=_is_static(file, name))
        except ProjectError as error:
            if config.mode != "development":
                raise
            broken = Route(pattern, file, name, is_static=False)
            broken.broken = error
            yield broken


def doubles(files: Iterable[tuple[Pattern, Path]], config: Config) -> Iterator[tuple[Path, ProjectError]]:
    """The files whose route is that of another file, which comes first by its name, each with the error for it."""
    by_text: dict[str, Path] = {}
    for pattern, file in sorted(files, key=lambda each: shown(each[1], config)):
        first = by_text.setdefault(pattern.text, file)
        if first is not file:
            both = f"{shown(first, config)} and {shown(file, config)}"
            yield file, ProjectError(f"{both} are both the route {pattern.text}; remove one")


def _without_doubles(routes: list[Route], config: Config) -> list[Route]:
    """The routes, each once.

    Raises:
        ProjectError: two files are one route, unless in development, where the first one answers.
    """
    left = set()
    for file, error in doubles(((route.pattern, route.file) for route in routes), config):
        if config.mode != "development":
            raise error
        logger.warning("%s. The first one answers", error)
        left.add(file)
    return [route for route in routes if route.file not in left]


def _is_static(file: Path, name: str) -> bool:
    """The value of the literal ``prerender`` at the top of a file, read without importing it; False without one.

    Raises:
        ProjectError: it is no literal, or the file is not Python.
    """
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:  # ValueError: a NUL, before Python 3.12
        raise ProjectError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    said = False
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if not any(isinstance(target, ast.Name) and target.id == PRERENDER for target in targets):
            continue
        value = node.value
        if not isinstance(value, ast.Constant) or not isinstance(value.value, bool):
            raise ProjectError(
                f"{name}:{node.lineno}: {PRERENDER} is a literal, True or False, since it is read without an import"
            )
        said = value.value
    return said


def _fill(
    route: Route, config: Config, middleware: list[Middleware], *, status: int | None = None, prefix: str = ""
) -> None:
    """Import a route's file, and take its handlers.

    Raises:
        ProjectError: it cannot be imported, or has none. In development the route itself fails then.
    """
    try:
        if route.broken is not None:
            raise route.broken
        module = load_file(config.root, route.file, config.import_timeout)
        handlers = _handlers(module, route)
        if not handlers:
            raise ProjectError(
                f"{route.file_name} has no handler; name a function {', '.join(METHODS[:6])} or {ALL}, or begin the "
                "file's name with '_'"
            )
        if bool(getattr(module, PRERENDER, False)) != route.is_static:
            raise ProjectError(
                f"{route.file_name} sets {PRERENDER} elsewhere than at its top; write {PRERENDER} = True there"
            )
        if route.is_static:
            route.static_paths = _static_paths(module, route, config, prefix)
        made = {method: _handler(method, target, route, middleware, status) for method, target in handlers.items()}
    except ProjectError as error:
        if config.mode != "development":
            raise
        logger.error("%s: its route answers 500 until it is mended", error)
        route.broken = error
        made = {ALL: _handler(ALL, _failing(error), route, middleware, status)}
    route.methods.clear()
    route.methods.update({EVERY_METHOD if method == ALL else method: handler for method, handler in made.items()})
    if EVERY_METHOD not in route.methods and "GET" in route.methods:
        route.methods.setdefault("HEAD", route.methods["GET"])


def _handler(
    method: str, target: Callable[..., Any], route: Route, middleware: list[Middleware], status: int | None
) -> EndpointHandler:
    return EndpointHandler(method, route.pattern.text, target, middleware, file=route.file_name, status=status)


def _failing(error: ProjectError) -> Callable[..., Any]:
    def fail() -> None:
        raise error

    return fail


def _handlers(module: ModuleType, route: Route) -> dict[str, Callable[..., Any]]:
    """The handlers of a module by method: what it exports under the names of methods."""
    found = {}
    for name in exported_names(module):
        if name in METHODS or name == ALL:
            target = getattr(module, name, None)
            if not callable(target) or isinstance(target, type):
                raise ProjectError(f"{route.file_name}: {name} is a function, not {target!r}; write def {name}(...)")
            found[name] = target
        elif name.upper() in (*METHODS, ALL) and callable(getattr(module, name, None)):
            logger.warning(
                "%s: %s is not served; a handler's name is upper case: %s", route.file_name, name, name.upper()
            )
    if route.is_static:
        if "GET" not in found:
            raise ProjectError(f"{route.file_name} is static ({PRERENDER} = True) and has no GET; define it")
        for name in found.keys() - {"GET"}:
            logger.warning("%s is static, so its %s is never called", route.file_name, name)
        found = {"GET": found["GET"]}
    return found


def _static_paths(module: ModuleType, route: Route, config: Config, prefix: str) -> StaticPaths | None:
    function = getattr(module, STATIC_PATHS, None)
    if not route.pattern.names:
        return None
    if not callable(function):
        raise ProjectError(
            f"{route.file_name} is static and its route {route.pattern.text} has parameters; define {STATIC_PATHS}(), "
            'which gives a list of {"params": {...}}'
        )
    return StaticPaths(route.pattern, route.file_name, function, prefix=prefix)


def _middleware(config: Config, file: Path) -> Iterator[Middleware]:
    module = load_file(config.root, file, config.import_timeout)
    target = getattr(module, NAME, None)
    if not callable(target):
        raise ProjectError(
            f"{shown(file, config)} has no function {NAME}(context, next); define it, or remove the file"
        )
    for part in parts_of(target):
        yield Middleware(part)
