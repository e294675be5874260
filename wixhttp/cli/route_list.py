"""The list of what a project answers: for ``wixhttp routes``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wixhttp.dispatch.site import Site
from wixhttp.project.function_table import ANY, EVERY_METHOD, METHODS

if TYPE_CHECKING:  # a site without endpoints does not load them
    from wixhttp.endpoints.endpoint_table import Endpoints, Route


def list_routes(site: Site) -> list[dict[str, Any]]:
    """Every function, then every endpoint in the order in which routes are asked.

    Each has method (``ANY`` for ``use_`` and ``ALL``), url, function (as it is named in its file), file, line, async,
    summary; an endpoint ``static``, too. HEAD is listed where it has a function of its own.
    """
    mount = site.config.base_path + "/_functions/"
    found = [
        {
            "method": "ANY" if function.prefix == ANY else METHODS[function.prefix],
            "url": mount + function.name,
            "function": function.exported_name,
            "file": _relative(function.file, site.config.root),
            "line": function.line,
            "async": function.is_async,
            "summary": function.summary,
        }
        for function in site.functions
    ]
    if site.endpoints is not None:
        for route in site.endpoints.routes:
            found += _handlers(site.endpoints, route)
    return found


def _handlers(endpoints: Endpoints, route: Route) -> Iterator[dict[str, Any]]:
    for method, handler in route.methods.items():
        if method == "HEAD" and handler is route.methods.get("GET"):
            continue
        yield {
            "method": "ANY" if method == EVERY_METHOD else method,
            "url": endpoints.prefix + route.pattern.text,
            "function": handler.method,
            "file": route.file_name,
            "line": handler.line if route.broken is None else 1,
            "async": handler.runs_async,
            "summary": handler.summary if route.broken is None else f"(broken) {route.broken}",
            "static": route.is_static,
        }


def format_routes(site: Site, as_json: bool) -> str:
    """The list as a table for a person, which ends with the file of the middleware, or as JSON."""
    routes = list_routes(site)
    if as_json:
        return json.dumps(routes, indent=2, ensure_ascii=False)
    lines = list(_table(routes)) or ["no functions and no endpoints"]
    if site.endpoints is not None and site.endpoints.middleware:
        file = _relative(str(site.config.pages.parent / "middleware.py"), site.config.root)
        lines.append(f"{file} runs in front of every endpoint")
    return "\n".join(lines)


def _table(routes: list[dict[str, Any]]) -> Iterator[str]:
    rows = [(route["method"], route["url"], f"{route['file']}:{route['line']}", _summary(route)) for route in routes]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()


def _summary(route: dict[str, Any]) -> str:
    text: str = route["summary"]
    return f"(static) {text}" if route.get("static") else text


def _relative(file: str, root: Path) -> str:
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file
