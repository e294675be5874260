"""The names of a file of Python: which scope binds each, and to what (imports, values, parameters, functions)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

Kind = Literal["import", "value", "element", "function", "parameter", "other"]


class Binding(NamedTuple):
    """One binding of a name. ``node`` is the value, what is iterated, or the function; ``target`` what an import names,
    or the name of a parameter or a function."""

    kind: Kind
    node: ast.AST | None = None
    target: str = ""


class Scope:
    """The names that a module, a function or a class binds. Comprehensions bind in the scope around them."""

    __slots__ = ("bindings", "elsewhere", "function", "is_class", "parent")

    def __init__(self, parent: Scope | None, function: Function | None, *, is_class: bool = False) -> None:
        self.parent = parent
        self.function = function
        self.is_class = is_class
        self.bindings: dict[str, list[Binding]] = {}
        self.elsewhere: set[str] = set()  # declared global or nonlocal

    def bind(self, name: str, binding: Binding) -> None:
        """Note a binding; of a name that is declared global or nonlocal, in the scope around."""
        scope = self
        while name in scope.elsewhere and scope.parent is not None:
            scope = scope.parent
        scope.bindings.setdefault(name, []).append(binding)

    def lookup(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """The scope that a name is looked up in from here, with its bindings; ``None``: it is built in, or unbound."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.bindings and (scope is self or not scope.is_class):
                return scope, scope.bindings[name]
            scope = scope.parent
        return None


class Surroundings(NamedTuple):
    """The place of a node: the node around it, its scope, and the innermost function that runs it."""

    parent: ast.AST
    scope: Scope
    function: Function | None


KEPT = (
    ast.Call, ast.Await, ast.Attribute, ast.Name, ast.Dict, ast.JoinedStr, ast.FunctionDef, ast.AsyncFunctionDef
)  # fmt: skip
"""The kinds of nodes that rules ask for by kind."""


