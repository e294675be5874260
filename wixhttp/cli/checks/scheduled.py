"""Functions with ``@scheduled`` that stand where no scheduled function is looked for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from wixhttp.project.findings import Finding
from wixhttp.project.loader import PACKAGE

from .sources import Source


def schedule_findings(source: Source) -> Iterator[Finding]:
    """Findings about the scheduled functions of a file."""
    for function in source.tree.functions():
        if not any(_is_scheduled(source, each) for each in function.decorator_list):
            continue
        if source.module.partition(".")[0] != PACKAGE:
            message = f"{function.name} is not run: scheduled functions stand in {PACKAGE}/"
        elif source.tree.scope_of(function) is not source.tree.module:
            message = f"{function.name} is not run: scheduled functions stand at the top of their file"
        else:
            continue
        yield Finding(source.place, function.lineno, "schedule", message)


def _is_scheduled(source: Source, node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and source.origin(node.func) == "wixhttp.inbox.scheduled"
