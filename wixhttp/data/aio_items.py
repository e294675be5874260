"""`wixhttp.data.items` for ``async def``: ``from wixhttp.data.aio import items``.

Each call runs on a thread of its own pool, and is waited for without holding up the event loop. A call that was begun
is ended even where the one that awaits it is cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from wixhttp.data.calls.patches import Patch
from wixhttp.data.calls.results import BulkResult, Item
from wixhttp.promises import Promise

from . import items
from .awaited_calls import AwaitedQuery, AwaitedRunner, awaited, awaited_page
from .query_runner import Given

get = awaited(items.get)
insert = awaited(items.insert)
update = awaited(items.update)
save = awaited(items.save)
remove = awaited(items.remove)
bulkInsert = awaited(items.bulkInsert)
bulkUpdate = awaited(items.bulkUpdate)
bulkSave = awaited(items.bulkSave)
bulkRemove = awaited(items.bulkRemove)
truncate = awaited(items.truncate)
isReferenced = awaited(items.isReferenced)
insertReference = awaited(items.insertReference)
removeReference = awaited(items.removeReference)
replaceReferences = awaited(items.replaceReferences)
queryReferenced = awaited_page(items.queryReferenced)
queryReferencedItems = awaited(items.queryReferencedItems)
count = awaited(items.count)
distinct = awaited_page(items.distinct)

filter = items.filter
aggregatePipeline = items.aggregatePipeline
createDataItemDraft = items.createDataItemDraft
publishDataItemDraft = items.publishDataItemDraft
unpublishDataItem = items.unpublishDataItem
asyncPatchByFilter = items.asyncPatchByFilter
asyncRemoveByFilter = items.asyncRemoveByFilter
getAsyncJobStatus = items.getAsyncJobStatus
search = items.search
withEnvironment = items.withEnvironment
onDataItemCreated = items.onDataItemCreated
onDataItemUpdated = items.onDataItemUpdated
onDataItemDeleted = items.onDataItemDeleted


def query(collection: str) -> AwaitedQuery:
    """A query as `wixhttp.data.items.query` makes it, whose ``find``, ``count`` and ``distinct`` are awaited."""
    return AwaitedQuery(collection=collection, runner=AwaitedRunner.of(is_velo=False))


@overload
def patch(collection: str, item_id: str) -> Patch[Promise[Item]]: ...


@overload
def patch(
    collection: str,
    item_id: str,
    modifications: Sequence[Mapping[str, Any]],
    options: Given = None,
    **keywords: Any,
) -> Promise[Item]: ...


def patch(
    collection: str,
    item_id: str,
    modifications: Sequence[Mapping[str, Any]] | None = None,
    options: Given = None,
    **keywords: Any,
) -> Patch[Promise[Item]] | Promise[Item]:
    """As `wixhttp.data.items.patch`; what comes back is awaited, or what its ``run`` gives."""
    made: Patch[Promise[Item]] = Patch(collection, item_id, runner=AwaitedRunner.of(is_velo=False))
    return made if modifications is None else made.modified(modifications).run(options, **keywords)


@overload
def bulkPatch(collection: str, item_ids: Sequence[str]) -> Patch[Promise[BulkResult]]: ...


@overload
def bulkPatch(
    collection: str,
    item_ids: Sequence[str],
    modifications: Sequence[Mapping[str, Any]],
    options: Given = None,
    **keywords: Any,
) -> Promise[BulkResult]: ...


def bulkPatch(
    collection: str,
    item_ids: Sequence[str],
    modifications: Sequence[Mapping[str, Any]] | None = None,
    options: Given = None,
    **keywords: Any,
) -> Patch[Promise[BulkResult]] | Promise[BulkResult]:
    """As `wixhttp.data.items.bulkPatch`; what comes back is awaited, or what its ``run`` gives."""
    made: Patch[Promise[BulkResult]] = Patch(collection, item_ids, runner=AwaitedRunner.of(is_velo=False), is_bulk=True)
    return made if modifications is None else made.modified(modifications).run(options, **keywords)


__all__ = []
__all__ += items.__all__
