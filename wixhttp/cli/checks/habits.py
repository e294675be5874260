"""Habits of JavaScript and of other frameworks: names, attributes and syntax that are not there."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from typing import Any

from wixhttp.data.awaited_calls import AwaitedResult
from wixhttp.data.calls.results import QueryResult
from wixhttp.endpoints.context import AsyncContext, Context
from wixhttp.endpoints.session import AsyncSession, Session
from wixhttp.endpoints.web import request as web_request
from wixhttp.endpoints.web.cookies import Cookie, Cookies
from wixhttp.endpoints.web.headers import Headers
from wixhttp.endpoints.web.url import URL, URLSearchParams
from wixhttp.http import request as velo_request
from wixhttp.http.request_head import RequestHeaders
from wixhttp.http.url import PathSegments, QueryParams
from wixhttp.messages import nearest
from wixhttp.project.findings import Finding
from wixhttp.project.javascript_habits import ATTRIBUTES, NAMES, advice

from .calls import data_call
from .sources import Project, Source, Unparsed, short

_KINDS: dict[str, tuple[type[Any], ...]] = {
    "=list": (list,),
    "=dict": (dict,),
    "=str": (str,),
    "@request": (velo_request.Request, velo_request.AsyncRequest),
    "@request.body": (velo_request.Body, velo_request.AsyncBody),
    "@request.query": (QueryParams,),
    "@request.query[]": (str,),
    "@request.headers": (RequestHeaders,),
    "@request.headers[]": (str,),
    "@request.path": (PathSegments,),
    "@request.path[]": (str,),
    "@web": (Context, AsyncContext),
    "@web.request": (web_request.Request, web_request.AsyncRequest),
    "@web.request.headers": (Headers,),
    "@web.params": (dict,),
    "@web.url": (URL,),
    "@web.url.searchParams": (URLSearchParams,),
    "@web.cookies": (Cookies,),
    "@web.cookies.get()": (Cookie,),
    "@web.session": (Session, AsyncSession),
}
"""Origin -> the types that it may be of."""
_JSON = (dict, list, str, int, float)
_JSON_READERS = {"@request.body.json()", "@request.body.json()!", "@web.request.json()", "@web.request.json()!"}
_ITEMS = ("get", "insert", "update", "save")  # calls on collections that give an item
_SURE = frozenset(
    {
        "charAt", "charCodeAt", "forEach", "getFullYear", "getTime", "hasOwnProperty", "indexOf", "padEnd", "padStart",
        "replaceAll", "substr", "substring", "toFixed", "toISOString", "toLowerCase", "toUpperCase", "trimEnd",
        "trimStart",
    }
)  # fmt: skip
"""Methods of JavaScript's that hardly any object in Python has."""
_SAMPLES: dict[type[Any], Any] = {list: [], dict: {}, str: "", QueryParams: {}, RequestHeaders: {}, PathSegments: []}
_BEFORE_TEMPLATE = ("/$", "?$", "=$", "&$", "#$")
_FETCHED = {f"wixhttp.fetch.{name}()" for name in ("fetch", "getJSON", "postJSON")} | {"wixhttp.auth.fetchWithAuth()"}
_DASH = re.compile(r" *(?:async )?def (\w+)-([\w-]+)")


def habit_findings(source: Source, project: Project) -> Iterator[Finding]:
    """Findings about habits in a file."""
    yield from _names(source)
    for node in source.tree.attributes():
        yield from _attribute(source, project, node)
        yield from _of_fetch(source, node)
    for text in source.tree.texts():
        yield from _template(source, text)


def syntax_finding(source: Unparsed) -> Finding:
    """The finding about a file that is not Python: where, and what to write if it is JavaScript there."""
    error = source.error
    line = getattr(error, "lineno", None) or 1
    text = str(getattr(error, "msg", None) or error)
    dashed = _DASH.match(source.lines[line - 1]) if line <= len(source.lines) else None
    if dashed is not None:
        name = f"{dashed[1]}_{dashed[2].replace('-', '_')}"
        told: str | None = f"a name has no '-'; write def {name}"
    else:
        told = advice(error)
    return Finding(
        source.place, line, "syntax", f"the file is not Python: {text}" + (f": {told}" if told else ""), is_error=True
    )


# --- names -----------------------------------------------------------------------------------------------------------


def _names(source: Source) -> Iterator[Finding]:
    """Names that nothing binds, and that JavaScript or wixhttp has."""
    tree = source.tree
    keys = {id(key) for node in tree.dicts() for key in node.keys if isinstance(key, ast.Name)}
    for node in tree.names():
        if not isinstance(node.ctx, ast.Load) or not source.is_unbound(node):
            continue
        if id(node) in keys and node.id not in NAMES:
            message: str | None = f'the keys of a dict are text, in quotes: {{"{node.id}": ...}}'
        else:
            message = advice(NameError(f"name {node.id!r} is not defined", name=node.id))
        if message is not None:
            yield Finding(source.place, node.lineno, "javascript", message, is_error=True)


# --- f-strings -------------------------------------------------------------------------------------------------------


