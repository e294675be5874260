"""The collections of the project: opened at first use, and those that users' functions reach.

`wixhttp.data` and `wixhttp.data.items` call on `current`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from wixhttp.context import current_collections, using, using_by_default
from wixhttp.data.calls.access import Collections
from wixhttp.data.calls.hooks import Hooks
from wixhttp.data.schema.declarations import load_schema
from wixhttp.data.schema.permissions import Identity
from wixhttp.data.stores.factory import open_store
from wixhttp.project.active_config import config_to_open
from wixhttp.project.config import Config


def open_collections(config: Config) -> Collections:
    """The collections of a project: its store, with what ``data/collections.toml`` declares and the project's hooks.

    The store is opened, and declared collections are made, when they are first used.

    Raises:
        ConfigError: ``database_url``, or what ``data/collections.toml`` declares, is wrong.
        ProjectError: the hooks cannot be loaded.
    """
    schema = load_schema(config.root)
    hooks = Hooks.load(config.root, config.import_timeout)
    store = open_store(config.store_url, config.root)
    return Collections(store, schema, hooks=hooks, strict=config.refuses_unknown_collections)


_default: Collections | Callable[[], Collections] | None = None
_opening = threading.RLock()


def set_default(collections: Collections | Callable[[], Collections] | None) -> None:
    """Make ``collections``, or what a callable gives at first use, those of this process.

    ``None`` opens those of `active_config.config_to_open` at first use.
    """
    global _default  # noqa: PLW0603 - one of the two ambient values: users' functions have no object in hand
    with _opening:  # another thread may be opening those that it found
        _default = collections


def current() -> Collections:
    """The collections that calls without an object reach: those of `override`, or of the process.

    Raises:
        ProjectError: the process has none yet, and those of the project cannot be opened.
    """
    acting = current_collections.get()
    if acting is not None:
        # Only functions of this module set it.
        return acting.opened() if acting.__class__ is _Unopened else acting
    made = _default
    return made if isinstance(made, Collections) else _opened()


def _opened() -> Collections:
    with _opening:
        made = _default
        if not isinstance(made, Collections):
            made = open_collections(config_to_open()) if made is None else made()
            set_default(made)
        return made


class _Unopened:
    """The collections of the process for an identity, opened when one is called."""

    depth = 0

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    def acting_as(self, identity: Identity) -> _Unopened:
        """The same for another identity."""
        return _Unopened(identity)

    def opened(self) -> Collections:
        """The collections. Raises as `current`."""
        made = _default
        return (made if isinstance(made, Collections) else _opened()).acting_as(self.identity)


def act_as_member(user_id: str) -> AbstractContextManager[object]:
    """Let calls without an object be those of a member, in this context and its tasks, until the block ends.

    What is elevated stays so. Nothing is opened before the first call.
    """
    acting = current_collections.get() or _Unopened(Identity())
    return using(current_collections, acting.acting_as(Identity(user_id, "siteMember", acting.identity.is_elevated)))


def override(collections: Collections) -> AbstractContextManager[Collections]:
    """Use ``collections`` instead of the process's, in this context and its tasks, until the block ends."""
    return using(current_collections, collections)


def fallback(collections: Collections) -> AbstractContextManager[None]:
    """Use ``collections`` as `override` does, unless some are in use by `override` already."""
    return using_by_default(current_collections, collections)
