"""`wixhttp.data` for ``async def``: ``item = await aio.get("books", "1")``; `items` is that of `wixhttp.data.items`.

Each call runs on a thread of its own pool, and is waited for without holding up the event loop. A call that was begun
is ended even where the one that awaits it is cancelled.
"""

from __future__ import annotations

from wixhttp.data.queries.builders import Aggregate, Query

from . import aio_items as items
from . import velo
from .async_calls import AwaitedRunner, awaited, awaited_page

get = awaited(velo.get)
insert = awaited(velo.insert)
update = awaited(velo.update)
save = awaited(velo.save)
remove = awaited(velo.remove)
bulkInsert = awaited(velo.bulkInsert)
bulkUpdate = awaited(velo.bulkUpdate)
bulkSave = awaited(velo.bulkSave)
bulkRemove = awaited(velo.bulkRemove)
truncate = awaited(velo.truncate)
isReferenced = awaited(velo.isReferenced)
insertReference = awaited(velo.insertReference)
removeReference = awaited(velo.removeReference)
replaceReferences = awaited(velo.replaceReferences)
queryReferenced = awaited_page(velo.queryReferenced)

filter = velo.filter
sort = velo.sort


def query(collection: str) -> Query:
    """A query as `wixhttp.data.queries.builders` makes it, whose ``find``, ``count`` and ``distinct`` are awaited."""
    return Query(collection=collection, runner=AwaitedRunner.of(is_velo=True))


def aggregate(collection: str) -> Aggregate:
    """An aggregation as `wixhttp.data.aggregate` makes it, whose ``run`` is awaited."""
    return Aggregate(collection=collection, runner=AwaitedRunner.of(is_velo=True))


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
    "items",
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
