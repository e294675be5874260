"""The checks of ``wixhttp check`` on endpoints: their files, their routes, and names that are nearly right."""

from __future__ import annotations

import ast
import difflib
import logging
import traceback
from collections.abc import Collection, Iterator
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


class _KeptWarnings(logging.Handler):
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
    recorder, propagates = _KeptWarnings(), logger.propagate
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


def endpoint_problems(endpoints: Endpoints, not_python: Collection[str] = ()) -> Iterator[str]:
    """The problems that keep the endpoints of a site, loaded as in development, from being served, but for those of
    the files that are ``not_python``."""
    config = endpoints.config
    for _, error in doubles(route_files(config, []), config):
        yield str(error)
    for route in broken_routes(endpoints):
        if route.file_name not in not_python:
            yield f"{route.broken}{raising_line(route.broken, config)}"


def raising_line(error: ProjectError | None, config: Config) -> str:
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
    if endpoints.public is not None:
        yield from endpoints.public.problems
        yield from endpoints.unsent_files()
    if not endpoints.routes and config.pages.is_dir():
        yield f"{shown(config.pages, config)} has no endpoint"
    for first, other in RouteTable(route_files(config, [])).shadowed():
        yield (
            f"{shown(other, config)} is never asked, because {shown(first, config)} matches the same paths; remove one"
        )
    yield from _misplaced_files(config)
    for route in endpoints.routes:
        page = route.pattern.text.rpartition("/")[2]
        if page in ("404", "500"):
            yield (
                f"{route.file_name} answers {route.pattern.text} alone: the page for errors stands in "
                f"{shown(config.pages / page, config)}.py"
            )
        try:
            tree = ast.parse(route.file.read_bytes())
        except (SyntaxError, ValueError):  # a problem already
            continue
        yield from _misspelt_static(route, tree)
        yield from _misspelt_handlers(route, tree)


def _misplaced_files(config: Config) -> Iterator[str]:
    """Files that look like endpoints, and are none for their ending."""
    found = [
        path
        for path in sorted(config.pages.rglob("*"))
        if path.suffix == ".pyw" or (path.suffix.lower() == ".py" and path.suffix != ".py")
    ]
    if found:
        names = ", ".join(shown(path, config) for path in found[:3]) + (", ..." if len(found) > 3 else "")
        yield f"{names}: no endpoint, since the name does not end in .py"


def _misspelt_static(route: Route, tree: ast.Module) -> Iterator[str]:
    """Names that look as if the endpoint were static, where it is not."""
    name = route.file_name
    bound = bindings(tree)[0]
    for known in (PRERENDER, STATIC_PATHS):
        for near in bound:
            if near != known and difflib.get_close_matches(_squashed(near), [known.lower()], 1, cutoff=0.85):
                yield f"{name}: {near} means nothing here; did you mean {known}?"
    if "check_origin" in bound:
        yield f"{name}: a variable check_origin means nothing here; write @check_origin(False) in front of the handler"


def _squashed(name: str) -> str:
    return name.replace("_", "").lower()


def _misspelt_handlers(route: Route, tree: ast.Module) -> Iterator[str]:
    """Handlers that are defined twice, misspelt, or whose parameter is nearly a member of the context."""
    served = {handler.method for handler in route.methods.values()}
    lines: dict[str, int] = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name in served and lines.setdefault(node.name, node.lineno) != node.lineno:
            yield (
                f"{route.file_name}:{node.lineno}: {node.name} is defined a second time, so the one in line "
                f"{lines[node.name]} is never called; remove one"
            )
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
