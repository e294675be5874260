"""Signatures of users' functions: their parameters, the place of their definition, ``def`` or ``async def``.

Decorators and partials are looked through.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from wixhttp.errors import ProjectError


def is_async_callable(target: Callable[..., Any]) -> bool:
    """Return whether a call of ``target`` gives an awaitable; partials and ``__wrapped__`` are looked through."""
    if isinstance(target, functools.partial):
        return is_async_callable(target.func)
    inner = inspect.unwrap(target)
    if isinstance(inner, functools.partial):
        return is_async_callable(inner.func)
    return inspect.iscoroutinefunction(inner) or (
        not inspect.isroutine(inner)
        and not isinstance(inner, type)
        and inspect.iscoroutinefunction(_call_method(inner))
    )


def accepting(name: str, target: Callable[..., Any], count: int, rule: str) -> Callable[..., Any]:
    """``target`` as a callable of ``count`` arguments, of which it is passed as many as it takes.

    ``rule`` ends the message where it takes other ones.

    Raises:
        ProjectError: it needs more than ``count``, or some by keyword.
    """
    if _is_plain(target, count):
        return target
    try:
        parameters = parameters_of(target, count)
    except (TypeError, ValueError):  # a callable written in C that does not say
        return target
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p.name for p in positional if p.default is p.empty]
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if len(needed) > count or keywords:
        file, line = place_of(target)
        raise ProjectError(
            f"{name} ({file}:{line}) needs {len(needed) + len(keywords)} arguments "
            f"({', '.join(needed + keywords)}); {rule}"
        )
    taken = len(positional)
    if taken >= count or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return target
    return lambda *arguments: target(*arguments[:taken])


def _is_plain(target: Callable[..., Any], count: int) -> bool:
    """Return whether ``target`` is a function of just ``count`` parameters, undecorated. Most are, and to look at the
    code costs a fiftieth of a signature, which counts where there are thousands."""
    if not isinstance(target, FunctionType) or target.__dict__:
        return False
    code = target.__code__
    has_more = code.co_kwonlyargcount or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    return code.co_argcount == count and not has_more


def _call_method(target: object) -> Any:
    """The ``__call__`` of an object's class."""
    return inspect.getattr_static(type(target), "__call__", None)


def parameters_of(target: Callable[..., Any], count: int | None = None) -> list[inspect.Parameter]:
    """The parameters of ``target``: a decorator's own parameters, or, where those are just ``*args``, those of the
    function that it wraps; with ``count`` at most the first so many of those, none by keyword: a decorator may add the
    rest.

    Raises:
        TypeError, ValueError: a callable written in C that does not say.
    """
    parameters = list(inspect.signature(target, follow_wrapped=False).parameters.values())
    inner = getattr(target, "__wrapped__", None)
    if inner is None or not parameters or parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        return parameters
    if count is None:
        return parameters_of(inner)
    return [p for p in parameters_of(inner, count) if p.kind is not p.KEYWORD_ONLY][:count]


def place_of(target: Callable[..., Any]) -> tuple[str, int]:
    """File and line of a callable, as far as it tells; ("", 0) for one written in C."""
    while isinstance(target, functools.partial):
        target = target.func
    inner = inspect.unwrap(target)
    code = getattr(inner, "__code__", None) or getattr(_call_method(inner), "__code__", None)
    if code is not None:
        return code.co_filename, code.co_firstlineno
    module = sys.modules.get(getattr(inner, "__module__", ""), None)
    return getattr(module, "__file__", "") or "", 0
