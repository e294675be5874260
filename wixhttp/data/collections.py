"""The calls on collections, for one who acts on one store; and the collections that users' functions reach.

`wixhttp.data` and `wixhttp.data.items` are faces of what `current` gives.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from wixhttp.context import current_collections, using, using_by_default
from wixhttp.data.calls.access import Actor
from wixhttp.data.calls.hooks import Hooks
from wixhttp.data.calls.options import Options, parse_options
from wixhttp.data.calls.patches import Patch
from wixhttp.data.calls.results import AggregateResult, BulkResult, QueryResult
from wixhttp.data.queries.builders import Aggregate, Query
from wixhttp.data.schema.declarations import load_schema
from wixhttp.data.schema.permissions import Identity
from wixhttp.data.stores.factory import open_store
from wixhttp.project.active_config import config_to_open
from wixhttp.project.config import Config

from .calls import aggregates, bulk, patches, reads, references, writes

_Options = Mapping[str, Any] | Options | None


class Collections(Actor):
    """The calls by their names in Python. Options are a dict, with the defaults of the Velo face, or checked `Options`.

    What the calls give and raise stands in `wixhttp.data.velo` and `wixhttp.data.items`.
    """

    def get(self, collection: str, item_id: str, options: _Options = None) -> dict[str, Any] | None:
        """The item, or ``None``."""
        return reads.get(self, collection, item_id, parse_options("get", options))

    def find(self, query: Query, options: _Options = None) -> QueryResult:
        """The first page of a query, a `QueryResult`."""
        return reads.find(self, query, parse_options("find", options))

    def count(self, query: Query, options: _Options = None) -> int:
        """How many items a query selects."""
        return reads.count(self, query, parse_options("count", options))

    def distinct(self, query: Query, field: str, options: _Options = None) -> QueryResult:
        """The different values of a field."""
        return reads.distinct(self, query, field, parse_options("distinct", options))

    def aggregate(self, aggregation: Aggregate, options: _Options = None) -> AggregateResult:
        """The first page of an aggregation, an `AggregateResult`."""
        return aggregates.aggregate(self, aggregation, parse_options("aggregate", options))

    def insert(self, collection: str, item: Mapping[str, Any], options: _Options = None) -> dict[str, Any]:
        """The added item."""
        return writes.insert(self, collection, item, parse_options("insert", options))

    def update(self, collection: str, item: Mapping[str, Any], options: _Options = None) -> dict[str, Any]:
        """The item that took the place of the stored one."""
        return writes.update(self, collection, item, parse_options("update", options))

    def save(self, collection: str, item: Mapping[str, Any], options: _Options = None) -> dict[str, Any]:
        """The updated or added item."""
        return writes.save(self, collection, item, parse_options("save", options))

    def remove(self, collection: str, item_id: str, options: _Options = None) -> dict[str, Any] | None:
        """The removed item, or ``None``."""
        return writes.remove(self, collection, item_id, parse_options("remove", options))

    def truncate(self, collection: str, options: _Options = None) -> None:
        """Remove all items."""
        writes.truncate(self, collection, parse_options("truncate", options))

    def patch(self, asked: Patch, options: _Options = None) -> dict[str, Any]:
        """The patched item."""
        return patches.patch(self, asked, parse_options("patch", options))

    def bulk_insert(self, collection: str, items: Any, options: _Options = None) -> BulkResult:
        """Add items, a `BulkResult`."""
        return bulk.write_many(self, collection, items, "insert", parse_options("bulkInsert", options))

    def bulk_update(self, collection: str, items: Any, options: _Options = None) -> BulkResult:
        """Update items, a `BulkResult`."""
        return bulk.write_many(self, collection, items, "update", parse_options("bulkUpdate", options))

    def bulk_save(self, collection: str, items: Any, options: _Options = None) -> BulkResult:
        """Update or add items, a `BulkResult`."""
        return bulk.write_many(self, collection, items, "save", parse_options("bulkSave", options))

    def bulk_remove(self, collection: str, ids: Any, options: _Options = None) -> BulkResult:
        """Remove items, a `BulkResult`."""
        return bulk.remove_many(self, collection, ids, parse_options("bulkRemove", options))

    def bulk_patch(self, asked: Patch, options: _Options = None) -> BulkResult:
        """Patch items, a `BulkResult`."""
        return bulk.patch_many(self, asked, parse_options("bulkPatch", options))

    def is_referenced(
        self, collection: str, field: str, referring: Any, referenced: Any, options: _Options = None
    ) -> bool:
        """Whether one item refers to the other."""
        checked = parse_options("isReferenced", options)
        return references.is_referenced(self, collection, field, referring, referenced, checked)

    def insert_reference(
        self, collection: str, field: str, referring: Any, referenced: Any, options: _Options = None
    ) -> None:
        """Add references."""
        checked = parse_options("insertReference", options)
        references.insert_reference(self, collection, field, referring, referenced, checked)

    def remove_reference(
        self, collection: str, field: str, referring: Any, referenced: Any, options: _Options = None
    ) -> None:
        """Remove references."""
        checked = parse_options("removeReference", options)
        references.remove_reference(self, collection, field, referring, referenced, checked)

    def replace_references(
        self, collection: str, field: str, referring: Any, referenced: Any, options: _Options = None
    ) -> None:
        """Replace references."""
        checked = parse_options("replaceReferences", options)
        references.replace_references(self, collection, field, referring, referenced, checked)

    def query_referenced(self, collection: str, item: Any, field: str, options: _Options = None) -> QueryResult:
        """The items that an item refers to, a `QueryResult`."""
        return references.query_referenced(self, collection, item, field, parse_options("queryReferenced", options))

    def query_referenced_items(
        self, collection: str, referring: Any, field: str, options: _Options = None
    ) -> dict[str, Any]:
        """The references of items."""
        checked = parse_options("queryReferencedItems", options)
        return references.query_referenced_items(self, collection, referring, field, checked)


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

    ``None`` opens those of `opening.config_to_open` at first use.
    """
    global _default  # noqa: PLW0603 - one of the two ambient values: users' functions have no object in hand
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
