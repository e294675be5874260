"""The user's HTTP functions: loaded once, and kept in a closed table that a client's names are keys of.

A function is exported when the file binds a name ``<prefix>_<name>`` by ``def``, ``async def``, a class or an
assignment, or when ``__all__`` names it. A name that an ``import`` binds is not.
"""

from __future__ import annotations

import ast
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from wixhttp.errors import ProjectError, WrongAnswer
from wixhttp.http.allowed_methods import is_refused
from wixhttp.http.policy import Policy, policy_of
from wixhttp.http.response import Response

from .hidden_guards import check_guards, root_of, uncalled_guards
from .signatures import accepting, is_async_callable, place_of
from .unserved_functions import unserved_functions

logger = logging.getLogger("wixhttp")

METHODS = {
    "get": "GET",
    "post": "POST",
    "put": "PUT",
    "delete": "DELETE",
    "patch": "PATCH",
    "options": "OPTIONS",
}
ANY = "use"  # the prefix of a function that answers every method
PREFIXES = (*METHODS, ANY)
EVERY_METHOD = "*"
TEST_SITE = "test-site:"
"""The beginning of the unique names of functions of the test site."""


class Function:
    """One exported function: ``exported_name`` as in the file, ``name`` as in the URL, ``prefix``, ``call`` (takes the
    request, whatever the user's function takes), ``is_async``, ``policy`` (what its decorators ask for), ``file`` and
    ``line``, ``summary``.

    ``unique_name`` is that of the function among those of a site and its test site, behind ``place``: whatever is kept
    or counted of it is under that name.
    """

    __slots__ = (
        "call",
        "exported_name",
        "file",
        "is_async",
        "is_threaded",
        "line",
        "name",
        "policy",
        "prefix",
        "summary",
        "target",
        "unique_name",
    )

    def __init__(self, prefix: str, name: str, target: Callable[..., Any], place: str = "") -> None:
        self.prefix = prefix
        self.name = name
        self.exported_name = f"{prefix}_{name}"
        self.unique_name = place + self.exported_name
        self.target = target
        self.is_async = is_async_callable(target)
        self.policy: Policy = policy_of(target)
        self.file, self.line = place_of(target)
        self.summary = (inspect.getdoc(target) or "").partition("\n")[0] if not isinstance(target, type) else ""
        self.is_threaded = not self.is_async  # whether it takes a thread
        self.call: Callable[[Any], Any] = accepting(
            self.exported_name, target, 1, "an HTTP function takes the request, or nothing"
        )


_Handler = TypeVar("_Handler")


