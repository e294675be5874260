"""Facts about a handler that its text tells: the bodies and parameters that it reads, the answers that it gives.

What cannot be told for sure is left out. Functions of the project that a handler calls belong to it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal, NamedTuple

from wixhttp.cli.checks.sources import Project, Source

BodyKind = Literal["json", "form", "text", "buffer"]

_BODIES: dict[str, BodyKind] = {
    "@request.body.json": "json",
    "@request.body.form": "form",
    "@request.body.text": "text",
    "@request.body.buffer": "buffer",
    "@web.request.json": "json",
    "@web.request.formData": "form",
    "@web.request.text": "text",
    "@web.request.bytes": "buffer",
    "@web.request.arrayBuffer": "buffer",
    "@web.request.blob": "buffer",
}
_SEARCH = ("@web.url.searchParams", "wixhttp.endpoints.URL().searchParams")
_PARAMETERS = {
    "@request.query": ("query", False),
    "@request.query.get": ("query", False),
    "@request.query_all": ("query", True),
    "@request.query_all.get": ("query", True),
    **{f"{each}.{name}": ("query", name == "getAll") for each in _SEARCH for name in ("get", "getAll", "has")},
    "@request.headers": ("header", False),
    "@request.headers.get": ("header", False),
    "@web.request.headers.get": ("header", False),
    "@web.request.headers.has": ("header", False),
}  # what is indexed, or called, with the name of a parameter -> where that is sent, and whether it may be several times
_MODELS = {"@request.query.parse", *(f"{each}.parse" for each in _SEARCH)}
_CALLER, _REQUIRE = "wixhttp.auth.getTokenInfo", "wixhttp.auth.require"
_HELPERS = {
    "wixhttp.ok": 200,
    "wixhttp.created": 201,
    "wixhttp.badRequest": 400,
    "wixhttp.forbidden": 403,
    "wixhttp.notFound": 404,
    "wixhttp.serverError": 500,
    "wixhttp.response": 200,
}
_MADE = {
    "wixhttp.Response": ("status", "body", "headers"),
    "wixhttp.endpoints.Response": ("body", "status", "statusText", "headers"),
    "wixhttp.endpoints.Response.json": ("body", "status", "headers"),
    "wixhttp.endpoints.Response.redirect": ("url", "status"),
    "@web.redirect": ("url", "status"),
    "wixhttp.HTTPError": ("status", "detail"),
    "wixhttp.errors.HTTPError": ("status", "detail"),
}  # the parameters of what makes an answer, in order
_LITERALS = {"=dict": "application/json", "=list": "application/json", "=str": "text/plain"}
_TYPED = (".json", ".form", ".formData", ".parse")
JSON, PROBLEM, ANY_TYPE = "application/json", "application/problem+json", "*/*"


class NamedType(NamedTuple):
    """A type as a file names it. ``is_made``: it is called there, and is the type of the value if it is a class."""

    node: ast.expr
    source: Source
    is_made: bool = False


class Parameter(NamedTuple):
    """A parameter of the query, or a header, that is read by a literal name."""

    name: str
    place: str
    is_many: bool


class SentAnswer(NamedTuple):
    """An answer of a handler: ``media`` is the content type, ``""`` for no body, ``*/*`` for one that only the ``type``
    of the body may tell; ``status`` is 0 for one that is not told."""

    status: int
    media: str
    type: NamedType | None = None


@dataclass
class HandlerFacts:
    """All that is known of one handler. ``needs_caller``: it refuses requests without a valid token."""

    bodies: dict[BodyKind, NamedType | None] = field(default_factory=dict)
    parameters: list[Parameter] = field(default_factory=list)
    query_types: list[NamedType] = field(default_factory=list)
    answers: list[SentAnswer] = field(default_factory=list)
    reads_path: bool = False
    asks_caller: bool = False
    needs_caller: bool = False


AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


def read_handler(project: Project, source: Source, function: AnyFunction) -> HandlerFacts:
    """The facts of a handler, and of the functions of the project that it calls."""
    facts = HandlerFacts()
    waiting: list[tuple[Source, AnyFunction]] = [(source, function)]
    read = {function}
    while waiting:
        where, each = waiting.pop(0)
        reader = _Reader(project, where, each, facts)
        reader.read()
        for called in reader.called:
            if called[1] not in read:
                read.add(called[1])
                waiting.append(called)
    return facts


class _Reader:
    """Reads one function. ``called`` are the functions of the project that it calls, or is decorated by."""

    def __init__(self, project: Project, source: Source, function: AnyFunction, facts: HandlerFacts) -> None:
        self.project, self.source, self.function, self.facts = project, source, function, facts
        self.called: list[tuple[Source, AnyFunction]] = []
        self._annotated = {
            node.target.id: node.annotation
            for node in ast.walk(function)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }

    def read(self) -> None:
        for decorator in self.function.decorator_list:
            if not isinstance(decorator, ast.Call):
                self._follow(self._origin(decorator))
        for node in ast.walk(self.function):
            if node not in self.source.tree.places:  # an annotation
                continue
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Subscript):
                self._parameter(self._origin(node.value), node.slice)
            elif isinstance(node, ast.Attribute) and node.attr == "path":
                self.facts.reads_path |= self._origin(node) == "@request.path"
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
                self._mapping(node.value)

    def _origin(self, node: ast.AST) -> str:
        return (self.source.origin(node) or "") if node in self.source.tree.places else ""

    def _follow(self, origin: str) -> None:
        found = self.project.functions.get(origin)
        if found is not None:
            self.called.append(found)

    def _call(self, node: ast.Call) -> None:
        origin, facts = self._origin(node.func), self.facts
        if origin in _BODIES:
            given = NamedType(node.args[0], self.source) if node.args else None
            facts.bodies[_BODIES[origin]] = facts.bodies.get(_BODIES[origin]) or given
        elif origin in _PARAMETERS and node.args:
            self._parameter(origin, node.args[0])
        elif origin in _MODELS and node.args:
            facts.query_types.append(NamedType(node.args[0], self.source))
        elif origin == _CALLER:
            facts.asks_caller = True
        elif origin == _REQUIRE:
            facts.needs_caller = True
        elif origin in _HELPERS:
            self._helper(node, _HELPERS[origin], reads_status=origin == "wixhttp.response")
        elif origin in _MADE:
            self._made(node, origin)
        else:
            self._follow(origin)

    def _parameter(self, origin: str, name: ast.expr) -> None:
        if origin in _PARAMETERS and isinstance(name, ast.Constant) and isinstance(name.value, str) and name.value:
            place, is_many = _PARAMETERS[origin]
            self.facts.parameters.append(Parameter(name.value, place, is_many))

    # --- answers -----------------------------------------------------------------------------------------------------

    def _helper(self, node: ast.Call, status: int, *, reads_status: bool) -> None:
        """``ok(...)`` and its like: a mapping of options, the body itself, or keywords."""
        options = {each.arg: each.value for each in node.keywords if each.arg is not None}
        if node.args:
            mapping = self._literal(node.args[0])
            keys = _keys(mapping) if mapping is not None else {}
            if {"body", "headers", "status"} & keys.keys() or (mapping is not None and not mapping.keys):
                options |= keys
            else:
                options["body"] = node.args[0]
        given = options.get("status") if reads_status else None
        for each in [status] if given is None else self._statuses(given):
            self._add(each, options.get("body"), options.get("headers"))

    def _mapping(self, node: ast.Dict) -> None:
        """``return {"status": 200, "body": ...}``"""
        keys = _keys(node)
        if "status" in keys and self.source.is_functions:
            for each in self._statuses(keys["status"]):
                self._add(each, keys.get("body"), keys.get("headers"))

    def _made(self, node: ast.Call, origin: str) -> None:
        """``Response(...)``, ``Response.json(...)``, a redirect, or an ``HTTPError``."""
        options = dict(zip(_MADE[origin], node.args, strict=False))
        options |= {each.arg: each.value for each in node.keywords if each.arg is not None}
        is_redirect, is_error = origin.endswith("redirect"), origin.endswith("HTTPError")
        given = options.get("status")
        for status in [302 if is_redirect else 200] if given is None else self._statuses(given):
            if is_error:
                self.facts.answers.append(SentAnswer(status, PROBLEM))
            elif origin.endswith(".json"):
                self.facts.answers.append(SentAnswer(status, JSON, self._type(options.get("body"))))
            else:
                self._add(status, options.get("body"), options.get("headers"))

    def _add(self, status: int, body: ast.expr | None, headers: ast.expr | None) -> None:
        if body is None or (isinstance(body, ast.Constant) and body.value in (None, "")):
            self.facts.answers.append(SentAnswer(status, ""))
            return
        media = self._content_type(headers) or self._media(body)
        self.facts.answers.append(SentAnswer(status, media, self._type(body) if media in (JSON, ANY_TYPE) else None))

    def _media(self, body: ast.expr) -> str:
        if isinstance(body, ast.Constant) and isinstance(body.value, bytes):
            return "application/octet-stream"
        return _LITERALS.get(self._origin(body), ANY_TYPE)

    def _content_type(self, headers: ast.expr | None) -> str:
        literal = self._literal(headers) if headers is not None else None
        for name, value in _keys(literal).items() if literal is not None else ():
            if name.lower() == "content-type" and isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value.partition(";")[0].strip().lower() or ANY_TYPE
        return ""

    def _literal(self, node: ast.expr) -> ast.Dict | None:
        """The mapping that an expression is, or that its name is bound to."""
        if isinstance(node, ast.Dict):
            return node
        found = self._value(node) if isinstance(node, ast.Name) else None
        return found if isinstance(found, ast.Dict) else None

    def _value(self, name: ast.Name) -> ast.AST | None:
        """The one value that a name is bound to."""
        found = self.source.tree.scope_of(name).lookup(name.id)
        if found is None or len(found[1]) != 1 or found[1][0].kind != "value":
            return None
        return found[1][0].node

    def _statuses(self, node: ast.expr) -> list[int]:
        """The statuses that an expression may be; 0 for one that is not told."""
        if isinstance(node, ast.IfExp):
            return [*self._statuses(node.body), *self._statuses(node.orelse)]
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and 200 <= node.value <= 599:
            return [node.value]
        library, _, name = self._origin(node).removesuffix(".value").rpartition(".")
        return [int(HTTPStatus[name])] if library == "http.HTTPStatus" and name in HTTPStatus.__members__ else [0]

    # --- types -------------------------------------------------------------------------------------------------------

    def _type(self, node: ast.AST | None) -> NamedType | None:
        """The type of a value, where the text says it."""
        if isinstance(node, ast.Await):
            return self._type(node.value)
        if isinstance(node, ast.Name):
            return self._type_of_name(node)
        if not isinstance(node, ast.Call):
            return None
        origin = self._origin(node.func)
        if origin.endswith(_TYPED) and origin in _BODIES.keys() | _MODELS:
            return NamedType(node.args[0], self.source) if node.args else None
        called = self.project.functions.get(origin)
        if called is not None:
            source, function = called
            return None if function.returns is None else NamedType(function.returns, source)
        return NamedType(node.func, self.source, is_made=True)

    def _type_of_name(self, node: ast.Name) -> NamedType | None:
        if node.id in self._annotated:
            return NamedType(self._annotated[node.id], self.source)
        arguments = self.function.args
        for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if each.arg == node.id:
                return None if each.annotation is None else NamedType(each.annotation, self.source)
        value = self._value(node)
        return None if isinstance(value, ast.Name) else self._type(value)


def _keys(mapping: ast.Dict) -> dict[str, ast.expr]:
    """The literal keys of a mapping with their values."""
    return {
        key.value: value
        for key, value in zip(mapping.keys, mapping.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
