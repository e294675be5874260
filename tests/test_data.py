"""wixhttp.data: the Velo API, its awaited twin, hooks, permissions, and every error code of the calls."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wixhttp import data as wix_data
from wixhttp.auth import elevate
from wixhttp.data import Query, aio, items
from wixhttp.data.awaited_calls import THREADS
from wixhttp.data.calls import reads
from wixhttp.data.calls.access import Collections
from wixhttp.data.calls.hooks import Hooks
from wixhttp.data.calls.options import KNOWN, Options
from wixhttp.data.calls.results import AggregateResult, QueryResult
from wixhttp.data.collections import current, fallback, open_collections, override, set_default
from wixhttp.data.queries.tree import Order
from wixhttp.data.schema.declarations import CollectionSchema, Permissions
from wixhttp.data.schema.permissions import Identity
from wixhttp.data.stores.contract import Index
from wixhttp.data.stores.factory import open_store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.errors import WixDataError
from wixhttp.promises import Promise

EVERYONE = Permissions("ANYONE", "ANYONE", "ANYONE", "ANYONE")
AUTHORS = Permissions("SITE_MEMBER_AUTHOR", "SITE_MEMBER", "SITE_MEMBER_AUTHOR", "SITE_MEMBER_AUTHOR")
ADMINS = Permissions("ADMIN", "ADMIN", "ADMIN", "ADMIN")
MEMBER, OTHER = Identity("ada", "siteMember"), Identity("bob", "siteMember")

SCHEMA = {
    "notes": CollectionSchema("notes", permissions=AUTHORS),
    "vault": CollectionSchema("vault", permissions=ADMINS),
    "codes": CollectionSchema("codes", indexes=(Index((Order(("code",)),), unique=True),)),
    "open": CollectionSchema("open", permissions=EVERYONE),
}


def made(hooks: dict[str, Callable[..., Any]] | None = None, **arguments: Any) -> Collections:
    return Collections(MemoryStore(), SCHEMA, hooks=Hooks.of(hooks or {}), **arguments)


@pytest.fixture(autouse=True)
def collections() -> Iterator[Collections]:
    with override(made()) as each:
        yield each


def fails(code: str, call: Callable[[], Any]) -> WixDataError:
    with pytest.raises(WixDataError) as caught:
        call()
    assert caught.value.code == code
    return caught.value


# --- one item --------------------------------------------------------------------------------------------------------


def test_insert_gives_system_fields_to_the_dict_that_was_passed() -> None:
    item: dict[str, Any] = {"title": "Emma", "_createdDate": "ignored", "_updatedDate": 3}
    stored = wix_data.insert("books", item)
    assert stored == item
    assert item["_createdDate"] == item["_updatedDate"]
    assert item["_owner"] is None
    assert len(item["_id"]) == 36
    assert wix_data.get("books", item["_id"]) == item
    stored["title"] = "changed"
    assert (wix_data.get("books", item["_id"]) or {})["title"] == "Emma"


def test_get_of_what_is_not_there_is_none() -> None:
    wix_data.insert("books", {"_id": "1"})
    assert [wix_data.get("books", each) for each in ("2", "", "\0", "x" * 600)] == [None] * 4
    fails("WDE0025", lambda: wix_data.get("none", "1"))


def test_update_replaces_all_and_keeps_owner_and_date() -> None:
    first = wix_data.insert("books", {"_id": "1", "a": 1, "_owner": "ada"})
    second = wix_data.update("books", {"_id": "1", "b": 2, "_createdDate": datetime(2000, 1, 1, tzinfo=timezone.utc)})
    assert "a" not in second
    assert second["_owner"] == "ada"
    assert second["_createdDate"] == first["_createdDate"]
    assert second["_updatedDate"] > first["_updatedDate"]
    assert wix_data.get("books", "1") == second


def test_save_and_remove() -> None:
    assert wix_data.save("books", {"_id": "1", "a": 1})["a"] == 1
    assert wix_data.save("books", {"_id": "1", "a": 2})["a"] == 2
    assert wix_data.save("books", {"a": 3})["_id"]
    assert (wix_data.remove("books", "1") or {})["a"] == 2
    assert wix_data.remove("books", "1") is None
    assert wix_data.remove("books", "") is None
    assert wix_data.query("books").count() == 1
    wix_data.truncate("books")
    assert wix_data.query("books").count() == 0


def test_an_unknown_collection_is_made_by_a_write_unless_strict(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "wixhttp"):
        wix_data.insert("new", {})
        wix_data.insert("new", {})
    assert [record.message for record in caplog.records] == ["the collection 'new' was made by its first write"]
    with override(made(strict=True)):
        for write in (
            lambda: wix_data.insert("new", {}),
            lambda: wix_data.save("new", {"_id": "1"}),
            lambda: wix_data.bulkSave("new", [{"_id": "1"}]),
        ):
            assert fails("WDE0025", write).status == 404
        assert wix_data.insert("codes", {"code": 1})["code"] == 1  # declared, so there


# --- errors ----------------------------------------------------------------------------------------------------------

BIG = "x" * 530_000
NUMBERS: dict[str, Any] = {"_id": "1", "n": "text"}
ERRORS: list[tuple[str, Callable[[], Any], str]] = [
    ("WDE0001", lambda: wix_data.get(5, "1"), "Collection name must be a string"),  # type: ignore[arg-type]
    ("WDE0001", lambda: wix_data.query(None).find(), "Failed to perform query on"),  # type: ignore[arg-type]
    ("WDE0002", lambda: wix_data.get("books", 5), "ItemId must be a string"),  # type: ignore[arg-type]
    ("WDE0002", lambda: wix_data.remove("books", None), "ItemId must be a string"),  # type: ignore[arg-type]
    ("WDE0004", lambda: wix_data.insert("books", "x"), "books"),  # type: ignore[arg-type]
    ("WDE0004", lambda: wix_data.save("books", None), "\nItems must be objects"),  # type: ignore[arg-type]
    ("WDE0005", lambda: wix_data.bulkInsert("books", []), "1 to 1000"),
    ("WDE0005", lambda: wix_data.bulkInsert("books", [1]), "Item 0"),  # type: ignore[list-item]
    ("WDE0005", lambda: wix_data.bulkSave("books", [{"_id": 1}]), "no string"),
    ("WDE0006", lambda: wix_data.bulkInsert("books", [{}] * 1001), "1001"),
    ("WDE0007", lambda: wix_data.update("books", {"a": 1}), "Updated object must have a string _id property"),
    ("WDE0007", lambda: wix_data.insert("books", {"_id": None}), "string _id"),
    ("WDE0007", lambda: wix_data.insert("books", {"_id": ""}), "string _id"),
    ("WDE0007", lambda: wix_data.insert("books", {"_id": "x" * 513}), "512"),
    ("WDE0007", lambda: wix_data.insert("books", {"_id": "\0"}), "NUL"),
    ("WDE0007", lambda: wix_data.bulkUpdate("books", [{"a": 1}]), "item 0"),
    ("WDE0009", lambda: wix_data.insert("books", {"text": BIG}), "524288"),
    ("WDE0011", lambda: wix_data.aggregate("books").filter(5).run(), "aggregation on [books]"),  # type: ignore[arg-type]
    ("WDE0012", lambda: wix_data.aggregate("books").filter({}).filter({}).run(), "once"),
    ("WDE0013", lambda: wix_data.aggregate("books").group("a").group("b").run(), "once"),
    ("WDE0016", lambda: items.remove("books", "1", condition={"$not": 5}), "object"),
    ("WDE0018", lambda: wix_data.get("books", "1", {"suppresAuth": True}), "suppressAuth"),
    ("WDE0018", lambda: wix_data.get("books", "1", suppressAuth=1), "True or False"),
    ("WDE0018", lambda: wix_data.get("books", "1", 5), "dict"),  # type: ignore[arg-type]
    ("WDE0018", lambda: wix_data.get("books", "1", language=""), "not empty"),
    ("WDE0018", lambda: wix_data.query("books").find({"limit": 5}), "omitTotalCount"),
    ("WDE0020", lambda: wix_data.insertReference("books", "a", "1", "2"), "multi-reference"),
    ("WDE0020", lambda: wix_data.query("books").include("a").find(), "'a'"),
    ("WDE0019", lambda: wix_data.isReferenced("books", "a", 5, "1"), "5"),
    ("WDE0021", lambda: wix_data.insertReference("books", "a", "1", 5), "5"),
    ("WDE0025", lambda: wix_data.query("none").find(), "The none collection does not exist."),
    ("WDE0025", lambda: wix_data.insert("a b", {}), "128"),
    ("WDE0027", lambda: wix_data.query("vault").find(), "permissions to read on the vault collection"),
    ("WDE0027", lambda: wix_data.insert("vault", {}), "permissions to insert"),
    ("WDE0027", lambda: wix_data.update("vault", {"_id": "1"}), "permissions to update"),
    ("WDE0027", lambda: wix_data.remove("vault", "1"), "permissions to remove"),
    ("WDE0027", lambda: wix_data.bulkInsert("vault", [{}]), "permissions to insert"),
    ("WDE0027", lambda: wix_data.truncate("open"), "permissions"),
    ("WDE0032", lambda: wix_data.query("books").limit("5").find(), "number"),  # type: ignore[arg-type]
    ("WDE0033", lambda: wix_data.query("books").limit(0).find(), "positive"),
    ("WDE0034", lambda: wix_data.query("books").skip(-1).find(), "skip"),
    ("WDE0035", lambda: wix_data.query("books").limit(1.5).find(), "integer"),  # type: ignore[arg-type]
    ("WDE0036", lambda: wix_data.query("books").limit(1001).find(), "1000"),
    ("WDE0044", lambda: wix_data.query("books").contains("a", 5).find(), "String"),  # type: ignore[arg-type]
    ("WDE0048", lambda: wix_data.query("books").distinct(5), "String"),  # type: ignore[arg-type]
    ("WDE0068", lambda: wix_data.bulkRemove("books", []), "ids"),
    ("WDE0068", lambda: wix_data.bulkRemove("books", [1]), "ids"),  # type: ignore[list-item]
    ("WDE0069", lambda: wix_data.bulkRemove("books", ["1"] * 1001), "1000"),
    ("WDE0069", lambda: items.bulkPatch("books", ["1"] * 101).setField("a", 1).run(), "100"),
    ("WDE0073", lambda: wix_data.update("books", {"_id": "2"}), "Item [2] does not exist in collection [books]."),
    ("WDE0073", lambda: items.patch("books", "2").setField("a", 1).run(), "[2]"),
    ("WDE0074", lambda: wix_data.insert("books", {"_id": "1"}), "An item with _id [1] already exists."),
    ("WDE0075", lambda: wix_data.insert("books", {"a": object()}), "a is <object"),
    ("WDE0075", lambda: wix_data.insert("books", {"_owner": 5}), "_owner"),
    ("WDE0075", lambda: items.patch("books", "1").incrementField("n", 1).run(), "n cannot be changed"),
    ("WDE0080", lambda: items.patch("books", "1").run(), "Failed to perform patch on [books]."),
    ("WDE0080", lambda: items.patch("books", "1").setField("_id", "2").run(), "_id"),
    ("WDE0093", lambda: wix_data.query("books").eq("$a", 1).find(), "name of a field"),
    ("WDE0109", lambda: wix_data.bulkInsert("books", [{"t": "x" * 500_000}] * 9), "4194304"),
    ("WDE0123", lambda: wix_data.insert("codes", {"code": 1}), "Duplicated"),
    ("WDE0134", lambda: wix_data.insert("books", {"$a": 1}), "$"),
    ("WDE0134", lambda: wix_data.insert("books", {"$date": "2024-01-01T00:00:00Z"}), "$"),
    ("WDE0159", lambda: wix_data.query("books").find().prev(), "\nThere is no prev page."),
    ("WDE0165", lambda: wix_data.query("books").find().next(), "\nThere is no next page."),
    ("WDE0165", lambda: wix_data.aggregate("books").count().run().next(), "next page"),
    ("WDE0168", lambda: wix_data.insert("books", {"a": nested(200)}), "levels"),
    ("WDE0178", lambda: items.update("books", {"_id": "1"}, {"condition": {"n": 5}}), "condition"),
    ("WDE0178", lambda: items.remove("books", "1", condition=items.filter().eq("n", 5)), "condition"),
]  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(("code", "call", "text"), ERRORS, ids=[f"{e[0]}-{n}" for n, e in enumerate(ERRORS)])
def test_the_error(code: str, call: Callable[[], Any], text: str) -> None:
    wix_data.insert("books", dict(NUMBERS))
    wix_data.insert("codes", {"code": 1})
    error = fails(code, call)
    assert text in error.message
    assert code in error.message
    assert wix_data.query("books").find().items == [wix_data.get("books", "1")]  # nothing was written


def test_all_errors_of_a_query_come_in_one() -> None:
    error = fails("WDE0033", lambda: wix_data.query("books").limit(0).skip(-1).eq(5, 1).find())  # type: ignore[arg-type]
    lines = error.message.split("\n")
    assert lines[0] == "Failed to perform query on [books]."
    assert [line[:7] for line in lines[1:]] == ["WDE0033", "WDE0034", "WDE0048"]
    assert error.details["applicationError"]["code"] == "WDE0020"


@pytest.mark.parametrize(
    ("code", "status"),
    [("WDE0025", 404), ("WDE0027", 403), ("WDE0073", 404), ("WDE0074", 409), ("WDE0123", 409), ("WDE0109", 413)],
)
def test_the_status_of_errors(code: str, status: int) -> None:
    wix_data.insert("books", {"_id": "1"})
    wix_data.insert("codes", {"code": 1})
    call = next(call for each, call, _ in ERRORS if each == code)
    assert fails(code, call).status == status


@pytest.mark.parametrize("function", sorted(KNOWN))
def test_every_function_takes_the_common_options(function: str) -> None:
    from wixhttp.data.calls.options import parse_options

    common = {"suppressAuth": True, "suppressHooks": True, "consistentRead": False, "language": "en", "appOptions": {}}
    options = parse_options(function, common, {"suppressAuth": False, "showDrafts": None})
    assert (options.suppresses_auth, options.suppresses_hooks) == (False, True)
    fails("WDE0018", lambda: parse_options(function, {"none": 1}))


# --- queries ---------------------------------------------------------------------------------------------------------


def fill(number: int, collection: str = "books") -> None:
    for start in range(0, number, 1000):
        made = [{"_id": f"{n:04}", "n": n, "k": n % 3} for n in range(start, min(number, start + 1000))]
        wix_data.bulkInsert(collection, made)


@pytest.mark.parametrize(
    ("skip", "limit", "length", "page", "size", "pages"),
    [
        (0, None, 7, 0, 7, 1),
        (3, 2, 2, 2, 2, 4),
        (1, 2, 2, 1, 2, 4),
        (0, 10, 7, 0, 10, 1),
        (9, None, 0, None, None, None),
    ],
)
def test_the_numbers_of_a_result(
    skip: int, limit: int | None, length: int, page: int | None, size: int | None, pages: int | None
) -> None:
    fill(7)
    query = wix_data.query("books").skip(skip)
    result = (query if limit is None else query.limit(limit)).find()
    assert (result.length, result.currentPage, result.pageSize) == (length, page, size)
    assert (result.totalCount, result.totalPages) == (7, pages)
    assert result.hasPrev() is (skip > 0)
    assert result._items is result.items
    assert result.query is not None
    assert result.query.eq("n", 1).find().length in (0, 1)
    without = query.find(omitTotalCount=True)
    assert (without.totalCount, without.totalPages) == (None, None)


def test_pages_there_and_back() -> None:
    fill(120)
    result = wix_data.query("books").descending("k").find()
    seen = [result]
    while result.hasNext():
        result = result.next()
        seen.append(result)
    assert [page.length for page in seen] == [50, 50, 20]
    assert [page.currentPage for page in seen] == [0, 1, 2]
    assert [page.totalPages for page in seen] == [3, 3, 3]
    assert len({item["_id"] for page in seen for item in page.items}) == 120
    assert result.prev().items == seen[1].items
    assert result.prev().prev().items == seen[0].items
    middle = wix_data.query("books").skip(1).limit(2).find()
    first = wix_data.query("books").limit(2).find()
    assert middle.prev().items == first.items[:1], "an item is not repeated"
    assert wix_data.query("books").skip(200).limit(2).find().prev().length == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=20), st.integers(1, 7), st.booleans())
def test_turning_visits_what_stays_once_while_others_write(
    changes: list[tuple[bool, int]], limit: int, descending: bool
) -> None:
    with override(made()):
        fill(30)
        query = wix_data.query("books").limit(limit)
        result = (query.descending("k") if descending else query.ascending("k")).find()
        touched = {f"{n:04}" for _, n in changes}
        stable = {f"{n:04}" for n in range(30)} - touched
        pending = list(changes)

        def turned(page: QueryResult[Any], way: str) -> QueryResult[Any]:
            if pending:
                is_insert, n = pending.pop()
                if is_insert:
                    wix_data.save("books", {"_id": f"{n:04}", "k": n % 3})
                else:
                    wix_data.remove("books", f"{n:04}")
            return page.next() if way == "next" else page.prev()

        seen = [item["_id"] for item in result.items]
        while result.hasNext():
            result = turned(result, "next")
            seen += [item["_id"] for item in result.items]
        assert sorted(each for each in seen if each in stable) == sorted(stable)

        pending = list(reversed(changes))
        back = [item["_id"] for item in result.items]
        while result.hasPrev():
            result = turned(result, "prev")
            back = [item["_id"] for item in result.items] + back
        assert [each for each in back if each in stable] == [each for each in seen if each in stable]


@pytest.mark.parametrize("way", ["newest", "ascending"])
def test_prev_gives_the_page_that_was_seen_and_then_what_came_before_it(way: str) -> None:
    for n in range(7):
        wix_data.insert("books", {"_id": f"{n}", "n": n})
    query = wix_data.query("books").limit(3)
    first = (query if way == "newest" else query.ascending("n")).find()
    last = first.next().next()
    wix_data.insert("books", {"_id": "-", "n": -1})  # first by its _id too, of those that have one date
    middle = last.prev()
    assert middle.items == first.next().items
    again = middle.prev()
    assert (again.items, again.hasPrev(), again.hasNext()) == (first.items, True, True)
    before = again.prev()
    assert ([each["_id"] for each in before.items], before.hasPrev()) == (["-"], False)
    assert before.next().items == first.items
    assert first.next().prev().items == first.items


def test_the_items_of_a_bulk_call_have_one_date() -> None:
    wix_data.bulkInsert("books", [{"n": number, "text": "x" * 1000} for number in range(1000)])
    assert wix_data.query("books").distinct("_createdDate").totalCount == 1


def test_projection_count_and_distinct() -> None:
    fill(10)
    assert wix_data.query("books").fields("n", "none").ascending("n").limit(1).find().items == [{"_id": "0000", "n": 0}]
    assert wix_data.get("books", "0001", fields=["k"]) == {"_id": "0001", "k": 1}
    assert wix_data.query("books").gt("n", 3).limit(1).skip(5).count() == 6
    result = wix_data.query("books").limit(2).distinct("k")
    assert (result.items, result.totalCount, result.hasNext()) == ([0, 1], 3, True)
    assert (result.next().items, result.next().prev().items) == ([2], [0, 1])
    assert wix_data.query("books").descending("k").distinct("k").items == [2, 1, 0]


def test_aggregation() -> None:
    fill(10)
    asked = wix_data.aggregate("books").filter(wix_data.filter().lt("n", 9)).group("k").sum("n").count()
    result = asked.having({"k": {"$gt": 0}}).descending("nSum").limit(1).run()
    assert isinstance(result, AggregateResult)
    assert result.items == [{"_id": 2, "k": 2, "nSum": 15, "count": 3}]
    assert (result.totalCount, result.hasNext(), result.next().items[0]["nSum"]) == (2, True, 12)
    assert result.next().hasNext() is False
    assert wix_data.aggregate("open").max("n").run(suppressAuth=True).items == [{"nMax": None}]


def test_results_of_an_aggregation_are_found_by_their_dotted_names() -> None:
    wix_data.bulkInsert("books", [{"n": {"k": number % 3}, "m": {"j": number % 2}} for number in range(9)])
    asked = wix_data.aggregate("books").group("n.k").sum("n.k").count()
    assert [each["n.k"] for each in asked.descending("n.k").run().items] == [2, 1, 0]
    assert [each["n.k"] for each in asked.descending("n.kSum").run().items] == [2, 1, 0]
    over = wix_data.filter().gt("n.kSum", 0)
    assert [each["n.kSum"] for each in asked.having(over).run().items] == [3, 6]
    assert [each["n.k"] for each in asked.having(wix_data.filter().not_(over)).run().items] == [0]
    assert [each["n.k"] for each in asked.having({"$or": [{"n.k": 2}, {"n.kSum": 0}]}).run().items] == [0, 2]
    several = wix_data.aggregate("books").group("n.k", "m.j").having({"_id.m.j": 1}).descending("_id.n.k").run()
    assert [each["_id"] for each in several.items] == [{"n.k": number, "m.j": 1} for number in (2, 1, 0)]
    whole = wix_data.aggregate("books").group("n").descending("n.k").run()
    assert [each["n"] for each in whole.items] == [{"k": 2}, {"k": 1}, {"k": 0}]


# --- permissions -----------------------------------------------------------------------------------------------------


def test_authors_see_and_change_their_own() -> None:
    collections = current()
    with override(collections.acting_as(MEMBER)):
        mine = wix_data.insert("notes", {"_id": "1", "_owner": "eve"})
        assert mine["_owner"] == "ada"
    with override(collections.acting_as(OTHER)):
        wix_data.insert("notes", {"_id": "2"})
        assert [item["_id"] for item in wix_data.query("notes").find().items] == ["2"]
        assert (wix_data.get("notes", "1"), wix_data.query("notes").count()) == (None, 1)
        assert wix_data.query("notes").distinct("_owner").items == ["bob"]
        assert wix_data.aggregate("notes").count().run().items == [{"count": 1}]
        fails("WDE0027", lambda: wix_data.update("notes", {"_id": "1"}))
        fails("WDE0027", lambda: wix_data.save("notes", {"_id": "1"}))
        fails("WDE0027", lambda: wix_data.remove("notes", "1"))
        fails("WDE0027", lambda: items.patch("notes", "1").setField("a", 1).run())
        result = wix_data.bulkUpdate("notes", [{"_id": "1"}, {"_id": "2"}])
        assert [(error.code, error.originalIndex) for error in result.errors] == [("WDE0027", 0)]
        assert wix_data.bulkRemove("notes", ["1", "2", "3"]) == {
            "removed": 1, "skipped": 2, "errors": [], "removedItemIds": ["2"],
        }  # fmt: skip
        assert wix_data.query("notes").find(suppressAuth=True).length == 1
        assert wix_data.update("notes", {"_id": "1", "_owner": "bob"}, {"suppressAuth": True})["_owner"] == "bob"


def test_elevate_lifts_permissions_and_suppress_auth_only_in_the_velo_face() -> None:
    wix_data.insert("vault", {"_id": "1"}, suppressAuth=True)
    fails("WDE0027", lambda: items.get("vault", "1", suppressAuth=True))
    assert (elevate(items.get)("vault", "1") or {})["_id"] == "1"
    query = elevate(items.query)("vault")
    assert query.find().length == 1
    assert (query.count(), query.limit(1).find().hasNext()) == (1, False)
    assert elevate(items.patch)("vault", "1").setField("a", 1).run()["a"] == 1
    fails("WDE0027", lambda: items.query("vault").find())

    @elevate
    async def read() -> Any:
        return await aio.get("vault", "1")

    async def main() -> None:
        assert (await read())["_id"] == "1"
        assert (await elevate(aio.items.get)("vault", "1") or {})["a"] == 1
        assert (await elevate(lambda: aio.items.query("vault").find())()).length == 1
        with pytest.raises(WixDataError, match="WDE0027"):
            await aio.get("vault", "1")

    asyncio.run(main())
    elevate(wix_data.truncate)("vault")
    with override(current().acting_as(Identity(None, "siteOwner"))):
        assert wix_data.query("vault").count() == 0


# --- bulk ------------------------------------------------------------------------------------------------------------


def test_bulk_results_of_velo() -> None:
    wix_data.insert("codes", {"_id": "1", "code": 1})
    result = wix_data.bulkInsert("codes", [{"_id": "1"}, {"_id": "2", "code": 1}, {"_id": "3"}, {"a": object()}])
    assert set(result) == {"inserted", "updated", "skipped", "errors", "insertedItemIds", "updatedItemIds"}
    assert (result.inserted, result["skipped"], result.insertedItemIds) == (1, 1, ["3"])
    assert [(e.name, e.code, e.originalIndex) for e in result.errors] == [
        ("BulkError", "WDE0123", 1), ("BulkError", "WDE0075", 3),
    ]  # fmt: skip
    assert result.errors[0].item == {"_id": "2", "code": 1}
    assert result.errors[0].message.startswith("WDE0123: Duplicated")
    with pytest.raises(AttributeError, match="removed"):
        result.removed  # noqa: B018
    again = wix_data.bulkInsert("codes", [{"_id": "1", "code": 9}, {"_id": "4"}], overrideExisting=True)
    assert (again.insertedItemIds, again.updatedItemIds) == (["4"], ["1"])
    saved = wix_data.bulkSave("codes", [{"_id": "5", "n": 1}, {"_id": "5", "n": 2}, {"_id": "4"}])
    assert (saved.insertedItemIds, saved.updatedItemIds) == (["5"], ["5", "4"])
    assert (wix_data.get("codes", "5") or {})["n"] == 2
    assert wix_data.bulkUpdate("codes", [{"_id": "5"}, {"_id": "none"}]) == {
        "inserted": 0, "updated": 1, "skipped": 1, "errors": [], "insertedItemIds": [], "updatedItemIds": ["5"],
    }  # fmt: skip


# --- hooks -----------------------------------------------------------------------------------------------------------


def test_the_hooks_around_each_call_with_their_contexts() -> None:
    calls: list[tuple[str, Any, Any]] = []

    def noted(name: str) -> Callable[..., Any]:
        def hook(value: Any, context: Any) -> None:
            calls.append((name, value["_id"] if isinstance(value, dict) and "_id" in value else value, context))

        return hook

    names = [f"{when}{what}" for when in ("before", "after") for what in "Get Insert Update Remove Query Count".split()]
    with override(made({f"books_{name}": noted(name) for name in names}).acting_as(MEMBER)):

        def called(call: Callable[[], Any]) -> list[str]:
            calls.clear()
            call()
            return [name for name, _, _ in calls]

        assert called(lambda: wix_data.insert("books", {"_id": "1", "n": 1})) == ["beforeInsert", "afterInsert"]
        assert (calls[0][2].userId, calls[0][2]["userRole"], calls[0][2].currentItem) == ("ada", "siteMember", None)
        assert called(lambda: wix_data.get("books", "1")) == ["beforeGet", "afterGet"]
        assert called(lambda: wix_data.get("books", "2")) == ["beforeGet"]
        assert called(lambda: wix_data.update("books", {"_id": "1", "n": 2})) == ["beforeUpdate", "afterUpdate"]
        assert [context.currentItem["n"] for _, _, context in calls] == [1, 1]
        assert called(lambda: items.patch("books", "1").incrementField("n", 1).run()) == ["beforeUpdate", "afterUpdate"]
        assert called(lambda: wix_data.save("books", {"_id": "1"})) == ["beforeUpdate", "afterUpdate"]
        assert called(lambda: wix_data.save("books", {"_id": "2"})) == ["beforeInsert", "afterInsert"]
        assert called(lambda: wix_data.query("books").find()) == ["beforeQuery", "afterQuery", "afterQuery"]
        assert called(lambda: wix_data.query("books").count()) == ["beforeCount", "afterCount"]
        assert called(lambda: wix_data.bulkSave("books", [{"_id": "1"}, {"_id": "3"}])) == [
            "beforeUpdate", "beforeInsert", "afterUpdate", "afterInsert",
        ]  # fmt: skip
        assert called(lambda: wix_data.bulkInsert("books", [{"_id": "4"}, {"_id": "4"}]))[:2] == ["beforeInsert"] * 2
        assert called(lambda: wix_data.remove("books", "1")) == ["beforeRemove", "afterRemove"]
        assert calls[0][2].currentItem["_id"] == "1"
        assert called(lambda: wix_data.remove("books", "1")) == []
        assert called(lambda: wix_data.bulkRemove("books", ["2", "9"])) == ["beforeRemove", "afterRemove"]
        assert called(lambda: wix_data.query("books").find(suppressHooks=True)) == []


def test_what_hooks_return_is_used_if_it_is_of_the_right_type() -> None:
    hooks: dict[str, Callable[..., Any]] = {
        "books_beforeGet": lambda item_id: "1" if item_id == "one" else 5,
        "books_afterGet": lambda item: {**item, "seen": True},
        "books_beforeInsert": lambda item: {**item, "added": True},
        "books_beforeQuery": lambda query: query.eq("added", True).limit(2),
        "books_afterQuery": lambda item: {"title": item["_id"]},
        "books_beforeCount": lambda query: query.eq("_id", "1"),
        "books_afterCount": lambda count: count + 100,
        "books_beforeRemove": lambda item_id: "2",
        "books_afterRemove": lambda item: "not an item",
        "books_beforeUpdate": lambda item: {"_id": "other", "replaced": True},
    }
    with override(made(hooks)):
        assert wix_data.bulkInsert("books", [{"_id": str(n)} for n in range(1, 6)]).inserted == 5
        assert wix_data.insert("books", {"_id": "0"}, suppressHooks=True) == wix_data.get(
            "books", "0", suppressHooks=True
        )
        found = wix_data.get("books", "one")
        assert found is not None
        assert (found["_id"], found["added"], found["seen"]) == ("1", True, True)
        result = wix_data.query("books").find()
        assert [item["title"] for item in (*result.items, *result.next().items)] == ["1", "2", "3", "4"]
        assert wix_data.query("books").count() == 101
        assert (wix_data.remove("books", "1") or {})["_id"] == "2"
        updated = wix_data.update("books", {"_id": "1", "a": 1})
        assert (updated["_id"], updated["replaced"], "a" in updated) == ("1", True, False)


def test_a_hook_that_fails_before_blocks_and_after_becomes_the_result(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, str]] = []

    def refuse(item: Any) -> None:
        raise ValueError("no")

    def on_failure(error: Exception, context: Any) -> Any:
        told.append((str(error), context.collectionName))
        return {"instead": True} if answers else None

    hooks: dict[str, Callable[..., Any]] = {
        "books_beforeInsert": refuse, "pens_afterInsert": refuse, "cups_beforeInsert": refuse,
    }  # fmt: skip
    hooks |= {f"{name}_onFailure": on_failure for name in ("books", "pens")}
    answers: list[bool] = []
    with override(made(hooks)):
        with pytest.raises(ValueError, match="no"):
            wix_data.insert("books", {})
        with pytest.raises(ValueError, match="no"):
            wix_data.insert("cups", {})
        assert isinstance(wix_data.insert("pens", {}), ValueError)
        assert "pens_afterInsert failed" in caplog.text
        fails("WDE0073", lambda: wix_data.update("pens", {"_id": "none"}))
        result = wix_data.bulkInsert("books", [{}, {}])
        assert [(error.code, error.originalIndex) for error in result.errors] == [("WDE0078", 0), ("WDE0078", 1)]
        answers.append(True)
        assert wix_data.insert("books", {}) == {"instead": True}
        assert wix_data.insert("pens", {}) == {"instead": True}
        assert wix_data.update("pens", {"_id": "none"}) == {"instead": True}
        assert wix_data.query("pens").count() == 2
    assert told[0] == ("no", "books")
    assert len(told) == 8


@pytest.mark.parametrize("name", ["beforeInsert", "afterInsert"])
def test_hooks_without_end_are_stopped(name: str) -> None:
    hooks = {f"books_{name}": lambda item: wix_data.insert("books", {}), "books_onFailure": lambda error: {"hidden": 1}}
    with override(made(hooks)):
        error = fails("WDE0078", lambda: wix_data.insert("books", {}))
        assert "suppressHooks" in error.message


def test_a_query_made_outside_of_the_hook_that_runs_it_is_stopped_too() -> None:
    query = elevate(wix_data.query)("books")
    with override(made({"books_beforeQuery": lambda given: query.find()})):
        assert "suppressHooks" in fails("WDE0078", query.find).message
    pages: list[Any] = []

    def turn(given: Query) -> None:
        for page in pages:
            page.next()

    with override(made({"books_beforeQuery": turn})):
        wix_data.bulkInsert("books", [{}, {}])
        pages.append(wix_data.query("books").limit(1).find())
        fails("WDE0078", pages[0].next)


def test_an_elevated_query_keeps_its_rights_and_nothing_else() -> None:
    seen: list[Any] = []
    query = elevate(wix_data.query)("vault")
    with override(made({"vault_beforeQuery": lambda given, context: seen.append(context.userId)}).acting_as(MEMBER)):
        wix_data.insert("vault", {"_id": "there"}, suppressAuth=True)
        assert [item["_id"] for item in query.find().items] == ["there"]
        fails("WDE0027", wix_data.query("vault").find)
    assert seen == ["ada"]


def test_hooks_that_share_an_elevated_query_do_not_wait_for_each_other() -> None:
    arrived, all_arrived = 0, asyncio.Event()

    async def before_insert(item: Any) -> Any:
        await shared.count()
        return item

    async def before_count(given: Any) -> Any:
        nonlocal arrived
        arrived += 1
        if arrived == THREADS:
            all_arrived.set()
        await all_arrived.wait()  # each holds a thread of those that count
        await aio.get("pens", "1")
        return given

    async def many() -> None:
        inserts = [aio.insert("books", {}) for _ in range(THREADS * 2)]
        await asyncio.wait_for(asyncio.gather(*inserts), 20)

    with override(made({"books_beforeInsert": before_insert, "cups_beforeCount": before_count})):
        wix_data.bulkInsert("pens", [{"_id": "1"}])
        wix_data.insert("cups", {})
        shared = elevate(aio.query)("cups")
        asyncio.run(many())
        assert wix_data.query("books").count() == THREADS * 2


@pytest.mark.parametrize("name", ["insert", "update", "save"])
def test_on_failure_is_told_of_items_that_are_wrong(name: str) -> None:
    told: list[str] = []
    write = getattr(wix_data, name)
    with override(made({"books_onFailure": lambda error: told.append(error.code)})):
        fails("WDE0004", lambda: write("books", 5))
        fails("WDE0007", lambda: write("books", {"_id": 5}))
        fails("WDE0075", lambda: write("books", {"_id": "1", "a": object()}))
        fails("WDE0007", lambda: wix_data.update("books", {"a": 1}))
    assert told == ["WDE0004", "WDE0007", "WDE0075", "WDE0007"]
    with override(made({"books_onFailure": lambda error: {"instead": True}})):
        assert write("books", 5) == {"instead": True}


def test_the_items_face_and_async_hooks_see_the_same_collections() -> None:
    async def stamp(item: dict[str, Any]) -> dict[str, Any]:
        await aio.insert("log", {"of": item["_id"]})
        return {**item, "stamped": True}

    with override(made({"books_beforeInsert": stamp})):
        assert items.insert("books", {"_id": "1"})["stamped"] is True

        async def many() -> None:
            await asyncio.gather(*(aio.insert("books", {"_id": f"a{n}"}) for n in range(80)))

        asyncio.run(many())  # more than there are threads, each with a call inside
        assert wix_data.query("log").count() == 81


# --- the awaited twin ------------------------------------------------------------------------------------------------


def test_every_function_has_its_awaited_twin() -> None:
    assert set(aio.__all__) - {"items"} == set(wix_data.__all__)
    assert set(aio.items.__all__) == set(items.__all__)
    plain = {"query", "filter", "sort", "aggregate", "patch", "bulkPatch"}
    left_out = {name for name in items.__all__ if "Not offered" in (getattr(items, name).__doc__ or "")}
    for twin, api in ((aio, wix_data), (aio.items, items)):
        for name in set(api.__all__) - left_out:
            if name not in plain:
                promise = getattr(twin, name)()
                assert isinstance(promise, Promise), name
                promise.close()
            assert getattr(twin, name).__doc__


def test_the_awaited_calls() -> None:
    async def main() -> None:
        item: dict[str, Any] = {"n": 0}
        assert (await aio.insert("books", item))["_id"] == item["_id"]
        await aio.bulkInsert("books", [{"n": n} for n in range(1, 10)])
        page = await aio.query("books").ascending("n").limit(4).find()
        assert (page.length, page.totalCount, page.hasNext()) == (4, 10, True)
        page = await page.next()
        assert [each["n"] for each in page.items] == [4, 5, 6, 7]
        assert [each["n"] for each in (await page.prev()).items] == [0, 1, 2, 3]
        assert await aio.query("books").count() == 10
        assert (await aio.query("books").distinct("n")).length == 10
        groups = await aio.aggregate("books").group("n").count().limit(9).run()
        assert (groups.length, (await groups.next()).length) == (9, 1)
        assert (await aio.get("books", item["_id"]) or {})["n"] == 0
        assert (await aio.items.patch("books", item["_id"]).incrementField("n", 5).run())["n"] == 5
        assert (await aio.items.distinct("books", "n", limit=2)).hasNext()
        assert await aio.items.count("books", filter={"n": 5}) == 2
        await aio.truncate("books")
        with pytest.raises(WixDataError, match="WDE0165"):
            await (await aio.query("books").find()).next()

    asyncio.run(main())


def test_a_cancelled_awaiter_does_not_lose_the_write_or_hold_up_the_loop() -> None:
    begun, go = threading.Event(), threading.Event()

    def wait(item: dict[str, Any]) -> None:
        begun.set()
        assert go.wait(20)

    done = threading.Event()
    hooks = {"books_beforeInsert": wait, "books_afterInsert": lambda item: done.set()}
    with override(made(hooks)):

        async def main() -> None:
            task: asyncio.Task[Any] = asyncio.create_task(aio.insert("books", {"_id": "1"}))
            assert await asyncio.to_thread(begun.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go.set()
            assert await asyncio.to_thread(done.wait, 20)

        asyncio.run(main())
        assert wix_data.get("books", "1") is not None


# --- what is reached -------------------------------------------------------------------------------------------------


def test_the_default_is_built_once_and_override_and_fallback_stand_over_it(collections: Collections) -> None:
    built: list[Collections] = []
    seen: list[Collections] = []

    def build() -> Collections:
        built.append(made())
        return built[-1]

    def look() -> None:
        seen.append(current())
        with fallback(collections):
            seen.append(current())
            with override(built[0]), fallback(collections):
                seen.append(current())

    set_default(build)
    try:
        threads = [threading.Thread(target=look) for _ in range(8)]  # a new thread has no context of ours
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        set_default(None)
    assert len(built) == 1
    assert seen.count(built[0]) == 16
    assert seen.count(collections) == 8
    assert current() is collections


def test_the_project_is_opened_without_making_a_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from wixhttp.project.config import load_config

    (tmp_path / "backend").mkdir()
    (tmp_path / "backend/data.py").write_text("def pens_beforeInsert(item):\n    return {**item, 'ink': 'blue'}\n")
    opened = open_collections(load_config(tmp_path, flags={"strict_collections": False}))
    assert not (tmp_path / "data").exists()
    with override(opened):
        assert wix_data.insert("pens", {})["ink"] == "blue"
        assert wix_data.query("pens").find().length == 1
    opened.store.close()
    assert (tmp_path / "data/wixhttp.sqlite3").exists()


def test_reads_take_queries_without_an_api(collections: Collections) -> None:
    wix_data.insert("books", {"_id": "1"})
    result = reads.find(collections, Query(collection="books"), Options({"omitTotalCount": True}))
    assert (result.length, result.totalCount) == (1, None)
    assert reads.distinct(collections, Query(collection="books"), "_id", Options({})).items == ["1"]


def test_a_query_reaches_the_database_in_at_most_twelve_calls(tmp_path: Path) -> None:
    depths: list[int] = []

    def note_depth(frame: FrameType, event: str, function: object) -> None:
        if event == "c_call" and type(getattr(function, "__self__", None)).__module__ == "apsw":
            callers = [each.f_code.co_filename for each, _ in traceback.walk_stack(frame)]
            depths.append(sum(f"{os.sep}wixhttp{os.sep}data{os.sep}" in each for each in callers))

    with override(Collections(open_store(f"sqlite:///{tmp_path / 'depth.sqlite3'}", tmp_path))):
        wix_data.insert("books", {"title": "Emma"})
        query = wix_data.query("books").eq("title", "Emma")
        query.find()
        sys.setprofile(note_depth)
        try:
            found = query.find()
        finally:
            sys.setprofile(None)
    assert found.length == 1
    assert 0 < max(depths) <= 12
