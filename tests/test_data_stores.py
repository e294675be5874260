"""The contract of the stores, one suite over all of them; and what SQLite promises to processes that share a file."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import apsw
import pytest

from tests.data_processes import Process, race, row
from tests.databases import opened_store, wait_until_sound
from tests.servers import TIMEOUT
from wixhttp.data.queries.tree import EVERYTHING, NEWEST_FIRST, And, Compare, Linked, Not, Or, Order, Tree
from wixhttp.data.stores.contract import Index, Link, Row, Store, Transaction, to_item
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.data.stores.sqlite_errors import MEANINGS, Meaning, meaning_of, store_error
from wixhttp.errors import StoreUnavailable, WixDataError

ROOT = Path(__file__).parent.parent
GENRES = Link("books", "genres")
START = datetime(2024, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened_store(request.param, tmp_path) as made, contextlib.closing(made):
        made.create("books")
        yield made


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SQLiteStore]:
    with contextlib.closing(SQLiteStore(tmp_path / "data" / "site.sqlite3")) as made:
        made.create("c")
        yield made


def url(store: SQLiteStore) -> str:
    return f"sqlite:///{store.path}"


def put(store: Store, collection: str, *rows: Row) -> list[str]:
    return cast("list[str]", store.write(lambda changes: changes.insert(collection, rows)))


def ids(store: Store, collection: str = "books", **options: Any) -> list[str]:
    return [each.id for each in store.find(collection, EVERYTHING, **options)]


# --- the contract ----------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(store: Store) -> None:
    rows = [Row("a", '{"n":1}', "2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z", "ada"), row("b")]
    assert put(store, "books", *rows) == ["done", "done"]
    assert store.get("books", ["b", "a", "c"]) == {"a": rows[0], "b": rows[1]}
    assert store.get("books", ["a"]) == {"a": rows[0]}
    assert store.get("books", []) == {}
    assert store.find("books", EVERYTHING) == rows
    assert list(store.scan("books", EVERYTHING)) == rows
    assert store.count("books", EVERYTHING) == 2


def test_outcomes(store: Store) -> None:
    assert put(store, "books", row("a"), row("a"), row("b")) == ["done", "exists", "done"]
    changed = row("a", '{"n":2}')._replace(owner="ada", updated="2025-01-01T00:00:00.000Z")
    assert store.write(lambda changes: changes.update("books", [changed, row("x")])) == ["done", "missing"]
    assert store.get("books", ["a"])["a"] == changed
    later = changed._replace(created="2030-01-01T00:00:00.000Z")
    store.write(lambda changes: changes.update("books", [later]))
    assert store.get("books", ["a"])["a"].created == changed.created, "when it was made does not change"
    assert store.write(lambda changes: changes.delete("books", ["a", "x"])) == {"a"}
    assert ids(store) == ["b"]
    store.write(lambda changes: changes.truncate("books"))
    assert ids(store) == []


def test_work_that_fails_is_undone(store: Store) -> None:
    put(store, "books", row("a"))

    def work(changes: Transaction) -> None:
        assert changes.insert("books", [row("b")]) == ["done"]
        assert changes.get("books", ["b"]) == {"b": row("b")}
        changes.delete("books", ["a"])
        changes.add_links(GENRES, [("a", "g")])
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        store.write(work)
    assert ids(store) == ["a"]
    assert store.links(GENRES) == []


def test_collections(store: Store) -> None:
    name = '@app/x\'s "%" \u00e4'
    store.create(name)
    store.create(name)
    put(store, name, row("a"))
    assert list(store.collections()) == sorted([name, "books"])
    store.drop(name)
    assert list(store.collections()) == ["books"]
    for call in (
        lambda: store.get(name, ["a"]),
        lambda: store.find(name, EVERYTHING),
        lambda: store.count(name, EVERYTHING),
        lambda: list(store.scan(name, EVERYTHING)),
        lambda: put(store, name, row("a")),
        lambda: store.drop(name),
        lambda: store.add_index(name, Index((Order(("a",)),))),
        lambda: store.drop_index(name, Index((Order(("a",)),))),
    ):
        with pytest.raises(WixDataError) as caught:
            call()
        assert (caught.value.code, caught.value.status) == ("WDE0025", 404)
        assert caught.value.message == (
            f"WDE0025: The {name} collection does not exist. "
            """Declare it in data/collections.toml, by the line ["@app/x's \\"%\\" \u00e4"]"""
        )


def test_indexes(store: Store) -> None:
    index, nested = (
        Index((Order(("year",), True), Order(("_createdDate",)))),
        Index(
            (
                Order(
                    ("a", "b'\"%"),
                ),
            )
        ),
    )
    put(store, "books", row("a", '{"year":1}'), row("b", '{"year":2}'), row("c", '{"year":[0,3]}'))
    for each in (index, nested, index):
        store.add_index("books", each)
    assert store.collections() == {"books": (index, nested)}
    assert ids(store, order=[Order(("year",))]) == ["c", "a", "b"]
    assert ids(store, order=[Order(("year",), True)]) == ["c", "b", "a"]
    store.drop_index("books", index)
    store.drop_index("books", index)
    assert store.collections() == {"books": (nested,)}
    assert ids(store, order=[Order(("year",))]) == ["c", "a", "b"]


def test_unique_index(store: Store) -> None:
    unique = Index((Order(("isbn",)),), unique=True)
    put(store, "books", row("a", '{"isbn":"1"}'), row("b", '{"isbn":1}'), row("c"), row("d", '{"isbn":null}'))
    store.add_index("books", unique)
    several = row("e", '{"isbn":["1","2"]}'), row("f", '{"isbn":{"x":1}}'), row("g", '{"isbn":{"x":1}}'), row("h")
    assert put(store, "books", *several) == ["done"] * 4, "what is no single value is not compared"
    assert put(store, "books", row("i", '{"isbn":"1"}'), row("j", '{"isbn":"2"}')) == ["conflict", "done"]
    assert put(store, "books", row("a", '{"isbn":"9"}')) == ["exists"]
    clash, fine = row("j", '{"isbn":"1"}'), row("a", '{"isbn":"1","n":1}')
    assert store.write(lambda changes: changes.update("books", [clash, fine])) == ["conflict", "done"]
    assert store.get("books", ["j"])["j"].text == '{"isbn":"2"}'
    store.drop_index("books", unique)
    assert put(store, "books", row("k", '{"isbn":"1"}')) == ["done"]
    with pytest.raises(WixDataError) as caught:
        store.add_index("books", unique)
    assert (caught.value.code, caught.value.status) == ("WDE0123", 409)
    assert "isbn" in caught.value.message
    assert store.collections() == {"books": ()}


def test_links(store: Store) -> None:
    store.create("genres")
    store.declare_links({GENRES: "genres"})
    put(store, "books", row("b1"), row("b2"))
    put(store, "genres", row("g1"), row("g2"))
    pairs = [("b1", "g2"), ("b1", "g1"), ("b2", "g2"), ("b1", "g2")]
    assert store.write(lambda changes: changes.add_links(GENRES, pairs)) == [True, True, True, False]
    assert store.links(GENRES, referring="b1") == [("b1", "g2"), ("b1", "g1")]
    assert store.links(GENRES, referring="b1", descending=True, limit=1) == [("b1", "g1")]
    assert store.links(GENRES, referring="b1", skip=1) == [("b1", "g1")]
    assert store.links(GENRES, referenced="g2") == [("b1", "g2"), ("b2", "g2")]
    assert store.links(GENRES, referring="b1", referenced="g1") == [("b1", "g1")]
    assert store.count_links(GENRES, referring="b1") == 2
    assert store.write(lambda changes: changes.linked(GENRES, ["b1", "b2"], ["g2"])) == [("b1", "g2"), ("b2", "g2")]
    assert store.write(lambda changes: changes.remove_links(GENRES, [("b1", "g1"), ("b2", "g1")])) == [True, False]
    store.write(lambda changes: changes.delete("genres", ["g2"]))
    assert store.links(GENRES) == [], "an item that is removed takes its links with it"
    store.write(lambda changes: changes.add_links(GENRES, [("b1", "g1"), ("b2", "g1")]))
    store.write(lambda changes: changes.truncate("books"))
    assert store.links(GENRES) == []


def test_ping_and_check(store: Store) -> None:
    put(store, "books", row("a"))
    store.ping()
    assert store.check() == []


def test_many_rows_at_once(store: Store) -> None:
    rows = [row(f"{number:05}") for number in range(3000)]
    assert put(store, "books", *rows) == ["done"] * 3000
    assert len(store.get("books", [each.id for each in rows])) == 3000
    assert ids(store, skip=2999) == ["02999"]
    assert ids(store, limit=2, after=("00010",)) == ["00011", "00012"]


def test_scan_is_of_one_moment(store: Store) -> None:
    put(store, "books", *(row(f"{number:03}") for number in range(600)))
    scan = store.scan("books", EVERYTHING)
    assert next(scan).id == "000"
    store.write(lambda changes: changes.delete("books", ["001", "599"]))
    assert len(list(scan)) == 599


def test_threads_that_write_at_once(store: Store) -> None:
    put(store, "books", row("n", '{"n":0}'))

    def add(changes: Transaction) -> None:
        [stored] = changes.get("books", ["n"]).values()
        changes.update("books", [stored._replace(text=json.dumps({"n": json.loads(stored.text)["n"] + 1}))])

    def fail(changes: Transaction) -> None:
        changes.insert("books", [row("never")])
        raise ZeroDivisionError

    def work(worker: int) -> None:
        for number in range(50):
            store.write(add)
            put(store, "books", row(f"{worker}-{number}"))
            if number % 10 == 0:
                with pytest.raises(ZeroDivisionError):
                    store.write(fail)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count("books", EVERYTHING) == 401
    assert store.find("books", Compare("eq", ("n",), 400)) != []


def test_long_queries(store: Store) -> None:
    put(store, "books", row("a", '{"tags":["1","2"],"x899":1}'), row("b", '{"tags":[]}'), row("c"))
    many = [f"{number}" for number in range(10_000)]
    leaves = tuple(Compare("eq", (f"x{number}",), 1) for number in range(1000))
    for tree, found in (
        (Compare("in", ("tags",), many), ["a"]),
        (Compare("in", ("tags",), [[each] for each in many[:900]]), []),
        (Or(leaves), ["a"]),
        (And(tuple(Compare("exists", (f"y{number}",), False) for number in range(1000))), ["a", "b", "c"]),
    ):
        assert [each.id for each in store.find("books", tree)] == found
        assert store.count("books", tree) == len(found)
    orders = [Order((f"z{number}",), bool(number % 2)) for number in range(50)]
    assert ids(store, order=orders, after=((1, 0),) * 50 + ("a",)) == ["b", "c"]


def test_queries_that_are_too_long(store: Store) -> None:
    deep: Tree = Compare("eq", ("a",), 1)
    for _ in range(5000):
        deep = Not(deep)
    for tree, order, code in (
        (Or((Compare("eq", ("a",), 1),) * 1001), (), "WDE0093"),
        (Compare("in", ("a",), [[number] for number in range(1001)]), (), "WDE0093"),
        (EVERYTHING, (Order(("a",)),) * 51, "WDE0093"),
        (deep, (), "WDE0169"),
    ):
        with pytest.raises(WixDataError) as caught:
            store.find("books", tree, order)
        assert caught.value.code == code


def test_truncate_removes_links_to_items_that_never_were(store: Store) -> None:
    store.create("genres")
    store.declare_links({GENRES: "genres"})
    store.write(lambda changes: changes.add_links(GENRES, [("b", "ghost")]))
    store.write(lambda changes: changes.truncate("genres"))
    assert store.links(GENRES) == []


# --- SQLite, in a file -----------------------------------------------------------------------------------------------


class MachineWatch:
    """The longest time, in seconds, that this machine took for a short sleep and one small flush to disk, while the
    block ran."""

    def __init__(self, path: Path) -> None:
        self.longest = 0.0
        self._path = path
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while not self._end.is_set():
                began = time.monotonic()
                self._end.wait(0.02)
                file.write(b"x")
                os.fdatasync(file.fileno())
                self.longest = max(self.longest, time.monotonic() - began)

    def __enter__(self) -> MachineWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def test_eight_processes_insert(sqlite: SQLiteStore, tmp_path: Path) -> None:
    with MachineWatch(tmp_path / "watch") as machine:
        results = race(url(sqlite), "insert", 2000)  # the log is carried over into the database several times
    assert sqlite.count("c", EVERYTHING) == 16_000
    assert len({each.id for each in sqlite.scan("c", EVERYTHING)}) == 16_000
    # Nobody waits over two seconds, unless the machine itself was held up.
    assert max(result["longest"] for result in results) < 2 + 8 * machine.longest
    assert sqlite.check() == []


def test_eight_processes_insert_the_same(sqlite: SQLiteStore) -> None:
    outcomes = [result["outcomes"] for result in race(url(sqlite), "same", 100)]
    for of_one_id in zip(*outcomes, strict=True):
        assert sorted(of_one_id) == ["done", *["exists"] * 7]


def test_increments_of_eight_processes_add_up(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", row("counter", '{"n":0}'))
    race(url(sqlite), "increment", 200)
    assert json.loads(sqlite.get("c", ["counter"])["counter"].text) == {"n": 1600}


def test_what_was_acknowledged_outlives_kill_9(sqlite: SQLiteStore) -> None:
    acknowledged: set[str] = set()
    for number in range(20):
        process = Process(url(sqlite), "stream", f"k{number}", 100_000)
        acknowledged |= {process.line() for _ in range(1 + number)}
        process.process.kill()
        acknowledged |= set(process.rest().split("\n")[:-1])  # the last line may be half of one
        assert process.process.wait() == -signal.SIGKILL
    assert len(acknowledged) >= 20 * 21 // 2
    assert acknowledged <= {each.id for each in sqlite.scan("c", EVERYTHING)}
    assert sqlite.check() == []
    assert put(sqlite, "c", row("after")) == ["done"]


# --- SQLite, whose files go away -------------------------------------------------------------------------------------


def refused(call: Any, message: str) -> None:
    with pytest.raises(StoreUnavailable, match=message) as caught:
        call()
    assert (caught.value.code, caught.value.status, caught.value.headers) == ("WDE0053", 503, {"Retry-After": "5"})


def beside(store: SQLiteStore, ending: str) -> Path:
    """A file of the database: its log ``-wal``, the log's index ``-shm``."""
    return store.path.with_name(store.path.name + ending)


