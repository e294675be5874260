"""The loader of endpoints: finds the files below ``src/pages``, imports them, and fills the table of routes."""

from __future__ import annotations

import ast
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from wixhttp.endpoints.routing.patterns import Pattern, parse_pattern, route_of
from wixhttp.endpoints.static.files import StaticFiles
from wixhttp.endpoints.static.folders import files_below
from wixhttp.endpoints.static.public_files import FOLDER, PublicFiles
from wixhttp.endpoints.static.static_paths import StaticPaths
from wixhttp.errors import ProjectError
from wixhttp.http.allowed_methods import is_refused
from wixhttp.http.policy import Policy, policy_of
from wixhttp.project.config import Config
from wixhttp.project.findings import Finding
from wixhttp.project.function_table import EVERY_METHOD, bindings, exported_names
from wixhttp.project.hidden_guards import check_guards
from wixhttp.project.loader import load_file

from .endpoint_table import Endpoints, Route
from .handlers import EndpointHandler
from .middleware import NAME, Middleware, parts_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods of RFC 9110 and PATCH (RFC 5789), but for those that are refused (`is_refused`): the functions of an
endpoint's file that are handlers."""
ALL = "ALL"
"""The handler of every method that has none of its own."""
PRERENDER, STATIC_PATHS = "prerender", "getStaticPaths"
"""The variable that makes an endpoint static, and the function of a static one that lists its parameters' values."""
NOT_FOUND, FAILED = "404.py", "500.py"
_PAGES = {NOT_FOUND: 404, FAILED: 500}

logger = logging.getLogger("wixhttp")


def load_endpoints(config: Config, problems: list[ProjectError] | None = None) -> Endpoints | None:
    """The endpoints of a project, all imported, and its public files; ``None`` where there is neither a folder for them
    nor middleware.

    In development a file that cannot be imported fails by itself, and two files of one route are a warning. What is
    left out because of an error is in ``problems``, where those are asked for.

    Raises:
        ProjectError: the name of a file is no route, a file cannot be imported or has a wrong handler, or two files
            are one route.
    """
    file = _middleware_file(config)
    public = config.root / FOLDER
    if not config.pages.is_dir() and not file.is_file() and not public.is_dir():
        return None
    middleware: list[Middleware] = []
    with _noted(problems):
        _check_misplaced(config, file)
    with _noted(problems):
        middleware += _middleware(config, file) if file.is_file() else ()
    found = sorted(_routes(config, problems), key=lambda route: route.pattern.key)
    endpoints = Endpoints(config, _without_doubles(found, config), middleware)
    for route in endpoints.routes:
        _fill(route, config, middleware, prefix=endpoints.prefix)
    for name, status in _PAGES.items():
        page = config.pages / name
        if page.is_file():
            route = Route(parse_pattern([name.removesuffix(".py")], name), page, shown(page, config), is_static=False)
            with _noted(problems):
                if _is_static(page, route.file_name):
                    raise ProjectError(f"{route.file_name} answers requests and cannot be static; remove {PRERENDER}")
            _fill(route, config, middleware if name == NOT_FOUND else [], status=status)
            if name == NOT_FOUND:
                endpoints.not_found_page = route
            else:
                endpoints.error_page = route
    if config.mode == "production":
        endpoints.static = StaticFiles(config.build_dir, endpoints.prefix, endpoints.public_prefix)
    if public.is_dir():
        endpoints.public = PublicFiles(public, endpoints.public_prefix, renews=config.mode == "development")
    return endpoints


def shown(file: Path, config: Config) -> str:
    """The path of a file as messages name it: below the project, where it is."""
    return file.relative_to(config.root).as_posix() if file.is_relative_to(config.root) else str(file)


@contextmanager
def _noted(problems: list[ProjectError] | None) -> Iterator[None]:
    """Add an error to the ``problems``, where there is a list of them, and raise it where there is none."""
    try:
        yield
    except ProjectError as error:
        if problems is None:
            raise
        problems.append(error)


def _middleware_file(config: Config) -> Path:
    return config.pages.parent / "middleware.py"


def _check_misplaced(config: Config, file: Path) -> None:
    """Raise ProjectError for a file that looks like middleware and is none."""
    folder = file.with_suffix("")
    found = [place for place in (folder / "index.py", folder / "__init__.py") if place.is_file()]
    if not file.is_file():
        elsewhere = (config.root / "middleware.py", config.pages / "_middleware.py")
        found += [place for place in elsewhere if place.is_file() and NAME in bindings(_parsed(place))[0]]
    for misplaced in found:
        raise ProjectError(
            f"{shown(misplaced, config)} is not run: middleware stands in {shown(file, config)}; move it"
        )


def route_files(config: Config, problems: list[ProjectError] | None = None) -> Iterator[tuple[Pattern, Path]]:
    """The files that are routes, with their patterns, in the order of the file system. Linked folders belong to it.

    Raises:
        ProjectError: the name of one is no route, a folder cannot be read, or a link leads nowhere or round in circles.
    """
    if not config.pages.is_dir():
        return
    with _noted(problems):
        for path in _files_of_pages(config):
            if path.endswith(".py") and path not in _PAGES:
                file = config.pages / path
                pattern = None
                with _noted(problems):
                    if not file.exists():
                        raise ProjectError(f"{shown(file, config)} is a link to nothing; mend it, or remove it")
                    pattern = route_of(PurePosixPath(path), shown(file, config))
                if pattern is not None:
                    yield pattern, file


