"""The list of what a project answers: for ``wixhttp routes``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .functions import ANY, METHODS
from .site import Site


def list_routes(site: Site) -> list[dict[str, Any]]:
    """Every function: method (``ANY`` for ``use_``), url, function, file, line, async, summary."""
    mount = site.config.base_path + "/_functions/"
    return [
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


def format_routes(routes: list[dict[str, Any]], as_json: bool) -> str:
    """The list as a table for a person, or as JSON."""
    if as_json:
        return json.dumps(routes, indent=2, ensure_ascii=False)
    if not routes:
        return "no functions"
    rows = [(route["method"], route["url"], f"{route['file']}:{route['line']}", route["summary"]) for route in routes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    )


def _relative(file: str, root: Path) -> str:
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file
