"""Returned values of handlers: literals and names that are no answers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from wixhttp.project.findings import Finding

from .calls import ANSWERS
from .sources import Source, short

_KINDS: dict[type[ast.expr], str] = {
    ast.Dict: "a dict", ast.List: "a list", ast.ListComp: "a list", ast.Tuple: "a tuple",
    ast.JoinedStr: "a str",
}  # fmt: skip
_MAKERS = {*(f"wixhttp.{name}" for name in (*ANSWERS, "Response")), "wixhttp.endpoints.Response"}


def return_findings(source: Source) -> Iterator[Finding]:
    """Findings about the values that the handlers of a file return, where they surely are no answers."""
    for function in source.tree.functions():
        handler = source.handler(function)
        if handler is None or handler.role not in ("function", "endpoint") or function.decorator_list:
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None and source.tree.function_of(node) is function:
                told = _no_answer(source, node.value, handler.role)
                if told is not None:
                    yield Finding(source.place, node.lineno, "no-answer", f"{handler.name} {told}", is_error=True)


def _no_answer(source: Source, value: ast.expr, role: str) -> str | None:
    if source.origin(value) in _MAKERS:
        return f"returns {short(value)} itself, which is no answer; write {short(value)}(...)"
    kind = _KINDS.get(type(value))
    if kind is None and isinstance(value, ast.Constant):
        kind = "None" if value.value is None else f"a {type(value.value).__name__}"
    if kind is None or (isinstance(value, ast.Dict) and role == "function" and _may_have_status(value)):
        return None
    if role == "function":
        way_out = "response(status=..., body=...)" if kind == "a tuple" else "ok(body=...)"
    elif kind == "a tuple":
        way_out = "Response.json(..., status=...)"
    else:
        way_out = "Response(...)" if kind == "a str" else "Response.json(...)"
    return f"returns {kind}, which is no answer; write return {way_out}"


def _may_have_status(value: ast.Dict) -> bool:
    """Return whether a mapping may have a status, with which it is an answer of a function."""
    return any(not isinstance(key, ast.Constant) or key.value == "status" for key in value.keys)
