"""The contract of the stores, one suite over all of them; and what SQLite promises to processes that share a file."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import apsw
import pytest

from tests.data_processes import row
from tests.databases import opened_store
from wixhttp.data.queries.tree import EVERYTHING, And, Compare, Not, Or, Order, Tree
from wixhttp.data.stores.contract import Index, Link, Row, Store, Transaction
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.errors import StoreUnavailable, WixDataError

ROOT = Path(__file__).parent.parent
GENRES = Link("books", "genres")


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
        assert f"The {name} collection does not exist." in caught.value.message


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


class Process:
    """One of tests/data_processes.py, waiting to be told to begin."""

    def __init__(self, store: SQLiteStore, role: str, worker: str, count: int) -> None:
        command = [sys.executable, "-m", "tests.data_processes", f"sqlite:///{store.path}", role, worker, str(count)]
        self.popen = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline()

    def begin(self) -> None:
        assert self.popen.stdin is not None
        assert self.line() == "ready\n"
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def result(self) -> Any:
        output, _ = self.popen.communicate(timeout=120)
        assert self.popen.returncode == 0
        return json.loads(output)


def race(store: SQLiteStore, role: str, count: int, processes: int = 8) -> list[Any]:
    """Run so many processes that do the same at the same time, and return their reports."""
    running = [Process(store, role, f"p{number}", count) for number in range(processes)]
    for process in running:
        process.begin()
    return [process.result() for process in running]


class DiskWatch:
    """The longest time, in seconds, that this machine took for one small flush to disk, while the block ran."""

    def __init__(self, path: Path) -> None:
        self.longest = 0.0
        self._path = path
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while not self._end.wait(0.02):
                began = time.monotonic()
                file.write(b"x")
                os.fdatasync(file.fileno())
                self.longest = max(self.longest, time.monotonic() - began)

    def __enter__(self) -> DiskWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def test_eight_processes_insert(sqlite: SQLiteStore, tmp_path: Path) -> None:
    with DiskWatch(tmp_path / "watch") as disk:
        results = race(sqlite, "insert", 10_000)
    assert sqlite.count("c", EVERYTHING) == 80_000
    assert len({each.id for each in sqlite.scan("c", EVERYTHING)}) == 80_000
    # Nobody waits over a second, unless the disk itself did.
    assert max(result["longest"] for result in results) < 1 + 4 * disk.longest
    assert sqlite.check() == []


def test_eight_processes_insert_the_same(sqlite: SQLiteStore) -> None:
    outcomes = [result["outcomes"] for result in race(sqlite, "same", 100)]
    for of_one_id in zip(*outcomes, strict=True):
        assert sorted(of_one_id) == ["done", *["exists"] * 7]


def test_increments_of_eight_processes_add_up(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", row("counter", '{"n":0}'))
    race(sqlite, "increment", 200)
    assert json.loads(sqlite.get("c", ["counter"])["counter"].text) == {"n": 1600}


def test_what_was_acknowledged_outlives_kill_9(sqlite: SQLiteStore) -> None:
    acknowledged: set[str] = set()
    for number in range(20):
        process = Process(sqlite, "stream", f"k{number}", 100_000)
        for _ in range(1 + number):
            acknowledged.add(process.line().strip())
        os.kill(process.popen.pid, signal.SIGKILL)
        rest, _ = process.popen.communicate()
        acknowledged |= set(rest.split("\n")[:-1])  # the last line may be half of one
        assert process.popen.returncode == -signal.SIGKILL
    assert len(acknowledged) >= 20 * 21 // 2
    assert acknowledged <= {each.id for each in sqlite.scan("c", EVERYTHING)}
    assert sqlite.check() == []
    assert put(sqlite, "c", row("after")) == ["done"]


def test_a_reader_never_sees_half_a_write(sqlite: SQLiteStore) -> None:
    put(sqlite, "c", row("left", '{"a":0,"b":0}'), row("right", '{"a":0,"b":0}'))
    writer = Process(sqlite, "halves", "w", 300)
    writer.begin()
    seen = set()
    while writer.popen.poll() is None:
        left, right = (json.loads(each.text) for each in sqlite.find("c", EVERYTHING))
        assert left["a"] == left["b"] == right["a"] == right["b"]
        seen.add(left["a"])
    assert writer.result() == {}
    assert len(seen) > 1, "it looked while there was writing"


def test_a_full_disk_is_an_error_and_the_store_goes_on(sqlite: SQLiteStore) -> None:
    text = '{"pad":"' + "x" * 20_000 + '"}'
    put(sqlite, "c", row("first"))
    writer = sqlite._writer
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
    assert sqlite._writer is not None
    sqlite._writer.set_busy_timeout(50)
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
    assert sqlite._writer is not None
    assert [sqlite._writer.pragma(name) for name in ("journal_mode", "synchronous", "mmap_size")] == ["wal", 2, 0]


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


def test_indexes_answer(sqlite: SQLiteStore) -> None:
    """A query on an indexed field reads ranges of the index, sorted pages too; no table is read from end to end."""
    from wixhttp.data.stores import sql
    from wixhttp.data.stores.sqlite_dialect import SQLiteDialect

    sqlite.add_index("c", Index((Order(("year",)),)))
    put(sqlite, "c", *(row(f"{number:04}", f'{{"year":{number % 50}}}') for number in range(2000)))
    table = sqlite._table("c")
    year = Order(("year",))
    for tree, order, after in (
        (Compare("eq", ("year",), 7), (), None),
        (Compare("eq", ("year",), 7), (), ("0100",)),
        (Compare("gt", ("year",), 7), (), None),
        (Compare("in", ("year",), [1, 2]), (), None),
        (Compare("eq", ("year",), None), (), None),
        (EVERYTHING, (year,), None),
        (EVERYTHING, (year,), ((2, 5), "0005")),
        (EVERYTHING, (Order(("year",), True),), ((2, 5), "0005")),
    ):
        dialect = SQLiteDialect(table)
        statement = sql.find_rows(dialect, table.indexes.values(), tree, order, limit=50, after=after)
        with sqlite._reading() as connection:
            plan = [line[3] for line in connection.execute(f"EXPLAIN QUERY PLAN {statement}", dialect.bound)]
        reads = [line for line in plan if line.startswith(("SCAN", "SEARCH")) and "json_each" not in line]
        assert len(reads) == 2
        assert all("USING INDEX index_" in line for line in reads), plan


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
        raise Interrupted

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
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Interrupted):
            put(sqlite, "c", row("interrupted"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    may_end.set()
    leader.join()
    if not is_next:
        before.join()
    assert put(sqlite, "c", row("after")) == ["done"]
    assert "interrupted" not in ids(sqlite, "c")
