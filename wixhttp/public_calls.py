"""Calls of public functions that cannot be: an unknown keyword, a decorator without parentheses, a name that stands in
another module. Each is told with what to write.

Private: public import paths are listed in ``docs/architecture.md``.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from .messages import brief, nearest

P = ParamSpec("P")
R = TypeVar("R")

MODULES = {
    "auth": ("TokenInfo", "elevate", "fetchWithAuth", "getTokenInfo", "require"),
    "access": ("ApiKey", "create_key", "rate_limit", "require_key", "revoke_key"),
    "webhooks": ("Webhook", "idempotent", "once", "sign", "verified", "verify"),
    "inbox": ("Dead", "JobCall", "Retry", "deferred", "enqueue", "job", "job_call", "scheduled"),
    "fetch": ("getJSON", "postJSON"),
    "secrets": ("getSecret",),
    "endpoints": ("adapt", "paginate", "sequence"),
    "testing": ("TestClient", "fake_async_request", "fake_caller", "fake_data", "fake_request"),
}
"""Public names by the module that they are imported from, for whoever looks for one elsewhere; none is that of a module
of the package, too."""

_OTHER_WORDS = {
    "api_keys": "access", "idempotency": "webhooks", "jobs": "inbox", "keys": "access", "limits": "access",
    "queue": "inbox", "schedule": "inbox", "schedules": "inbox", "tasks": "inbox", "test": "testing",
}  # fmt: skip


def explained(write: str = "", more: Iterable[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator of a public function whose unknown keywords are told with the nearest one; ``more`` are those that it
    takes by ``**``. ``write`` is how it is written as a decorator, where it makes one: then its use without parentheses
    is told, too."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        code = function.__code__
        names = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
        known = [*(name for name in names if name != "self"), *more]
        called = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if write and args and is_function(args[0]) and len(args) == 1 and not kwargs:
                raise TypeError(f"@{called} is written without parentheses; write @{write}")
            for key in kwargs:
                if key not in known:
                    raise TypeError(f"{called}() has no argument {key!r}; {nearest(key, known)}")
            return function(*args, **kwargs)

        return checked

    return wrap


def is_function(value: object) -> bool:
    """Return whether a value is what a decorator stands in front of: a function, or a class."""
    return callable(value) and hasattr(value, "__name__")


def named(value: object) -> str:
    """A value as an error names it, without its place in memory.

    >>> named(named), named(3), named(object())
    ("the function 'named'", '3', 'an object of the class object')
    """
    if is_function(value):
        name = value.__name__  # type: ignore[attr-defined]  # it has one
        return f"the class {name!r}" if isinstance(value, type) else f"the function {name!r}"
    if type(value).__repr__ is object.__repr__:
        return f"an object of the class {type(value).__name__}"
    return brief(value)


def lazy_names(
    package: str, modules: Mapping[str, Collection[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package some of whose names are loaded when they are asked for: those of
    ``modules`` of its."""
    module_of = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> Any:
        if name not in module_of:
            raise elsewhere(package, name)
        return getattr(import_module(f".{module_of[name]}", package), name)

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return load, list_names


def elsewhere(module: str, name: str) -> Exception:
    """The error for a name that a ``module`` of this package has not: with the module that has it.

    It is an ImportError then, since Python gives an AttributeError in a ``from ... import`` a text of its own.
    """
    for other, names in MODULES.items():
        if name in names:
            return ImportError(
                f"{module} has no {name!r}; write: from wixhttp.{other} import {name}", name=module, path=None
            )
    return AttributeError(f"module {module!r} has no attribute {name!r}")


def nearest_module(name: str) -> str:
    """The end of a message about a module of this package that is not there, ``wixhttp.webhook``; ``""`` for none."""
    package, _, missing = name.partition(".")
    if package != __name__.partition(".")[0] or not missing:
        return ""
    near = [_OTHER_WORDS[missing]] if missing in _OTHER_WORDS else get_close_matches(missing, MODULES, 1, cutoff=0.5)
    known = ", ".join(f"{package}.{each}" for each in MODULES)
    return f"did you mean '{package}.{near[0]}'?" if near else f"known are {known}"
