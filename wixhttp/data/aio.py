"""`wixhttp.data` for ``async def``: ``item = await aio.get("books", "1")``; `items` is that of `wixhttp.data.items`.

Each call runs on a thread of its own pool, and is waited for without holding up the event loop. A call that was begun
is ended even where the one that awaits it is cancelled.
"""

from __future__ import annotations

from wixhttp import data
from wixhttp.data.queries.builders import Aggregate
from wixhttp.promises import Promise

from . import aio_items as items
from .awaited_calls import AwaitedAggregateResult as AwaitedAggregateResult  # noqa: PLC0414  # a public type
from .awaited_calls import AwaitedQuery as AwaitedQuery  # noqa: PLC0414  # a public type
from .awaited_calls import AwaitedResult as AwaitedResult  # noqa: PLC0414  # a public type
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


def query(collection: str) -> AwaitedQuery:
    """A query as `wixhttp.data.queries.builders` makes it, whose ``find``, ``count`` and ``distinct`` are awaited."""
    return AwaitedQuery(collection=collection, runner=AwaitedRunner.of(is_velo=True))


def aggregate(collection: str) -> Aggregate[Promise[AwaitedAggregateResult]]:
    """An aggregation as `wixhttp.data.aggregate` makes it, whose ``run`` is awaited."""
    return Aggregate(collection=collection, runner=AwaitedRunner.of(is_velo=True))


__all__ = ["items"]
__all__ += data.__all__