class ScopedTree:
    """A file's tree with the places of its nodes: one pass over it, when it is made."""

    def __init__(self, tree: ast.Module, package: str) -> None:
        self.tree = tree
        self.module = Scope(None, None)
        self.places: dict[ast.AST, Surroundings] = {}
        self.classes: list[Scope] = []
        self.has_star_import = False
        self._package = package
        self._nodes: dict[type[ast.AST], list[ast.AST]] = {kind: [] for kind in KEPT}
        self._bound: set[ast.AST] = set()  # the names of targets whose values are known
        self._walk()

    def calls(self) -> list[ast.Call]:
        """Every call, in the order of the file."""
        return self._nodes[ast.Call]  # type: ignore[return-value]  # by its key

    def awaits(self) -> list[ast.Await]:
        """Every ``await``."""
        return self._nodes[ast.Await]  # type: ignore[return-value]

    def attributes(self) -> list[ast.Attribute]:
        """Every ``x.name``."""
        return self._nodes[ast.Attribute]  # type: ignore[return-value]

    def names(self) -> list[ast.Name]:
        """Every name, bound or used."""
        return self._nodes[ast.Name]  # type: ignore[return-value]

    def dicts(self) -> list[ast.Dict]:
        """Every ``{...}`` that is a dict."""
        return self._nodes[ast.Dict]  # type: ignore[return-value]

    def texts(self) -> list[ast.JoinedStr]:
        """Every f-string."""
        return self._nodes[ast.JoinedStr]  # type: ignore[return-value]

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every ``def`` and ``async def``."""
        yield from self._nodes[ast.FunctionDef]  # type: ignore[misc]
        yield from self._nodes[ast.AsyncFunctionDef]  # type: ignore[misc]

    def parent(self, node: ast.AST) -> ast.AST:
        """The node around one."""
        return self.places[node].parent

    def function_of(self, node: ast.AST) -> Function | None:
        """The innermost function that runs a node; ``None``: it runs at import."""
        return self.places[node].function

    def scope_of(self, node: ast.AST) -> Scope:
        """The scope in which the names of a node are looked up."""
        return self.places[node].scope

    def _walk(self) -> None:
        kept, places = self._nodes, self.places
        waiting: list[tuple[ast.AST, Surroundings]] = [(self.tree, Surroundings(self.tree, self.module, None))]
        while waiting:
            node, place = waiting.pop()
            places[node] = place
            kind = type(node)
            if kind is ast.Constant:
                continue
            if (of_kind := kept.get(kind)) is not None:
                of_kind.append(node)
            note = _NOTES.get(kind)
            if note is not None:
                note(self, node, place)
            if kind is ast.Name:
                continue
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                waiting.extend(self._parts_of_function(node, place))
            else:
                scope = self._class(place) if isinstance(node, ast.ClassDef) else place.scope
                inside = Surroundings(node, scope, place.function)
                waiting += [(child, inside) for child in reversed(_children(node))]

    def _class(self, place: Surroundings) -> Scope:
        scope = Scope(place.scope, place.function, is_class=True)
        self.classes.append(scope)
        return scope

    def _parts_of_function(self, node: Function, place: Surroundings) -> list[tuple[ast.AST, Surroundings]]:
        """The parts of a function to go on with, last first: those outside of its scope come first."""
        outside = Surroundings(node, place.scope, place.function)
        scope = Scope(place.scope, node)
        inside = Surroundings(node, scope, node)
        arguments = node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            scope.bind(argument.arg, Binding("parameter", node, argument.arg))
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                scope.bind(rest.arg, Binding("other"))
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        before = [] if isinstance(node, ast.Lambda) else node.decorator_list
        defaults = [each for each in (*arguments.defaults, *arguments.kw_defaults) if each is not None]
        parts: list[tuple[ast.AST, Surroundings]] = [(each, outside) for each in (*before, *defaults)]
        return [*parts, *((each, inside) for each in body)][::-1]

    # --- what binds names ---------------------------------------------------------------------------------------------

    def _target(self, target: ast.AST | None, scope: Scope, binding: Binding) -> None:
        """Bind a target whose value is known; the names of one that takes it apart are bound when they are met."""
        if isinstance(target, ast.Name):
            self._bound.add(target)
            scope.bind(target.id, binding)

    def _assign(self, node: ast.Assign, place: Surroundings) -> None:
        for target in node.targets:
            self._target(target, place.scope, Binding("value", node.value))

    def _annotated(self, node: ast.AnnAssign, place: Surroundings) -> None:
        if node.value is not None:
            self._target(node.target, place.scope, Binding("value", node.value))
        elif isinstance(node.target, ast.Name):
            self._bound.add(node.target)  # a declaration binds nothing

    def _named(self, node: ast.NamedExpr, place: Surroundings) -> None:
        self._target(node.target, place.scope, Binding("value", node.value))

    def _loop(self, node: ast.For | ast.comprehension, place: Surroundings) -> None:
        self._target(node.target, place.scope, Binding("element", node.iter))

    def _name(self, node: ast.Name, place: Surroundings) -> None:
        if not isinstance(node.ctx, ast.Load) and node not in self._bound:
            place.scope.bind(node.id, Binding("other"))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, place: Surroundings) -> None:
        place.scope.bind(node.name, Binding("function", node, node.name))

    def _other(self, node: ast.AST, place: Surroundings) -> None:
        """A class, the name of a caught exception, or of a pattern."""
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if name:
            place.scope.bind(name, Binding("other"))

    def _elsewhere(self, node: ast.Global | ast.Nonlocal, place: Surroundings) -> None:
        place.scope.elsewhere.update(node.names)

    def _import(self, node: ast.Import, place: Surroundings) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            place.scope.bind(name, Binding("import", node, alias.name if alias.asname else name))

    def _import_from(self, node: ast.ImportFrom, place: Surroundings) -> None:
        module = node.module or ""
        if node.level:
            parts = self._package.split(".") if self._package else []
            module = ".".join([*parts[: len(parts) - node.level + 1], *([module] if module else [])])
        for alias in node.names:
            if alias.name == "*":
                self.has_star_import = True
            else:
                name = f"{module}.{alias.name}".removeprefix(".")
                place.scope.bind(alias.asname or alias.name, Binding("import", node, name))


_NOTES: dict[type[ast.AST], Callable[[ScopedTree, Any, Surroundings], None]] = {
    ast.Assign: ScopedTree._assign,
    ast.AnnAssign: ScopedTree._annotated,
    ast.NamedExpr: ScopedTree._named,
    ast.For: ScopedTree._loop,
    ast.comprehension: ScopedTree._loop,
    ast.Name: ScopedTree._name,
    ast.FunctionDef: ScopedTree._function,
    ast.AsyncFunctionDef: ScopedTree._function,
    ast.ClassDef: ScopedTree._other,
    ast.ExceptHandler: ScopedTree._other,
    ast.MatchAs: ScopedTree._other,
    ast.MatchStar: ScopedTree._other,
    ast.MatchMapping: ScopedTree._other,
    ast.Global: ScopedTree._elsewhere,
    ast.Nonlocal: ScopedTree._elsewhere,
    ast.Import: ScopedTree._import,
    ast.ImportFrom: ScopedTree._import_from,
}
"""Kind of node that binds names -> the method that notes it."""


def _children(node: ast.AST) -> list[ast.AST]:
    """The nodes in a node, in the order of the file; not the signs that have no place, such as operators."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST) and value._fields:
            found.append(value)
    return found
