"""The functions of both data APIs, written once: Velo's ``wix-data`` is `VeloAPI`, ``@wix/data`` is `ItemsAPI`.

The two differ in the defaults and the meaning of a few options, which `wixhttp.data.calls.options` knows, and in the
functions that only one of them has. `wixhttp.data` and `wixhttp.data.items` have these methods as functions; in
`wixhttp.data.aio` they are awaited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, overload

from wixhttp.concurrency.event_loop import blocks_a_request

from .calls import bulk, reads, references, writes
from .calls.options import Options, parse_options
from .calls.patches import Patch
from .calls.results import AggregateResult, BulkResult, Item, Query, QueryResult
from .collections import current
from .queries.builders import Aggregate, Filter, QueryBuilder, Sort
from .query_runner import Given, runner, warn_of_blocking


class DataAPI:
    """The functions that both APIs have."""

    _is_velo: ClassVar[bool]

    def _options(self, function: str, options: Given, keywords: Mapping[str, Any]) -> Options:
        if blocks_a_request():
            warn_of_blocking(function, is_velo=self._is_velo)
        return parse_options(function, options, keywords, is_velo=self._is_velo)

    def get(self, collection: str, item_id: str, options: Given = None, **keywords: Any) -> Item | None:
        """The item with that id, or ``None``.

        Options beside the common ones: ``fields``, ``includeReferences`` (``[{"field": name, "limit": number}]``).

        Raises:
            WixDataError: it is not permitted (WDE0027), the collection does not exist (WDE0025), or the id is no text
                (WDE0002).
        """
        return reads.get(current(), collection, item_id, self._options("get", options, keywords))

    def query(self, collection: str) -> Query:
        """A query of a collection, to be chained and ended with ``find``, ``count`` or ``distinct``."""
        return Query(collection=collection, runner=runner(is_velo=self._is_velo))

    def insert(self, collection: str, item: dict[str, Any], options: Given = None, **keywords: Any) -> Item:
        """The item as it was added; without an ``_id`` it gets one.

        In `wixhttp.data`, ``item`` itself gets ``_id``, ``_createdDate``, ``_updatedDate`` and ``_owner``, as in
        what is returned; in `wixhttp.data.items` it stays as it is.

        Raises:
            WixDataError: its ``_id`` is there already (WDE0074) or no id (WDE0007), it collides in a unique index
                (WDE0123), a value cannot be held (WDE0075), it is too large (WDE0009), it is not permitted (WDE0027),
                the collection does not exist (WDE0025).
        """
        return writes.insert(current(), collection, item, self._options("insert", options, keywords))

    def update(self, collection: str, item: dict[str, Any], options: Given = None, **keywords: Any) -> Item:
        """The item that took the place of the one with its ``_id``: fields that it lacks are gone.

        Options beside the common ones: ``condition``, a filter that the stored item must meet; ``saveReferences``.

        Raises:
            WixDataError: no item has this ``_id`` (WDE0073), it does not meet ``condition`` (WDE0178); and as `insert`.
        """
        return writes.update(current(), collection, item, self._options("update", options, keywords))

    def save(self, collection: str, item: dict[str, Any], options: Given = None, **keywords: Any) -> Item:
        """The item, updated where its ``_id`` is there already, added where not. Raises as `insert`."""
        return writes.save(current(), collection, item, self._options("save", options, keywords))

    def remove(self, collection: str, item_id: str, options: Given = None, **keywords: Any) -> Item | None:
        """The item that was removed, or ``None`` where there was none. References to it are removed as well.

        Raises:
            WixDataError: the id is no text (WDE0002), the item does not meet ``condition`` (WDE0178), it is not
                permitted (WDE0027), the collection does not exist (WDE0025).
        """
        return writes.remove(current(), collection, item_id, self._options("remove", options, keywords))

    def bulkInsert(
        self, collection: str, items: Sequence[dict[str, Any]], options: Given = None, **keywords: Any
    ) -> BulkResult:
        """The outcome of 1 to 1000 items to be added, each for itself: a `BulkResult`.

        Those whose ``_id`` is there are ``skipped``, or replaced with the option ``overrideExisting``.

        Raises:
            WixDataError: the list is wrong (WDE0005), too long (WDE0006) or too large (WDE0109), it is not permitted
                (WDE0027), the collection does not exist (WDE0025).
        """
        return bulk.write_many(current(), collection, items, "insert", self._options("bulkInsert", options, keywords))

    def bulkUpdate(
        self, collection: str, items: Sequence[dict[str, Any]], options: Given = None, **keywords: Any
    ) -> BulkResult:
        """The outcome of 1 to 1000 items to be updated; those that are not there are ``skipped``. As `bulkInsert`."""
        return bulk.write_many(current(), collection, items, "update", self._options("bulkUpdate", options, keywords))

    def bulkSave(
        self, collection: str, items: Sequence[dict[str, Any]], options: Given = None, **keywords: Any
    ) -> BulkResult:
        """The outcome of 1 to 1000 items to be updated where they are there, else added. Raises as `bulkInsert`."""
        return bulk.write_many(current(), collection, items, "save", self._options("bulkSave", options, keywords))

    def bulkRemove(
        self, collection: str, item_ids: Sequence[str], options: Given = None, **keywords: Any
    ) -> BulkResult:
        """The outcome of 1 to 1000 items to be removed. Those that are not there are ``skipped``.

        Raises:
            WixDataError: the ids are no list of text (WDE0068), too many (WDE0069), it is not permitted (WDE0027), the
                collection does not exist (WDE0025).
        """
        return bulk.remove_many(current(), collection, item_ids, self._options("bulkRemove", options, keywords))

    def truncate(self, collection: str, options: Given = None, **keywords: Any) -> None:
        """Remove all items of a collection. Where it has permissions, only an owner and elevated rights may."""
        writes.truncate(current(), collection, self._options("truncate", options, keywords))

    def filter(self) -> Filter:
        """An empty filter, for ``and_``, ``or_``, ``not_``, ``condition`` and aggregations."""
        return Filter()

    def isReferenced(
        self, collection: str, field: str, referring: Any, referenced: Any, options: Given = None, **keywords: Any
    ) -> bool:
        """Return whether an item refers to another one in a field. Both are items or ids.

        Raises:
            WixDataError: one of them is neither (WDE0019), or the field is no reference (WDE0020).
        """
        return bool(
            references.is_referenced(
                current(), collection, field, referring, referenced, self._options("isReferenced", options, keywords)
            )
        )

    def insertReference(
        self, collection: str, field: str, referring: Any, referenced: Any, options: Given = None, **keywords: Any
    ) -> None:
        """Let an item refer to another one, or to each of a list, in a field with many references. All or nothing.

        Raises:
            WixDataError: a reference is there already (WDE0029) or no item or id (WDE0021), the field has not many
                (WDE0020), it is not permitted (WDE0027).
        """
        references.insert_reference(
            current(), collection, field, referring, referenced, self._options("insertReference", options, keywords)
        )

    def removeReference(
        self, collection: str, field: str, referring: Any, referenced: Any, options: Given = None, **keywords: Any
    ) -> None:
        """Take references away; WDE0153 where one is not there. Else as `insertReference`."""
        references.remove_reference(
            current(), collection, field, referring, referenced, self._options("removeReference", options, keywords)
        )

    def replaceReferences(
        self, collection: str, field: str, referring: Any, referenced: Any, options: Given = None, **keywords: Any
    ) -> None:
        """Make these the only references of a field, in this order; an empty list removes all. As `insertReference`."""
        references.replace_references(
            current(), collection, field, referring, referenced, self._options("replaceReferences", options, keywords)
        )

    def queryReferenced(
        self, collection: str, item: Any, field: str, options: Given = None, **keywords: Any
    ) -> QueryResult[Item]:
        """A page of the items that an item refers to, in the order in which the references were made.

        Those that are missing or may not be read are left out. Options beside the common ones: ``order`` (``asc`` or
        ``desc``), ``skip``, ``limit`` (50 unless given).

        Raises:
            WixDataError: the field is no reference (WDE0020), the item is neither an item nor an id (WDE0019), it is
                not permitted (WDE0027), the collection does not exist (WDE0025).
        """
        return references.query_referenced(
            current(), collection, item, field, self._options("queryReferenced", options, keywords)
        )


class VeloAPI(DataAPI):
    """Velo's ``wix-data``.

    Common options, as a dict or as keywords: ``suppressAuth`` lifts permissions, ``suppressHooks`` runs no hook,
    ``omitTotalCount`` saves a count; ``consistentRead``, ``language``, ``appOptions`` and ``showDrafts`` change
    nothing. An option that is unknown or of the wrong type is WDE0018.
    """

    _is_velo = True

    def aggregate(self, collection: str) -> Aggregate[AggregateResult]:
        """An aggregation of a collection, to be chained and ended with ``run``."""
        return Aggregate(collection=collection, runner=runner(is_velo=self._is_velo))

    def sort(self) -> Sort:
        """An empty order, to be chained with ``ascending`` and ``descending``."""
        return Sort()


class ItemsAPI(DataAPI):
    """The module ``items`` of ``@wix/data``; its common options stand in `wixhttp.data.items`."""

    _is_velo = False

    def queryReferencedItems(
        self, collection: str, referring: Any, field: str, options: Given = None, **keywords: Any
    ) -> dict[str, Any]:
        """The references of an item, or of a list of them: ``{"results": [...], "pagingMetadata": {...}}``.

        A result has ``referringItemId``, and ``item``, or else ``unresolvedReference`` with ``referencedItemId`` and
        ``unauthorized``. Options and errors as `queryReferenced`.
        """
        return references.query_referenced_items(
            current(), collection, referring, field, self._options("queryReferencedItems", options, keywords)
        )

    def count(self, collection: str, options: Given = None, **keywords: Any) -> int:
        """Count the items of a collection, or those that the option ``filter`` selects. Raises as `Query.find`."""
        return reads.count(current(), QueryBuilder(collection=collection), self._options("count", options, keywords))

    def distinct(self, collection: str, field: str, options: Given = None, **keywords: Any) -> QueryResult[Any]:
        """The different values of a field, a page of them.

        Options beside the common ones: ``filter``, ``order`` (``asc`` or ``desc``), ``skip``, ``limit``. Raises as
        `Query.find`.
        """
        return reads.distinct(
            current(), QueryBuilder(collection=collection), field, self._options("distinct", options, keywords)
        )

    @overload
    def patch(self, collection: str, item_id: str) -> Patch[Item]: ...

    @overload
    def patch(
        self,
        collection: str,
        item_id: str,
        modifications: Sequence[Mapping[str, Any]],
        options: Given = None,
        **keywords: Any,
    ) -> Item: ...

    def patch(
        self,
        collection: str,
        item_id: str,
        modifications: Sequence[Mapping[str, Any]] | None = None,
        options: Given = None,
        **keywords: Any,
    ) -> Patch[Item] | Item:
        """A `Patch` of an item, to be chained and ended with ``run``; with ``modifications``, the item that they made.

        A modification is ``{"fieldPath": "stock", "action": "INCREMENT_FIELD", "incrementFieldOptions": {"value":
        -1}}``, its action one of `modifications.ACTIONS`. No concurrent change is lost: the stored item is locked, and
        its hooks may run more than once.

        Raises:
            WixDataError: as `Patch.run`.
        """
        made: Patch[Item] = Patch(collection, item_id, runner=runner(is_velo=False))
        return made if modifications is None else made.modified(modifications).run(options, **keywords)

    @overload
    def bulkPatch(self, collection: str, item_ids: Sequence[str]) -> Patch[BulkResult]: ...

    @overload
    def bulkPatch(
        self,
        collection: str,
        item_ids: Sequence[str],
        modifications: Sequence[Mapping[str, Any]],
        options: Given = None,
        **keywords: Any,
    ) -> BulkResult: ...

    def bulkPatch(
        self,
        collection: str,
        item_ids: Sequence[str],
        modifications: Sequence[Mapping[str, Any]] | None = None,
        options: Given = None,
        **keywords: Any,
    ) -> Patch[BulkResult] | BulkResult:
        """The same for 1 to 100 items, each for itself, with a `BulkResult`; missing ones are in ``errors``.

        Raises:
            WixDataError: as `Patch.run`; the ids are no list of text (WDE0068) or too many (WDE0069).
        """
        made: Patch[BulkResult] = Patch(collection, item_ids, runner=runner(is_velo=False), is_bulk=True)
        return made if modifications is None else made.modified(modifications).run(options, **keywords)
