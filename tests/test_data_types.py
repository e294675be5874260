"""The types of what calls on collections give, as mypy and pyright know them: scripts/check looks at this file, and the
suite runs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from wixhttp import data as wix_data
from wixhttp.data import AggregateResult, BulkResult, Item, Query, QueryResult, aio, items
from wixhttp.data.aio import AwaitedAggregateResult, AwaitedQuery, AwaitedResult
from wixhttp.data.aio import items as aio_items
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import override
from wixhttp.data.stores.memory import MemoryStore

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value: Any, _: Any) -> Any:
        """The value, as `typing.assert_type` of Python 3.11 gives it."""
        return value


@pytest.fixture(autouse=True)
def collections() -> Any:
    with override(Collections(MemoryStore())) as made:
        wix_data.insert("books", {"_id": "emma", "title": "Emma", "year": 1815})
        yield made


def titles(query: Query) -> list[str]:
    return [str(book["title"]) for book in query.find().items]


def test_velos_calls() -> None:
    query = assert_type(wix_data.query("books").eq("year", 1815).ascending("title").limit(1).fields("title"), Query)
    assert titles(query.skip(0)) == ["Emma"]
    page = assert_type(query.find(), QueryResult[Item])
    assert assert_type(page.items, list[dict[str, Any]])[0]["title"] == "Emma"
    assert assert_type(page.hasNext(), bool) is False
    assert assert_type(page.query, "Query | None") is not None
    assert assert_type(query.count(), int) == 1
    assert assert_type(wix_data.query("books").distinct("year"), QueryResult[Any]).items == [1815]
    assert assert_type(wix_data.get("books", "none"), "Item | None") is None
    item = assert_type(wix_data.insert("books", {"title": "Persuasion"}), Item)
    assert assert_type(wix_data.update("books", item), Item)["title"] == "Persuasion"
    assert assert_type(wix_data.save("books", item), Item)["_id"] == item["_id"]
    assert assert_type(wix_data.remove("books", item["_id"]), "Item | None") is not None
    result = assert_type(wix_data.bulkInsert("books", [{"title": "Sanditon"}]), BulkResult)
    assert assert_type(result.inserted, int) == len(assert_type(result.insertedItemIds, list[str]))
    groups = assert_type(wix_data.aggregate("books").group("year").count().run(), AggregateResult)
    assert assert_type(groups.items, list[Item])[0]["count"] == 1


def test_pages_are_turned() -> None:
    wix_data.insert("books", {"title": "Persuasion"})
    page = wix_data.query("books").limit(1).find()
    assert assert_type(page.next(), QueryResult[Item]).items == assert_type(page.next().prev().next().items, list[Item])
    groups = wix_data.aggregate("books").group("title").limit(1).run()
    assert assert_type(groups.next(), AggregateResult).length == 1


def test_calls_of_wix_data_for_the_sdk() -> None:
    assert assert_type(items.query("books").find(), QueryResult[Item]).length == 1
    patch = items.patch("books", "emma").setField("year", 1816).incrementField("year", 1)
    assert assert_type(patch.run(), Item)["year"] == 1817
    changes = [{"fieldPath": "year", "action": "REMOVE_FIELD"}]
    assert "year" not in assert_type(items.patch("books", "emma", changes), Item)
    assert assert_type(items.bulkPatch("books", ["emma"], changes), BulkResult).updated == 1
    assert assert_type(items.bulkPatch("books", ["emma"]).setField("n", 1).run(), BulkResult).updated == 1
    assert assert_type(items.count("books"), int) == 1
    assert assert_type(items.distinct("books", "n"), QueryResult[Any]).items == [1]


def test_calls_that_are_awaited() -> None:
    async def calls() -> None:
        query = assert_type(aio.query("books").eq("title", "Emma").fields("title").limit(1), AwaitedQuery)
        page = assert_type(await query.find(), AwaitedResult[Item])
        assert assert_type(page.items, list[Item])[0]["title"] == "Emma"
        assert assert_type(await query.count(), int) == 1
        assert assert_type(await query.distinct("title"), AwaitedResult[Any]).items == ["Emma"]
        await aio.insert("books", {"title": "Persuasion"})
        following = assert_type(await (await aio.query("books").limit(1).find()).next(), AwaitedResult[Item])
        assert assert_type(await following.prev(), AwaitedResult[Item]).length == 1
        assert assert_type(await aio.get("books", "emma"), "Item | None") is not None
        assert assert_type(await aio.bulkInsert("books", [{}]), BulkResult).inserted == 1
        groups = assert_type(await aio.aggregate("books").group("title").limit(1).run(), AwaitedAggregateResult)
        assert assert_type(await groups.next(), AwaitedAggregateResult).length == 1
        assert assert_type(await aio_items.query("books").find(), AwaitedResult[Item]).length == 3
        patched = assert_type(await aio_items.patch("books", "emma").setField("n", 1).run(), Item)
        assert patched["n"] == 1
        changes = [{"fieldPath": "n", "action": "REMOVE_FIELD"}]
        assert "n" not in assert_type(await aio_items.patch("books", "emma", changes), Item)
        assert assert_type(await aio_items.bulkPatch("books", ["emma"], changes), BulkResult).updated == 1
        assert assert_type(await aio_items.distinct("books", "title"), AwaitedResult[Any]).length == 2

    asyncio.run(calls())
