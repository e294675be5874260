"""The checks of ``wixhttp check`` on endpoints: their files, their routes, and names that are nearly right."""

from __future__ import annotations

import ast
import difflib
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wixhttp.endpoints.context import MEMBERS
from wixhttp.endpoints.endpoint_table import Endpoints, Route
from wixhttp.endpoints.loader import ALL, METHODS, PRERENDER, STATIC_PATHS, doubles, route_files, shown
from wixhttp.endpoints.routing.patterns import RouteTable
from wixhttp.errors import ProjectError
from wixhttp.project.config import Config
from wixhttp.project.function_table import bindings

logger = logging.getLogger("wixhttp")


class _Recorder(logging.Handler):
    """Keeps the texts of warnings, but for those about an error, which is a problem here."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        if record.levelno == logging.WARNING and not any(isinstance(each, ProjectError) for each in arguments):
            self.texts.append(record.getMessage())


@contextmanager
def warnings_kept() -> Iterator[list[str]]:
    """Collect the warnings that wixhttp logs until the block ends; nothing goes to the log itself."""
    recorder, propagates = _Recorder(), logger.propagate
    logger.addHandler(recorder)
    logger.propagate = False
    try:
        yield recorder.texts
    finally:
        logger.propagate = propagates
        logger.removeHandler(recorder)


def broken_routes(endpoints: Endpoints) -> list[Route]:
    """The routes whose files cannot be loaded, those of ``404.py`` and ``500.py`` too."""
    pages = [page for page in (endpoints.not_found_page, endpoints.error_page) if page is not None]
    return [route for route in (*endpoints.routes, *pages) if route.broken is not None]


def endpoint_problems(endpoints: Endpoints) -> Iterator[str]:
    """The problems that keep the endpoints of a site, loaded as in development, from being served."""
    config = endpoints.config
    for _, error in doubles(route_files(config), config):
        yield str(error)
    for route in broken_routes(endpoints):
        yield f"{route.broken}{_place(route.broken, config)}"


def _place(error: ProjectError | None, config: Config) -> str:
    """The line of the project that raised the cause of an error; ``""`` where its text says it, or it has none."""
    cause = error.__cause__ if error is not None else None
    if cause is None or isinstance(cause, SyntaxError):
        return ""
    frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if _is_below(frame.filename, config.root)]
    return f" ({shown(Path(frames[-1].filename), config)}:{frames[-1].lineno})" if frames else ""


def _is_below(file: str, root: Path) -> bool:
    return Path(file).is_relative_to(root)


def endpoint_warnings(endpoints: Endpoints) -> Iterator[str]:
    """Warnings of endpoints that are served otherwise than they seem to be meant."""
    config = endpoints.config
    if not endpoints.routes:
        yield f"{shown(config.pages, config)} has no endpoint"
    for first, other in RouteTable(route_files(config)).shadowed():
        yield (
            f"{shown(other, config)} is never asked, because {shown(first, config)} matches the same paths; remove one"
        )
    for route in endpoints.routes:
        try:
            tree = ast.parse(route.file.read_bytes())
        except (SyntaxError, ValueError):  # a problem already
            continue
        yield from _misspelt_static(route, tree)
        yield from _misspelt_handlers(route, tree)


def _misspelt_static(route: Route, tree: ast.Module) -> Iterator[str]:
    """Names that look as if the endpoint were static, where it is not."""
    name = route.file_name
    bound, imported = bindings(tree)
    for known in (PRERENDER, STATIC_PATHS):
        for near in bound:
            if near != known and difflib.get_close_matches(_squashed(near), [known.lower()], 1, cutoff=0.85):
                yield f"{name}: {near} means nothing here; did you mean {known}?"
    if "check_origin" in bound:
        yield f"{name}: a variable check_origin means nothing here; write @check_origin(False) in front of the handler"
    if (STATIC_PATHS in bound or STATIC_PATHS in imported) and not route.is_static and route.broken is None:
        yield f"{name}: {STATIC_PATHS} is asked of static endpoints only; add {PRERENDER} = True, or remove it"


def _squashed(name: str) -> str:
    return name.replace("_", "").lower()


def _misspelt_handlers(route: Route, tree: ast.Module) -> Iterator[str]:
    """Handlers that are imported, so not served, or whose parameter is nearly a member of the context."""
    served = {handler.method for handler in route.methods.values()}
    for name in sorted(bindings(tree)[1].intersection((*METHODS, ALL)) - served):
        yield f"{route.file_name}: {name} is imported, so it is not served; define it here, or name it in __all__"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.isupper() and node.name not in (*METHODS, ALL):
            for near_method in difflib.get_close_matches(node.name, (*METHODS, ALL), 1, cutoff=0.75):
                yield f"{route.file_name}:{node.lineno}: {node.name} is not served; did you mean {near_method}?"
        if node.name in served:
            arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            near = difflib.get_close_matches(arguments[0], MEMBERS, 1) if len(arguments) == 1 else []
            if near and near != arguments:
                yield (
                    f"{route.file_name}:{node.lineno}: {node.name}({arguments[0]}) is given the whole context, since "
                    f"{arguments[0]} is no member of it; did you mean {near[0]}?"
                )
