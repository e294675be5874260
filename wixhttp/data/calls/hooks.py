"""The data hooks of a project: functions of ``backend/data.py`` that run before and after calls on collections.

    def books_beforeInsert(item, context):
        if not item.get("title"):
            raise ValueError("a book has a title")
        return item

A hook is called ``<collection>_<hook>``; what cannot stand in the name of a function becomes ``_``, so that those of
``Stores/Products`` begin with ``Stores_Products_``. It takes what `HOOKS` says, or less, and may be ``async def``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wixhttp.concurrency.event_loop import background
from wixhttp.errors import ProjectError
from wixhttp.project.function_table import exported_names
from wixhttp.project.loader import PACKAGE, backend_file, load_module
from wixhttp.project.signatures import accepting

MODULE = f"{PACKAGE}.data"
HOOKS = {
    "beforeGet": "(item_id, context)",
    "afterGet": "(item, context)",
    "beforeInsert": "(item, context)",
    "afterInsert": "(item, context)",
    "beforeUpdate": "(item, context)",
    "afterUpdate": "(item, context)",
    "beforeRemove": "(item_id, context)",
    "afterRemove": "(item, context)",
    "beforeQuery": "(query, context)",
    "afterQuery": "(item, context)",
    "beforeCount": "(query, context)",
    "afterCount": "(count, context)",
    "onFailure": "(error, context)",
}
"""Every hook, with its parameters."""

_ARGUMENTS = 2
_UNNAMEABLE = re.compile("[^A-Za-z0-9_]")


@dataclass(frozen=True)
class HookContext:
    """The call that a hook runs for. Read as ``context.userId``, ``context["userId"]`` or ``context.get("userId")``.

    ``userRole`` is ``anonymous``, ``siteMember``, ``siteOwner`` or ``dataOwner``; ``currentItem`` is the item as it is
    stored, in ``beforeUpdate``, ``afterUpdate`` and ``beforeRemove``.
    """

    collectionName: str  # Wix's names
    userId: str | None = None
    userRole: str = "anonymous"
    currentItem: dict[str, Any] | None = None

    def __getitem__(self, key: str) -> Any:
        if key not in self.__dataclass_fields__:
            raise KeyError(key)
        return getattr(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or ``default`` where there is no such key."""
        return getattr(self, key) if key in self.__dataclass_fields__ else default


class Hooks:
    """The hooks of a project: a closed table, built at load."""

    __slots__ = ("_table",)

    def __init__(self, table: Mapping[tuple[str, str], Callable[[Any, HookContext], Any]] | None = None) -> None:
        self._table = dict(table or {})

    @classmethod
    def load(cls, root: Path, timeout: float) -> Hooks:
        """The hooks of ``backend/data.py`` or ``backend/data/__init__.py``, imported within ``timeout`` seconds (0: no
        limit); none without such a file. What an ``import`` binds is no hook, unless ``__all__`` names it.

        Raises:
            ProjectError: the file cannot be imported, ``__all__`` names what is not there, or a hook needs more
                arguments than it will get.
        """
        file = backend_file(root, "data")
        if file is None:
            return cls()
        module = load_module(root, MODULE, file, timeout)
        functions = {}
        for name in exported_names(module):
            if not hasattr(module, name):
                raise ProjectError(f"__all__ of {file} names {name!r}, which the file does not define")
            if split_name(name) is not None and callable(getattr(module, name)):
                functions[name] = getattr(module, name)
        return cls.of(functions)

    @classmethod
    def of(cls, functions: Mapping[str, Callable[..., Any]]) -> Hooks:
        """The hooks by their names, ``{"books_beforeInsert": function}``.

        Raises:
            ValueError: a name is none of a hook.
            ProjectError: a function needs more arguments than it will get.
        """
        table = {}
        for name, function in functions.items():
            key = split_name(name)
            if key is None:
                raise ValueError(f"a hook is named <collection>_<hook>, with one of {', '.join(HOOKS)}, not {name!r}")
            rule = f"the hook {key[1]} takes {HOOKS[key[1]]}, or less"
            table[key] = accepting(name, function, _ARGUMENTS, rule)
        return cls(table)

    def find(self, collection: str, name: str) -> Callable[[Any, HookContext], Any] | None:
        """The hook ``name`` of a collection, or ``None``. It takes two arguments, whatever the user's function does."""
        return self._table.get((prefix_of(collection), name)) if self._table else None

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a hook, and return its result. One that is ``async`` runs on the process's background event loop while
        this thread waits; it sees the context variables of the caller.

        Raises:
            RuntimeError: an ``async`` hook was to be waited for on an event loop's own thread.
        """
        value = function(*arguments)
        if not inspect.isawaitable(value):
            return value
        if background.would_stand_still():
            # The loop that waits may be the very one that the hook needs.
            if inspect.iscoroutine(value):
                value.close()
            raise RuntimeError(
                f"{getattr(function, '__name__', 'the hook')} is async, and an event loop cannot wait for it; in "
                "'async def' await the calls of wixhttp.data.aio, or make the hook a 'def'"
            )
        result, error = background.run(lambda: value)
        if error is not None:
            raise error
        return result

    @property
    def prefixes(self) -> frozenset[str]:
        """The prefixes of all hooks: the names of their collections, as `prefix_of` writes them."""
        return frozenset(prefix for prefix, _ in self._table)

    def __len__(self) -> int:
        return len(self._table)


def split_name(name: str) -> tuple[str, str] | None:
    """The prefix of the collection and the hook that a function's name has, or ``None``.

    >>> split_name("Stores_Products_afterGet")
    ('Stores_Products', 'afterGet')
    """
    prefix, _, hook = name.rpartition("_")
    return (prefix, hook) if prefix and hook in HOOKS else None


def prefix_of(collection: str) -> str:
    """The prefix of the names of a collection's hooks.

    >>> prefix_of("Stores/Products")
    'Stores_Products'
    """
    return _UNNAMEABLE.sub("_", collection)