def _files_of_pages(config: Config) -> Iterator[str]:
    try:
        yield from files_below(str(config.pages), is_hidden=lambda name: name[0] in "_." and name != ".well-known")
    except OSError as error:
        raise ProjectError(f"{shown(Path(error.filename), config)}: {error.strerror}") from None


def _routes(config: Config, problems: list[ProjectError] | None) -> Iterator[Route]:
    for pattern, file in route_files(config, problems):
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
    said = False
    for node in _parsed(file).body:
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


def _parsed(file: Path) -> ast.Module:
    """The tree of a file. Raises ProjectError where it is not Python."""
    try:
        return ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:  # ValueError: a NUL, before Python 3.12
        raise ProjectError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error


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
        exported = exported_names(module)
        handlers = _handlers(module, exported, route)
        if not handlers:
            way_out = f"name a function {', '.join(METHODS[:6])} or {ALL}, or begin the file's name with '_'"
            if NAME in exported:
                way_out = f"{NAME} is middleware, which stands in {shown(_middleware_file(config), config)}; move it"
            raise ProjectError(f"{route.file_name} has no handler; {way_out}")
        check_guards(module, handlers.items(), config.root)
        if bool(getattr(module, PRERENDER, False)) != route.is_static:
            raise ProjectError(
                f"{route.file_name} sets {PRERENDER} elsewhere than at its top; write {PRERENDER} = True there"
            )
        for text in _unused(module, exported, route, config):
            logger.warning("%s: %s", route.file_name, text)
        if route.is_static:
            route.static_paths = _static_paths(module, route, config, prefix)
        made = {method: _handler(method, target, route, middleware, status) for method, target in handlers.items()}
        _check_guards(route, made)
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


def _unused(module: ModuleType, exported: list[str], route: Route, config: Config) -> Iterator[str]:
    """Warnings of what looks like a part of an endpoint, and is none."""
    for name in (*METHODS, ALL):
        if name not in exported and callable(getattr(module, name, None)):
            why = "imported" if not hasattr(module, "__all__") else "left out of __all__"
            yield f"{name} is {why}, so it is not served; define it here, or name it in __all__"
    if NAME in exported:
        yield f"{NAME} is never called here; middleware stands in {shown(_middleware_file(config), config)}"
    if callable(getattr(module, STATIC_PATHS, None)):
        if not route.is_static:
            yield f"{STATIC_PATHS} is asked of static endpoints only; add {PRERENDER} = True, or remove it"
        elif not route.pattern.names:
            yield f"{STATIC_PATHS} is asked of routes with parameters only, such as [id].py; remove it"


def _lower_case(route: Route, name: str, target: Callable[..., Any]) -> Finding:
    line = getattr(getattr(inspect.unwrap(target), "__code__", None), "co_firstlineno", 0)
    message = f"{name} is not served; a handler's name is upper case: {name.upper()}"
    return Finding(route.file_name, line, "not-served", message)


def _handlers(module: ModuleType, exported: list[str], route: Route) -> dict[str, Callable[..., Any]]:
    """The handlers of a module by method: what it exports under the names of methods."""
    found = {}
    misspelt: list[Finding] = []
    for name in exported:
        if name in METHODS or name == ALL:
            target = getattr(module, name, None)
            if not callable(target) or isinstance(target, type):
                raise ProjectError(f"{route.file_name}: {name} is a function, not {target!r}; write def {name}(...)")
            if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
                raise ProjectError(
                    f"{route.file_name}: {name} is a generator, and a handler returns a Response; to stream, put it "
                    "into a function of its own and return Response(rows())"
                )
            found[name] = target
        elif name.isupper() and is_refused(name) and callable(getattr(module, name, None)):
            logger.warning("%s: %s is never called: the method is refused everywhere", route.file_name, name)
        elif name.upper() in (*METHODS, ALL) and callable(getattr(module, name, None)):
            misspelt.append(_lower_case(route, name, getattr(module, name)))
    if misspelt and not found:
        raise ProjectError("; ".join(map(str, misspelt)))
    for finding in misspelt:
        logger.warning("%s", finding)
    if route.is_static:
        if "GET" not in found:
            raise ProjectError(f"{route.file_name} is static ({PRERENDER} = True) and has no GET; define it")
        for name in found.keys() - {"GET"}:
            logger.warning("%s is static, so its %s is never called", route.file_name, name)
        found = {"GET": found["GET"]}
    return found


def _check_guards(route: Route, handlers: Mapping[str, EndpointHandler]) -> None:
    """Raise ProjectError where decorators guard a static endpoint."""
    for method, handler in handlers.items() if route.is_static else ():
        if handler.policy.guards:
            raise ProjectError(
                f"{route.file_name} is static ({PRERENDER} = True): its file is sent to everybody, and the decorators"
                f" of {method} that verify, ask for a key or limit do nothing. Remove them, or {PRERENDER}"
            )


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
        if policy_of(part).guards:
            raise ProjectError(
                f"{shown(file, config)}: decorators that guard (@verified, @require_key, @rate_limit, ...) do not run "
                f"in front of {getattr(part, '__name__', NAME)}; write them in front of handlers, or set api_keys = "
                "true or rate_limit for all of the site"
            )
        if policy_of(part) != Policy():
            logger.warning(
                "%s: @limits, @cors and @check_origin in front of %s have no effect: write them in front of handlers, "
                "or set max_body, timeout, cors, check_origin", shown(file, config), getattr(part, "__name__", NAME),
            )  # fmt: skip
        yield Middleware(part)
