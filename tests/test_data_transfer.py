"""Items in files: JSON Lines and CSV, out of every store and in again."""

from __future__ import annotations

import contextlib
import io
import json
import os
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.test_data_agreement import worlds
from wixhttp.data.files.exports import backup, export_file, export_folder, export_items, new_file
from wixhttp.data.files.formats import BadItem, Format, read_items
from wixhttp.data.files.imports import BATCH, Counts, Importer, Mode, TransferError
from wixhttp.data.queries.tree import EVERYTHING, Order
from wixhttp.data.queries.values import encode
from wixhttp.data.schema.declarations import parse_schema
from wixhttp.data.stores.contract import Index, Link, Row, Store, to_item
from wixhttp.data.stores.factory import open_store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.errors import WixDataError

POSTGRES = os.environ.get("WIXHTTP_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
SCHEMA = parse_schema(
    '[books]\n[books.references.authors]\ncollection = "people"\nmany = true\nreverse = "books"\n[people]\n'
)
AUTHORS = Link("books", "authors")
MAY = datetime(2023, 5, 4, 10, 15, 30, tzinfo=timezone.utc)


@contextlib.contextmanager
def opened(kind: str, folder: Path) -> Iterator[Store]:
    """A new and empty store."""
    with contextlib.ExitStack() as stack:
        if kind == "postgres":
            url = stack.enter_context(postgres_schema())
        else:
            url = "memory://" if kind == "memory" else f"sqlite:///{uuid.uuid4()}.sqlite3"
        store = open_store(url, folder)
        stack.callback(store.close)
        store.declare_links({AUTHORS: "people"})
        yield store


@contextlib.contextmanager
def postgres_schema() -> Iterator[str]:
    """The URL of a schema of its own."""
    psycopg = pytest.importorskip("psycopg")
    try:
        connection = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=30)
    except psycopg.OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL: {error}")
    name = f"transfer_{uuid.uuid4().hex}"
    with connection:
        connection.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}options=-csearch_path%3D{name}"
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path) as made:
        yield made


def fill(store: Store, collection: str, *rows: Row) -> None:
    store.create(collection)
    assert set(store.write(lambda changes: changes.insert(collection, rows))) <= {"done"}


def row(name: str, text: str = "{}", owner: str | None = None) -> Row:
    return Row(name, text, "2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z", owner)


def load(
    store: Store, collection: str, text: str | bytes, format: Format = "jsonl", mode: Mode = "error", **options: Any
) -> Counts:
    importer = Importer(store, SCHEMA, mode)
    file = io.BytesIO(text.encode() if isinstance(text, str) else text)
    importer.read_file(collection, file, f"in.{format}", format, **options)
    return importer.counts


def dumped(store: Store, collection: str, format: Format = "jsonl", *links: Link) -> str:
    file = io.BytesIO()
    export_items(store, collection, file, format, links=links)
    return file.getvalue().decode()


def items(store: Store, collection: str) -> list[dict[str, Any]]:
    return [to_item(each) for each in store.scan(collection, EVERYTHING)]


