"""The face of ``@wix/data``: what ``from wixhttp.data import items`` gives.

Common options, as a dict or as keywords: ``suppressHooks`` runs no hook, ``returnTotalCount`` counts; ``suppressAuth``
is taken and does nothing (use `wixhttp.auth.elevate`), nor do ``consistentRead``, ``language``, ``appOptions`` and
``showDrafts``. An option that is unknown or of the wrong type is WDE0018.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from wixhttp.data.calls.options import parse_options
from wixhttp.data.calls.patches import Patch
from wixhttp.data.calls.results import BulkResult, QueryResult
from wixhttp.data.queries.builders import Filter, Query

from .builder_runner import Given, runner
from .collections import current

_checked = functools.partial(parse_options, is_velo=False)


def get(collection: str, item_id: str, options: Given = None, **keywords: Any) -> dict[str, Any] | None:
    """The item with that id, or ``None``.

    Options beside the common ones: ``fields``, ``includeReferences`` (``[{"field": name, "limit": number}]``).

    Raises:
        WixDataError: it is not permitted (WDE0027), the collection does not exist (WDE0025), or the id is no text
            (WDE0002).
    """
    return current().get(collection, item_id, _checked("get", options, keywords))


def query(collection: str) -> Query:
    """A query of a collection, to be chained and ended with ``find``, ``count`` or ``distinct``."""
    return Query(collection=collection, runner=runner(is_velo=False))


def insert(collection: str, item: dict[str, Any], options: Given = None, **keywords: Any) -> dict[str, Any]:
    """The item as it was added; without an ``_id`` it gets one.

    ``item`` stays as it is.

    Raises:
        WixDataError: its ``_id`` is there already (WDE0074) or no id (WDE0007), it collides in a unique index
            (WDE0123), a value cannot be held (WDE0075), it is too large (WDE0009), it is not permitted (WDE0027), the
            collection does not exist (WDE0025).
    """
    return current().insert(collection, item, _checked("insert", options, keywords))


def update(collection: str, item: dict[str, Any], options: Given = None, **keywords: Any) -> dict[str, Any]:
    """The item that took the place of the one with its ``_id``: fields that it lacks are gone.

    Options beside the common ones: ``condition``, a filter that the stored item must meet; ``saveReferences``.

    Raises:
        WixDataError: no item has this ``_id`` (WDE0073), it does not meet ``condition`` (WDE0178); and as `insert`.
    """
    return current().update(collection, item, _checked("update", options, keywords))


def save(collection: str, item: dict[str, Any], options: Given = None, **keywords: Any) -> dict[str, Any]:
    """The item, updated where its ``_id`` is there already, added where not. Raises as `insert`."""
    return current().save(collection, item, _checked("save", options, keywords))


def remove(collection: str, item_id: str, options: Given = None, **keywords: Any) -> dict[str, Any] | None:
    """The item that was removed, or ``None`` where there was none. References to it are removed as well.

    Raises:
        WixDataError: the id is no text (WDE0002), the item does not meet ``condition`` (WDE0178), it is not permitted
            (WDE0027), the collection does not exist (WDE0025).
    """
    return current().remove(collection, item_id, _checked("remove", options, keywords))


def bulkInsert(collection: str, items: Sequence[dict[str, Any]], options: Given = None, **keywords: Any) -> BulkResult:
    """What became of 1 to 1000 items to be added, each for itself: a dict with all eight members of `BulkResult`.

    Those whose ``_id`` is there are ``skipped``, or replaced with the option ``overrideExisting``.

    Raises:
        WixDataError: the list is wrong (WDE0005), too long (WDE0006) or too large (WDE0109), it is not permitted
            (WDE0027), the collection does not exist (WDE0025).
    """
    return current().bulk_insert(collection, items, _checked("bulkInsert", options, keywords))


def bulkUpdate(collection: str, items: Sequence[dict[str, Any]], options: Given = None, **keywords: Any) -> BulkResult:
    """What became of 1 to 1000 items to be updated; those that are not there are ``skipped``. As `bulkInsert`."""
    return current().bulk_update(collection, items, _checked("bulkUpdate", options, keywords))


def bulkSave(collection: str, items: Sequence[dict[str, Any]], options: Given = None, **keywords: Any) -> BulkResult:
    """What became of 1 to 1000 items to be updated where they are there, else added. Raises as `bulkInsert`."""
    return current().bulk_save(collection, items, _checked("bulkSave", options, keywords))


def bulkRemove(collection: str, item_ids: Sequence[str], options: Given = None, **keywords: Any) -> BulkResult:
    """What became of 1 to 1000 items to be removed. Those that are not there are ``skipped``.

    Raises:
        WixDataError: the ids are no list of text (WDE0068), too many (WDE0069), it is not permitted (WDE0027), the
            collection does not exist (WDE0025).
    """
    return current().bulk_remove(collection, item_ids, _checked("bulkRemove", options, keywords))


def truncate(collection: str, options: Given = None, **keywords: Any) -> None:
    """Remove all items of a collection. Where it has permissions, only owners and who is elevated may."""
    current().truncate(collection, _checked("truncate", options, keywords))


def filter() -> Filter:
    """An empty filter, for ``and_``, ``or_``, ``not_``, ``condition`` and aggregations."""
    return Filter()


def isReferenced(
    collection: str, field: str, referring: Any, referenced: Any, options: Given = None, **keywords: Any
) -> bool:
    """Whether an item refers to another one in a field. Both are items or ids.

    Raises:
        WixDataError: one of them is neither (WDE0019), or the field is no reference (WDE0020).
    """
    return bool(
        current().is_referenced(collection, field, referring, referenced, _checked("isReferenced", options, keywords))
    )


def insertReference(
    collection: str, field: str, referring: Any, referenced: Any, options: Given = None, **keywords: Any
) -> None:
    """Let an item refer to another one, or to each of a list, in a field with many references. All or nothing.

    Raises:
        WixDataError: a reference is there already (WDE0029) or no item or id (WDE0021), the field has not many
            (WDE0020), it is not permitted (WDE0027).
    """
    current().insert_reference(collection, field, referring, referenced, _checked("insertReference", options, keywords))


def removeReference(
    collection: str, field: str, referring: Any, referenced: Any, options: Given = None, **keywords: Any
) -> None:
    """Take references away; WDE0153 where one is not there. Else as `insertReference`."""
    current().remove_reference(collection, field, referring, referenced, _checked("removeReference", options, keywords))


def replaceReferences(
    collection: str, field: str, referring: Any, referenced: Any, options: Given = None, **keywords: Any
) -> None:
    """Make these the only references of a field, in this order; an empty list takes all away. As `insertReference`."""
    current().replace_references(
        collection, field, referring, referenced, _checked("replaceReferences", options, keywords)
    )


def queryReferenced(collection: str, item: Any, field: str, options: Given = None, **keywords: Any) -> QueryResult:
    """A page of the items that an item refers to, in the order in which the references were made.

    Those that are missing or may not be read are left out. Options beside the common ones: ``order`` (``asc`` or
    ``desc``), ``skip``, ``limit`` (50 unless given).

    Raises:
        WixDataError: the field is no reference (WDE0020), the item is neither an item nor an id (WDE0019), it is not
            permitted (WDE0027), the collection does not exist (WDE0025).
    """
    return current().query_referenced(collection, item, field, _checked("queryReferenced", options, keywords))


def queryReferencedItems(
    collection: str, referring: Any, field: str, options: Given = None, **keywords: Any
) -> dict[str, Any]:
    """The references of an item, or of a list of them: ``{"results": [...], "pagingMetadata": {...}}``.

    A result has ``referringItemId``, and ``item``, or else ``unresolvedReference`` with ``referencedItemId`` and
    ``unauthorized``. Options and errors as `queryReferenced`.
    """
    return current().query_referenced_items(
        collection, referring, field, _checked("queryReferencedItems", options, keywords)
    )


def count(collection: str, options: Given = None, **keywords: Any) -> int:
    """How many items a collection has; with the option ``filter``, how many it selects. Raises as `Query.find`."""
    return current().count(Query(collection=collection), _checked("count", options, keywords))


def distinct(collection: str, field: str, options: Given = None, **keywords: Any) -> QueryResult:
    """The different values of a field, a page of them.

    Options beside the common ones: ``filter``, ``order`` (``asc`` or ``desc``), ``skip``, ``limit``. As `Query.find`.
    """
    return current().distinct(Query(collection=collection), field, _checked("distinct", options, keywords))


def patch(
    collection: str,
    item_id: str,
    modifications: Sequence[Mapping[str, Any]] | None = None,
    options: Given = None,
    **keywords: Any,
) -> Any:
    """A `Patch` of an item, to be chained and ended with ``run``; with ``modifications``, the item that they made.

    A modification is ``{"fieldPath": "stock", "action": "INCREMENT_FIELD", "incrementFieldOptions": {"value": -1}}``,
    its action one of `modifications.ACTIONS`. What others do meanwhile is not lost: the stored item is locked, and its
    hooks may run more than once.

    Raises:
        WixDataError: as `Patch.run`.
    """
    made = Patch(collection, item_id, runner=runner(is_velo=False))
    return made if modifications is None else made.modified(modifications).run(options, **keywords)


def bulkPatch(
    collection: str,
    item_ids: Sequence[str],
    modifications: Sequence[Mapping[str, Any]] | None = None,
    options: Given = None,
    **keywords: Any,
) -> Any:
    """The same for 1 to 100 items, each for itself, with a `BulkResult`; those that are not there are in ``errors``.

    Raises:
        WixDataError: as `Patch.run`; the ids are no list of text (WDE0068) or too many (WDE0069).
    """
    made = Patch(collection, item_ids, runner=runner(is_velo=False), is_bulk=True)
    return made if modifications is None else made.modified(modifications).run(options, **keywords)


def _left_out(name: str, instead: str) -> Callable[..., NoReturn]:
    def function(*arguments: Any, **keywords: Any) -> NoReturn:
        raise NotImplementedError(f"wixhttp.data.items has no {name}; {instead}")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Not offered: {instead}."
    return function


_DRAFTS = "items are not drafts: give them a field that says whether they are published"
_JOBS = "query the items in pages, and call bulkPatch or bulkRemove for each"
_EVENTS = "write the hooks afterInsert, afterUpdate and afterRemove in backend/data.py"

aggregatePipeline = _left_out("aggregatePipeline", "use aggregate of wixhttp.data")
createDataItemDraft = _left_out("createDataItemDraft", _DRAFTS)
publishDataItemDraft = _left_out("publishDataItemDraft", _DRAFTS)
unpublishDataItem = _left_out("unpublishDataItem", _DRAFTS)
asyncPatchByFilter = _left_out("asyncPatchByFilter", _JOBS)
asyncRemoveByFilter = _left_out("asyncRemoveByFilter", _JOBS)
getAsyncJobStatus = _left_out("getAsyncJobStatus", "no call goes on behind its return")
search = _left_out("search", "use query with contains, startsWith and or_")
withEnvironment = _left_out("withEnvironment", "set database_url for each environment")
onDataItemCreated = _left_out("onDataItemCreated", _EVENTS)
onDataItemUpdated = _left_out("onDataItemUpdated", _EVENTS)
onDataItemDeleted = _left_out("onDataItemDeleted", _EVENTS)

__all__ = [
    "aggregatePipeline",
    "asyncPatchByFilter",
    "asyncRemoveByFilter",
    "bulkInsert",
    "bulkPatch",
    "bulkRemove",
    "bulkSave",
    "bulkUpdate",
    "count",
    "createDataItemDraft",
    "distinct",
    "filter",
    "get",
    "getAsyncJobStatus",
    "insert",
    "insertReference",
    "isReferenced",
    "onDataItemCreated",
    "onDataItemDeleted",
    "onDataItemUpdated",
    "patch",
    "publishDataItemDraft",
    "query",
    "queryReferenced",
    "queryReferencedItems",
    "remove",
    "removeReference",
    "replaceReferences",
    "save",
    "search",
    "truncate",
    "unpublishDataItem",
    "update",
    "withEnvironment",
]
