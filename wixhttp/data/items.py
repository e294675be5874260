"""The module ``items`` of ``@wix/data``: ``from wixhttp.data import items``.

Common options, as a dict or as keywords: ``suppressHooks`` runs no hook, ``returnTotalCount`` counts; ``suppressAuth``
is taken and does nothing (use `wixhttp.auth.elevate`), nor do ``consistentRead``, ``language``, ``appOptions`` and
``showDrafts``. An option that is unknown or of the wrong type is WDE0018.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from .api import ItemsAPI

_api = ItemsAPI()

get = _api.get
query = _api.query
insert = _api.insert
update = _api.update
save = _api.save
remove = _api.remove
bulkInsert = _api.bulkInsert
bulkUpdate = _api.bulkUpdate
bulkSave = _api.bulkSave
bulkRemove = _api.bulkRemove
truncate = _api.truncate
filter = _api.filter
isReferenced = _api.isReferenced
insertReference = _api.insertReference
removeReference = _api.removeReference
replaceReferences = _api.replaceReferences
queryReferenced = _api.queryReferenced
queryReferencedItems = _api.queryReferencedItems
count = _api.count
distinct = _api.distinct
patch = _api.patch
bulkPatch = _api.bulkPatch


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
