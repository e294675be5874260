"""Promises: calls that are not awaited, ``await`` on values, calls that block the event loop, ``aio`` in a ``def``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from wixhttp.project.findings import Finding
from wixhttp.project.javascript_habits import ATTRIBUTES

from .calls import OF_VALUES, VALUES, Promise, blocking, data_call, promise
from .scopes import ScopedTree
from .sources import Project, Source, short

_CONTAINERS = (ast.Dict, ast.List, ast.Tuple, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_PASSING = (ast.Starred, ast.keyword, ast.NamedExpr, ast.IfExp)
_MEANS_VALUE = (
    ast.Attribute, ast.Subscript, ast.Compare, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.If, ast.While,
    ast.FormattedValue, ast.For, ast.comprehension, ast.Raise, ast.Assert, ast.withitem, ast.Match,
)  # fmt: skip
_OF_COROUTINES = ("__await__", "close", "send", "throw")
_RAISES = (ast.Attribute, ast.Subscript, ast.BinOp, ast.For, ast.comprehension, ast.Raise, ast.withitem)
_AIO = "from wixhttp.data import aio as wix_data"


def promise_findings(source: Source, project: Project) -> Iterator[Finding]:
    """Findings about promises in a file."""
    tree = source.tree
    for call in tree.calls():
        origin = source.origin(call.func)
        if origin is None:
            continue
        yield from _not_awaited(source, project, call, origin)
        yield from _blocks(source, project, call, origin)
    for node in tree.awaits():
        yield from _awaited_value(source, project, node)


# --- not awaited -----------------------------------------------------------------------------------------------------


def _not_awaited(source: Source, project: Project, call: ast.Call, origin: str) -> Iterator[Finding]:
    tree = source.tree
    function = tree.function_of(call)
    if function is None or isinstance(function, ast.Lambda):
        return
    on_loop = isinstance(function, ast.AsyncFunctionDef)
    kind = promise(origin, call, on_loop=on_loop) or _own_coroutine(origin, project)
    if kind is None:
        return
    name = short(call)
    use, attribute = _use_of(call, source)
    is_lost = use not in ("awaited", "handed on") or isinstance(tree.parent(call), ast.Assign)
    if not on_loop and is_lost and source.handler(function) is not None:
        instead = " or, in a def, from wixhttp import data as wix_data" if kind == "aio" else ""
        yield Finding(
            source.place, call.lineno, "async-in-def",
            f"{name} gives a promise, which a def cannot await; write async def {function.name} and await it{instead}",
            is_error=True,
        )  # fmt: skip
        return
    if use in ("awaited", "handed on") or (kind == "begun" and use in ("dropped", "returned")):
        return
    if not on_loop and (use == "returned" or (use == "dropped" and kind != "coroutine")):
        return  # a helper that hands its promise to the async def that calls it, or begins it there
    if attribute in ("then", "catch", "finally"):
        advice = f".{attribute} is JavaScript's: {ATTRIBUTES[attribute]}"
        yield Finding(source.place, call.lineno, "javascript", f"{name}{_lost(kind, 'value')}; {advice}", is_error=True)
        return
    way_out = f"write await {name}" if on_loop else "await it in an async def"
    yield Finding(
        source.place,
        call.lineno,
        "not-awaited",
        f"{name}{_lost(kind, use)}; {way_out}",
        is_error=use == "raises" or (use == "value" and kind != "coroutine"),
    )


def _lost(kind: Promise, use: str) -> str:
    """The fate of a promise that is not awaited, as the end of a clause."""
    if use == "dropped":
        if kind == "coroutine":
            return " never runs: it is not awaited"
        if kind == "aio":
            return " is not awaited: the answer does not wait for it, and does not tell of its error"
        return " is not awaited"
    if use == "returned":
        return " is returned without await, so that the caller gets a promise in a promise"
    return " is a promise here, not the value"


def _own_coroutine(origin: str, project: Project) -> Promise | None:
    found = project.functions.get(origin)
    if found is None or not isinstance(found[1], ast.AsyncFunctionDef) or found[1].decorator_list:
        return None
    return None if _is_generator(found[1], found[0].tree) else "coroutine"


def _is_generator(function: ast.FunctionDef | ast.AsyncFunctionDef, tree: ScopedTree) -> bool:
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom) and tree.function_of(node) is function
        for node in ast.walk(function)
    )


def _use_of(node: ast.expr, source: Source) -> tuple[str, str]:
    """The use that is made of a promise, and the attribute that is asked of it.

    ``awaited``; ``handed on`` (to who may await it); ``dropped``; ``returned``; ``value`` (its value is meant, and the
    promise is taken for it); ``raises`` (its value is meant, which raises).
    """
    tree = source.tree
    inner: ast.AST = node
    is_inside = False
    while True:
        outer = tree.parent(inner)
        if isinstance(outer, ast.Await | ast.Lambda | ast.Yield | ast.YieldFrom | ast.AsyncFor):
            return "awaited", ""
        if isinstance(outer, ast.IfExp) and inner is outer.test:
            return "value", ""
        if not isinstance(outer, (*_CONTAINERS, *_PASSING)):
            break
        is_inside = is_inside or isinstance(outer, _CONTAINERS)
        inner = outer
    if isinstance(outer, ast.Call):
        return _handed_to(outer, inner, source, is_inside=is_inside), ""
    if isinstance(outer, ast.Expr):
        return "dropped" if inner is node else "handed on", ""
    if isinstance(outer, ast.Return):
        return "handed on" if is_inside else "returned", ""
    if isinstance(outer, ast.Assign | ast.AnnAssign) and not is_inside:
        targets: list[ast.expr] = outer.targets if isinstance(outer, ast.Assign) else [outer.target]
        return _kept_as(targets, source), ""
    if isinstance(outer, ast.Subscript) and inner is not outer.value:
        return "raises", ""
    if isinstance(outer, _MEANS_VALUE) and not is_inside:
        attribute = outer.attr if isinstance(outer, ast.Attribute) else ""
        if attribute in _OF_COROUTINES:
            return "handed on", ""
        return "raises" if isinstance(outer, _RAISES) else "value", attribute
    return "handed on", ""


def _handed_to(call: ast.Call, inner: ast.AST, source: Source, *, is_inside: bool) -> str:
    if inner is call.func:
        return "raises"
    origin = source.origin(call.func)
    takes_values = origin is not None and (origin in VALUES or data_call(origin, call) is not None)
    return "value" if takes_values or (origin in OF_VALUES and not is_inside) else "handed on"


def _kept_as(targets: list[ast.expr], source: Source) -> str:
    """The use that is made of a promise that a name stands for: ``value``, where each use of the name means that."""
    if len(targets) != 1 or not isinstance(targets[0], ast.Name):
        is_taken_apart = isinstance(targets[0], ast.Tuple | ast.List)
        return "raises" if is_taken_apart and len(targets) == 1 else "handed on"
    tree, name = source.tree, targets[0]
    found = tree.scope_of(name).lookup(name.id)
    if name.id.startswith("_") or found is None or len(found[1]) != 1 or found[0] is tree.module:
        return "handed on"
    uses = [
        _use_of(each, source)[0]
        for each in tree.names()
        if each.id == name.id and isinstance(each.ctx, ast.Load) and _is_in(tree, each, found[0].function)
    ]
    if any(use in ("awaited", "handed on") for use in uses):
        return "handed on"
    return "dropped" if not uses else "raises" if "raises" in uses else "value"


def _is_in(tree: ScopedTree, node: ast.AST, function: ast.AST | None) -> bool:
    """Return whether a function runs a node, or one inside of it does."""
    while node is not tree.tree:
        if node is function:
            return True
        node = tree.parent(node)
    return False


# --- awaited values --------------------------------------------------------------------------------------------------


def _awaited_value(source: Source, project: Project, node: ast.Await) -> Iterator[Finding]:
    value = node.value
    if isinstance(value, ast.Attribute):
        yield from _not_called(source, value)
    if not isinstance(value, ast.Call):
        return
    origin = source.origin(value.func)
    told = None if origin is None else _no_promise(origin, value, project)
    if told is not None:
        yield Finding(source.place, value.lineno, "awaited-value", f"await {short(value)}: {told}", is_error=True)


def _not_called(source: Source, value: ast.Attribute) -> Iterator[Finding]:
    origin = source.origin(value)
    call = ast.Call(value, [], [])
    if origin is not None and promise(origin, call, on_loop=True) is not None:
        name = short(value)
        yield Finding(
            source.place, value.lineno, "awaited-value", f"await {name} awaits the method itself; write await {name}()",
            is_error=True,
        )  # fmt: skip


def _no_promise(origin: str, call: ast.Call, project: Project) -> str | None:
    """Why a call cannot be awaited, and what to write; ``None``: it can be, or that is not known."""
    called = data_call(origin, call)
    if called is not None:
        if called.is_awaited:
            return None if called.runs else "it only makes a query; add .find(), .count() or .run()"
        return f"it gives the value itself, no promise; in an async def, {_AIO}"
    instead = blocking(origin, call)
    if instead is not None:
        return f"it gives the value itself, no promise, and blocks the event loop; write {instead}"
    if origin in VALUES:
        return "it gives the value itself, no promise; leave await out"
    found = project.functions.get(origin)
    if found is not None and _gives_plain_values(*found):
        return f"{found[1].name} is a def, and gives the value itself; leave await out, or write async def"
    return None


_PLAIN = (ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.JoinedStr, ast.Compare, ast.ListComp, ast.DictComp)


def _gives_plain_values(source: Source, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function surely gives no promise: it is a plain ``def`` whose results are all literals."""
    tree = source.tree
    if isinstance(function, ast.AsyncFunctionDef) or function.decorator_list:
        return False
    if _is_generator(function, tree):
        return False
    returns = [
        node for node in ast.walk(function) if isinstance(node, ast.Return) and tree.function_of(node) is function
    ]
    return all(node.value is None or isinstance(node.value, _PLAIN) for node in returns)


