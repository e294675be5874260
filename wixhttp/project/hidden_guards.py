"""Guards that a decorator of the user's hides: noted on a function, and not on what is served in its place.

A decorator that returns another function without ``functools.wraps`` drops what others have noted on the one below it.
Of a time limit that is a nuisance; of the check of a signature or a key it opens the function to everybody.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from wixhttp.errors import ProjectError
from wixhttp.http.policy import guards_noted_in, policy_of

from .findings import Finding, below

_MOST = 200  # objects that are looked at for one handler: more are no chain of decorators

_ADVICE = (
    "decorators that guard it (@verified, @require_key, @rate_limit, @once, ...) do not run: {}. Write "
    "@functools.wraps(function) in front of the function that the other decorator returns, or put the guarding ones on "
    "top of it"
)


def check_guards(module: ModuleType, served: Iterable[tuple[str, Callable[..., Any]]], root: Path) -> None:
    """Check that the guards of all handlers that a module serves, given with their names, run. Messages name its file
    below ``root``.

    Raises:
        ProjectError: a guard is noted on a function that was defined by the name of a handler, in its file or in the
            one that it is imported from, or on one that a handler calls in its place, and not on the handler.
    """
    replaced = dict(_guards_of_names())
    for name, target in served:
        places = {guard.place for guard in policy_of(target).guards}
        noted = (*guards_noted_in(module).get(name, ()), *replaced.get(id(target), ()))
        if any(guard.place not in places for guard in noted):
            where, why = _place(module, name, root), "another decorator, or a later line, replaces it"
            raise ProjectError(f"{where}: {name}: {_ADVICE.format(why)}")
        for inner in _behind(target):
            if any(guard.place not in places for guard in _guards_of(inner)):
                hidden = getattr(inner, "__qualname__", None) or repr(inner)
                where, why = _place(module, name, root), f"they stand on {hidden}, which another function hides"
                raise ProjectError(f"{where}: {name}: {_ADVICE.format(why)}")


def _place(module: ModuleType, name: str, root: Path) -> str:
    """The place at which a module last defines a name."""
    file = Path(str(module.__file__))
    line = 0
    for node in ast.parse(file.read_bytes()).body:
        if name in _names_of(node):
            line = node.lineno
    return f"{below(file, root)}:{line}" if line else below(file, root)


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def root_of(module: ModuleType) -> Path:
    """The folder of the project that the module of the HTTP functions is of."""
    file = Path(str(module.__file__))
    return file.parents[2 if file.name == "__init__.py" else 1]


def _guards_of_names() -> Iterator[tuple[int, list[Any]]]:
    """The identity of what is bound now to each name of a module by which a function with guards was defined."""
    for module in list(sys.modules.values()):
        for name, guards in guards_noted_in(module).items():
            bound = vars(module).get(name)
            if bound is not None:
                yield id(bound), guards


def uncalled_guards(module: ModuleType, served: Collection[Callable[..., Any]]) -> Iterator[Finding]:
    """Findings about helpers with guards that a file calls itself: they run for what is served alone."""
    running = {id(guard) for target in served for guard in policy_of(target).guards}
    helpers = {
        name: bound
        for name, guards in guards_noted_in(module).items()
        if (bound := vars(module).get(name)) is not None and not any(id(guard) in running for guard in guards)
    }
    if not helpers:
        return
    file = Path(str(module.__file__))
    source = file.read_bytes()
    lines = source.decode("utf-8", "replace").splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in helpers:
            message = (
                f"the decorators that guard {node.id} do not run where code calls it; write them on what is served"
            )
            finding = Finding(below(file, root_of(module)), node.lineno, "not-served", message)
            del helpers[node.id]
            if not finding.is_ignored(lines):
                yield finding


def _guards_of(found: object) -> tuple[Any, ...]:
    try:
        return policy_of(found).guards
    except Exception:  # noqa: BLE001  # a stand-in for another object, which is not there before a request
        return ()


def _behind(target: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The callables that a decorated function may call in its place: what it wraps, has in its closure, is a partial
    of, or keeps in an attribute."""
    if isinstance(target, FunctionType) and target.__closure__ is None and not target.__dict__:
        return  # most are
    seen = {id(target)}
    waiting: list[Any] = list(_of_class(target) if isinstance(target, type) else _held_by(target))
    while waiting and len(seen) < _MOST:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, list | tuple):
            waiting += found[:_MOST]
        elif callable(found) and not isinstance(found, type):
            yield found
            waiting += _held_by(found)


def _of_class(target: type) -> Iterator[Any]:
    for name in ("__new__", "__init__"):
        yield inspect.getattr_static(target, name, None)


def _held_by(target: Any) -> Iterator[Any]:
    if isinstance(target, functools.partial):
        yield from (target.func, *target.args, *target.keywords.values())
    elif isinstance(target, MethodType | staticmethod | classmethod):
        yield target.__func__
    elif isinstance(target, FunctionType):
        yield target.__dict__.get("__wrapped__")
        for name, cell in zip(target.__code__.co_freevars, target.__closure__ or (), strict=True):
            if name != "__class__":  # of methods that call super()
                try:
                    yield cell.cell_contents
                except ValueError:  # not bound yet
                    pass
    elif not inspect.isroutine(target):
        yield inspect.getattr_static(type(target), "__call__", None)
        yield from getattr(target, "__dict__", {}).values()
        for each in type(target).__mro__:
            slots = each.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                yield getattr(target, name, None)
