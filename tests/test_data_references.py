"""References between collections: include, the calls on links, both sides, and what may be read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.databases import opened_store
from wixhttp import data as wix_data
from wixhttp.auth import elevate
from wixhttp.data import items
from wixhttp.data.calls.access import Collections
from wixhttp.data.calls.hooks import Hooks
from wixhttp.data.collections import current, override
from wixhttp.data.queries.evaluator import matches
from wixhttp.data.schema.declarations import PRESETS, CollectionSchema, Permissions, Reference
from wixhttp.data.schema.permissions import Identity
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.errors import WixDataError

AUTHORS = Permissions("SITE_MEMBER_AUTHOR", "ANYONE", "SITE_MEMBER_AUTHOR", "ADMIN")
SCHEMA = {
    "books": CollectionSchema(
        "books",
        references={
            "author": Reference("author", "people", False, None),
            "genres": Reference("genres", "genres", True, "books"),
            "notes": Reference("notes", "notes", True, None),
        },
    ),
    "genres": CollectionSchema("genres"),
    "people": CollectionSchema("people"),
    "notes": CollectionSchema("notes", permissions=AUTHORS),
}


@pytest.fixture(autouse=True)
def collections() -> Iterator[Collections]:
    seen: list[Any] = []
    hooks = Hooks.of({"genres_afterQuery": seen.append, "genres_afterGet": seen.append})
    with override(Collections(MemoryStore(), SCHEMA, hooks=hooks)) as each:
        for number in range(1, 6):
            wix_data.insert("genres", {"_id": f"g{number}", "n": number})
        wix_data.insert("people", {"_id": "p1", "name": "Jane"})
        wix_data.insert("books", {"_id": "b1", "author": {"_id": "p1", "name": "?"}})
        wix_data.insert("books", {"_id": "b2", "author": "none"})
        wix_data.insertReference("books", "genres", "b1", ["g3", "g1", "g2"])
        yield each
        assert seen == []  # hooks of included collections do not run


def ids(found: Any) -> list[str]:
    return [item["_id"] for item in (found.items if hasattr(found, "hasNext") else found)]


def fails(code: str, call: Callable[[], Any]) -> None:
    with pytest.raises(WixDataError) as caught:
        call()
    assert caught.value.code == code


def test_a_reference_is_an_id_and_included_an_item() -> None:
    assert [item["author"] for item in wix_data.query("books").ascending("_id").find().items] == ["p1", "none"]
    first, second = wix_data.query("books").include("author").ascending("_id").find().items
    assert first["author"]["name"] == "Jane"
    assert second["author"] is None
    assert "genres" not in first


def test_include_of_many_and_its_limit() -> None:
    result = wix_data.query("books").include("genres").fields("title").ascending("_id").find()
    assert [ids(item["genres"]) for item in result.items] == [["g3", "g1", "g2"], []]
    assert (result.partialIncludes, "author" in result.items[0]) == (False, False)
    cut = wix_data.query("books").include("genres", 2).ascending("_id").find()
    assert (ids(cut.items[0]["genres"]), cut.partialIncludes) == (["g3", "g1"], True)
    wix_data.remove("genres", "g3")
    wix_data.insertReference("books", "genres", "b1", "missing")
    found = wix_data.get("books", "b1", includeReferences=[{"field": "genres", "limit": 9}, {"field": "author"}])
    assert found is not None
    assert (ids(found["genres"]), found["author"]["_id"]) == (["g1", "g2"], "p1")
    reverse = wix_data.query("genres").eq("_id", "g1").include("books").find(suppressHooks=True).items[0]
    assert ids(reverse["books"]) == ["b1"]


def test_links_from_both_sides() -> None:
    assert wix_data.isReferenced("books", "genres", "b1", {"_id": "g1"})
    assert wix_data.isReferenced("genres", "books", "g1", "b1")
    assert wix_data.isReferenced("books", "author", {"_id": "b1"}, "p1")
    assert not wix_data.isReferenced("books", "author", "b2", "p1")
    wix_data.insertReference("genres", "books", "g5", ["b1", "b2"])
    assert ids(wix_data.queryReferenced("books", "b2", "genres")) == ["g5"]
    wix_data.removeReference("genres", "books", "g1", "b1")
    assert not wix_data.isReferenced("books", "genres", "b1", "g1")
    wix_data.replaceReferences("books", "genres", "b1", ["g2", {"_id": "g4"}, "g2"])
    assert ids(wix_data.queryReferenced("books", "b1", "genres")) == ["g2", "g4"]
    assert ids(wix_data.queryReferenced("genres", "g5", "books")) == ["b2"]
    wix_data.replaceReferences("genres", "books", "g5", [])
    assert ids(wix_data.queryReferenced("books", "b2", "genres")) == []
    wix_data.truncate("books")
    assert ids(wix_data.queryReferenced("genres", "g2", "books")) == []


def test_changes_of_links_are_all_or_nothing() -> None:
    fails("WDE0029", lambda: wix_data.insertReference("books", "genres", "b1", ["g5", "g1"]))
    fails("WDE0153", lambda: wix_data.removeReference("books", "genres", "b1", ["g1", "g5"]))
    assert ids(wix_data.queryReferenced("books", "b1", "genres")) == ["g3", "g1", "g2"]
    fails("WDE0020", lambda: wix_data.insertReference("books", "author", "b1", "p1"))
    fails("WDE0019", lambda: wix_data.replaceReferences("books", "genres", ["b1", "b2"], "g1"))
    fails("WDE0021", lambda: wix_data.replaceReferences("books", "genres", "b1", [None]))


def test_pages_of_references() -> None:
    page = wix_data.queryReferenced("books", "b1", "genres", {"limit": 2})
    assert (ids(page), page.totalCount, page.totalPages, page.hasPrev()) == (["g3", "g1"], 3, 2, False)
    assert (ids(page.next()), page.next().currentPage, ids(page.next().prev())) == (["g2"], 1, ["g3", "g1"])
    assert ids(wix_data.queryReferenced("books", "b1", "genres", order="desc", skip=1)) == ["g1", "g3"]
    assert ids(wix_data.queryReferenced("books", "b1", "author")) == ["p1"]
    assert items.queryReferenced("books", "b1", "genres").totalCount is None
    fails("WDE0018", lambda: wix_data.queryReferenced("books", "b1", "genres", limit=1001))


def test_query_referenced_items() -> None:
    wix_data.insertReference("books", "genres", "b2", ["missing", "g1"])
    found = items.queryReferencedItems("books", ["b1", {"_id": "b2"}], "genres", skip=2, limit=2, returnTotalCount=True)
    assert found["pagingMetadata"] == {"count": 2, "offset": 2, "hasNext": True, "total": 5}
    assert found["results"][0]["item"]["_id"] == "g2"
    unresolved = {"referencedItemId": "missing", "unauthorized": False}
    assert found["results"][1] == {"referringItemId": "b2", "unresolvedReference": unresolved}


def test_references_in_a_write() -> None:
    fails("WDE0303", lambda: wix_data.insert("books", {"genres": ["g1"]}))
    fails("WDE0303", lambda: wix_data.save("books", {"genres": ["g1"]}))
    fails("WDE0303", lambda: wix_data.insert("genres", {"books": ["b1"]}))
    fails("WDE0303", lambda: items.patch("books", "b1").setField("genres", ["g1"]).run())
    assert "genres" not in wix_data.insert("books", {"genres": None})
    made = items.insert("books", {"genres": ["g2", {"_id": "g1"}]}, {"saveReferences": True})
    assert "genres" not in made
    assert ids(wix_data.queryReferenced("books", made, "genres")) == ["g2", "g1"]
    items.update("books", {"_id": made["_id"], "n": 1}, saveReferences=True)
    assert ids(wix_data.queryReferenced("books", made, "genres")) == ["g2", "g1"]
    saved = items.bulkSave(
        "books", [{"_id": made["_id"], "genres": []}, {"_id": "b9", "genres": ["g5"]}], saveReferences=True
    )
    assert (saved.updated, saved.inserted) == (1, 1)
    assert ids(wix_data.queryReferenced("books", made, "genres")) == []
    assert ids(wix_data.queryReferenced("genres", "g5", "books")) == ["b9"]


def test_what_may_not_be_read_is_not_included() -> None:
    wix_data.insert("notes", {"_id": "n1", "_owner": "ada"}, suppressAuth=True)
    wix_data.insert("notes", {"_id": "n2", "_owner": "bob"}, suppressAuth=True)
    wix_data.insertReference("books", "notes", "b1", ["n1", "n2"])

    def seen(**options: Any) -> list[str]:
        return ids(wix_data.query("books").eq("_id", "b1").include("notes").find(**options).items[0]["notes"])

    assert (seen(), seen(suppressAuth=True)) == ([], ["n1", "n2"])
    with override(current().acting_as(Identity("bob", "siteMember"))):
        assert seen() == ["n2"]
        assert ids(wix_data.queryReferenced("books", "b1", "notes")) == ["n2"]
        results = items.queryReferencedItems("books", "b1", "notes")["results"]
        assert results[0]["unresolvedReference"] == {"referencedItemId": "n1", "unauthorized": True}


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
def test_references_to_many_items_are_compared(kind: str, tmp_path: Path) -> None:
    with opened_store(kind, tmp_path) as store, contextlib.closing(store), override(Collections(store, SCHEMA)):
        for name in ("b1", "b2", "b3"):
            wix_data.insert("books", {"_id": name, "n": name})
        for name in ("g1", "g2", "g3"):
            wix_data.insert("genres", {"_id": name})
        wix_data.insertReference("books", "genres", "b1", ["g1", "g2"])
        wix_data.insertReference("books", "genres", "b2", ["g2", "gone"])
        books, genres, has = wix_data.query("books"), wix_data.query("genres"), wix_data.filter()
        for query, expected in (
            (books.hasSome("genres", ["g1", "g3"]), "b1"),
            (books.hasSome("genres", "g2", "g1"), "b1 b2"),
            (books.hasSome("genres", []), ""),
            (books.hasAll("genres", ["g1", "g2"]), "b1"),
            (books.hasAll("genres", ["g1", "g3"]), ""),
            (books.eq("genres", "g2"), "b1 b2"),
            (books.eq("genres", "gone"), "b2"),
            (books.in_("genres", ["g1", None]), "b1 b3"),
            (books.ne("genres", "g1"), "b2 b3"),
            (books.isEmpty("genres"), "b3"),
            (books.isNotEmpty("genres"), "b1 b2"),
            (books.eq("n", "b1").or_(has.isEmpty("genres")), "b1 b3"),
            (books.not_(has.hasSome("genres", ["g1"])).isNotEmpty("genres"), "b2"),
            (books.hasSome("genres", "g2").eq("n", "b2").include("genres"), "b2"),
            (genres.hasSome("books", ["b2"]), "g2"),
            (genres.hasAll("books", "b1", "b2"), "g2"),
            (genres.isEmpty("books"), "g3"),
            (books.and_({"genres": {"$hasSome": ["g1"]}}), "b1"),
            (books.and_({"genres": {"$hasAll": ["g2", "gone"]}}), "b2"),
            (books.and_({"$or": [{"genres": "g1"}, {"genres": {"$isEmpty": True}}]}), "b1 b3"),
            (books.and_({"genres": {"$nin": ["g1"]}, "$not": {"genres": None}}), "b2"),
        ):
            assert " ".join(sorted(ids(query.find()))) == expected, query.tree
            assert query.count() == len(expected.split())
        assert ids(books.hasSome("genres", "g2").find().items[0:1]) == ids(books.eq("genres", "g2").limit(1).find())
        one = books.hasSome("genres", ["g1", "g2"]).descending("n").limit(1).find()
        assert (ids(one), ids(one.next())) == (["b2"], ["b1"])
        assert ids(books.eq("n", "b2").include("genres").find().items[0]["genres"]) == ["g2"]
        assert books.hasSome("genres", "g2").distinct("n").items == ["b1", "b2"]
        assert wix_data.aggregate("books").filter(has.eq("genres", "g2")).count().run().items == [{"count": 2}]
        assert items.count("books", filter={"genres": {"$hasSome": ["g1"]}}) == 1
        assert items.distinct("books", "n", filter={"genres": "g1"}).items == ["b1"]
        wix_data.remove("genres", "g1")
        assert ids(books.hasSome("genres", "g1").find()) == []


filters = st.recursive(
    st.one_of(
        st.builds(lambda method, ids: getattr(wix_data.filter(), method)("genres", ids),
                  st.sampled_from(["hasSome", "hasAll", "in_"]), st.lists(st.sampled_from(["g1", "g2", "g3"]))),
        st.builds(lambda method, one: getattr(wix_data.filter(), method)("genres", one),
                  st.sampled_from(["eq", "ne"]), st.sampled_from(["g1", "g2", None])),
        st.builds(lambda method: getattr(wix_data.filter(), method)("genres"),
                  st.sampled_from(["isEmpty", "isNotEmpty"])),
        st.builds(lambda n: wix_data.filter().gt("n", n), st.integers(0, 3)),
    ),
    lambda inner: st.builds(lambda one, method, two: getattr(one, method)(two),
                            inner, st.sampled_from(["and_", "or_", "not_"]), inner),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(filters, st.lists(st.lists(st.sampled_from(["g1", "g2", "g3"]), unique=True), min_size=4, max_size=4))
def test_a_field_of_many_references_is_compared_as_an_array_of_ids(condition: Any, linked: list[list[str]]) -> None:
    """Absent where there are none."""
    with override(Collections(MemoryStore(), SCHEMA)):
        expected = set()
        for number, genres in enumerate(linked):
            item = wix_data.insert("books", {"n": number})
            wix_data.replaceReferences("books", "genres", item["_id"], genres)
            if matches(condition.tree, {**item, "genres": genres} if genres else item):
                expected.add(item["_id"])
        assert set(ids(wix_data.query("books").and_(condition).find())) == expected


@pytest.mark.parametrize(("collection", "field"), [("books", "genres"), ("genres", "books")])
def test_conditions_on_references_to_many_items_say_what_they_can_be(collection: str, field: str) -> None:
    query = wix_data.query(collection)
    calls: list[Callable[[], Any]] = [
        query.gt(field, "g1").find,
        query.contains(field, "g1").count,
        query.eq(f"{field}._id", "g1").find,
        query.exists(field).find,
        query.eq(field, {"_id": "g1"}).find,
        query.hasSome(field, 1).find,
        query.ascending("n").descending(field).find,
        wix_data.aggregate(collection).group(field).run,
        wix_data.aggregate(collection).max(field).run,
        query.ne(field, ["g1", "g2"]).find,
        lambda: query.distinct(field),
        lambda: items.remove(collection, "none", condition={field: "g1"}),
    ]
    for call in calls:
        with pytest.raises(WixDataError, match=r"multi-reference field.*use queryReferenced") as caught:
            call()
        assert caught.value.code == "WDE0093"
    with pytest.raises(WixDataError, match="hasSome, hasAll, in_, eq, ne"):
        query.gt(field, "g1").find()


def test_references_to_ids_that_name_no_item_are_compared_as_others() -> None:
    wix_data.insertReference("books", "genres", "b2", "never")
    assert ids(wix_data.query("books").hasSome("genres", "never").find()) == ["b2"]


def test_a_hook_may_compare_references_to_many_items() -> None:
    hooks = Hooks.of({"books_beforeQuery": lambda query: query.eq("genres", "g1")})
    with override(Collections(MemoryStore(), SCHEMA, hooks=hooks)):
        for name in ("b1", "b2"):
            wix_data.insert("books", {"_id": name})
        wix_data.insertReference("books", "genres", "b2", "g1")
        assert ids(wix_data.query("books").find()) == ["b2"]


def test_a_condition_tells_nothing_of_items_that_may_not_be_read() -> None:
    """An item that `include` leaves out is not there for a filter either, in both directions of a link."""
    schema = {
        "open": CollectionSchema("open", references={"notes": Reference("notes", "notes", True, "open")}),
        "notes": CollectionSchema("notes", permissions=AUTHORS),
        "closed": CollectionSchema(
            "closed", permissions=PRESETS["private"], references={"open": Reference("open", "open", True, "closed")}
        ),
    }
    elevated: Any = {"suppressAuth": True}
    with override(Collections(MemoryStore(), schema)) as made:
        for name in ("o1", "o2"):
            wix_data.insert("open", {"_id": name})
        for name, owner in (("n1", "ada"), ("n2", "bob")):
            wix_data.insert("notes", {"_id": name, "_owner": owner}, elevated)
        wix_data.insert("closed", {"_id": "c1"}, elevated)
        wix_data.insertReference("open", "notes", "o1", ["n1", "n2"])
        wix_data.insertReference("closed", "open", "c1", "o2", elevated)
        query = wix_data.query("open")
        probes = [query.hasSome("notes", ["n1", "n2"]), query.eq("notes", "n1"), query.isNotEmpty("notes"),
                  query.hasAll("notes", "n1", "n2")]  # fmt: skip
        reverse = [query.eq("closed", "c1"), query.isNotEmpty("closed")]
        assert [each.count() for each in (*probes, *reverse)] == [0, 0, 0, 0, 0, 0]
        assert [query.isEmpty("notes").count(), query.isEmpty("closed").count()] == [2, 2]
        assert [query.ne("notes", "n1").count(), wix_data.aggregate("open").filter(probes[0]).count().run().items] == [
            2, [{"count": 0}],
        ]  # fmt: skip
        with override(made.acting_as(Identity("bob", "siteMember"))):
            assert [each.count() for each in probes] == [1, 0, 1, 0]
            assert [each.count() for each in reverse] == [0, 0]
        assert [each.count(elevated) for each in (*probes, *reverse)] == [1, 1, 1, 1, 1, 1]
        assert [each.count() for each in (elevate(items.query)("open").eq("closed", "c1"),)] == [1]


def test_references_to_one_item_are_compared() -> None:
    assert wix_data.query("books").eq("author", "p1").count() == 1
    assert wix_data.query("books").distinct("author").items == ["none", "p1"]
