"""`wixhttp.data` for ``async def``: ``item = await aio.get("books", "1")``; `items` is that of `wixhttp.data.items`.

Each call runs on a thread of its own pool, and is waited for without holding up the event loop. A call that was begun
is ended even where the one that awaits it is cancelled.
"""

from __future__ import annotations

from wixhttp import data
from wixhttp.data.queries.builders import Aggregate, Query

from . import aio_items as items
from .awaited_calls import AwaitedRunner, awaited, awaited_page

get = awaited(data.get)
insert = awaited(data.insert)
update = awaited(data.update)
save = awaited(data.save)
remove = awaited(data.remove)
bulkInsert = awaited(data.bulkInsert)
bulkUpdate = awaited(data.bulkUpdate)
bulkSave = awaited(data.bulkSave)
bulkRemove = awaited(data.bulkRemove)
truncate = awaited(data.truncate)
isReferenced = awaited(data.isReferenced)
insertReference = awaited(data.insertReference)
removeReference = awaited(data.removeReference)
replaceReferences = awaited(data.replaceReferences)
queryReferenced = awaited_page(data.queryReferenced)

filter = data.filter
sort = data.sort


def query(collection: str) -> Query:
    """A query as `wixhttp.data.queries.builders` makes it, whose ``find``, ``count`` and ``distinct`` are awaited."""
    return Query(collection=collection, runner=AwaitedRunner.of(is_velo=True))


def aggregate(collection: str) -> Aggregate:
    """An aggregation as `wixhttp.data.aggregate` makes it, whose ``run`` is awaited."""
    return Aggregate(collection=collection, runner=AwaitedRunner.of(is_velo=True))


__all__ = ["items"]
__all__ += data.__all__
