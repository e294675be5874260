"""Collections, as Velo's ``wix-data`` has them::

    from wixhttp import data as wix_data

    wix_data.insert("books", {"title": "Emma", "year": 1815}, suppressAuth=True)
    result = wix_data.query("books").ge("year", 1800).ascending("title").limit(20).find()

`wixhttp.data.items` is the API of ``@wix/data``; `wixhttp.data.aio` has both for ``async def``.

Common options, as a dict or as keywords: ``suppressAuth`` lifts permissions, ``suppressHooks`` runs no hook,
``omitTotalCount`` saves a count; ``consistentRead``, ``language``, ``appOptions`` and ``showDrafts`` change nothing.
An option that is unknown or of the wrong type is WDE0018.
"""

from __future__ import annotations

from .api import VeloAPI
from .calls.hooks import HookContext as HookContext
from .calls.results import AggregateResult as AggregateResult
from .calls.results import BulkResult as BulkResult
from .calls.results import Item as Item
from .calls.results import Query as Query
from .calls.results import QueryResult as QueryResult

_api = VeloAPI()

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
aggregate = _api.aggregate
sort = _api.sort

__all__ = [
    "aggregate",
    "bulkInsert",
    "bulkRemove",
    "bulkSave",
    "bulkUpdate",
    "filter",
    "get",
    "insert",
    "insertReference",
    "isReferenced",
    "query",
    "queryReferenced",
    "remove",
    "removeReference",
    "replaceReferences",
    "save",
    "sort",
    "truncate",
    "update",
]
