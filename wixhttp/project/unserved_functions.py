"""Functions of the file of HTTP functions that look like handlers and are not served: imported, named otherwise, or
left out of ``__all__``.

They are looked for when the file has been imported, in the module itself; the file is parsed only where there are any.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from types import FunctionType, ModuleType

from .findings import Finding, below

_ANSWERS = frozenset(("ok", "created", "badRequest", "forbidden", "notFound", "serverError", "response"))
_REQUEST = frozenset(("request", "req"))
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")


def unserved_functions(module: ModuleType, served: Collection[str], prefixes: Collection[str]) -> Iterator[Finding]:
    """The functions of a module that look like handlers and are not ``served``; ``prefixes`` are those of handlers.

    A handler takes the request alone, or nothing, and answers; a function that its file uses itself is a helper.
    """
    declared = getattr(module, "__all__", None)
    told = {
        name: message
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and name not in served and not name.startswith("_")
        if (message := _near(module, name, value, prefixes, has_all=declared is not None))
    }
    for name in declared or ():
        if not hasattr(module, name):
            told[name] = f"__all__ names {name!r}, which the file does not define"
    if not told:
        return
    file = Path(str(module.__file__))
    source = file.read_bytes()
    tree = ast.parse(source)
    lines = source.decode("utf-8", "replace").splitlines()
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    places = _lines_of(tree)
    root = file.parents[2 if file.name == "__init__.py" else 1]
    for name, message in told.items():
        finding = Finding(below(file, root), places.get(name, places.get("__all__", 1)), "not-served", message)
        if name not in used and not finding.is_ignored(lines):
            yield finding


def _near(
    module: ModuleType, name: str, function: FunctionType, prefixes: Collection[str], *, has_all: bool
) -> str | None:
    """Why a function that looks like a handler is not served, and the way out; ``None``: it does not look like one."""
    prefix, underscore, rest = name.partition("_")
    is_named = bool(rest) and prefix in prefixes
    is_own = function.__module__ == module.__name__
    package = module.__name__.rpartition(".")[0]
    if not is_own and not function.__module__.startswith(f"{package}."):
        return None  # a library's
    takes_request, answers = _signs(function)
    if is_named and is_own and not has_all:
        return f"{name} is imported as well as defined, so it is not served; name one of them otherwise"
    if is_named and (takes_request or answers):
        return _left_out(name, function, is_own=is_own)
    if not is_own:
        return None
    word = _WORD.match(name)
    if underscore and rest and prefix.lower() in prefixes:
        return _misspelt(name, f"{prefix.lower()}_{rest}")
    if word is not None and word[0].lower() in prefixes and name[word.end() :] and (takes_request or answers):
        rest = name[word.end() :].lstrip("_")
        return _misspelt(name, f"{word[0].lower()}_{rest[:1].lower()}{rest[1:]}")
    if takes_request and answers:
        return (
            f"{name} takes a request and is not served: the name of an HTTP function begins with its method: "
            f"get_{name}, or {', '.join(f'{each}_' for each in prefixes if each != 'get')}"
        )
    return None


def _left_out(name: str, function: FunctionType, *, is_own: bool) -> str:
    if is_own:
        return f"{name} is not in __all__, so it is not served; add it there"
    library = function.__module__.rpartition(".")[2]
    return (
        f"{name} is imported, so it is not served; import the module and write {name} = {library}.{function.__name__}, "
        "or name what is served in __all__"
    )


def _misspelt(name: str, meant: str) -> str:
    return f"{name} is no HTTP function, so it is not served; did you mean {meant}?"


def _signs(function: FunctionType) -> tuple[bool, bool]:
    """The signs of a handler: it takes the request alone; it makes answers, and needs nothing but the request."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or code.co_kwonlyargcount or code.co_argcount > 1:
        return False, False
    first = code.co_varnames[0] if code.co_argcount else ""
    is_request = first in _REQUEST or (bool(first) and "Request" in str(function.__annotations__.get(first, "")))
    return is_request, bool(_ANSWERS.intersection(code.co_names)) and (is_request or not first)


def _lines_of(tree: ast.Module) -> dict[str, int]:
    """The lines on which the names of a file are bound: by functions, imports and assignments at its top."""
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines[node.name] = node.lineno
        elif isinstance(node, ast.ImportFrom):
            lines.update((alias.asname or alias.name, alias.lineno) for alias in node.names)
        elif isinstance(node, ast.Assign):
            lines.update((target.id, node.lineno) for target in node.targets if isinstance(target, ast.Name))
    return lines
