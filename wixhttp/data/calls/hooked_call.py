"""One call on one collection, and the hooks around it.

A hook that fails before the call ends it; one that fails after it makes what it raised the result. Both, and an
call that fails, are told to ``onFailure``: what that returns, unless it is ``None``, is the result instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from wixhttp.context import current_collections, using

from .access import Collections, collection_name
from .errors import HookRecursion
from .hooks import HookContext
from .options import Options

logger = logging.getLogger("wixhttp")

_Result = TypeVar("_Result")

MAX_HOOK_DEPTH = 10
"""Hooks that may run around each other."""


class HookedCall:
    """A call with these options on a collection. The constructor raises as `collection_name`."""

    def __init__(self, collections: Collections, collection: object, options: Options) -> None:
        self.collections = collections
        self.collection = collection_name(collection)
        self.options = options

    def run(self, work: Callable[[], _Result]) -> _Result:
        """Return the result of ``work``, or that of ``onFailure`` in its place."""
        try:
            self.collections.declare(self.collection)
            return work()
        except HookRecursion:
            raise
        except Exception as error:
            replacement = self.failed(error)
            if replacement is None:
                raise
            return replacement  # type: ignore[no-any-return]  # what the site's hook wants it to be

    def has(self, *names: str) -> bool:
        """Return whether one of these hooks exists and runs."""
        return any(self._find(name) is not None for name in names)

    def before(self, name: str, value: _Result, kind: type, current_item: Any = None) -> _Result:
        """Run a hook on ``value``, and return its value instead if that is of ``kind``. Raises what the hook raises."""
        function = self._find(name)
        if function is None:
            return value
        made: _Result = self._call(function, value, current_item)
        return made if isinstance(made, kind) and not isinstance(made, bool) else value

    def after(self, name: str, value: _Result, kind: type, current_item: Any = None) -> _Result:
        """Run a hook on the result ``value``; where it fails, the result is its exception, or that of ``onFailure``."""
        try:
            return self.before(name, value, kind, current_item)
        except HookRecursion:
            raise
        except Exception as error:
            logger.error("%s_%s failed: %r is the result", self.collection, name, error, exc_info=error)
            replacement = self.failed(error)
            return error if replacement is None else replacement  # type: ignore[return-value]  # as in Velo

    def failed(self, error: Exception) -> Any:
        """Run ``onFailure`` for an error, and return its value; ``None`` without it. Raises what it raises."""
        function = self._find("onFailure")
        return None if function is None else self._call(function, error, None)

    def _find(self, name: str) -> Callable[..., Any] | None:
        hooks = self.collections.hooks
        return None if hooks is None or self.options.suppresses_hooks else hooks.find(self.collection, name)

    def _call(self, function: Callable[..., Any], value: Any, current_item: Any) -> Any:
        collections, around = self.collections, current_collections.get()
        # A page or a `Collections` made outside of a hook may be what the hook uses.
        depth = collections.depth if around is None else max(collections.depth, around.depth)
        if depth >= MAX_HOOK_DEPTH or collections.hooks is None:
            raise HookRecursion(
                "WDE0078",
                f"Hooks of {self.collection} call each other more than {MAX_HOOK_DEPTH} deep; "
                'pass {"suppressHooks": True} where a hook calls the collection that it belongs to.',
                status=500,
            )
        identity = collections.identity
        context = HookContext(
            collectionName=self.collection,
            userId=identity.user_id,
            userRole=identity.role,
            currentItem=current_item() if callable(current_item) else current_item,
        )
        with using(current_collections, collections.at_depth(depth + 1)):
            return collections.hooks.call(function, value, context)
