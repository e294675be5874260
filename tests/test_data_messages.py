"""Errors whose way out is a line in data/collections.toml: they name the file and the line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wixhttp import data as wix_data
from wixhttp.data import aio, items
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import override
from wixhttp.data.schema.declarations import parse_schema
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.errors import WixDataError

SCHEMA = """
[books]
indexes = [{fields = ["isbn"], unique = true}]
[books.references.author]
collection = "people"
[people]
permissions = "private"
["Stores/Products"]
permissions = {read = "SITE_MEMBER", insert = "ADMIN", update = "ADMIN", remove = "ADMIN"}
"""


def declare(strict: bool) -> Collections:
    return Collections(MemoryStore(), parse_schema(SCHEMA), strict=strict)


@pytest.fixture(params=[True, False], ids=["production", "development"])
def collections(request: pytest.FixtureRequest) -> Iterator[Collections]:
    with override(declare(request.param)) as made:
        yield made


def message(call: Callable[[], Any]) -> str:
    with pytest.raises(WixDataError) as caught:
        call()
    return caught.value.message


MISSING = "WDE0025: The films collection does not exist. Declare it in data/collections.toml, by the line [films]"

READS: list[Callable[[], Any]] = [
    lambda: wix_data.get("films", "1"),
    lambda: wix_data.query("films").find(),
    lambda: wix_data.query("films").count(),
    lambda: wix_data.query("films").distinct("a"),
    lambda: wix_data.aggregate("films").count().run(),
    lambda: items.query("films").find(),
    lambda: asyncio.run(_awaited(lambda: aio.get("films", "1"))),
    lambda: asyncio.run(_awaited(lambda: aio.query("films").find())),
    lambda: asyncio.run(_awaited(lambda: aio.items.get("films", "1"))),
]
WRITES: list[Callable[[], Any]] = [
    lambda: wix_data.insert("films", {}),
    lambda: wix_data.save("films", {"_id": "1"}),
    lambda: wix_data.update("films", {"_id": "1"}),
    lambda: wix_data.remove("films", "1"),
    lambda: wix_data.bulkInsert("films", [{}]),
    lambda: wix_data.truncate("films"),
    lambda: items.patch("films", "1").setField("a", 1).run(),
    lambda: asyncio.run(_awaited(lambda: aio.insert("films", {}))),
]


async def _awaited(call: Callable[[], Any]) -> Any:
    return await call()


@pytest.mark.parametrize("read", READS)
@pytest.mark.usefixtures("collections")
def test_a_collection_that_does_not_exist_is_told_with_the_line_that_declares_it(read: Callable[[], Any]) -> None:
    assert message(read) == MISSING


@pytest.mark.parametrize("write", WRITES)
def test_so_is_one_that_is_written_to_in_production(write: Callable[[], Any]) -> None:
    with override(declare(strict=True)):
        assert message(write) == MISSING


@pytest.mark.usefixtures("collections")
def test_a_name_that_is_nearly_declared_is_asked_about() -> None:
    for name, meant in (("Books", "books"), ("book", "books"), ("stores/products", "Stores/Products")):
        text = message(lambda name=name: wix_data.query(name).find())  # type: ignore[misc]
        assert text.startswith(
            f"WDE0025: The {name} collection does not exist. Did you mean {meant!r}? Else declare it"
        )


@pytest.mark.usefixtures("collections")
def test_the_line_of_a_name_in_quotes() -> None:
    assert message(lambda: wix_data.query("Media/Files").find()).endswith('by the line ["Media/Files"]')


@pytest.mark.usefixtures("collections")
def test_a_field_that_is_no_reference_is_told_with_the_lines_that_make_it_one() -> None:
    place = "to declare it, write in data/collections.toml, below [books.references."
    assert message(lambda: wix_data.query("books").include("autor").find()) == (
        f"WDE0020: 'autor' is no reference field of books; did you mean 'author'? {place}autor]: collection = \"...\""
    )
    assert message(lambda: wix_data.insertReference("books", "author", "1", "2")) == (
        f"WDE0020: 'author' is no multi-reference field of books; {place}author]: many = true"
    )
    assert message(lambda: wix_data.insertReference("books", "tags", "1", "2")).endswith(
        'below [books.references.tags]: collection = "...", many = true'
    )
    assert message(lambda: wix_data.query("people").include("x").find(suppressAuth=True)).endswith(
        '[people.references.x]: collection = "..."'
    )


@pytest.mark.usefixtures("collections")
def test_what_is_not_permitted_is_told_with_the_level_that_it_takes() -> None:
    begin = "WDE0027: The current user does not have permissions to "
    assert message(lambda: wix_data.insert("people", {})) == (
        f"{begin}insert on the people collection. It takes ADMIN: pass suppressAuth (or elevate) after a check of your"
        " own, or change permissions below [people] in data/collections.toml"
    )
    text = message(lambda: wix_data.query("Stores/Products").find())
    assert "It takes SITE_MEMBER: " in text
    assert 'below ["Stores/Products"] in' in text


def test_items_that_collide_in_a_declared_index_are_told_with_its_line() -> None:
    store = MemoryStore()
    with override(Collections(store)):
        wix_data.bulkInsert("books", [{"isbn": 1}, {"isbn": 1}])
    with override(Collections(store, parse_schema(SCHEMA))):
        text = message(lambda: wix_data.query("books").find())
    assert text == (
        "WDE0123: Duplicated values of isbn in books. The unique index of isbn is declared in data/collections.toml,"
        " below [books]: change the items that have the same values, or take unique = true out"
    )
