"""One law: plain Python, SQLite and PostgreSQL select the same items, in the same order, whatever is asked of what."""

from __future__ import annotations

import asyncio
import contextlib
import os
import string
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.databases import postgres_url
from wixhttp import data as wix_data
from wixhttp.data import aio, items
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import override
from wixhttp.data.queries.builders import Filter
from wixhttp.data.queries.evaluator import matches, position
from wixhttp.data.queries.filters import format_filter, parse_filter
from wixhttp.data.queries.tree import EVERYTHING, NEWEST_FIRST, And, Compare, Linked, Not, Or, Order, Tree
from wixhttp.data.queries.values import encode, format_date, normalised
from wixhttp.data.stores.contract import Index, Link, Row, Store, to_item
from wixhttp.data.stores.factory import open_store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.data.stores.sqlite import SQLiteStore

EXAMPLES = int(os.environ.get("WIXHTTP_TEST_EXAMPLES", "100"))

# Few names and few values, so that they meet; and among them what SQL, JSON paths and patterns might trip over.
NAMES = ["a", "b", "0", "1", "ä'\"", "x%_", "$"[:0] + "n\\"]
TEXTS = ["", "a", "A", "ab", "Äb", "ÄB", "äb", "ß", "SS", "İ", "i", "Σ", "ς", "%", "_", "a_b", "a%b", "'", '"', "\\",
         "$.a", "a.b", "[1]", "{}", "null", "1", "\U0001f600", "\ud7ff", "\uffff", "[aA]", "^a", "K", "\u2028", "\n",
         "true", "l" * 240, "l" * 241, "L" * 300, "Ä" * 121, "ä" * 121 + "\\"]  # fmt: skip
START = datetime(2024, 1, 1, tzinfo=timezone.utc)

numbers = st.one_of(
    st.integers(-2, 3),
    st.sampled_from(
        [0.5, -0.5, 1.5, 1e19, -1e19, 1e300, 5e-324, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 9.3e18, 0.1, 1e15 + 0.5]
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
texts = st.sampled_from(TEXTS) | st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=4
)
dates = st.sampled_from([START, START + timedelta(milliseconds=1), START.replace(year=1), START.replace(year=9999)])
scalars = st.one_of(st.none(), st.booleans(), numbers, texts, dates)
names = st.sampled_from(NAMES)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(names, values, max_size=4).map(normalised)
system = st.sampled_from([("_id",), ("_createdDate",), ("_updatedDate",), ("_owner",), ("_owner", "a")])
ids = st.sampled_from([*string.ascii_lowercase, "Z", "ä", "'", "%"])
link_ids = st.sampled_from(["a", "b", "c", "ä", "'", "l" * 63, "l" * 64])
paths = st.lists(names, min_size=1, max_size=3).map(tuple) | system
comparable = st.one_of(st.booleans(), numbers, texts, dates).map(normalised)
leaves: st.SearchStrategy[Tree] = st.one_of(
    st.builds(Compare, st.just("eq"), paths, values.map(normalised)),
    st.builds(Compare, st.sampled_from(["gt", "gte", "lt", "lte"]), paths, comparable),
    st.builds(Compare, st.sampled_from(["contains", "startsWith", "endsWith"]), paths, texts),
    st.builds(Compare, st.just("in"), paths, st.lists(values.map(normalised), max_size=3)),
    st.builds(Compare, st.just("exists"), paths, st.booleans()),
)


def joined(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Not, inner),
    )


linked = st.builds(
    Linked,
    st.just("c"),
    st.just("field"),
    st.booleans(),
    st.none() | st.lists(link_ids, unique=True, max_size=3).map(tuple),
)
plain_trees: st.SearchStrategy[Tree] = st.recursive(leaves, joined, max_leaves=5)
trees: st.SearchStrategy[Tree] = st.recursive(leaves | linked, joined, max_leaves=5)
orders = st.just(NEWEST_FIRST) | st.lists(st.builds(Order, paths, st.booleans()), max_size=3).map(tuple)
links = st.lists(st.tuples(link_ids, link_ids), unique=True, max_size=6)

INDEXES = [(), (Index((Order(("a",)),)),), (Index((Order(("a",)), Order(("b",), True))), Index((Order(("b", "a")),)))]


LINK = Link("c", "field")