def values(store: Store, collection: str) -> list[dict[str, Any]]:
    system = ("_id", "_createdDate", "_updatedDate", "_owner")
    return [{key: each[key] for key in each if key not in system} for each in items(store, collection)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- a round trip ----------------------------------------------------------------------------------------------------


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(rows=worlds())
def test_json_lines_are_the_same_after_a_round_trip_through_any_store(store: Store, rows: list[Row]) -> None:
    first, third = MemoryStore(), MemoryStore()
    fill(first, "c", *rows)
    text = dumped(first, "c")
    store.create("c")
    store.write(lambda changes: changes.truncate("c"))
    load(store, "c", text)
    assert dumped(store, "c") == text
    load(third, "c", dumped(store, "c"))
    assert items(third, "c") == items(first, "c")
    assert dumped(third, "c") == text


@pytest.mark.parametrize("others", ["sqlite", "postgres"])
def test_a_folder_moves_a_site_whole_there_and_back(store: Store, others: str, tmp_path: Path) -> None:
    index = Index((Order(("year",), True), Order(("title",))), unique=True)
    fill(store, "books", row("b2", '{"title":"B","year":2.5}', "ada"), row("b1", '{"big":1e19,"title":"A","year":1}'))
    fill(store, "people", row("p1"), row("p2"))
    fill(store, "Stores/Products", row("ä"))
    store.create("empty")
    store.add_index("books", index)
    store.write(lambda changes: changes.add_links(AUTHORS, [("b2", "p1"), ("b1", "p2"), ("b1", "p1"), ("b2", "gone")]))
    names = store.collections()
    assert export_folder(store, SCHEMA, list(names), tmp_path / "one") == {
        "Stores/Products": 1, "books": 2, "empty": 0, "people": 2,
    }  # fmt: skip
    with opened(others, tmp_path) as other:
        Importer(other, SCHEMA).read_folder(tmp_path / "one")
        export_folder(other, SCHEMA, list(other.collections()), tmp_path / "two")
        assert other.links(AUTHORS) == store.links(AUTHORS)
        assert other.collections() == names
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    with opened("memory", tmp_path) as back:
        importer = Importer(back, SCHEMA)
        importer.read_folder(tmp_path / "two")
        assert importer.counts == Counts(5, links=4)
        assert items(back, "books") == items(store, "books")


def test_exports_are_for_their_owner_alone(store: Store, tmp_path: Path) -> None:
    store.create("books")
    old = os.umask(0)
    try:
        export_folder(store, {}, ["books"], tmp_path / "whole")
        with new_file(tmp_path / "one.jsonl") as file:
            export_items(store, "books", file, "jsonl")
    finally:
        os.umask(old)
    files = [tmp_path / "one.jsonl", *(tmp_path / "whole").iterdir()]
    assert len(files) == 4
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}


def test_the_line_of_an_item_is_its_canonical_text(store: Store) -> None:
    fill(store, "c", row("x", '{"Z":1,"when":{"$date":"2024-05-01T00:00:00.000Z"},"ä":[null,true]}', "ada"))
    assert dumped(store, "c") == (
        '{"_id":"x","_createdDate":{"$date":"2024-01-01T00:00:00.000Z"},'
        '"_updatedDate":{"$date":"2024-01-02T00:00:00.000Z"},"_owner":"ada",'
        '"Z":1,"when":{"$date":"2024-05-01T00:00:00.000Z"},"ä":[null,true]}\n'
    )


def test_names_of_files_are_apart_whatever_the_collections_are_called(tmp_path: Path) -> None:
    names = ["Books", "books", "links", "a/b", "a%2Fb", "..", "@wix/x", "é" * 100, "é" * 100 + "!"]
    source, target = MemoryStore(), MemoryStore()
    for name in names:
        fill(source, name, row(f"in {name}"))
    export_folder(source, {}, names, tmp_path / "dump")
    files = [path.name for path in (tmp_path / "dump").iterdir()]
    assert len({name.lower() for name in files}) == len(names) + 2
    assert {"books-2.jsonl", "Books.jsonl", "links-2.jsonl", "a%2Fb.jsonl", "%40wix%2Fx.jsonl"} <= set(files)
    Importer(target, {}).read_folder(tmp_path / "dump")
    assert {name: items(target, name)[0]["_id"] for name in target.collections()} == {n: f"in {n}" for n in names}


texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1)
COLUMNS = {
    "number": st.integers(-(10**15) + 1, 10**15 - 1) | st.floats(allow_nan=False, allow_infinity=False, width=64),
    "boolean": st.booleans(),
    "date": st.datetimes(timezones=st.just(timezone.utc)).map(lambda each: each.replace(microsecond=7000)),
    "text": texts.map(lambda each: "x" + each),
    "json": st.lists(texts | st.integers(-9, 9) | st.dictionaries(texts.map(lambda each: "k" + each), st.booleans())),
}


