"""The list of what a project answers as a table or as JSON: for ``wixhttp routes``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from wixhttp.dispatch.route_list import list_routes, relative_file
from wixhttp.dispatch.site import Site


def format_routes(site: Site, as_json: bool) -> str:
    """The list as a table for a person, which ends with the file of the middleware, or as JSON."""
    routes = list_routes(site)
    if as_json:
        return json.dumps(routes, indent=2, ensure_ascii=False)
    lines = list(_table(routes)) or ["no functions and no endpoints"]
    if site.endpoints is not None and site.endpoints.middleware:
        file = relative_file(str(site.config.pages.parent / "middleware.py"), site.config.root)
        lines.append(f"{file} runs in front of every endpoint")
    return "\n".join(lines)


def _table(routes: list[dict[str, Any]]) -> Iterator[str]:
    rows = [(route["method"], route["url"], _place(route), _summary(route)) for route in routes]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()


def _place(route: dict[str, Any]) -> str:
    return f"{route['file']}:{route['line']}" if route["line"] else route["file"]


def _summary(route: dict[str, Any]) -> str:
    text: str = route["summary"]
    return f"(static) {text}" if route.get("static") else text
