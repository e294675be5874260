"""The list of what a project answers, as plain values: for ``wixhttp routes``, the inspector and OpenAPI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wixhttp.project.function_table import ANY, EVERY_METHOD, METHODS

from .site import Site

if TYPE_CHECKING:  # a site without endpoints does not load them
    from wixhttp.endpoints.endpoint_table import Endpoints, Route


def list_routes(site: Site) -> list[dict[str, Any]]:
    """Every function, then every endpoint in the order in which routes are asked, then public files, as one entry.

    Each has method (``ANY`` for ``use_`` and ``ALL``), url, function (as it is named in its file), file, line, async,
    summary; an endpoint ``static``, too. HEAD is listed where it has a function of its own.
    """
    mount = site.config.base_path + "/_functions/"
    found = [
        {
            "method": "ANY" if function.prefix == ANY else METHODS[function.prefix],
            "url": mount + function.name,
            "function": function.exported_name,
            "file": relative_file(function.file, site.config.root),
            "line": function.line,
            "async": function.is_async,
            "summary": function.summary,
        }
        for function in site.functions
    ]
    if site.endpoints is not None:
        for route in site.endpoints.routes:
            found += _handlers(site.endpoints, route)
        found += _public(site.endpoints)
    return found


def _public(endpoints: Endpoints) -> Iterator[dict[str, Any]]:
    """One entry for all public files."""
    public = endpoints.public
    if public is not None and len(public):
        yield {
            "method": "GET",
            "url": f"{public.prefix}/*",
            "function": "",
            "file": relative_file(str(public.folder), endpoints.config.root) + "/",
            "line": 0,
            "async": False,
            "summary": f"{len(public)} public file{'s' * (len(public) != 1)}",
            "static": True,
        }


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


def relative_file(file: str, root: Path) -> str:
    """A path below the project's folder as it is from there; any other as it is."""
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file