@st.composite
def worlds(draw: st.DrawFn) -> list[Row]:
    rows = []
    for each in draw(st.lists(ids | link_ids, unique=True, max_size=8)):
        created = format_date(draw(dates))
        owner = draw(st.sampled_from([None, "ada", "Ä"]))
        rows.append(Row(each, encode(draw(documents)), created, format_date(draw(dates)), owner))
    return rows


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[str, Store]]]:
    folder: Path = tmp_path_factory.mktemp("agreement")
    with contextlib.ExitStack() as stack:
        made: list[tuple[str, Store]] = [
            ("memory", MemoryStore()),
            ("sqlite", SQLiteStore(folder / "agreement.sqlite3")),
            ("postgres", open_store(stack.enter_context(postgres_url()), folder)),
        ]
        for _, store in made:
            stack.enter_context(contextlib.closing(store))
            for number, indexes in enumerate(INDEXES):
                store.create(f"c{number}")
                for index in indexes:
                    store.add_index(f"c{number}", index)
        yield made


def fill(store: Store, collection: str, rows: list[Row], pairs: Sequence[tuple[str, str]] = ()) -> None:
    def work(changes: Any) -> None:
        changes.remove_links(LINK, changes.linked(LINK, None, None))
        changes.add_links(LINK, pairs)
        changes.truncate(collection)
        assert changes.insert(collection, rows) == ["done"] * len(rows)

    store.write(work)


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.data(), worlds(), links, st.integers(0, len(INDEXES) - 1))
def test_the_stores_agree(
    stores: list[tuple[str, Store]], data: st.DataObject, rows: list[Row], pairs: list[tuple[str, str]], number: int
) -> None:
    collection = f"c{number}"
    for _, store in stores:
        fill(store, collection, rows, pairs)
    (_, reference), *others = stores
    for _ in range(6):  # of one world, several questions
        tree, order = data.draw(trees), data.draw(orders)
        skip, limit = data.draw(st.sampled_from([0, 0, 0, 1, 3])), data.draw(st.none() | st.integers(1, 4))
        expected = [to_item(row) for row in reference.find(collection, tree, order, skip=skip, limit=limit)]
        count = reference.count(collection, tree)
        after = (
            data.draw(st.none() | st.sampled_from([position(to_item(row), order) for row in rows])) if rows else None
        )
        paged: dict[str, Any] = {"after": after, "limit": limit, "is_reversed": data.draw(st.booleans())}
        following = [row.id for row in reference.find(collection, tree, order, **paged)]
        for name, store in others:
            found = [to_item(row) for row in store.find(collection, tree, order, skip=skip, limit=limit)]
            assert found == expected, name
            assert encode(found) == encode(expected), name
            assert store.count(collection, tree) == count, name
            assert [row.id for row in store.find(collection, tree, order, **paged)] == following, name
            for each in ((), NEWEST_FIRST):
                scanned = [row.id for row in store.scan(collection, tree, each)]
                assert scanned == [row.id for row in reference.find(collection, tree, each)], name


async def two_pages(query: Any) -> list[str]:
    page = await query.find()
    following = await page.next() if page.hasNext() else None
    return [each["_id"] for each in (*page.items, *(following.items if following else ()))]


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), worlds(), st.integers(0, len(INDEXES) - 1), st.integers(1, 3), st.integers(0, 3), st.booleans())
def test_pages_without_a_sort_are_the_newest_items_first(
    stores: list[tuple[str, Store]],
    data: st.DataObject,
    rows: list[Row],
    number: int,
    limit: int,
    skip: int,
    is_velo: bool,
) -> None:
    """Through all pages of both APIs, there and back, awaited and not."""
    collection, tree = f"c{number}", data.draw(st.just(EVERYTHING) | plain_trees)
    newest = sorted((row for row in rows if matches(tree, to_item(row))), key=lambda row: row.id)
    newest.sort(key=lambda row: row.created, reverse=True)
    expected = [row.id for row in newest]
    for name, store in stores:
        fill(store, collection, rows)
        with override(Collections(store)):
            query = replace((wix_data if is_velo else items).query(collection), tree=tree)
            page = query.skip(skip).limit(limit).find()
            found, pages = [each["_id"] for each in page.items], [page.items]
            while page.hasNext():
                page = page.next()
                pages.append(page.items)
                found += [each["_id"] for each in page.items]
            assert found == expected[skip:], name
            for before in reversed(pages[:-1]):
                page = page.prev()
                assert page.items == before, name

            assert (
                asyncio.run(two_pages(replace(aio.query(collection), tree=tree).limit(limit))) == expected[: 2 * limit]
            ), name


@settings(max_examples=EXAMPLES, deadline=None)
@given(plain_trees, st.lists(documents, max_size=5))
def test_the_json_form_of_a_filter_selects_the_same(tree: Tree, items: list[dict[str, Any]]) -> None:
    again = parse_filter(format_filter(tree))
    for item in items:
        assert matches(again, item) == matches(tree, item)


def test_a_filter_is_a_filter() -> None:
    assert Filter().eq("a", 1).tree == Compare("eq", ("a",), 1)
