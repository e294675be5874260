"""PostgreSQL beyond the contract of the stores: processes, outages, indexes, long texts."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data_processes import Process, race, row
from tests.databases import PostgresServer, postgres_server, postgres_url, wait_until_sound
from wixhttp.data.queries.evaluator import position
from wixhttp.data.queries.tree import EVERYTHING, And, Compare, Order, Tree
from wixhttp.data.queries.values import encode, fold, folding
from wixhttp.data.stores import sql
from wixhttp.data.stores.contract import Index, Link, Row, Transaction, to_item
from wixhttp.data.stores.postgres import PostgresStore
from wixhttp.data.stores.postgres_dialect import PostgresDialect
from wixhttp.errors import ConfigError, StoreUnavailable, WixDataError

ROOT = Path(__file__).parent.parent
YEAR = Order(("year",))
LINK = Link("c", "friends")
NOWHERE = "postgresql://ada:s3cret@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_url() as made:
        yield made


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with contextlib.closing(PostgresStore(url)) as made:
        for name in made.collections():
            made.drop(name)
        made.create("c")
        yield made


def put(store: PostgresStore, *rows: Row) -> list[str]:
    return list(store.write(lambda changes: changes.insert("c", rows)))


def ids(store: PostgresStore, tree: Tree = EVERYTHING, *order: Order, **options: Any) -> list[str]:
    return [each.id for each in store.find("c", tree, order, **options)]


def plan(store: PostgresStore, tree: Tree, *order: Order, **options: Any) -> str:
    table = store._tables["c"]
    dialect = PostgresDialect(table.name, table.indexed)
    statement = sql.find_in_arms(dialect, table.indexes.values(), tree, order, 10, **options)
    with store._connections.use() as connection:
        return "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}", dialect.bound))


# --- texts -----------------------------------------------------------------------------------------------------------

folded = st.deferred(lambda: st.sampled_from([chr(code) for code in folding()]))  # a table that takes a second to make
texts = st.text(
    folded | st.characters(exclude_characters="\x00", exclude_categories=["Cs"]) | st.sampled_from("aA.*[]")
)
long_texts = st.tuples(texts, st.integers(150, 400)).map(lambda pair: (pair[0] * pair[1])[: pair[1]])


@settings(max_examples=100, deadline=None)
@given(st.lists(texts | long_texts, min_size=1, max_size=5), st.lists(texts | long_texts, min_size=1, max_size=5))
def test_texts_are_folded_as_in_python(url: str, stored: list[str], needles: list[str]) -> None:
    needles = [*needles, *(text[1:-1].swapcase() for text in stored), *(text[:250].lower() for text in stored)]
    with psycopg.connect(url, cursor_factory=psycopg.RawCursor) as connection:
        for needle in needles:
            dialect = PostgresDialect("items")
            kinds = ("contains", "startsWith", "endsWith")
            columns = ", ".join(dialect.has_text(sql.FieldKey("", ("", "t")), kind, needle) for kind in kinds)
            place = dialect.bind("x").replace("text", "text[]")
            found = connection.execute(f"SELECT {columns} FROM unnest({place}) AS t", [*dialect.bound[:-1], stored])  # noqa: S608
            inner = fold(needle)
            expected = [(inner in fold(t), fold(t).startswith(inner), fold(t).endswith(inner)) for t in stored]
            assert found.fetchall() == expected


def test_every_character_is_found_by_its_lower_case(store: PostgresStore) -> None:
    characters = [chr(code) for code in folding()]
    put(store, *(row(f"{ord(each):06x}", encode({"t": f"-{each}-"})) for each in characters))
    for each in characters[::40]:
        expected = sorted(f"{ord(other):06x}" for other in characters if fold(other) == fold(each))
        assert ids(store, Compare("contains", ("t",), each.lower()[:1])) == expected


@pytest.mark.parametrize("fields", [(YEAR,), (Order(("year",), True),), (YEAR, Order(("b",)))])
def test_long_texts_in_indexed_fields(store: PostgresStore, fields: tuple[Order, ...]) -> None:
    store.add_index("c", Index(fields))
    store.add_index("c", Index(fields, unique=True))
    noise = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(30_000))  # 90 kB that hardly compress
    values = ["a", noise, noise + "a", "a" * 240, "a" * 241, "\\" * 300, 7, ["a", noise + "b"], "b"]
    rows = [row(f"{n}", encode({"year": value, "b": 1})) for n, value in enumerate(values)]
    assert put(store, *rows) == ["done"] * len(rows)
    assert put(store, rows[2]._replace(id="again")) == ["conflict"]
    assert put(store, row("7b", encode({"year": ["a"], "b": 1}))) == ["done"], "arrays are not compared"
    assert ids(store, Compare("eq", ("year",), noise)) == ["1"]
    assert ids(store, Compare("in", ("year",), [noise + "b", noise + "a", "\\" * 300])) == ["2", "5", "7"]
    ordered = sorted((n for n in range(9) if isinstance(values[n], str)), key=lambda n: str(values[n]))
    texts = And((Compare("gte", ("year",), ""), Compare("exists", ("year",), True)))
    single = [each for each in ids(store, texts, YEAR) if not each.startswith("7")]
    assert single == [str(n) for n in ordered]
    pages: list[str] = []
    after = None
    while True:
        page = store.find("c", texts, [YEAR], limit=1, after=after)
        if not page:
            break
        pages.append(page[0].id)
        after = sql_position(page[0])
    assert pages == ids(store, texts, YEAR)


def sql_position(found: Row) -> tuple[Any, ...]:
    return position(to_item(found), [YEAR])


def test_long_ids_and_links(store: PostgresStore) -> None:
    names = ["\U0001f600" * 511 + end for end in "ab"] + ["x" * 64, "y" * 63]
    store.add_index("c", Index((YEAR,)))
    assert put(store, *(row(name, '{"year":"' + "é" * 100 + '"}') for name in names)) == ["done"] * 4
    store.declare_links({LINK: "c"})
    pairs = [(mine, other) for mine in names for other in names]
    assert store.write(lambda changes: changes.add_links(LINK, [*pairs, pairs[0]])) == [True] * 16 + [False]
    assert store.links(LINK) == pairs
    assert store.links(LINK, referring=names[0], descending=True, limit=2) == [
        (names[0], names[3]),
        (names[0], names[2]),
    ]
    assert store.count_links(LINK, referenced=names[1]) == 4
    assert store.write(lambda changes: changes.linked(LINK, [names[1]], [names[0], names[2]])) == [
        (names[1], names[0]), (names[1], names[2])]  # fmt: skip
    assert store.write(lambda changes: changes.remove_links(LINK, [pairs[0], pairs[0]])) == [True, False]
    store.write(lambda changes: changes.delete("c", names[:2]))
    assert store.links(LINK) == [pair for pair in pairs if not {*pair} & {*names[:2]}]


def test_texts_are_canonical(store: PostgresStore) -> None:
    values = {
        "bb": 1e19,
        "a": [9.3e18, 5e-324, 1e300, -0.5, 2**63 - 1],
        "é": 'x\\u0041"',
        "d": {"$date": "2024-01-01T00:00:00.000Z"},
    }
    text = encode(dict(sorted(values.items())))
    put(store, row("a", text), row("b", '{"a":1,"bb":{"b":[],"cc":{}}}'))
    assert [each.text for each in store.scan("c", EVERYTHING)] == [text, '{"a":1,"bb":{"b":[],"cc":{}}}']


# --- indexes ---------------------------------------------------------------------------------------------------------


def test_indexes_answer(store: PostgresStore, caplog: pytest.LogCaptureFixture) -> None:
    for fields in ((YEAR,), (Order(("tags",)),), (Order(("open",)), Order(("_createdDate",), True))):
        store.add_index("c", Index(fields))
    rows = [
        row(f"{n:05}", encode({"open": n % 2 == 0, "tags": [f"t{n % 500}", "all"], "title": f"{n}", "year": n}))
        for n in range(12_000)
    ]
    put(store, *rows)
    with store._connections.use() as connection:
        connection.execute(f"ANALYZE {store._tables['c'].name}")
    store.collections()
    is_open, latest = Compare("eq", ("open",), True), Order(("_createdDate",), True)
    questions: list[tuple[Tree, tuple[Order, ...], str]] = [
        (Compare("eq", ("year",), 7), (), "index_"),
        (Compare("lt", ("year",), 7), (YEAR,), "index_"),
        (EVERYTHING, (YEAR,), "index_"),
        (EVERYTHING, (Order(("year",), True),), "index_"),
        (is_open, (latest,), "index_"),
        (Compare("eq", ("tags",), "t7"), (), "many_"),
        (Compare("in", ("tags",), ["t7", "t9"]), (), "many_"),
    ]
    for tree, order, name in questions:
        assert name in plan(store, tree, *order), (tree, order)
        assert "Seq Scan" not in plan(store, tree, *order), (tree, order)
        found = store.find("c", tree, order, limit=10)
        if order:
            after = sql_position(found[-1]) if order[0].path == YEAR.path else ((7, found[-1].created), found[-1].id)
            for turn in (False, True):
                assert "Seq Scan" not in plan(store, tree, *order, after=after, is_reversed=turn), (tree, order)
    assert not caplog.records
    for _ in range(2):
        assert ids(store, Compare("eq", ("title",), "77")) == ["00077"]
    assert [each.getMessage() for each in caplog.records] == [sql.advice("c", [("title",)])]


def test_indexes_of_many_fields_and_long_paths(store: PostgresStore) -> None:
    many = Index(tuple(Order((f"f{n}",), n % 2 == 1) for n in range(10)), unique=True)
    deep = Index((Order(tuple("abcdefghijklmnopqrst")),))
    for index in (many, deep):
        store.add_index("c", index)
    same = {f"f{n}": n // 2 for n in range(10)}
    inside: Any = 5
    for name in reversed("abcdefghijklmnopqrst"):
        inside = {name: inside}
    rows = [row(f"{n}", encode({**same, "f9": n, **inside})) for n in range(4)]
    assert put(store, *rows, row("again", rows[0].text)) == ["done"] * 4 + ["conflict"]
    assert ids(store, Compare("eq", ("f0",), 0), *many.fields) == ["3", "2", "1", "0"]
    assert ids(store, Compare("eq", deep.paths[0], 5), limit=2) == ["0", "1"]
    too_large = Index(tuple(Order((f"f{n}", *"abcdefghijklmnopqrs")) for n in range(10)), unique=True)
    with pytest.raises(WixDataError, match="WDE0112"):
        store.add_index("c", too_large)
    assert store.collections()["c"] == (many, deep)
    assert store.check() == []


def test_indexes_of_system_fields(store: PostgresStore) -> None:
    for path in (("_id",), ("_owner",), ("_owner", "a")):
        store.add_index("c", Index((Order(path),), unique=True))
        store.add_index("c", Index((Order(path, True), YEAR)))
    rows = [row("a")._replace(owner="x"), row("b")._replace(owner="x"), row("d"), row("e")]
    assert put(store, *rows) == ["done", "conflict", "done", "done"]
    assert ids(store, EVERYTHING, Order(("_owner",), True), YEAR) == ["a", "d", "e"]
    assert ids(store, Compare("eq", ("_owner",), "x"), YEAR, limit=2) == ["a"]
    assert ids(store, EVERYTHING, Order(("_owner", "a"), True), limit=2) == ["a", "d"]


def test_a_scan_that_is_left(store: PostgresStore) -> None:
    put(store, *(row(f"{n:03}") for n in range(300)))
    for _ in range(15):  # more often than there are connections
        scan = store.scan("c", EVERYTHING)
        assert next(scan).id == "000"
        scan.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(ids(store)) == 300


def test_names_are_never_text_of_a_statement(store: PostgresStore) -> None:
    name = "x'); DROP TABLE items; -- \\ $1 %s {}"
    store.add_index("c", Index((Order((name,)),), unique=True))
    put(store, row("a", encode({name: "v'\\"})), row("b", encode({name: 2})))
    assert ids(store, Compare("eq", (name,), "v'\\"), Order((name,))) == ["a"]
    assert ids(store, Compare("contains", ("y" + name,), "v")) == []
    assert put(store, row("c", encode({name: 2}))) == ["conflict"]
    assert store.check() == []


def test_check_names_what_is_missing(store: PostgresStore) -> None:
    store.add_index("c", Index((YEAR,)))
    assert store.check() == []
    table = store._tables["c"]
    [number] = table.indexes
    with store._connections.use() as connection:
        connection.execute(f"DROP INDEX index_{number}")
    assert store.check() == [f"the collection c lacks its index_{number}"]
    with store._connections.use() as connection:
        connection.execute(f"DROP TABLE {table.name}")
    with pytest.raises(WixDataError, match="WDE0025"):
        ids(store)
    with pytest.raises(WixDataError, match="pg_dump"):
        store.backup("x")


def test_what_others_change_is_seen(store: PostgresStore, url: str) -> None:
    with contextlib.closing(PostgresStore(url)) as other:
        put(store, row("a"))
        assert ids(other) == ["a"]
        store.drop("c")
        with pytest.raises(WixDataError, match="WDE0025"):
            other.write(lambda changes: changes.insert("c", [row("a")]), single=True)
        store.create("c")
        assert put(other, row("b")) == ["done"]
        store.add_index("c", Index((YEAR,), unique=True))
        assert put(other, row("c", '{"year":1}'), row("d", '{"year":1}')) == ["done", "conflict"]


# --- at the same time ------------------------------------------------------------------------------------------------


def test_eight_processes(store: PostgresStore, url: str) -> None:
    race(url, "insert", 100)
    assert store.count("c", EVERYTHING) == 800
    outcomes = zip(*(each["outcomes"] for each in race(url, "same", 20)), strict=True)
    assert [sorted(each) for each in outcomes] == [["done", *["exists"] * 7]] * 20
    put(store, row("counter", '{"n":0}'))
    race(url, "increment", 25)
    assert store.get("c", ["counter"])["counter"].text == '{"n":200}'


def test_many_make_the_same_tables_at_once() -> None:
    with postgres_url() as url, contextlib.ExitStack() as stack:
        stores = [stack.enter_context(contextlib.closing(PostgresStore(url))) for _ in range(8)]
        barrier, failed = threading.Barrier(8), list[BaseException]()

        def make(store: PostgresStore) -> None:
            barrier.wait()
            try:
                store.create("c")
                store.add_index("c", Index((YEAR,), unique=True))
            except BaseException as error:  # noqa: BLE001  # it is shown below
                failed.append(error)

        threads = [threading.Thread(target=make, args=(each,)) for each in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert stores[0].collections() == {"c": (Index((YEAR,), unique=True),)}
        assert stores[0].check() == []


def test_writers_that_wait_for_each_other_do_it_again(store: PostgresStore) -> None:
    put(store, row("a", '{"n":0}'), row("b", '{"n":0}'))
    barrier, runs = threading.Barrier(2), list[str]()

    def swap(first: str, second: str) -> None:
        def work(changes: Transaction) -> None:
            runs.append(first)
            for each in (first, second):
                stored = changes.get("c", [each])[each]
                text = encode({"n": json.loads(stored.text)["n"] + 1})
                changes.update("c", [stored._replace(text=text)])
                if each == first and len(runs) <= 2:
                    barrier.wait(20)

        store.write(work)

    threads = [threading.Thread(target=swap, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(runs) == 3, "the database ended one of the two, which was then done again"
    assert [each.text for each in store.find("c", EVERYTHING)] == ['{"n":2}', '{"n":2}']


def test_a_fork_has_connections_of_its_own(store: PostgresStore) -> None:
    put(store, row("parent"))
    process = multiprocessing.get_context("fork").Process(target=put, args=(store, row("child")))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert put(store, row("parent again")) == ["done"]
    assert ids(store) == ["child", "parent", "parent again"]


# --- outages ---------------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.closing(PostgresStore(NOWHERE)) as store:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as caught:
            store.ping()
        assert time.monotonic() - began < 20
        assert "refused" in str(caught.value)
        assert "s3cret" not in str(caught.value)
    assert not caplog.records
    with pytest.raises(ConfigError) as wrong:
        PostgresStore("postgresql://ada:s3cret@host:port/x y=%zz")
    assert "s3cret" not in str(wrong.value)


def test_a_server_that_does_not_answer(store: PostgresStore) -> None:
    with store._connections.use() as connection:
        pid = connection.info.backend_pid
    try:
        os.kill(pid, signal.SIGSTOP)
    except (PermissionError, ProcessLookupError):
        pytest.skip("the server is another user's, or on another machine")
    try:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.ping()
        assert time.monotonic() - began < 20
    finally:
        os.kill(pid, signal.SIGCONT)
    store.ping()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as made:
        yield made


def test_a_restart_of_the_server(server: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.closing(PostgresStore(server.url)) as store:
        store.create("c")
        barrier = threading.Barrier(4)

        def hold(changes: Transaction) -> None:  # so that there are several connections
            barrier.wait(20)

        threads = [threading.Thread(target=store.write, args=(hold,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        put(store, row("a"))
        store._connections.timeout = 2
        server.stop()
        calls: list[Any] = [lambda: ids(store), lambda: put(store, row("x")), store.ping, store.collections]
        waits, met = list[float](), list[type]()

        def ask(call: Any) -> None:
            began = time.monotonic()
            try:
                call()
            except Exception as error:  # noqa: BLE001  # it is looked at below
                met.append(type(error))
            waits.append(time.monotonic() - began)

        threads = [threading.Thread(target=ask, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert met == [StoreUnavailable] * 4
        assert max(waits) < 20
        server.start()
        assert ids(store) == ["a"]
        server.stop()
        server.start()
        assert put(store, row("b")) == ["done"], "dead connections are not used for writing"
        assert ids(store) == ["a", "b"]
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_read_only_server_is_not_ready(server: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.closing(PostgresStore(server.url)) as store:
        store.create("only")
        store._connections.faults.again = 0
        with store._connections.use() as connection:
            connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(StoreUnavailable, match="read-only") as caught:
            store.write(lambda changes: changes.insert("only", [row("lost")]))
        assert (caught.value.code, caught.value.status) == ("WDE0053", 503)
        with pytest.raises(StoreUnavailable, match="read-only"):
            store.ping()
        assert store.get("only", ["lost"]) == {}
        with store._connections.use() as connection:
            connection.execute("SET default_transaction_read_only = off")
        wait_until_sound(store)
        assert store.write(lambda changes: changes.insert("only", [row("a")])) == ["done"]
    assert len(caplog.messages) == 2, "when it is met, and when it is gone"


def test_a_damaged_index_and_a_damaged_table(server: PostgresServer) -> None:
    with contextlib.closing(PostgresStore(server.url)) as store:
        store.create("damaged")
        store.add_index("damaged", Index((YEAR,)))
        store.write(lambda changes: changes.insert("damaged", [row(f"{n}", f'{{"year":{n}}}') for n in range(500)]))
        with store._connections.use() as connection:
            connection.execute("CHECKPOINT")
            files = [
                server.folder / "data" / path
                for (path,) in connection.execute(
                    "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relname = 'items_' ||"
                    " (SELECT number FROM wixhttp_collections WHERE name = 'damaged') OR oid IN"
                    " (SELECT indexrelid FROM pg_index WHERE indisprimary AND indrelid ="
                    " to_regclass('items_' || (SELECT number FROM wixhttp_collections WHERE name = 'damaged')))"
                )
            ]
        server.stop()
        whole = {path: path.read_bytes() for path in files}
        for path, content in whole.items():
            path.write_bytes(b"\xa5" * len(content))
        server.start()
        for call in (lambda: store.get("damaged", ["7"]), lambda: store.find("damaged", EVERYTHING)):
            with pytest.raises(StoreUnavailable, match=r"The database is damaged: .* REINDEX") as caught:
                call()
            assert (caught.value.code, caught.value.status) == ("WDE0053", 503)
            with pytest.raises(StoreUnavailable, match="The database is damaged"):
                store.ping()
            store._connections.faults.forget()
        server.stop("immediate")
        for path, content in whole.items():
            path.write_bytes(content)
        server.start()
        store.ping()
        assert len(store.find("damaged", EVERYTHING)) == 500


def test_what_was_acknowledged_outlives_the_server(server: PostgresServer) -> None:
    with contextlib.closing(PostgresStore(server.url)) as store:
        store.create("c")
        streaming = Process(server.url, "stream", "w", 1_000_000)
        acknowledged = [streaming.line() for _ in range(100)]
        server.stop("immediate")
        acknowledged += streaming.rest().split()
        assert streaming.process.wait(30) != 0
        server.start()
        stored = set(ids(store, Compare("startsWith", ("_id",), "w-")))
        assert stored >= set(acknowledged)
        assert len(stored - set(acknowledged)) <= 1, "at most the one that was under way"