def test_a_deleted_database_takes_nothing_and_is_not_made_anew(
    sqlite: SQLiteStore, caplog: pytest.LogCaptureFixture
) -> None:
    put(sqlite, "c", row("a"))
    sqlite.path.unlink()
    for _ in range(2):
        refused(lambda: put(sqlite, "c", row("lost")), "is gone: it was deleted or moved")
        refused(lambda: ids(sqlite, "c"), "is gone")
        refused(sqlite.ping, "is gone")
        refused(lambda: sqlite.create("d"), "is gone")
    assert not sqlite.path.exists()
    assert len(caplog.messages) == 1, "it is said once"
    assert repr(str(sqlite.path)) in caplog.text
    sqlite.close()
    assert sqlite.collections() == {}, "at a fresh start there is a new one"


def test_a_database_that_comes_back_goes_on(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", row("a"))
    away = sqlite.path.with_name("away")
    sqlite.path.rename(away)
    refused(lambda: put(sqlite, "c", row("lost")), "is gone")
    away.rename(sqlite.path)
    assert put(sqlite, "c", row("b")) == ["done"]
    assert ids(sqlite, "c") == ["a", "b"]
    assert sqlite.check() == []


def test_a_database_deleted_during_a_write_acknowledges_nothing(sqlite: SQLiteStore) -> None:
    def work(changes: Transaction) -> None:
        changes.insert("c", [row("lost")])
        sqlite.path.unlink()

    refused(lambda: sqlite.write(work), "was deleted or replaced during this call")


@pytest.mark.parametrize("with_log", [False, True])
def test_a_backup_in_the_place_of_the_database_is_opened(
    sqlite: SQLiteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, with_log: bool
) -> None:
    put(sqlite, "c", row("a"))
    sqlite.add_index("c", Index((Order(("n",)),)))
    sqlite.backup(str(tmp_path / "backup"))
    sqlite.create("later")
    put(sqlite, "c", *(row(f"later{number}") for number in range(100)))
    if with_log:
        for each in sqlite.path.parent.iterdir():
            each.unlink()
    os.replace(tmp_path / "backup", sqlite.path)
    assert put(sqlite, "c", row("b")) == ["done"]
    assert ids(sqlite, "c") == ["a", "b"], "nothing of the former log is in it"
    assert list(sqlite.collections()) == ["c"]
    assert sqlite.check() == []
    [line] = [each for each in caplog.messages if "was replaced: the new file is in use" in each]
    kept = [str(each) for each in sqlite.path.parent.glob("*-wal.*")]
    assert [each for each in kept if each in line] == kept
    assert len(kept) == (0 if with_log else 1)
    with contextlib.closing(SQLiteStore(sqlite.path)) as other:
        assert ids(other, "c") == ["a", "b"]


@pytest.mark.parametrize("kind", ["empty", "text", "half", "other"])
def test_what_is_no_whole_database_does_not_take_its_place(sqlite: SQLiteStore, tmp_path: Path, kind: str) -> None:
    put(sqlite, "c", *(row(f"{number}", '{"pad":"' + "x" * 5000 + '"}') for number in range(10)))
    sqlite.backup(str(tmp_path / "backup"))
    whole = (tmp_path / "backup").read_bytes()
    other = tmp_path / "other"
    with contextlib.closing(apsw.Connection(str(other))) as made:
        made.execute("CREATE TABLE t (x)")
    sqlite.path.unlink()
    contents = {"empty": b"", "text": b"no database " * 1000, "half": whole[: len(whole) // 2]}
    sqlite.path.write_bytes(contents.get(kind) or (other.read_bytes() if kind == "other" else b""))
    refused(lambda: put(sqlite, "c", row("lost")), "was replaced, while it was in use, by a file that is no whole")
    refused(lambda: ids(sqlite, "c"), "was replaced")
    assert beside(sqlite, "-wal").exists(), "the log of the former one is left as it is"
    sqlite.path.write_bytes(whole)
    assert put(sqlite, "c", row("new")) == ["done"]
    assert len(ids(sqlite, "c")) == 11


@pytest.mark.parametrize("endings", [["-wal"], ["-shm"], ["-wal", "-shm"], ["-queue", "-writer"]])
def test_a_deleted_log_loses_nothing(sqlite: SQLiteStore, endings: list[str]) -> None:
    """Nor do its index and the lock files: what was written stays written, also for those that open it later."""
    put(sqlite, "c", row("a"))
    assert ids(sqlite, "c") == ["a"]
    for ending in endings:
        beside(sqlite, ending).unlink()
    assert put(sqlite, "c", row("b")) == ["done"]
    with contextlib.closing(SQLiteStore(sqlite.path)) as other:
        assert ids(other, "c") == ["a", "b"]
        assert put(other, "c", row("c")) == ["done"]
        assert ids(sqlite, "c") == ["a", "b", "c"]
        assert other.check() == sqlite.check() == []


def test_a_log_deleted_while_it_is_read_is_made_anew_when_nobody_reads_it(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", *(row(f"{number:03}") for number in range(300)))
    scan = sqlite.scan("c", EVERYTHING)
    assert next(scan).id == "000"
    beside(sqlite, "-wal").unlink()
    refused(lambda: put(sqlite, "c", row("lost")), "opened again when the calls that read it have ended")
    scan.close()  # type: ignore[attr-defined]  # a generator
    assert put(sqlite, "c", row("b")) == ["done"]
    assert sqlite.count("c", EVERYTHING) == 301


def test_logs_deleted_under_several_processes_lose_nothing(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", row("first"))
    sqlite.close()
    running = [Process(url(sqlite), "stubborn", f"p{number}", 1_000_000) for number in range(3)]
    acknowledged: set[str] = set()
    for endings in (["-wal"], ["-shm"], ["-wal", "-shm"]):
        for _ in range(3):
            for process in running:
                process.order(20)
            acknowledged |= {process.line() for process in running for _ in range(8)}
            for ending in endings:
                beside(sqlite, ending).unlink(missing_ok=True)
            for process in running:  # each notices before there is a next time
                process.order(1)
            acknowledged |= {process.line() for process in running for _ in range(13)}
    for process in running:
        process.order(100)
    acknowledged |= {process.line() for process in running for _ in range(8)}
    for process in running:
        process.process.kill()
        acknowledged |= set(process.rest().split("\n")[:-1])
    assert len(acknowledged) >= 3 * (9 * 21 + 8)
    assert acknowledged <= {each.id for each in sqlite.scan("c", EVERYTHING)}
    assert sqlite.check() == []


# --- SQLite, whose files are damaged ---------------------------------------------------------------------------------


def test_every_error_of_sqlite_has_a_meaning() -> None:
    harmless = {apsw.SQLITE_OK, apsw.SQLITE_ROW, apsw.SQLITE_DONE, apsw.SQLITE_NOTICE, apsw.SQLITE_WARNING}
    codes = {code for code in apsw.mapping_result_codes if isinstance(code, int)} - harmless
    assert {type(apsw.exception_for(code)) for code in codes} == set(MEANINGS)
    expected = {
        Meaning.CLIENT: (WixDataError, 413, "WDE0109"),
        Meaning.FULL: (StoreUnavailable, 503, "WDE0091"),
        **dict.fromkeys((Meaning.BUSY, Meaning.REFUSED, Meaning.DAMAGED), (StoreUnavailable, 503, "WDE0053")),
    }
    for code in codes:
        error = apsw.exception_for(code)
        made = store_error(error, Path("x"))
        if meaning_of(error) is Meaning.BUG:
            assert made is None
        else:
            assert made is not None
            assert (type(made), made.status, made.code) == expected[meaning_of(error)]


def damage(path: Path, kind: str) -> None:
    """Overwrite all of a file, or from its second half on."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        if kind == "short":
            file.truncate(0)
        elif kind == "half":
            file.seek(size // 2)
            file.write(b"\xa5" * (size - size // 2))
        else:
            file.write((b"\xa5" if kind == "garbage" else b"\0") * size)


@pytest.mark.parametrize("first", ["get", "find", "count", "links", "write", "ping", "scan", "collections", "backup"])
@pytest.mark.parametrize("kind", ["garbage", "zeros", "short"])
def test_a_damaged_log(
    sqlite: SQLiteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, first: str
) -> None:
    for number in range(20):
        put(sqlite, "c", row(f"{number}", '{"pad":"' + "x" * 500 + '"}'))
    damage(beside(sqlite, "-wal"), kind)
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: sqlite.get("c", ["5"]),
        "find": lambda: ids(sqlite, "c"),
        "count": lambda: sqlite.count("c", Compare("eq", ("pad",), 1)),
        "links": lambda: sqlite.links(GENRES),
        "write": lambda: put(sqlite, "c", row("lost")),
        "ping": sqlite.ping,
        "scan": lambda: list(sqlite.scan("c", EVERYTHING)),
        "collections": sqlite.collections,
        "backup": lambda: sqlite.backup(str(tmp_path / "copy")),
    }
    with contextlib.suppress(StoreUnavailable):  # what is in memory may be read still
        calls[first]()
    for name in ("ping", "write"):
        refused(calls[name], "is damaged")
    refused(sqlite.ping, r"Stop the server, list the faults with 'wixhttp data check', and put a backup")
    for call in calls.values():
        with contextlib.suppress(StoreUnavailable):
            call()
    assert len([each for each in caplog.messages if "is damaged" in each]) <= 2, "it is not said at each call"


def test_damaged_pages_are_found_and_nothing_is_written_until_a_check_passes(
    sqlite: SQLiteStore, tmp_path: Path
) -> None:
    put(sqlite, "c", *(row(f"{number:03}", '{"pad":"' + "x" * 3000 + '"}') for number in range(300)))
    sqlite.backup(str(tmp_path / "backup"))
    sqlite.close()
    whole = sqlite.path.read_bytes()
    damage(sqlite.path, "half")
    sqlite._connections.faults.again = 0
    refused(sqlite.ping, "is damaged")
    refused(sqlite.ping, "is damaged")
    refused(lambda: put(sqlite, "c", row("lost")), "is damaged")
    with pytest.raises(StoreUnavailable):
        ids(sqlite, "c")
    assert sqlite.check() != []
    sqlite.close()
    sqlite.path.write_bytes(whole)
    wait_until_sound(sqlite)
    assert put(sqlite, "c", row("new")) == ["done"]


def test_a_call_that_meets_damage_makes_the_store_not_ready(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", *(row(f"{number:03}", '{"pad":"' + "x" * 3000 + '"}') for number in range(300)))
    sqlite.close()
    sqlite.ping()
    sqlite._connections._examine_at = time.monotonic() + 1000  # no check but on suspicion
    damage(sqlite.path, "half")
    sqlite.ping()
    with pytest.raises(StoreUnavailable, match="is damaged"):
        ids(sqlite, "c")
    refused(sqlite.ping, "is damaged")
    refused(lambda: put(sqlite, "c", row("lost")), "is damaged")


def test_an_item_that_is_no_json_is_not_read(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", row("a"), row("b"), row("d"))
    with contextlib.closing(apsw.Connection(str(sqlite.path))) as other:
        other.execute("UPDATE items_1 SET doc = x'ff00ff' WHERE id = 'a'")
        other.execute("UPDATE items_1 SET created = 'never' WHERE id = 'd'")
    refused(lambda: sqlite.get("c", ["a"]), "An item in .* is damaged")
    refused(lambda: sqlite.write(lambda changes: changes.get("c", ["a"])), "An item in .* is damaged")
    refused(lambda: to_item(sqlite.get("c", ["d"])["d"]), "The item 'd' is damaged")
    assert list(sqlite.get("c", ["b"])) == ["b"]
    assert put(sqlite, "c", row("e")) == ["done"]
    assert sqlite.check() == ["the item 'a' of c holds no JSON"]


def test_a_file_that_may_only_be_read(sqlite: SQLiteStore, caplog: pytest.LogCaptureFixture) -> None:
    put(sqlite, "c", row("a"))
    sqlite._connections.faults.again = 0
    writer = sqlite._connections._writer
    assert writer is not None
    writer.pragma("query_only", True)
    refused(lambda: put(sqlite, "c", row("lost")), "cannot be read or written: .*readonly")
    assert ids(sqlite, "c") == ["a"]
    sqlite.ping()  # a write succeeds again, by a connection of its own
    assert put(sqlite, "c", row("b")) == ["done"]
    assert ["is taken to be sound again" in each for each in caplog.messages] == [False, True]


def test_files_are_for_their_owner_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = os.umask(0)
    try:
        with contextlib.closing(SQLiteStore(tmp_path / "site.sqlite3")) as store:
            store.create("c")
            put(store, "c", row("a"))
            store.backup(str(tmp_path / "backup"))
            modes = {each.name: f"{each.stat().st_mode & 0o777:o}" for each in tmp_path.iterdir()}
            assert modes == dict.fromkeys(modes, "600")
            assert {f"site.sqlite3{ending}" for ending in ("", "-wal", "-shm", "-writer")} < set(modes)
    finally:
        os.umask(old)
    assert caplog.messages == []
    store.path.chmod(0o644)
    with contextlib.closing(store):
        assert put(store, "c", row("b")) == ["done"], "a file of wider rights is used all the same"
    assert caplog.messages == [f"every user of this machine may read the database; run: chmod o-rwx {store.path}*"]


def test_a_reader_never_sees_half_a_write(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", row("left", '{"a":0,"b":0}'), row("right", '{"a":0,"b":0}'))
    writer = Process(url(sqlite), "halves", "w", 300)
    writer.begin()
    seen = set()
    while writer.process.poll() is None:
        left, right = (json.loads(each.text) for each in sqlite.find("c", EVERYTHING))
        assert left["a"] == left["b"] == right["a"] == right["b"]
        seen.add(left["a"])
    assert writer.result() == {}
    assert len(seen) > 1, "it looked while there was writing"


def test_a_full_disk_is_an_error_and_the_store_goes_on(sqlite: SQLiteStore) -> None:
    text = '{"pad":"' + "x" * 20_000 + '"}'
    put(sqlite, "c", row("first"))
    writer = sqlite._connections._writer
    assert writer is not None
    writer.pragma("max_page_count", writer.pragma("page_count") + 20)
    done: list[str] = []

    def fill() -> None:
        for number in range(100):
            put(sqlite, "c", row(f"{number}", text))
            done.append(f"{number}")

    with pytest.raises(StoreUnavailable) as caught:
        fill()
    assert (caught.value.code, caught.value.status, caught.value.headers) == ("WDE0091", 503, {"Retry-After": "5"})
    assert done
    assert sorted(ids(sqlite, "c")) == sorted([*done, "first"])
    writer.pragma("max_page_count", 1_000_000)
    assert put(sqlite, "c", row("more", text)) == ["done"]
    assert sqlite.check() == []


def test_a_real_full_disk(tmp_path: Path) -> None:
    """The same on a file system of two megabytes, in a namespace of its own where this machine lets one be made."""
    code = """
import sys
from pathlib import Path
from tests.data_processes import row
from tests.databases import postgres_url
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.data.queries.tree import EVERYTHING
from wixhttp.errors import StoreUnavailable
folder = Path(sys.argv[1])
store = SQLiteStore(folder / "site.sqlite3")
store.create("c")
done = 0
try:
    while True:
        store.write(lambda changes: changes.insert("c", [row(str(done), '{"pad":"' + "x" * 20_000 + '"}')]))
        done += 1
except StoreUnavailable as error:
    assert error.code == "WDE0091", error
assert done > 10
assert store.count("c", EVERYTHING) == done
(folder / "ballast").unlink()
assert store.write(lambda changes: changes.insert("c", [row("more")])) == ["done"]
assert store.check() == []
print("went on")
"""
    folder = tmp_path / "small"
    folder.mkdir()
    script = f'mount -t tmpfs -o size=2m none "{folder}" && head -c 300000 /dev/zero > "{folder}/ballast" && exec "$@"'
    command = [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        script,
        "sh",
        sys.executable,
        "-c",
        code,
        str(folder),
    ]
    probe = [*command[:3], "mount", "-t", "tmpfs", "none", str(folder)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here: that takes a kernel that lets users have namespaces")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "went on\n", done.stderr


def test_processes_that_make_one_database_at_once_wait_for_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for number in range(10):
        path, start, failures = tmp_path / f"{number}.sqlite3", context.Barrier(4), context.Queue()

        def make(path: Path = path, start: Any = start, failures: Any = failures) -> None:
            start.wait(TIMEOUT)
            try:
                SQLiteStore(path).create("books")
                failures.put("")
            except Exception as error:  # noqa: BLE001  # told to the test
                failures.put(repr(error))

        processes = [context.Process(target=make) for _ in range(4)]
        for each in processes:
            each.start()
        assert [failures.get(timeout=TIMEOUT) for _ in processes] == [""] * 4
        for each in processes:
            each.join(TIMEOUT)


def test_a_fork_has_connections_of_its_own(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", row("parent"))
    assert ids(sqlite, "c") == ["parent"]

    def child() -> None:
        assert put(sqlite, "c", row("child")) == ["done"]
        assert {"child", "parent"} <= set(ids(sqlite, "c"))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert put(sqlite, "c", row("again")) == ["done"]
    process.join()
    assert process.exitcode == 0
    assert sorted(ids(sqlite, "c")) == ["again", "child", "parent"]


def test_backup_of_a_database_in_use(sqlite: SQLiteStore, tmp_path: Path) -> None:
    put(sqlite, "c", *(row(f"{number}", '{"pad":"' + "x" * 5000 + '"}') for number in range(1500)))
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        if not seen:
            put(sqlite, "c", row("meanwhile"))
        seen.append((done, total))

    target = tmp_path / "copy.sqlite3"
    sqlite.backup(str(target), progress)
    assert seen[-1][0] == seen[-1][1]
    assert len(seen) > 1
    with contextlib.closing(SQLiteStore(target)) as copy:
        assert copy.count("c", EVERYTHING) == 1500
        assert copy.check() == []
    assert sqlite.count("c", EVERYTHING) == 1501


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite3").write_bytes(b"no database " * 1000)
    store = SQLiteStore(tmp_path / "x.sqlite3")
    for call in (lambda: store.create("c"), store.collections, store.ping):
        with pytest.raises(StoreUnavailable, match="not a database"):
            call()
    assert (tmp_path / "x.sqlite3").read_bytes() == b"no database " * 1000


def test_a_lock_that_another_program_holds(sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(sqlite, "c", row("a"))
    writer = sqlite._connections._writer
    assert writer is not None
    writer.set_busy_timeout(50)
    with contextlib.closing(apsw.Connection(str(sqlite.path))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            put(sqlite, "c", row("b"))
        assert ids(sqlite, "c") == ["a"], "readers go on"
    assert put(sqlite, "c", row("b")) == ["done"]


def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "data" / "site.sqlite3")
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_settings_of_the_connections(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", row("a"))
    writer = sqlite._connections._writer
    assert writer is not None
    assert [writer.pragma(name) for name in ("journal_mode", "synchronous", "mmap_size")] == ["wal", 2, 0]


def test_other_processes_see_new_collections_and_indexes(sqlite: SQLiteStore) -> None:
    with contextlib.closing(SQLiteStore(sqlite.path)) as other:
        other.create("late")
        put(other, "late", row("a", '{"n":1}'))
        assert ids(sqlite, "late") == ["a"]
        other.add_index("late", Index((Order(("n",)),)))
        assert ids(sqlite, "late", order=[Order(("n",))]) == ["a"]
        other.drop("late")
        with pytest.raises(WixDataError, match="WDE0025"):
            ids(sqlite, "late")
        other.create("late")
        assert ids(sqlite, "late") == []


def plan_of(
    store: SQLiteStore, tree: Tree, order: Sequence[Order], after: tuple[Any, ...] | None, **options: Any
) -> tuple[list[str], list[str]]:
    """The reads of a query, and the sorts."""
    from wixhttp.data.stores import sql
    from wixhttp.data.stores.sqlite_dialect import SQLiteDialect

    table = store._table("c")
    dialect = SQLiteDialect(table)
    statement = sql.find_rows(dialect, table.indexes.values(), tree, order, limit=50, after=after, **options)
    with store.reading() as connection:
        plan = [line[3] for line in connection.execute(f"EXPLAIN QUERY PLAN {statement}", dialect.bound)]
    reads = [line for line in plan if line.startswith(("SCAN", "SEARCH")) and "json_each" not in line]
    return reads, [line for line in plan if "TEMP B-TREE" in line]


def test_indexes_answer(sqlite: SQLiteStore) -> None:
    """A query on an indexed field reads ranges of the index, sorted pages too; no table is read from end to end."""
    sqlite.add_index("c", Index((Order(("year",)),)))
    put(sqlite, "c", *(row(f"{number:04}", f'{{"year":{number % 50}}}') for number in range(2000)))
    year = Order(("year",))
    for tree, order, after, ranges in (
        (Compare("eq", ("year",), 7), (), None, 2),
        (Compare("eq", ("year",), 7), (), ("0100",), 2),
        (Compare("gt", ("year",), 7), (), None, 2),
        (Compare("in", ("year",), [1, 2]), (), None, 2),
        (Compare("eq", ("year",), None), (), None, 2),
        (EVERYTHING, (year,), None, 2),
        (EVERYTHING, (year,), ((2, 5), "0005"), 2),
        (EVERYTHING, (Order(("year",), True),), ((2, 5), "0005"), 3),  # those of the same year are a range of their own
    ):
        for turn in (False, True):
            reads, _ = plan_of(sqlite, tree, order, after, is_reversed=turn)
            assert len(reads) == ranges
            assert all("USING INDEX index_" in line for line in reads), reads


AFTER = ((7, "2024-01-01T00:00:00.000Z"), "0005")


@pytest.mark.parametrize("after", [None, AFTER], ids=["first page", "a later page"])
def test_the_newest_items_stand_in_an_index(sqlite: SQLiteStore, after: tuple[Any, ...] | None) -> None:
    """A page without a sort is a range or two of an index in its order, of all items and of those that are equal."""
    sqlite.add_index("c", Index((Order(("year",)),)))
    sqlite.add_index("c", Index((Order(("code",)),), unique=True))
    year = Compare("eq", ("year",), 7)
    for tree, of in (
        (EVERYTHING, "items_1_newest"),
        (Compare("eq", ("plain",), 7), "items_1_newest"),
        (Compare("gt", ("_createdDate",), START), "items_1_newest"),
        (year, "index_1_newest"),
        (Compare("eq", ("year",), None), "index_1_newest"),
        (And((year, Compare("eq", ("_owner",), "ada"))), "index_1_newest"),
    ):
        for turn in (False, True):
            reads, sorts = plan_of(sqlite, tree, NEWEST_FIRST, after, is_reversed=turn)
            assert sorts == []
            assert all(f"USING INDEX {of}" in line for line in reads), reads
    for tree in (Compare("gt", ("year",), 7), Compare("in", ("year",), [1, 2]), Compare("eq", ("code",), 7)):
        reads, _ = plan_of(sqlite, tree, NEWEST_FIRST, after)
        page, *found = (line for line in reads if "items_1" in line)
        assert "PRIMARY KEY" in page, "what is sorted are no documents"
        assert all("USING INDEX index_" in line for line in found), "a filter with an index goes through no other"
    linked = Linked("c", "genres", False, ("g1",))
    reads, _ = plan_of(sqlite, linked, NEWEST_FIRST, after)
    assert "SEARCH wixhttp_links USING INDEX wixhttp_links_back (collection=? AND field=? AND referenced=?)" in reads
    assert not any("_newest" in line for line in reads), reads


@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
def test_a_database_of_an_earlier_version_gets_the_index_at_first_use(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wixhttp")
    store.add_index("books", Index((Order(("year",)),)))
    put(store, "books", *(row(f"{number}", '{"year":1}')._replace(created=at(number % 2)) for number in range(4)))
    newest = {"items_1_newest", "index_1_newest"}
    with raw(store) as run:
        for name in newest:
            run(f"DROP INDEX {name}")
    with reopened(store) as again:
        assert again.check() == []
        assert ids(again, order=[Order(("year",))]) == ["0", "1", "2", "3"]
        assert not newest & index_names(again)
        assert [each.id for each in again.scan("books", EVERYTHING, NEWEST_FIRST)] == ["1", "3", "0", "2"]
        assert newest <= index_names(again)
        assert ids(again, order=NEWEST_FIRST, limit=3) == ["1", "3", "0"]
        assert again.check() == []
    assert [each for each in caplog.messages if "index" in each] == [
        "the collection 'books' gets its index of the newest items"
    ]


def test_a_database_that_cannot_get_the_index_answers(sqlite: SQLiteStore, caplog: pytest.LogCaptureFixture) -> None:
    put(sqlite, "c", row("a")._replace(created=at(1)), row("b")._replace(created=at(2)))
    with raw(sqlite) as run:
        run("DROP INDEX items_1_newest")
    writer = sqlite._connections._writer
    assert writer is not None
    writer.pragma("query_only", True)
    sqlite._looked = 0.0
    for _ in range(2):
        assert ids(sqlite, "c", order=NEWEST_FIRST) == ["b", "a"]
    sqlite._connections.faults.refuse_writes()
    sqlite.ping()
    assert ["has no index of its newest items" in each for each in caplog.messages] == [True]


def at(second: int) -> str:
    return f"2024-01-01T00:00:{second:02}.000Z"


@contextlib.contextmanager
def raw(store: Store) -> Iterator[Callable[[str], Any]]:
    """Run statements beside a store."""
    if isinstance(store, SQLiteStore):
        with contextlib.closing(apsw.Connection(str(store.path))) as connection:
            yield connection.execute
    else:
        with store._connections.use() as other:  # type: ignore[attr-defined]  # a PostgresStore
            yield other.execute


def index_names(store: Store) -> set[str]:
    on_sqlite = "SELECT name FROM sqlite_schema WHERE type = 'index'"
    on_postgres = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
    with raw(store) as run:
        return {name for (name,) in run(on_sqlite if isinstance(store, SQLiteStore) else on_postgres)}


@contextlib.contextmanager
def reopened(store: Store) -> Iterator[Store]:
    """Another store of the same database."""
    if isinstance(store, SQLiteStore):
        made: Store = SQLiteStore(store.path)
    else:
        made = type(store)(store._connections._conninfo)  # type: ignore[attr-defined,call-arg]  # a PostgresStore
    with contextlib.closing(made):
        yield made


def test_advice_is_logged_once(sqlite: SQLiteStore, caplog: pytest.LogCaptureFixture) -> None:
    put(sqlite, "c", *(row(f"{number}") for number in range(10_001)))
    for _ in range(2):
        sqlite.find("c", Compare("eq", ("a", "b"), 1), [Order(("year",))], limit=1)
        sqlite.find("c", Compare("eq", ("_id",), "1"))
    messages = [record.message for record in caplog.records]
    assert len(messages) == 1
    assert "wixhttp data index c a.b year" in messages[0]


@pytest.mark.parametrize("is_next", [True, False])
def test_a_writer_that_a_signal_takes_away_leaves_the_others(sqlite: SQLiteStore, is_next: bool) -> None:
    class Interrupted(BaseException):
        pass

    begun, may_end = threading.Event(), threading.Event()

    def slow(changes: Transaction) -> None:
        begun.set()
        assert may_end.wait(30)

    def interrupt(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Interrupted

    def put_interrupted() -> None:
        # Again and again: where another thread takes the first, the lock that this one waits for does not notice.
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        put(sqlite, "c", row("interrupted"))

    put(sqlite, "c", row("first"))
    leader = threading.Thread(target=lambda: sqlite.write(slow))
    leader.start()
    assert begun.wait(30)
    before = threading.Thread(target=lambda: put(sqlite, "c", row("before")))
    if not is_next:
        before.start()
        while not sqlite._group._waiting:
            time.sleep(0.001)
    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Interrupted):
            put_interrupted()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    may_end.set()
    leader.join()
    if not is_next:
        before.join()
    assert put(sqlite, "c", row("after")) == ["done"]
    assert "interrupted" not in ids(sqlite, "c")
