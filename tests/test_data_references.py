"""References between collections: include, the calls on links, both sides, and what may be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    assert [item["author"] for item in wix_data.query("books").find().items] == ["p1", "none"]
    first, second = wix_data.query("books").include("author").find().items
    assert first["author"]["name"] == "Jane"
    assert second["author"] is None
    assert "genres" not in first


def test_include_of_many_and_its_limit() -> None:
    result = wix_data.query("books").include("genres").fields("title").find()
    assert [ids(item["genres"]) for item in result.items] == [["g3", "g1", "g2"], []]
    assert (result.partialIncludes, "author" in result.items[0]) == (False, False)
    cut = wix_data.query("books").include("genres", 2).find()
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


@pytest.mark.parametrize(("collection", "field"), [("books", "genres"), ("genres", "books"), ("books", "genres._id")])
def test_conditions_on_references_to_many_items_say_what_to_use(collection: str, field: str) -> None:
    query = wix_data.query(collection)
    compared = wix_data.filter().eq("n", 1).or_(wix_data.filter().hasSome(field, ["g1"]))
    calls: list[Callable[[], Any]] = [
        query.eq(field, "g1").find,
        query.not_(wix_data.filter().isEmpty(field)).find,
        query.and_(compared).count,
        lambda: query.ne(field, "g1").distinct("n"),
        lambda: query.distinct(field),
        lambda: items.count(collection, filter={field: "g1"}),
        lambda: items.distinct(collection, "n", filter={field: "g1"}),
        wix_data.aggregate(collection).filter(compared).count().run,
        lambda: items.remove(collection, "none", condition={field: "g1"}),
    ]
    for call in calls:
        with pytest.raises(WixDataError, match="queryReferenced") as caught:
            call()
        assert caught.value.code == "WDE0093"


def test_a_hook_may_not_compare_references_to_many_items_either() -> None:
    hooks = Hooks.of({"books_beforeQuery": lambda query: query.eq("genres", "g1")})
    with override(Collections(MemoryStore(), SCHEMA, hooks=hooks)):
        fails("WDE0093", wix_data.query("books").find)
        fails("WDE0093", lambda: wix_data.query("books").distinct("author"))


def test_references_to_one_item_are_compared() -> None:
    assert wix_data.query("books").eq("author", "p1").count() == 1
    assert wix_data.query("books").distinct("author").items == ["none", "p1"]
