"""wixhttp.data.items: what it has that the Velo API has not, and where the two differ."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest

from wixhttp import data as wix_data
from wixhttp.data import items
from wixhttp.data.calls.access import Collections
from wixhttp.data.calls.hooks import Hooks
from wixhttp.data.collections import current, override
from wixhttp.data.schema.declarations import CollectionSchema, Permissions, Reference
from wixhttp.data.schema.permissions import Identity
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.errors import WixDataError

LEFT_OUT = (
    "aggregatePipeline createDataItemDraft publishDataItemDraft unpublishDataItem asyncPatchByFilter "
    "asyncRemoveByFilter getAsyncJobStatus search withEnvironment onDataItemCreated onDataItemUpdated onDataItemDeleted"
).split()
ALL = {"inserted", "updated", "removed", "skipped", "errors", "insertedItemIds", "updatedItemIds", "removedItemIds"}


@pytest.fixture(autouse=True)
def collections() -> Iterator[Collections]:
    with override(Collections(MemoryStore())) as each:
        yield each


def test_the_two_faces_have_what_the_table_says() -> None:
    common = set(
        "query get insert update save remove bulkInsert bulkUpdate bulkSave bulkRemove truncate filter isReferenced "
        "insertReference removeReference replaceReferences queryReferenced".split()
    )
    assert set(wix_data.__all__) == common | {"aggregate", "sort"}
    assert set(items.__all__) == common | set("patch bulkPatch distinct count queryReferencedItems".split()) | set(
        LEFT_OUT
    )


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_says_what_to_use(name: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"no {name}; .{{20}}"):
        getattr(items, name)("books", {"any": 1})


def test_where_it_differs_from_velo() -> None:
    item: dict[str, Any] = {"_id": "1"}
    items.insert("books", item)
    assert item == {"_id": "1"}
    result = items.query("books").find()
    assert (result.totalCount, result.totalPages, result.query, result.partialIncludes) == (None, None, None, None)
    assert items.query("books").find(returnTotalCount=True).totalCount == 1
    assert set(items.bulkInsert("books", [{"_id": "1"}, {"_id": "2"}])) == ALL
    removed = items.bulkRemove("books", ["2", "3"])
    assert set(removed) == ALL
    assert (removed.removed, removed.skipped, removed.removedItemIds) == (1, 1, ["2"])


def test_count_and_distinct() -> None:
    items.bulkInsert("books", [{"n": n % 3, "tags": ["a", n]} for n in range(7)])
    assert items.count("books") == 7
    assert items.count("books", {"filter": {"n": 1}}) == 2
    assert items.count("books", filter=items.filter().ge("n", 1)) == 4
    result = items.distinct("books", "n", {"order": "desc", "limit": 2, "filter": {"n": {"$gt": -1}}})
    assert (result.items, result.hasNext(), result.next().items, result.totalCount) == ([2, 1], True, [0], None)
    assert items.distinct("books", "tags").items == [0, 1, 2, 3, 4, 5, 6, "a"]


def test_every_modification() -> None:
    items.insert("books", {"_id": "1", "n": 1, "a": [1, 2, 1, {"x": 1}], "deep": {"b": 1}, "gone": 1})
    asked = (
        items.patch("books", "1")
        .setField("title", "Emma")
        .setField("new.deep.er", True)
        .setField("a.3.x", 9)
        .incrementField("n", 0.5)
        .incrementField("fresh", -2)
        .appendToArray("list", {"k": 1})
        .appendToArray("list", None)
        .removeFromArray("a", 1)
        .removeFromArray("none", 1)
        .removeField("gone")
        .removeField("deep.none.at.all")
    )
    patched = asked.run()
    assert patched == items.get("books", "1")
    fields = {name: value for name, value in patched.items() if not name.startswith("_")}
    assert fields == {
        "title": "Emma", "new": {"deep": {"er": True}}, "a": [2, 1, {"x": 9}], "n": 1.5, "fresh": -2,
        "list": [{"k": 1}, None], "deep": {"b": 1},
    }  # fmt: skip
    assert patched["_updatedDate"] > patched["_createdDate"]


def test_the_direct_form_and_bulk_patch() -> None:
    items.bulkInsert("books", [{"_id": "1", "n": 1}, {"_id": "2", "n": "text"}])
    plus = {"fieldPath": "n", "action": "INCREMENT_FIELD", "incrementFieldOptions": {"value": 4}}
    assert items.patch("books", "1", [plus, {"fieldPath": "m", "action": "REMOVE_FIELD"}])["n"] == 5
    result = items.bulkPatch("books", ["1", "2", "3", "1"], [plus])
    assert (result.updatedItemIds, result.skipped) == (["1"], 1)
    assert [(e.code, e.originalIndex, e.item) for e in result.errors] == [("WDE0075", 1, "2"), ("WDE0073", 2, "3")]
    assert items.bulkPatch("books", ["1"]).setField("n", 0).run().updated == 1
    for wrong in ("text", [5], [{"fieldPath": "n", "action": "NONE"}], [{"fieldPath": "n", "action": "SET_FIELD"}]):
        with pytest.raises(WixDataError, match="WDE0080") as caught:
            items.patch("books", "1", wrong)  # type: ignore[arg-type]
        assert caught.value.message.startswith("Failed to perform patch on [books].\n")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (items.patch("b", "1").incrementField("text", 1), "adds to a number"),
        (items.patch("b", "1").incrementField("huge", 2**62), "64 bits"),
        (items.patch("b", "1").incrementField("big", 1.7e308), "not finite"),
        (items.patch("b", "1").appendToArray("text", 1), "adds to an array"),
        (items.patch("b", "1").removeFromArray("text", 1), "takes from an array"),
        (items.patch("b", "1").setField("text.a", 1), "only objects and arrays"),
        (items.patch("b", "1").setField("list.9", 1), "its elements are 0 to 0"),
        (items.patch("b", "1").setField("list.x", 1), "its elements are"),
    ],
)
def test_what_cannot_be_patched(change: Any, rule: str) -> None:
    stored = {"_id": "1", "text": "a", "huge": 2**62, "big": 1.7e308, "list": [1]}
    before = items.insert("b", stored)
    asked = items.patch("b", "1").setField("untouched", 1).modifications
    patch = type(change)("b", "1", (*asked, *change.modifications), runner=items.patch("b", "1").runner)
    with pytest.raises(WixDataError, match=rule) as caught:
        patch.run()
    assert caught.value.code == "WDE0075"
    assert items.get("b", "1") == before


@pytest.mark.parametrize("with_hooks", [False, True])
def test_increments_of_many_threads_add_up(with_hooks: bool) -> None:
    hooks = Hooks.of({"books_beforeUpdate": lambda item: item} if with_hooks else {})
    collections = Collections(MemoryStore(), hooks=hooks)
    with override(collections):
        items.insert("books", {"_id": "1", "n": 0})

    def add() -> None:
        with override(collections):
            for _ in range(25):
                items.patch("books", "1").incrementField("n", 1).run()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with override(collections):
        assert (items.get("books", "1") or {})["n"] == 100


def test_a_condition_is_looked_at_where_the_item_is_locked() -> None:
    items.insert("seats", {"_id": "1", "free": 1})
    codes: list[str] = []

    def take(collections: Collections) -> None:
        with override(collections):
            try:
                items.patch("seats", "1").incrementField("free", -1).run(condition={"free": {"$gt": 0}})
                codes.append("")
            except WixDataError as error:
                codes.append(error.code)

    threads = [threading.Thread(target=take, args=(current(),)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["", *["WDE0178"] * 4]
    result = items.bulkUpdate("seats", [{"_id": "1", "free": 5}], condition={"free": 1})
    assert [error.code for error in result.errors] == ["WDE0178"]
    result = items.bulkRemove("seats", ["1"], condition={"free": 1})
    assert ([error.code for error in result.errors], items.count("seats")) == (["WDE0178"], 1)


def test_a_patch_is_begun_anew_where_the_item_changed_while_its_hook_ran() -> None:
    seen: list[int] = []

    def disturb(item: dict[str, Any]) -> None:
        seen.append(item["n"])
        if len(seen) == 1:
            items.patch("books", "1").incrementField("n", 10).run(suppressHooks=True)

    with override(Collections(MemoryStore(), hooks=Hooks.of({"books_beforeUpdate": disturb}))):
        items.insert("books", {"_id": "1", "n": 0})
        assert items.patch("books", "1").incrementField("n", 1).run()["n"] == 11
    assert seen == [1, 11]


@pytest.mark.parametrize("was_there", [False, True])
def test_a_save_takes_the_other_branch_where_the_world_changed(was_there: bool) -> None:
    ran: list[str] = []

    def before_insert(item: dict[str, Any]) -> None:
        ran.append("insert")
        if len(ran) == 1:
            items.insert("books", {"_id": "1", "other": 1}, suppressHooks=True)

    def before_update(item: dict[str, Any]) -> None:
        ran.append("update")
        if len(ran) == 1:
            items.remove("books", "1", suppressHooks=True)

    hooks = {"books_beforeInsert": before_insert, "books_beforeUpdate": before_update}
    for save in (items.save, lambda name, item: items.bulkSave(name, [item])):
        ran.clear()
        with override(Collections(MemoryStore(), hooks=Hooks.of(hooks))):
            if was_there:
                items.insert("books", {"_id": "1"}, suppressHooks=True)
            save("books", {"_id": "1", "mine": 1})
            stored = items.get("books", "1") or {}
            assert (stored["mine"], "other" in stored) == (1, False)
        assert ran == (["update", "insert"] if was_there else ["insert", "update"])


def test_what_a_patch_puts_into_an_item_is_not_the_patch_itself() -> None:
    items.bulkInsert("books", [{"_id": "1"}, {"_id": "2"}])
    for asked in (
        items.patch("books", "1").setField("o", {"n": []}).appendToArray("o.n", 1),
        items.patch("books", "1").removeField("o").appendToArray("o", {"n": [1]}).appendToArray("o.0.n", 2),
        items.patch("books", "1").setField("o", []).appendToArray("o", {"n": []}).appendToArray("o.0.n", 2),
    ):
        first = asked.run()["o"]
        assert asked.run()["o"] == first
    items.bulkPatch("books", ["1", "2"]).setField("o", {"n": []}).appendToArray("o.n", 1).run()
    assert [each["o"] for each in items.query("books").find().items] == [{"n": [1]}] * 2


def test_a_hook_that_changes_a_patched_item_does_not_change_the_patch() -> None:
    def count(item: dict[str, Any]) -> None:
        item["seen"]["n"].append(1)
        if item["again"]:
            items.patch("books", "1").setField("again", False).run(suppressHooks=True)

    with override(Collections(MemoryStore(), hooks=Hooks.of({"books_beforeUpdate": count}))):
        items.insert("books", {"_id": "1", "again": True})
        assert items.patch("books", "1").setField("seen", {"n": []}).run()["seen"] == {"n": [1]}


def test_bulk_remove_shows_hooks_only_what_may_be_removed() -> None:
    seen: list[Any] = []
    schema = {"notes": CollectionSchema("notes", permissions=Permissions(*["SITE_MEMBER_AUTHOR"] * 4))}
    hooks = Hooks.of({"notes_beforeRemove": lambda item_id, context: seen.append(context.currentItem["_id"])})
    collections = Collections(MemoryStore(), schema, hooks=hooks)
    for item_id, user in (("1", "ada"), ("2", "bob"), ("3", "bob")):
        with override(collections.acting_as(Identity(user, "siteMember"))):
            items.insert("notes", {"_id": item_id, "free": item_id == "3"})
    with override(collections.acting_as(Identity("bob", "siteMember"))):
        result = items.bulkRemove("notes", ["1", "2", "3"], condition={"free": True})
    assert ([error.code for error in result.errors], result.skipped, result.removedItemIds) == (["WDE0178"], 1, ["3"])
    assert seen == ["3"]


class Name(str, Enum):
    BOOKS = "books"
    ONE = "1"
    AUTHOR = "author"


def test_members_of_an_enum_are_the_text_that_they_hold() -> None:
    schema = {"books": CollectionSchema("books", references={"author": Reference("author", "people", False, None)})}
    with override(Collections(MemoryStore(), schema)):
        assert items.insert(Name.BOOKS, {"_id": Name.ONE, "author": "1"})["_id"] == "1"
        assert items.query("books").eq("_id", "1").count() == 1
        assert (items.get(Name.BOOKS, Name.ONE) or {})["_id"] == "1"
        assert items.isReferenced("books", Name.AUTHOR, Name.ONE, Name.ONE)
        assert items.patch("books", Name.ONE).setField("n", 1).run()["n"] == 1
        assert items.bulkPatch("books", [Name.ONE]).setField("n", 2).run().updatedItemIds == ["1"]
        assert (items.remove("books", Name.ONE) or {})["n"] == 2
        items.insert("books", {"_id": "1"})
        assert items.bulkRemove("books", [Name.ONE]).removedItemIds == ["1"]


@pytest.mark.parametrize(
    "item_id", ["x" * 5_000_000, "\ud800", "a\nb" + "c" * 300, "ok"], ids=["long", "surrogate", "lines", "good"]
)
def test_messages_show_an_id_short_and_printable(item_id: str) -> None:
    items.insert("books", {"_id": "1"})
    calls: list[Callable[[], Any]] = [
        lambda: items.patch("books", item_id).setField("n", 1).run(),
        lambda: items.update("books", {"_id": item_id}),
        lambda: items.get(item_id + "!", "1"),
        lambda: items.insertReference("books", item_id, "1", "2"),
        lambda: items.insertReference("books", "n", {"no": item_id}, "2"),
    ]
    for call in calls:
        with pytest.raises(WixDataError) as caught:
            call()
        message = str(caught.value)
        assert len(message) < 400
        assert message.isprintable()
    assert item_id != "ok" or "[ok]" in _message(calls[0])


def _message(call: Callable[[], Any]) -> str:
    with pytest.raises(WixDataError) as caught:
        call()
    return str(caught.value)