def is_in_csv(value: Any) -> bool:
    """A float that is a whole number of more than 15 digits looks like the number of a card."""
    return not isinstance(value, float) or not value.is_integer() or abs(value) < 1e15


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([*COLUMNS]).flatmap(
        lambda kind: st.lists(COLUMNS[kind].filter(is_in_csv) | st.none(), min_size=1, max_size=6)
    )
)
def test_a_column_of_one_kind_is_the_same_after_a_round_trip_through_csv(column: list[Any]) -> None:
    first, second = MemoryStore(), MemoryStore()
    lines = "\n".join(
        json.dumps(
            {"_id": f"{number:03}", **({} if value is None else {"v": value})},
            default=lambda each: {"$date": each.isoformat()},
        )
        for number, value in enumerate(column)
    )
    load(first, "c", lines)
    load(second, "c", dumped(first, "c", "csv"), "csv")
    assert items(second, "c") == items(first, "c")
    kept = values(first, "c")
    assert [type(each.get("v")) for each in values(second, "c")] == [type(each.get("v")) for each in kept]


# --- CSV -------------------------------------------------------------------------------------------------------------

WIX = (
    b"\xef\xbb\xbf"
    b'"Title","ID","Created Date","Updated Date","Owner","year","zip","tags","onSale","authors","image"\r\n'
    b'"A ""quoted"", one","1","2023-05-04T10:15:30Z","2023-05-05T10:15:30Z","me","2024","01234","[""a"",""b""]",'
    b'"true","[""p2"",""p1""]","wix:image://v1/x.jpg/y.jpg#originWidth=1"\r\n'
    b'"two\nlines","2","2023-05-04T10:15:30Z","2023-05-05T10:15:30Z","","19.5","","","false","p1",""\r\n'
)


def test_what_wixs_cms_exports_is_read_as_it_is(store: Store) -> None:
    assert load(store, "books", WIX, "csv", fields={"Title": "title"}) == Counts(2, links=3)
    assert items(store, "books") == [
        {
            "_id": "1", "_createdDate": MAY, "_updatedDate": MAY.replace(day=5), "_owner": "me", "year": 2024,
            "title": 'A "quoted", one', "zip": "01234", "tags": ["a", "b"], "onSale": True,
            "image": "wix:image://v1/x.jpg/y.jpg#originWidth=1",
        },
        {
            "_id": "2", "_createdDate": MAY, "_updatedDate": MAY.replace(day=5), "_owner": None, "year": 19.5,
            "title": "two\nlines", "onSale": False,
        },
    ]  # fmt: skip
    assert store.links(AUTHORS) == [("1", "p2"), ("1", "p1"), ("2", "p1")]


def test_links_stand_in_the_field_in_csv_and_in_a_file_of_one_collection(store: Store, tmp_path: Path) -> None:
    load(store, "books", WIX, "csv")
    assert json.loads(dumped(store, "books", "jsonl", AUTHORS).splitlines()[0])["authors"] == ["p2", "p1"]
    for name in ("books.csv", "books.jsonl"):
        assert export_file(store, SCHEMA, "books", tmp_path / name) == 2
        other = MemoryStore()
        load(other, "books", (tmp_path / name).read_bytes(), "csv" if name.endswith("csv") else "jsonl")
        assert other.links(AUTHORS) == store.links(AUTHORS)
        assert items(other, "books") == items(store, "books")
    export_folder(store, SCHEMA, ["books"], tmp_path / "dump", "csv")
    assert set(contents(tmp_path / "dump")) == {"books.csv", "collections.json"}
    third = MemoryStore()
    Importer(third, SCHEMA).read_folder(tmp_path / "dump")
    assert third.links(AUTHORS) == store.links(AUTHORS)


