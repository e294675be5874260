"""Answers and cookies: options that are not sent, and arguments that raise."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from wixhttp.endpoints.web.cookies import _OPTIONS as COOKIE_OPTIONS
from wixhttp.endpoints.web.cookies import _OPTIONS_OF_DELETE as OPTIONS_OF_DELETE
from wixhttp.messages import nearest
from wixhttp.project.findings import Finding

from .calls import ANSWERS
from .sources import Source, short

_OPTIONS = ("body", "headers", "status")
_OTHER_SPELLINGS = {
    "header": "headers", "content": "body", "data": "body", "json": "body", "statuscode": "status",
    "status_code": "status", "code": "status",
}  # fmt: skip
_PARAMETERS = {
    "wixhttp.Response": ("status", "body", "headers"),
    "wixhttp.endpoints.Response": ("body", "status", "statusText", "headers"),
    "wixhttp.endpoints.Response.json": ("data", "status", "headers"),
    "wixhttp.endpoints.Response.redirect": ("url", "status"),
}  # the parameters of each, in order
_HELPERS = {f"wixhttp.{name}": name for name in ANSWERS}


def answer_findings(source: Source) -> Iterator[Finding]:
    """Findings about what answers and cookies are made of in a file."""
    for call in source.tree.calls():
        origin = source.origin(call.func)
        if origin in _HELPERS:
            yield from _helper(source, call, _HELPERS[origin])
        elif origin in _PARAMETERS:
            yield from _response(source, call, _PARAMETERS[origin])
        elif origin in ("@web.cookies.set", "@web.cookies.delete"):
            known = COOKIE_OPTIONS if origin.endswith("set") else OPTIONS_OF_DELETE
            yield from _cookie(source, call, known, 2 if origin.endswith("set") else 1)


def _wrong(source: Source, node: ast.expr, message: str) -> Finding:
    return Finding(source.place, node.lineno, "wrong-argument", message, is_error=True)


# --- ok, created, ... ------------------------------------------------------------------------------------------------


def _helper(source: Source, call: ast.Call, name: str) -> Iterator[Finding]:
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg not in _OPTIONS:
            known = ("body", "headers", "status") if name == "response" else ("body", "headers")
            yield _wrong(source, keyword.value, f"{name}() has no {keyword.arg!r}; {_near(keyword.arg, known)}")
        elif keyword.arg == "status" and name != "response":
            yield Finding(source.place, keyword.value.lineno, "unsent-option", _no_status(name))
    if len(call.args) > 1 and not any(isinstance(each, ast.Starred) for each in call.args):
        yield _wrong(source, call, f"{name}() takes one value; for headers write {name}(body=..., headers=...)")
    for given in (*call.args[:1], *(each.value for each in call.keywords if each.arg == "body")):
        yield from _sets(source, given, name)
    if len(call.args) == 1:
        keys = _keys(source, call.args[0])
        if keys is not None:
            yield from _unsent(source, call, name, *keys)


def _near(key: str, known: tuple[str, ...]) -> str:
    other = _OTHER_SPELLINGS.get(key.lower())
    return f"did you mean {other!r}?" if other in known else nearest(key, known)


def _no_status(name: str) -> str:
    return f"the status of {name}() is its own, and this one is not sent; write response(status=..., body=...)"


def _keys(source: Source, node: ast.expr) -> tuple[dict[str, ast.expr], bool] | None:
    """The literal keys of a mapping, each with its node, and whether those are all; ``None``: it is no literal.

    A name stands for the one literal that is bound to it, and for what is set in it by ``name["key"] = ...``.
    """
    if isinstance(node, ast.Dict):
        literal: dict[str, ast.expr] = {
            key.value: key for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        return literal, len(literal) == len(node.keys)
    tree = source.tree
    if not isinstance(node, ast.Name):
        return None
    found = tree.scope_of(node).lookup(node.id)
    if found is None or len(found[1]) != 1 or not isinstance(found[1][0].node, ast.Dict):
        return None
    if found[1][0].kind != "value":
        return None
    told = _keys(source, found[1][0].node)
    if told is None:
        return None
    keys, is_all = dict(told[0]), told[1]
    for name in tree.names():
        if name.id != node.id or name is node or not isinstance(name.ctx, ast.Load):
            continue
        outer = tree.parent(name)
        if isinstance(outer, ast.Subscript) and isinstance(outer.ctx, ast.Store):
            key = outer.slice
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                keys[key.value] = key
                continue
        is_all = is_all and isinstance(outer, ast.Subscript | ast.Call)
        if isinstance(outer, ast.Attribute):  # update, setdefault, pop
            is_all = False
    return keys, is_all


def _unsent(source: Source, call: ast.Call, name: str, keys: dict[str, ast.expr], is_all: bool) -> Iterator[Finding]:
    """Findings about a helper's mapping: the keys that are not sent, and names that are nearly those of options."""

    def told(key: str, message: str) -> Finding:
        line = keys[key].lineno
        return Finding(source.place, line, "unsent-option", message)

    if "status" in keys and name != "response":
        yield told("status", _no_status(name))
    unknown = [key for key in keys if key not in _OPTIONS]
    if any(key in keys for key in _OPTIONS):
        for key in unknown:
            near = _nearly(key)
            way_out = (
                f"did you mean {near!r}?" if near and near not in keys
                else f"put it into the body, or write {name}(body={{...}}) around the whole mapping"
            )  # fmt: skip
            yield told(key, f"{name}() sends body, headers and status of its mapping, and {key!r} is none: {way_out}")
        return
    meanings = [_nearly(key) for key in unknown]
    if not is_all or not unknown or not all(meanings) or (unknown == ["header"] and _is_text(call, "header")):
        return
    for key, meant in zip(unknown, meanings, strict=True):
        yield told(
            key, f"{name}() takes a mapping without 'body' as the body itself, {key!r} and all: did you mean {meant!r}?"
        )