class Methods(dict[str, _Handler]):
    """The handlers of one name or route by method; ``"*"`` answers those that have none of their own.

    The text that a client sends is only ever a key of it.
    """

    __slots__ = ()

    def resolve(self, method: str) -> _Handler | None:
        """The handler of a method, or ``None``: one that is refused has none (`is_refused`)."""
        return self.get(method) or (None if is_refused(method) else self.get(EVERY_METHOD))

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods that are answered, sorted; all where one answers every method."""
        return tuple(sorted({*METHODS.values(), "HEAD"} if EVERY_METHOD in self else self))


class FunctionTable:
    """The closed table: name -> method -> function. The text that a client sends is only ever a key of it."""

    __slots__ = ("_by_name",)

    def __init__(self, functions: Iterable[Function] = ()) -> None:
        self._by_name: dict[str, Methods[Function]] = {}
        for function in functions:
            methods = self._by_name.setdefault(function.name, Methods())
            methods[EVERY_METHOD if function.prefix == ANY else METHODS[function.prefix]] = function
        for methods in self._by_name.values():
            if "GET" in methods:
                methods["HEAD"] = methods["GET"]

    def find(self, name: str) -> Methods[Function] | None:
        """The functions of a name by method, or ``None``. HEAD goes where GET goes."""
        return self._by_name.get(name)

    def items(self) -> Iterable[tuple[str, Methods[Function]]]:
        """The names, each with its functions by method."""
        return self._by_name.items()

    @property
    def names(self) -> list[str]:
        """The known names, sorted."""
        return sorted(self._by_name)

    def __iter__(self) -> Iterator[Function]:
        for name in self.names:
            for method, function in sorted(self._by_name[name].items()):
                if method != "HEAD":
                    yield function

    def __len__(self) -> int:
        return sum(1 for _ in self)


def functions_of(module: ModuleType, place: str = "") -> FunctionTable:
    """The table of a module's exported functions, whose unique names begin with ``place``.

    Raises:
        ProjectError: ``__all__`` names what is not there, a function needs two arguments or more, or a decorator hides
            the guards of one.
    """
    functions = []
    for exported in exported_names(module):
        prefix, _, name = exported.partition("_")
        if prefix not in PREFIXES or not name:
            continue
        if not hasattr(module, exported):
            raise ProjectError(f"__all__ of {module.__file__} names {exported!r}, which the file does not define")
        target = getattr(module, exported)
        if callable(target):
            functions.append(Function(prefix, name, target, place))
    check_guards(module, ((each.exported_name, each.target) for each in functions), root_of(module))
    unserved = unserved_functions(module, {each.exported_name for each in functions}, PREFIXES)
    for finding in (*unserved, *uncalled_guards(module, [each.target for each in functions])):
        logger.warning("%s", finding)
    return FunctionTable(functions)


def response_of(name: str, value: Any, *, warns: bool) -> Response:
    """The response for what an HTTP function returned: a response, or a mapping with a status; it ``warns`` of those.

    Raises:
        WrongAnswer: it returned anything else.
        TypeError, ValueError: the mapping has what cannot be sent.
    """
    if isinstance(value, Response):
        return value
    if isinstance(value, Mapping) and "status" in value:
        if warns:
            logger.warning("%s returned a plain mapping; return response(%s) instead", name, dict(value).keys())
        return Response(value["status"], value.get("body"), value.get("headers"))
    kind = type(value).__name__
    hint = "add 'return': a handler ends with one of ok(), notFound(), ..."
    if value is not None:
        hint = habit_of(value, "response(status={0}, body=...)") or f"write 'return ok(body=...)' around the {kind}"
    raise WrongAnswer(f"{name} returned {kind}, not a response; {hint}")


def habit_of(value: object, with_status: str) -> str | None:
    """The remedy for a value that handlers return in other frameworks, or by a slip; ``with_status`` is how to write an
    answer with a status. A coroutine or promise is closed, since nobody awaits it.

    >>> habit_of(("gone", 404), "response(status={0}, body=...)")
    'write return response(status=404, body=...) for the pair of body and status'
    """
    if isinstance(value, Coroutine):
        value.close()  # or Python warns that it was never awaited
        return "write return await in front of the call"
    if isinstance(value, tuple) and len(value) > 1 and value[1].__class__ is int:
        return f"write return {with_status.format(value[1])} for the pair of body and status"
    if inspect.isroutine(value) or isinstance(value, type):
        called = getattr(value, "__name__", "it")
        return f"call it: return {called}(...)"
    return None


def exported_names(module: ModuleType) -> list[str]:
    """The names that a module exports: those of ``__all__``, else those that its own file binds, imports aside."""
    declared = getattr(module, "__all__", None)
    if declared is not None:
        return [str(name) for name in declared]
    source = Path(str(module.__file__)).read_bytes()
    bound, imported = bindings(ast.parse(source))
    return [name for name in bound if name not in imported and hasattr(module, name)]


def bindings(tree: ast.Module) -> tuple[list[str], set[str]]:
    """The names that a file binds at its top level by ``def``, ``class`` and assignment, in order, and those that it
    imports, inside ``if``, ``try``, ``with`` and loops too."""
    bound: dict[str, None] = {}
    imported: set[str] = set()
    waiting: list[ast.AST] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound[node.name] = None
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            bound.update(dict.fromkeys(_target_names(targets)))
        waiting.extend(reversed(list(ast.iter_child_nodes(node))))
    return list(bound), imported


def _target_names(targets: Iterable[ast.AST]) -> Iterator[str]:
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