def test_the_other_side_of_links_is_read_too(store: Store) -> None:
    load(store, "people", 'ID,books\np1,"[""b1"",""b2""]"\np2,b1\n', "csv")
    assert store.links(AUTHORS) == [("b1", "p1"), ("b2", "p1"), ("b1", "p2")]
    load(store, "people", 'ID,books\np1,"[""b3""]"\n', "csv", "update")
    assert store.links(AUTHORS) == [("b1", "p2"), ("b3", "p1")]


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["1", "-2.50", "0"], [1, -2.5, 0]),
        (["1", "x"], ["1", "x"]),
        (["1", ""], [1, None]),
        (["007", "1"], ["007", "1"]),
        (["+1", "1"], ["+1", "1"]),
        (["123456789012345"], [123456789012345]),
        (["1234567890123456"], ["1234567890123456"]),
        (["0.30000000000000004", "1e-7"], [0.30000000000000004, 1e-7]),
        (["12e7"], ["12e7"]),
        (["\u0661"], ["\u0661"]),
        (["true", "FALSE"], [True, False]),
        (["true", "no"], ["true", "no"]),
        (["2023-05-04T10:15:30Z", "2023-05-04T12:15:30+02:00"], [MAY, MAY]),
        (["2023-05-04", "2023-05-04T10:15:30Z"], ["2023-05-04", "2023-05-04T10:15:30Z"]),
        (["[1]", '{"a":{"$date":"2023-05-04T10:15:30Z"}}'], [[1], {"a": MAY}]),
        (["[1]", "[link]"], ["[1]", "[link]"]),
    ],
)
def test_what_a_column_holds_is_decided_over_all_of_it(cells: list[str], read: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("a,b\n" + "".join('x,"{}"\n'.format(cell.replace('"', '""')) for cell in cells))
    found = [item.get("b") for item in read_items(path)]
    assert found == read
    assert list(map(type, found)) == list(map(type, read))


@pytest.mark.parametrize("cell", ["1e400", "1" * 5000, "9223372036854775808", "-9223372036854775809"])
def test_a_number_that_no_collection_holds_is_refused_and_not_rounded(cell: str, tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"a,n\nx,1\ny,{cell}\n")
    with pytest.raises(BadItem, match=r"c\.csv:3: "):
        list(read_items(path, types={"n": "number"}))


def test_every_digit_of_a_number_is_kept_in_every_store_and_file(store: Store, tmp_path: Path) -> None:
    numbers = [
        sign * (base + step)
        for base in (2**53, 2**62, 10**15, 10**18, 2**63 - 2)
        for step in (-1, 0, 1)
        for sign in (1, -1)
    ]
    kept = [*numbers, -(2**63), 1e19, -1e19, 1e21, 9.3e18, 1e300, 5e-324, 0.1]
    fill(
        store,
        "c",
        row("all", encode({"n": kept})),
        *(row(f"n{place:02}", encode({"n": n})) for place, n in enumerate(kept)),
    )
    assert [each["n"] for each in values(store, "c")] == [kept, *kept]
    formats: tuple[Format, ...] = ("jsonl", "csv")
    for kind in formats:
        other = MemoryStore()
        load(other, "c", dumped(store, "c", kind), kind, types={"n": "json"} if kind == "csv" else None)
        assert [each["n"] for each in values(other, "c")] == [kept, *kept]


def test_types_that_are_named_win(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("Zip,n,when,j\n123,007,2023-05-04T10:15,3\n", newline="")
    found = list(read_items(path, types={"Zip": "text", "n": "number", "when": "date", "j": "json"}))
    assert found == [{"Zip": "123", "n": 7, "when": MAY.replace(second=0), "j": 3}]
    [renamed] = read_items(path, fields={"Zip": "zip"}, types={"zip": "text"})
    assert renamed["zip"] == "123"


def test_a_column_called_owner_beside_the_system_field_is_a_field(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("_id,_owner,Owner,id,\nx,me,she,5,\n")
    assert list(read_items(path)) == [{"_id": "x", "_owner": "me", "Owner": "she", "id": 5}]


# --- lines that are wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.jsonl", b'{"a":1}\n\n{"a":', "c.jsonl:3: this is not JSON"),
        ("c.jsonl", b'[\n{"a":1}\n]', "c.jsonl:1: JSON Lines has each item whole on a line"),
        ("c.jsonl", b"[1]", "c.jsonl:1: an item is an object, not list"),
        ("c.jsonl", b'{"a":"\xff"}', "c.jsonl:1: this is not JSON"),
        ("c.jsonl", b'{"a":"\\u0000"}', "c.jsonl:1: WDE0075: a is"),
        ("c.jsonl", b'{"a":9223372036854775808}', "64 bits at most"),
        (
            "c.jsonl",
            b'{"a":-9223372036854775809}',
            "c.jsonl:1: WDE0075: a is -9223372036854775809 (int): a whole number",
        ),
        ("c.jsonl", b'{"a":[18446744073709551616]}', "c.jsonl:1: WDE0075: a[0] is 18446744073709551616 (int)"),
        ("c.jsonl", b'{"a":%s}' % (b"1" * 5000), "c.jsonl:1: this is not JSON: number is infinity"),
        (
            "c.csv",
            b'_id,a\n1,"[-9223372036854775809]"\n',
            "a[0] is -9223372036854775809 (int): a whole number has 64 bits",
        ),
        ("c.jsonl", b'{"$a":1}', "WDE0134"),
        ("c.jsonl", b'{"_id":7}', "_id is text that is not empty, not 7"),
        ("c.jsonl", b'{"_id":""}', "_id is text that is not empty"),
        ("c.jsonl", b'{"_owner":7}', "_owner is text"),
        ("c.jsonl", b'{"_createdDate":"today"}', "'today' is not a date"),
        ("c.jsonl", b'{"_createdDate":5}', "_createdDate is a date, not 5"),
        ("c.csv", b"", "c.csv:1: the first row of a CSV file names the fields"),
        ("c.csv", b"a;b\n1;2\n", "separated by commas"),
        ("c.csv", b"a,a\n1,2\n", "two columns 'a'"),
        ("c.csv", b"ID,_id,x\n1,2,3\nx\n", "c.csv:3: the row has 1 cells, the first 3"),
        ("c.csv", b"a,\n1,2\n", "c.csv:2: '2' stands in a column without a name"),
        ("c.csv", b'a\n"x\ny"\n"z', "c.csv:4: this is not CSV"),
        ("c.csv", b'a\n"x"y\n', "c.csv:2: this is not CSV"),
        ("c.csv", b"a\nx\n\xff\n", "c.csv:3: this is not UTF-8"),
        (
            "c.csv",
            b"ID,Created Date\nx,yesterday\n",
            "c.csv:2: column 'Created Date': 'yesterday' is no date; write 02/14",
        ),
    ],
)
def test_a_bad_line_is_named(name: str, text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(BadItem) as caught:
        list(read_items(tmp_path / name))
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["number", "boolean", "date", "json"])
def test_a_cell_that_is_not_of_the_named_type_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("a\n1_0 x\n")
    with pytest.raises(
        BadItem,
        match=f"c.csv:2: column 'a': '1_0 x' is no {kind}; write .*; its type can be set to text: --types a=text",
    ):
        list(read_items(tmp_path / "c.csv", types={"a": kind}))
    with pytest.raises(BadItem, match="no column 'b' to set the type of"):
        list(read_items(tmp_path / "c.csv", types={"b": kind}))
    with pytest.raises(BadItem, match="no column 'b' to rename"):
        list(read_items(tmp_path / "c.csv", fields={"b": "c"}))


def lines(count: int, start: int = 0) -> str:
    return "".join(f'{{"_id":"{number:05}"}}\n' for number in range(start, start + count))


def test_a_bad_line_leaves_the_batches_before_it(store: Store) -> None:
    text = lines(BATCH + 5) + "nonsense\n" + lines(5, start=5000)
    with pytest.raises(TransferError) as caught:
        load(store, "c", text)
    assert f"in.jsonl:{BATCH + 6}: this is not JSON" in str(caught.value)
    assert f"Written before: {BATCH} inserted. Not written: line {BATCH + 1} and all behind it." in str(caught.value)
    assert store.count("c", EVERYTHING) == BATCH


def test_an_item_that_is_there_undoes_its_batch(store: Store) -> None:
    fill(store, "c", row("00003", '{"a":1}'))
    with pytest.raises(TransferError, match=r"in.jsonl:4: there is an item '00003' of c already.*--update") as caught:
        load(store, "c", lines(10))
    assert "Nothing is written." in str(caught.value)
    assert store.count("c", EVERYTHING) == 1


def test_items_that_are_there_are_skipped_or_replaced(store: Store) -> None:
    fill(store, "books", row("x", '{"a":1,"b":1}', "ada"))
    store.write(lambda changes: changes.add_links(AUTHORS, [("x", "p1")]))
    text = '{"_id":"x","a":2,"authors":["p2"],"_updatedDate":"2025-01-01T00:00:00Z"}\n{"_id":"y","authors":["p2"]}\n'
    assert load(store, "books", text, mode="skip") == Counts(1, skipped=1, links=1)
    assert store.links(AUTHORS) == [("x", "p1"), ("y", "p2")]
    assert load(store, "books", text, mode="update") == Counts(updated=2, links=2)
    [replaced, _] = items(store, "books")
    assert replaced == {
        "_id": "x",
        "a": 2,
        "_createdDate": datetime(2024, 1, 1, tzinfo=timezone.utc),
        "_updatedDate": datetime(2025, 1, 1, tzinfo=timezone.utc),
        "_owner": None,
    }
    assert store.links(AUTHORS) == [("x", "p2"), ("y", "p2")]


def test_an_item_that_a_file_has_twice(store: Store) -> None:
    text = "".join(f'{{"_id":"x","a":{number},"authors":["p{number}","p{number}"]}}\n' for number in range(3))
    with pytest.raises(TransferError, match=r"in.jsonl:2: there is an item 'x'"):
        load(store, "books", text)
    assert load(store, "books", text, mode="update") == Counts(1, updated=2, links=1)
    assert values(store, "books") == [{"a": 2}]
    assert store.links(AUTHORS) == [("x", "p2")]
    assert load(store, "c", text, mode="skip") == Counts(1, skipped=2)
    assert values(store, "c") == [{"a": 0, "authors": ["p0", "p0"]}]


def test_a_collision_in_a_unique_index_undoes_its_batch(store: Store) -> None:
    store.create("c")
    store.add_index("c", Index((Order(("a",)),), unique=True))
    with pytest.raises(TransferError, match=r"in.jsonl:2: 'y' of c has the values of another in a unique index"):
        load(store, "c", '{"_id":"x","a":1}\n{"_id":"y","a":1.0}\n')
    assert items(store, "c") == []


def test_what_an_item_lacks_is_made(store: Store) -> None:
    load(store, "c", '{"a":1}\n{"_id":null,"_createdDate":null,"_owner":null}\n')
    made = items(store, "c")
    assert [uuid.UUID(each["_id"]).version for each in made] == [4, 4]
    assert all(abs((datetime.now(timezone.utc) - each["_createdDate"]).total_seconds()) < 60 for each in made)
    assert all(each["_createdDate"] == each["_updatedDate"] and each["_owner"] is None for each in made)


def test_an_item_that_is_too_large_and_a_list_of_no_ids_are_refused(store: Store) -> None:
    with pytest.raises(TransferError, match=r"in.jsonl:1: the item 'x' has more than 524288 bytes"):
        load(store, "c", json.dumps({"_id": "x", "a": "ä" * 262_145}, ensure_ascii=False))
    with pytest.raises(TransferError, match="'authors' holds links: a list of ids, not 5"):
        load(store, "books", '{"authors":5}')


def test_a_trial_finds_everything_and_writes_nothing(store: Store) -> None:
    fill(store, "c", row("old"))
    trial = Importer(store, SCHEMA, is_trial=True)
    text = '{"_id":"a"}\n{"_id":"a"}\nbad\n{"_id":"b"}\n'
    trial.read_file("c", io.BytesIO(text.encode()), "f", "jsonl")
    trial.read_file("c", io.BytesIO(b'{"_id":"old"}'), "g", "jsonl")
    trial.read_file("new", io.BytesIO(text.encode()), "h", "jsonl")
    assert [problem.partition(": ")[0] for problem in trial.problems] == ["f:2", "f:3", "g:1", "h:2", "h:3"]
    assert trial.counts == Counts(4)
    assert set(store.collections()) == {"c"}
    assert [each["_id"] for each in items(store, "c")] == ["old"]


def test_declared_indexes_are_made_before_the_items(store: Store) -> None:
    schema = parse_schema('[c]\nindexes = [{fields = ["a"], unique = true}]')
    with pytest.raises(TransferError, match="unique index"):
        Importer(store, schema).read_file("c", io.BytesIO(b'{"a":1}\n{"a":1}'), "f", "jsonl")
    assert store.collections()["c"] == schema["c"].indexes


# --- folders and files -----------------------------------------------------------------------------------------------


def test_a_folder_without_a_list_has_files_named_for_collections(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a%2Fb.jsonl").write_text('{"_id":"x"}')
    (tmp_path / "books.csv").write_text("ID,authors\nb1,p1\n")
    (tmp_path / "notes.txt").write_text("no items")
    Importer(store, SCHEMA).read_folder(tmp_path)
    assert set(store.collections()) == {"a/b", "books"}
    assert store.links(AUTHORS) == [("b1", "p1")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": ""}, "has no collections.json, and no files"),
        ({"collections.json": "[]"}, "is not as an export writes it"),
        ({"collections.json": '{"collections":{"a":{"file":"../a.jsonl","indexes":[]}}}'}, "outside of the folder"),
        ({"a.jsonl": "", "links.jsonl": '{"from":1}'}, "links.jsonl:1: a link is"),
        (
            {"a.jsonl": "", "links.jsonl": '{"collection":"b","field":"f","from":"1","to":"2"}'},
            "links.jsonl:1: the folder has no collection 'b'",
        ),
    ],
)
def test_a_folder_that_is_no_export_is_refused(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(TransferError, match=message):
        Importer(MemoryStore(), SCHEMA).read_folder(tmp_path)


def test_nothing_is_overwritten_unasked_and_what_fails_leaves_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    fill(store, "c", row("x"))
    target = tmp_path / "c.jsonl"
    target.write_text("mine")
    with pytest.raises(FileExistsError, match="--force"):
        export_file(store, {}, "c", target)
    with pytest.raises(WixDataError, match="WDE0025"):
        export_file(store, {}, "none", target, force=True)

    def interrupted() -> None:
        with new_file(tmp_path / "new") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(FileExistsError, match="not a file"):
        export_file(store, {}, "c", Path("/dev/null"), force=True)
    with pytest.raises(WixDataError, match="WDE0025"):
        export_folder(store, {}, ["c", "none"], tmp_path / "dump")
    assert contents(tmp_path) == {"c.jsonl": b"mine"}
    export_file(store, {}, "c", target, force=True)
    assert target.read_text() == dumped(store, "c")


def test_a_folder_with_other_files_is_never_removed(tmp_path: Path) -> None:
    store = MemoryStore()
    fill(store, "c", row("x"))
    (tmp_path / "empty").mkdir()
    for name in ("dump", "empty"):
        export_folder(store, {}, ["c"], tmp_path / name)
        with pytest.raises(FileExistsError, match="--force"):
            export_folder(store, {}, ["c"], tmp_path / name)
    fill(store, "d", row("y"))
    export_folder(store, {}, ["d"], tmp_path / "dump", force=True)
    assert set(contents(tmp_path / "dump")) == {"d.jsonl", "links.jsonl", "collections.json"}
    (tmp_path / "dump" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="other files"):
        export_folder(store, {}, ["d"], tmp_path / "dump", force=True)
    assert (tmp_path / "dump" / "thesis.txt").read_text() == "years of work"


def test_a_backup_is_a_whole_database_and_never_written_over_one_in_use(tmp_path: Path) -> None:
    with contextlib.closing(SQLiteStore(tmp_path / "site.sqlite3")) as store:
        fill(store, "c", *(row(f"{number:05}", json.dumps({"pad": "x" * 500})) for number in range(2000)))
        told: list[tuple[int, int]] = []
        backup(store, tmp_path / "copy.sqlite3", progress=lambda done, total: told.append((done, total)))
        assert told[-1][0] == told[-1][1] > 0
        with contextlib.closing(SQLiteStore(tmp_path / "copy.sqlite3")) as copy:
            assert dumped(copy, "c") == dumped(store, "c")
            assert copy.check() == []
        with pytest.raises(FileExistsError, match="--force"):
            backup(store, tmp_path / "copy.sqlite3")
        with pytest.raises(FileExistsError, match="database in use"):
            backup(store, tmp_path / "site.sqlite3", force=True)
        assert [path for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_progress_counts_all_that_is_done(tmp_path: Path) -> None:
    store = MemoryStore()
    text = lines(BATCH * 2 + 7)
    done: list[int] = []
    load(store, "c", text, advance=done.append)
    assert sum(done) == len(text)
    for name in ("c.jsonl", "c.csv"):
        done.clear()
        export_file(store, {}, "c", tmp_path / name, advance=done.append)
        assert sum(done) == BATCH * 2 + 7
        assert len(done) > 3
    done.clear()
    load(store, "d", (tmp_path / "c.csv").read_bytes(), "csv", advance=done.append)
    assert sum(done) == (tmp_path / "c.csv").stat().st_size