# --- calls that block the event loop ---------------------------------------------------------------------------------


def _blocks(source: Source, project: Project, call: ast.Call, origin: str) -> Iterator[Finding]:
    tree = source.tree
    function = tree.function_of(call)
    if not isinstance(function, ast.AsyncFunctionDef) or isinstance(tree.parent(call), ast.Await):
        return
    instead = blocking(origin, call)
    if instead is not None:
        yield Finding(
            source.place, call.lineno, "blocking-call",
            f"{short(call)} in an async def holds up every other request of the process; write {instead}, or a def",
        )  # fmt: skip
        return
    if origin == "wixhttp.auth.getTokenInfo":
        yield Finding(
            source.place, call.lineno, "blocking-call",
            f"{short(call)} in an async def checks the token on the event loop; write await {short(call)}",
        )  # fmt: skip
        return
    found = project.functions.get(origin)
    if found is not None and isinstance(found[1], ast.FunctionDef):
        yield from _blocks_inside(source, call, found[0], found[1])


def _blocks_inside(source: Source, call: ast.Call, where: Source, function: ast.FunctionDef) -> Iterator[Finding]:
    """The first call that blocks in a function that an ``async def`` calls."""
    tree = where.tree
    if _is_generator(function, tree):
        return
    for inner in ast.walk(function):
        if isinstance(inner, ast.Call) and tree.function_of(inner) is function:
            origin = where.origin(inner.func)
            if origin is not None and blocking(origin, inner) is not None:
                yield Finding(
                    source.place, call.lineno, "blocking-call",
                    f"{short(call)} in an async def holds up every other request of the process: {function.name} calls "
                    f"{short(inner)} ({where.place}:{inner.lineno}); write await asyncio.to_thread("
                    f"{short(call.func)}, ...)",
                )  # fmt: skip
                return
