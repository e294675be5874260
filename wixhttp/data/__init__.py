"""Collections, as Velo's ``wix-data`` has them.

from wixhttp import data as wix_data

wix_data.insert("books", {"title": "Emma", "year": 1815}, suppressAuth=True)
result = wix_data.query("books").ge("year", 1800).ascending("title").limit(20).find()

`wixhttp.data.items` is the face of ``@wix/data``, `wixhttp.data.aio` this one for ``async def``.
"""

from __future__ import annotations

from .calls.hooks import HookContext as HookContext
from .velo import (
    aggregate,
    bulkInsert,
    bulkRemove,
    bulkSave,
    bulkUpdate,
    filter,
    get,
    insert,
    insertReference,
    isReferenced,
    query,
    queryReferenced,
    remove,
    removeReference,
    replaceReferences,
    save,
    sort,
    truncate,
    update,
)

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
