"""A user's files, each read and parsed once, and what expressions in them stand for: the *origin* of an expression.

An origin is text: ``wixhttp.data.query().eq().find`` for ``wix_data.query("a").eq("b", 1).find``, whatever the names in
the file. ``()`` is a call, ``[]`` an item, ``!`` an ``await``. ``=list``, ``=dict`` and ``=str`` are such values,
``@request`` is the request of an HTTP function, ``@web`` the context of an endpoint and ``@next`` that of a middleware,
whose members go on from there: ``@request.body.json()``, ``@web.cookies.set``.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from wixhttp.data.calls.hooks import split_name
from wixhttp.endpoints.context import MEMBERS
from wixhttp.endpoints.loader import ALL, METHODS
from wixhttp.endpoints.middleware import NAME as MIDDLEWARE
from wixhttp.project.findings import below
from wixhttp.project.function_table import PREFIXES
from wixhttp.project.loader import PACKAGE

from .scopes import Binding, Function, Scope, ScopedTree

_BUILT_IN = frozenset(dir(builtins))
_LITERALS: dict[type[ast.AST], str] = {
    ast.List: "=list",
    ast.ListComp: "=list",
    ast.Dict: "=dict",
    ast.DictComp: "=dict",
    ast.JoinedStr: "=str",
}
_REQUESTS = {
    "wixhttp.Request": "@request",
    "wixhttp.AsyncRequest": "@request",
    "wixhttp.endpoints.Request": "@web.request",
    "wixhttp.endpoints.AsyncRequest": "@web.request",
    "wixhttp.endpoints.Context": "@web",
    "wixhttp.endpoints.AsyncContext": "@web",
}  # annotations -> what such a parameter is
_BUILDERS = tuple(
    f"wixhttp.data.{module}{name}()"
    for module in ("", "items.", "aio.", "aio.items.")
    for name in ("query", "aggregate", "filter")
)
_MOST_STEPS = 200  # of names that stand for names, before an origin is given up


class Handler(NamedTuple):
    """The role of a function that the runtime calls: ``"function"``, ``"endpoint"``, ``"middleware"``, ``"hook"``."""

    role: str
    name: str


class Unparsed(NamedTuple):
    """A file that is not Python: ``error`` says why."""

    place: str
    lines: list[str]
    error: SyntaxError | ValueError | RecursionError


class Source:
    """One file, parsed: ``place`` is its path as findings name it, ``module`` its name as imports have it."""

    def __init__(self, file: Path, root: Path, lines: list[str], tree: ast.Module) -> None:
        self.place = below(file, root)
        self.lines = lines
        parts = (file.relative_to(root) if file.is_relative_to(root) else file).with_suffix("").parts
        self.module = ".".join(parts).removesuffix(".__init__")
        package = self.module if file.name == "__init__.py" else self.module.rpartition(".")[0]
        self.tree = ScopedTree(tree, package)
        self._origins = _Origins(self)

    @classmethod
    def read(cls, file: Path, root: Path) -> Source | Unparsed:
        """Read and parse a file."""
        data = file.read_bytes()
        lines = data.decode("utf-8", "replace").splitlines()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # those of the user's files were given when they were imported
                tree = ast.parse(data, str(file))
        except (SyntaxError, ValueError, RecursionError) as error:  # ValueError: a NUL, before Python 3.12
            return Unparsed(below(file, root), lines, error)
        return cls(file, root, lines, tree)

    def origin(self, node: ast.AST) -> str | None:
        """The origin of an expression of the file; ``None`` where it cannot be told for sure."""
        return self._origins.of(node, self.tree.scope_of(node), 0)

    def is_unbound(self, node: ast.Name) -> bool:
        """Return whether nothing binds a name: not the file, nor an import, nor Python."""
        if self.tree.has_star_import or node.id in _BUILT_IN or node.id.startswith("__"):
            return False
        return self.tree.scope_of(node).lookup(node.id) is None

    @property
    def is_functions(self) -> bool:
        """True for the file of the HTTP functions."""
        return self.module == f"{PACKAGE}.http_functions"

    def handler(self, function: Function | None) -> Handler | None:
        """The role of a function that is called by the runtime; ``None`` for any other."""
        if function is None or isinstance(function, ast.Lambda):
            return None
        if self.tree.places[function].scope is not self.tree.module:
            return None
        name = function.name
        if self.is_functions:
            prefix, _, rest = name.partition("_")
            return Handler("function", name) if rest and prefix in PREFIXES else None
        if self.module == f"{PACKAGE}.data":
            return Handler("hook", name) if split_name(name) is not None else None
        if self.module.partition(".")[0] == PACKAGE:
            return None
        if name == MIDDLEWARE:
            return Handler("middleware", name)
        return Handler("endpoint", name) if name in METHODS or name == ALL else None


class Project:
    """The files of a project that are Python, and what they define together."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.sources = list(sources)

    @cached_property
    def functions(self) -> dict[str, tuple[Source, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """The functions that the files define, by origin."""
        return {_own_name(source, node): (source, node) for source in self.sources for node in source.tree.functions()}

    @cached_property
    def own_attributes(self) -> frozenset[str]:
        """The attributes that the files define by themselves, in classes and on objects."""
        found: set[str] = set()
        for source in self.sources:
            for scope in source.tree.classes:
                found.update(scope.bindings)
            found.update(node.attr for node in source.tree.attributes() if not isinstance(node.ctx, ast.Load))
        return frozenset(found)


def _own_name(source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    # A method, or one of a function, is known by its line: it has no name that others import.
    is_own = source.tree.scope_of(node) is source.tree.module
    return f"{source.module}.{node.name}" if is_own else f"{source.module}.{node.name}:{node.lineno}"


class _Origins:
    """Finds the origin of an expression in one file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._known: dict[ast.AST, str | None] = {}

    def of(self, node: ast.AST, scope: Scope, steps: int) -> str | None:
        """See `Source.origin`."""
        known = self._known
        if node in known:
            return known[node]
        finder = _FINDERS.get(type(node))
        if finder is not None and steps < _MOST_STEPS:
            found = known[node] = finder(self, node, scope, steps + 1)
            return found
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return "=str"
        return _LITERALS.get(type(node))

    def name(self, node: ast.Name, scope: Scope, steps: int) -> str | None:
        found = scope.lookup(node.id)
        if found is None:
            return f"builtins.{node.id}" if node.id in _BUILT_IN else None
        where, bindings = found
        known = [each for each in bindings if not _is_none(each)] or bindings
        kinds = {each.kind for each in known}
        if kinds == {"import"}:
            return known[-1].target
        if kinds == {"value"}:
            return self._value(node.id, where, known, steps)
        if len(known) > 1:
            return None
        binding = known[0]
        if binding.kind == "element" and isinstance(binding.node, ast.expr):
            return _suffixed(self.of(binding.node, where, steps), "[]")
        if binding.kind == "function" and isinstance(binding.node, ast.FunctionDef | ast.AsyncFunctionDef):
            return _own_name(self.source, binding.node)
        if binding.kind == "parameter":
            return self._parameter(binding)
        return None

    def _value(self, name: str, scope: Scope, bindings: list[Binding], steps: int) -> str | None:
        """The origin of a name that values are assigned to: that of all of them. A builder may be made of itself."""
        own = [each for each in bindings if _root_name(each.node) == name]
        found = {self.of(each.node, scope, steps) for each in bindings if each not in own and each.node is not None}
        origin = found.pop() if len(found) == 1 else None
        return origin if origin is not None and (not own or origin.startswith(_BUILDERS)) else None

    def _parameter(self, binding: Binding) -> str | None:
        function, name = binding.node, binding.target
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        arguments = [*function.args.posonlyargs, *function.args.args]
        for argument in (*arguments, *function.args.kwonlyargs):
            if argument.arg == name and argument.annotation is not None:
                told = self.of(argument.annotation, self.source.tree.scope_of(function), 0)
                if told in _REQUESTS:
                    return _REQUESTS[told]
        handler = self.source.handler(function)
        if handler is None or not any(argument.arg == name for argument in arguments):
            return None
        is_first = arguments[0].arg == name
        if handler.role == "function":
            return "@request" if is_first else None
        if handler.role == "endpoint":
            if name in MEMBERS:
                return f"@web.{name}"
            return "@web" if is_first and len(arguments) == 1 else None
        if handler.role == "middleware":
            return "@web" if is_first else "@next"
        is_item = handler.name.endswith(("Insert", "Update", "afterGet", "afterQuery", "afterRemove"))
        return "=dict" if is_first and is_item else None

    def attribute(self, node: ast.Attribute, scope: Scope, steps: int) -> str | None:
        return _suffixed(self.of(node.value, scope, steps), f".{node.attr}")

    def call(self, node: ast.Call, scope: Scope, steps: int) -> str | None:
        called = self.of(node.func, scope, steps)
        if called == "wixhttp.auth.elevate" and len(node.args) == 1:
            return self.of(node.args[0], scope, steps)  # the same function, with other rights
        is_typed = bool(node.args) and called is not None and called.endswith(_TYPED_READERS)
        return _suffixed(called, "(model)" if is_typed else "()")

    def awaited(self, node: ast.Await, scope: Scope, steps: int) -> str | None:
        return _suffixed(self.of(node.value, scope, steps), "!")

    def item(self, node: ast.Subscript, scope: Scope, steps: int) -> str | None:
        return None if isinstance(node.slice, ast.Slice) else _suffixed(self.of(node.value, scope, steps), "[]")

    def named(self, node: ast.NamedExpr, scope: Scope, steps: int) -> str | None:
        return self.of(node.value, scope, steps)


_TYPED_READERS = (".json", ".form", ".formData", ".parse")  # with a type they give a value of it

_FINDERS: dict[type[ast.AST], Callable[..., str | None]] = {
    ast.Name: _Origins.name,
    ast.Attribute: _Origins.attribute,
    ast.Call: _Origins.call,
    ast.Await: _Origins.awaited,
    ast.Subscript: _Origins.item,
    ast.NamedExpr: _Origins.named,
}


def _suffixed(origin: str | None, suffix: str) -> str | None:
    return None if origin is None else origin + suffix


def _is_none(binding: Binding) -> bool:
    return binding.kind == "value" and isinstance(binding.node, ast.Constant) and binding.node.value is None


def _root_name(node: ast.AST | None) -> str | None:
    """The name that a chain of calls, attributes and items begins with."""
    while isinstance(node, ast.Call | ast.Attribute | ast.Subscript | ast.Await):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def short(node: ast.AST) -> str:
    """An expression as messages name it: ``aio.query(...).find``, arguments left out, of a long chain its ends."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Await):
        return f"await {short(node.value)}"
    if isinstance(node, ast.Attribute):
        base = _operand(node.value)
        first, _, rest = base.partition(").")
        return f"{first})...{node.attr}" if rest.count(").") else f"{base}.{node.attr}"
    if isinstance(node, ast.Call):
        return _operand(node.func) + ("(...)" if node.args or node.keywords else "()")
    if isinstance(node, ast.Subscript):
        base = _operand(node.value)
        text = f"{base}[{short(node.slice)}]"
        return text if len(text) <= 60 else f"{base}[...]"
    text = ast.unparse(node)
    return text if len(text) <= 30 else "(...)"


def _operand(node: ast.AST) -> str:
    return f"({short(node)})" if isinstance(node, ast.Await) else short(node)
