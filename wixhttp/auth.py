"""Rights above those of the visitor (Wix: ``wix-auth``).

from wixhttp.auth import elevate
from wixhttp.data import items

remove = elevate(items.remove)
remove("orders", "17")
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from .data.collections import Collections, current, override

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def elevate(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """``function`` with the rights of the site's owner: permissions of collections do not hold while it runs.

    It may be ``def`` or ``async def``, a function of yours or one of `wixhttp.data`. A query that is made with these
    rights keeps them: ``elevate(items.query)("orders").find()``.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_later(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> Any:
            with override(_elevated()):
                return await function(*arguments, **keywords)

        return run_later  # type: ignore[return-value]  # it is what `function` is: a coroutine function

    @functools.wraps(function)
    def run(*arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> Any:
        collections = _elevated()
        with override(collections):
            result = function(*arguments, **keywords)
        return _awaiting(result, collections) if inspect.isawaitable(result) else result

    return run


async def _awaiting(result: Awaitable[Any], collections: Collections) -> Any:
    with override(collections):
        return await result


def _elevated() -> Collections:
    collections = current()
    return collections.acting_as(replace(collections.identity, is_elevated=True))