def _is_text(call: ast.Call, key: str) -> bool:
    """Return whether the value of a key is no mapping: a body may well have a text called header."""
    mapping = call.args[0]
    if not isinstance(mapping, ast.Dict):
        return True
    values = [value for each, value in zip(mapping.keys, mapping.values, strict=True)
              if isinstance(each, ast.Constant) and each.value == key]  # fmt: skip
    return not any(isinstance(value, ast.Dict) for value in values)


def _nearly(key: str) -> str | None:
    """The option that a key is nearly: of another case, or misspelt."""
    lower = key.lower()
    if lower in _OPTIONS or lower in ("header", "statuscode", "status_code"):
        return _OTHER_SPELLINGS.get(lower, lower)
    close = difflib.get_close_matches(lower, _OPTIONS, 1, cutoff=0.8)
    return close[0] if close else None


def _sets(source: Source, node: ast.expr, name: str) -> Iterator[Finding]:
    """Sets in the literals of an answer that are hardly meant: JavaScript's ``{body}``, and a set as the answer."""
    waiting: list[ast.expr] = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.Set):
            names = [element.id for element in each.elts if isinstance(element, ast.Name)]
            if len(names) == len(each.elts):
                dict_ = ", ".join(f'"{element}": {element}' for element in names)
                text = (
                    f"{{{', '.join(names)}}} is a set, which {name}() sends as a list; for a mapping write {{{dict_}}}"
                )
                yield Finding(source.place, each.lineno, "javascript", text)
            elif each is node:
                text = f"{name}() is given a set, which it sends as a list, in any order; write a list: [...]"
                yield Finding(source.place, each.lineno, "javascript", text)
        elif isinstance(each, ast.Dict):
            waiting.extend(each.values)
        elif isinstance(each, ast.List | ast.Tuple):
            waiting.extend(each.elts)


# --- Response --------------------------------------------------------------------------------------------------------


def _response(source: Source, call: ast.Call, parameters: tuple[str, ...]) -> Iterator[Finding]:
    name = short(call.func)
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg not in parameters:
            yield _wrong(source, keyword.value, f"{name}() has no {keyword.arg!r}; {_near(keyword.arg, parameters)}")
    given = dict(zip(parameters, call.args, strict=False))
    given |= {each.arg: each.value for each in call.keywords if each.arg is not None}
    status = given.get("status")
    if isinstance(status, ast.Dict):
        yield _wrong(
            source,
            status,
            f"the status of {name}() is a number; write its options as keywords: {name}(..., status=201)",
        )
    if isinstance(given.get("body"), ast.Dict | ast.List | ast.Set) and parameters[0] == "body":
        yield _wrong(source, call, f"the body of {name}() is text or bytes; for data write {name}.json(data)")


# --- cookies ---------------------------------------------------------------------------------------------------------


def _cookie(source: Source, call: ast.Call, known: tuple[str, ...], position: int) -> Iterator[Finding]:
    given = [(each.arg, each.value) for each in call.keywords if each.arg is not None]
    if len(call.args) > position and isinstance(call.args[position], ast.Dict):
        keys, _ = _keys(source, call.args[position]) or ({}, True)
        given += list(keys.items())
    for key, node in given:
        if key not in known:
            close = difflib.get_close_matches(
                key.replace("_", "").replace("-", "").lower(), [each.lower() for each in known], 1
            )
            meant = next((each for each in known if close and each.lower() == close[0]), None)
            way_out = f"did you mean {meant!r}?" if meant else f"there are {', '.join(known)}"
            yield _wrong(source, node, f"a cookie has no option {key!r}; {way_out}")