def _template(source: Source, text: ast.JoinedStr) -> Iterator[Finding]:
    """JavaScript's ``${...}`` in a path or a query: elsewhere the sign may well be that of dollars."""
    for before, value in itertools.pairwise(text.values):
        if (
            isinstance(before, ast.Constant)
            and isinstance(value, ast.FormattedValue)
            and str(before.value).endswith(_BEFORE_TEMPLATE)
        ):
            name = ast.unparse(value.value)
            yield Finding(
                source.place, value.value.lineno, "javascript",
                f"${{{name}}} is JavaScript's, and its '$' is sent here; write {{{name}}}",
            )  # fmt: skip


# --- attributes ------------------------------------------------------------------------------------------------------


def _attribute(source: Source, project: Project, node: ast.Attribute) -> Iterator[Finding]:
    name = node.attr
    if name.startswith("__"):
        return
    tree = source.tree
    origin = source.origin(node.value)
    kinds = None if origin is None else _kinds_of(origin, node.value)
    if kinds is not None:
        if not any(_has(kind, name) for kind in kinds):
            yield Finding(source.place, node.lineno, *_missing(node, kinds), is_error=True)
        return
    parent = tree.parent(node)
    if origin is not None or not isinstance(parent, ast.Call) or parent.func is not node:
        return
    if name in project.own_attributes:
        return
    is_promise = name in ("then", "catch") and any(isinstance(each, ast.Lambda) for each in parent.args)
    if name in _SURE or is_promise:
        yield Finding(source.place, node.lineno, "javascript", f".{name} is JavaScript's: {ATTRIBUTES[name]}")


def _of_fetch(source: Source, node: ast.Attribute) -> Iterator[Finding]:
    """``.then`` of a request in a ``def``, where its value is there at once; in an ``async def`` it is a promise."""
    if node.attr in ("then", "catch", "finally") and source.origin(node.value) in _FETCHED:
        function = source.tree.function_of(node)
        if not isinstance(function, ast.AsyncFunctionDef):
            message = (
                f"{short(node.value)} gives the value itself; .{node.attr} is JavaScript's: {ATTRIBUTES[node.attr]}"
            )
            yield Finding(source.place, node.lineno, "javascript", message, is_error=True)


def _kinds_of(origin: str, node: ast.expr) -> tuple[type[Any], ...] | None:
    """The types that a value of an origin may be of; ``None``: not known."""
    if origin in _KINDS:
        return _KINDS[origin]
    base = origin.replace("[]", "")
    if base in _JSON_READERS:
        return _JSON
    while isinstance(node, ast.Await):
        node = node.value
    result, _, rest = origin.rpartition("find()")
    if result and rest in ("", "!"):
        call = data_call(f"{result}find", _NO_CALL)
        is_value = call is not None and call.runs and call.is_awaited == (rest == "!")
        return (QueryResult, AwaitedResult) if is_value else None
    if result and rest in (".items", "!.items"):
        return (list,) if _is_result(result, rest) else None
    if result and rest in (".items[]", "!.items[]"):
        return (dict,) if _is_result(result, rest) else None
    return _item_kinds(origin)


_NO_CALL = ast.Call(ast.Name("x", ast.Load()), [], [])


def _is_result(result: str, rest: str) -> bool:
    call = data_call(f"{result}find", _NO_CALL)
    return call is not None and call.runs and call.is_awaited == rest.startswith("!")


def _item_kinds(origin: str) -> tuple[type[Any], ...] | None:
    called, parenthesis, rest = origin.rpartition("()")
    if not parenthesis or rest not in ("", "!") or called.rpartition(".")[2] not in _ITEMS:
        return None
    call = data_call(called, _NO_CALL)
    return (dict,) if call is not None and call.runs and call.is_awaited == (rest == "!") else None


def _has(kind: type[Any], name: str) -> bool:
    """Return whether instances of a type have an attribute: by its class, an annotation, or its constructor."""
    if hasattr(kind, name):
        return True
    for each in kind.__mro__:
        code = getattr(vars(each).get("__init__"), "__code__", None)
        if name in inspect.get_annotations(each) or (code is not None and name in code.co_names):
            return True
    return False


def _missing(node: ast.Attribute, kinds: tuple[type[Any], ...]) -> tuple[str, str]:
    """The code of a finding about an attribute that is not there, and its message."""
    name, value, kind = node.attr, short(node.value), kinds[0]
    if issubclass(kind, dict):
        special = advice(AttributeError("", name=name, obj={}))
        if special is not None and name in ATTRIBUTES and "keys" not in special:
            return "javascript", f"{value}: {special}"
        return "no-attribute", f'{value} has no attribute {name!r}; what it holds are keys: write {value}["{name}"]'
    if kind is velo_request.Body:
        return "no-attribute", (
            f'the body has no {name!r}; read it first: {value}.json()["{name}"], in an async def '
            f'(await {value}.json())["{name}"]'
        )
    if name in ATTRIBUTES:
        return "javascript", f".{name} is JavaScript's: {ATTRIBUTES[name]}"
    members = [each for each in dir(kind) if not each.startswith("_")]
    return "no-attribute", f"{value} has no {name!r}; {nearest(name, members)}"
