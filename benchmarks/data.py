"""Collections against statements written by hand: microseconds per call, and durable writes per second.

    python benchmarks/data.py                            SQLite, 100,000 and 1,000,000 items
    python benchmarks/data.py --store postgres           PostgreSQL at WIXHTTP_TEST_POSTGRES_URL
    python benchmarks/data.py --items 100000 --rounds 3  less, sooner

*bare* is a table of the same columns with the indexes and statements that a person would write for the work, through
the same driver, giving the same dicts. TinyDB, which keeps all in one JSON
file, is measured with 10,000 items, where it can still be waited for.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import report

from wixhttp.data import items
from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import override
from wixhttp.data.queries.evaluator import position
from wixhttp.data.queries.tree import NEWEST_FIRST, Order
from wixhttp.data.queries.values import format_date, parse_date
from wixhttp.data.stores.contract import Index, Row, Store
from wixhttp.data.stores.factory import open_store

DISTRIBUTIONS = ["wixhttp", "apsw", "psycopg", "orjson", "tinydb"]
URL = os.environ.get("WIXHTTP_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
SCHEMA = "wixhttp_benchmark"
NOW = "2024-01-01T00:00:00.000Z"
NEWEST = "ORDER BY created DESC, id LIMIT 50"
BATCH = 1000
YEARS = 1000  # different values of the indexed field, so that each has 100 items of 100,000
Call = Callable[[], Any]


def document(number: int) -> dict[str, Any]:
    """An item of about 400 bytes."""
    mixed = random.Random(number)
    return {
        "title": f"Book {number:07} of the {mixed.choice('red blue green grey'.split())} shelf",
        "year": mixed.randrange(YEARS),
        "plain": mixed.randrange(YEARS),
        "price": round(mixed.random() * 100, 2),
        "author": {"first": f"First{number % 997}", "last": f"Last{number % 89}"},
        "tags": [f"t{mixed.randrange(50)}", f"t{mixed.randrange(50)}"],
        "text": "lorem ipsum dolor sit amet " * 8,
    }


def text_of(number: int) -> str:
    """The document as it is written down: keys sorted."""
    return orjson.dumps(document(number), option=orjson.OPT_SORT_KEYS).decode()


def made_at(number: int) -> str:
    """The date of an item: those of one bulk call share a millisecond."""
    return format_date(parse_date(NOW) + timedelta(milliseconds=number // BATCH))


# --- by hand ---------------------------------------------------------------------------------------------------------


class BareSQLite:
    """One table and two indexes, and what a person would write."""

    def __init__(self, path: Path) -> None:
        import apsw

        self.path = path
        self.connection = apsw.Connection(str(path))
        for name, value in (("journal_mode", "wal"), ("synchronous", "full")):
            self.connection.pragma(name, value)
        self.connection.set_busy_timeout(60_000)

    def fill(self, count: int) -> float:
        run = self.connection.execute
        run("CREATE TABLE books (id TEXT PRIMARY KEY, doc BLOB NOT NULL, created TEXT, updated TEXT, owner TEXT)")
        run("CREATE INDEX by_year ON books (json_extract(doc, '$.year'), id)")
        run("CREATE INDEX by_year_newest ON books (json_extract(doc, '$.year'), created DESC, id)")
        run("CREATE INDEX newest ON books (created DESC, id)")
        spent = 0.0
        for start in range(0, count, BATCH):
            rows = [
                (f"{n:07}", text_of(n), made_at(n), made_at(n), None) for n in range(start, min(start + BATCH, count))
            ]
            began = time.perf_counter()
            with self.connection:
                self.connection.executemany("INSERT INTO books VALUES (?, jsonb(?), ?, ?, ?)", rows)
            spent += time.perf_counter() - began
        return spent

    def _items(self, where: str, *values: Any) -> list[dict[str, Any]]:
        rows = self.connection.execute(f"SELECT id, json(doc), created, updated, owner FROM books {where}", values)
        return [
            {
                **orjson.loads(text),
                "_id": name,
                "_createdDate": datetime.fromisoformat(created),
                "_updatedDate": datetime.fromisoformat(updated),
                "_owner": owner,
            }
            for name, text, created, updated, owner in rows
        ]

    def get(self, name: str) -> Any:
        return self._items("WHERE id = ?", name)[0]

    def eq(self, field: str, value: int) -> Any:
        return self._items(f"WHERE json_extract(doc, '$.{field}') = ? {NEWEST}", value)

    def page(self, _: int) -> Any:
        return self._items("ORDER BY json_extract(doc, '$.year'), id LIMIT 50")

    def newest(self, _: int) -> Any:
        return self._items(NEWEST)

    def following(self, number: int) -> Any:
        created = made_at(number)
        where = "WHERE created <= ? AND (created < ? OR id > ?)"
        return self._items(f"{where} {NEWEST}", created, created, f"{number:07}")

    def contains(self, text: str) -> Any:
        return self._items(f"WHERE instr(lower(json_extract(doc, '$.title')), ?) {NEWEST}", text)

    def count(self, year: int) -> Any:
        statement = "SELECT count(*) FROM books WHERE json_extract(doc, '$.year') = ?"
        return self.connection.execute(statement, (year,)).get

    def insert(self, name: str, text: str) -> Any:
        self.connection.execute("INSERT INTO books VALUES (?, jsonb(?), ?, ?, ?)", (name, text, NOW, NOW, None))

    def insert_group(self, names: list[str], text: str) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        statement = "INSERT INTO books VALUES (?, jsonb(?), ?, ?, ?)"
        self.connection.executemany(statement, [(name, text, NOW, NOW, None) for name in names])
        self.connection.execute("COMMIT")


class BarePostgres:
    """The same on PostgreSQL."""

    def __init__(self, url: str) -> None:
        import psycopg

        self.connection = psycopg.connect(url, autocommit=True, options=f"-csearch_path={SCHEMA}")

    def fill(self, count: int) -> float:
        run = self.connection.execute
        run(
            'CREATE TABLE books (id text COLLATE "C" PRIMARY KEY, doc jsonb NOT NULL, created text, updated text,'
            " owner text)"
        )
        run("CREATE INDEX by_year ON books (((doc -> 'year')::numeric), id)")
        run("CREATE INDEX by_year_newest ON books (((doc -> 'year')::numeric), created DESC, id)")
        run("CREATE INDEX newest ON books (created DESC, id)")
        spent = 0.0
        for start in range(0, count, BATCH):
            rows = [
                (f"{n:07}", text_of(n), made_at(n), made_at(n), None) for n in range(start, min(start + BATCH, count))
            ]
            began = time.perf_counter()
            with self.connection.transaction(), self.connection.cursor() as cursor:
                cursor.executemany("INSERT INTO books VALUES (%s, %s::jsonb, %s, %s, %s)", rows)
            spent += time.perf_counter() - began
        run("ANALYZE books")
        return spent

    def _items(self, where: str, *values: Any) -> list[dict[str, Any]]:
        rows = self.connection.execute(f"SELECT id, doc::text, created, updated, owner FROM books {where}", values)
        return [
            {
                **orjson.loads(text),
                "_id": name,
                "_createdDate": datetime.fromisoformat(created),
                "_updatedDate": datetime.fromisoformat(updated),
                "_owner": owner,
            }
            for name, text, created, updated, owner in rows
        ]

    def get(self, name: str) -> Any:
        return self._items("WHERE id = %s", name)[0]

    def eq(self, field: str, value: int) -> Any:
        return self._items(f"WHERE (doc -> '{field}')::numeric = %s {NEWEST}", value)

    def page(self, _: int) -> Any:
        return self._items("ORDER BY (doc -> 'year')::numeric, id LIMIT 50")

    def newest(self, _: int) -> Any:
        return self._items(NEWEST)

    def following(self, number: int) -> Any:
        created = made_at(number)
        where = "WHERE created <= %s AND (created < %s OR id > %s)"
        return self._items(f"{where} {NEWEST}", created, created, f"{number:07}")

    def contains(self, text: str) -> Any:
        return self._items(f"WHERE strpos(lower(doc ->> 'title'), %s) > 0 {NEWEST}", text)

    def count(self, year: int) -> Any:
        statement = "SELECT count(*) FROM books WHERE (doc -> 'year')::numeric = %s"
        return self.connection.execute(statement, (year,)).fetchone()[0]  # type: ignore[index]  # a count is a row

    def insert(self, name: str, text: str) -> Any:
        self.connection.execute("INSERT INTO books VALUES (%s, %s::jsonb, %s, %s, %s)", (name, text, NOW, NOW, None))

    def insert_group(self, names: list[str], text: str) -> None:
        with self.connection.transaction():
            for name in names:
                self.insert(name, text)


# --- the same, by wixhttp --------------------------------------------------------------------------------------------


def fill(store: Store, count: int) -> float:
    """Fill the collection by bulk writes of the store; the seconds that they took."""
    store.create("books")
    store.add_index("books", Index((Order(("year",)),)))
    spent = 0.0
    for start in range(0, count, BATCH):
        rows = [
            Row(f"{n:07}", text_of(n), made_at(n), made_at(n), None) for n in range(start, min(start + BATCH, count))
        ]
        began = time.perf_counter()
        store.write(lambda changes, rows=rows: changes.insert("books", rows))
        spent += time.perf_counter() - began
    return spent


def pairs(bare: Any, count: int, random_: random.Random) -> Iterator[tuple[str, Callable[[], tuple[Call, Call]], int]]:
    """The cases: what both do with the same arguments, and how often in a round."""

    def name() -> str:
        return f"{random_.randrange(count):07}"

    def case(bare_call: Callable[[Any], Any], own_call: Callable[[Any], Any], draw: Callable[[], Any]) -> Any:
        def make() -> tuple[Call, Call]:
            value = draw()
            return (lambda: bare_call(value)), (lambda: own_call(value))

        return make

    def year() -> int:
        return random_.randrange(YEARS)

    books = items.query("books")
    slow = max(1, 300_000 // count)
    yield "get by id", case(bare.get, lambda each: items.get("books", each), name), 500
    yield (
        "`eq`, indexed, first 50",
        case(lambda each: bare.eq("year", each), lambda each: books.eq("year", each).find().items, year),
        60,
    )
    yield (
        "`eq`, not indexed, first 50",
        case(lambda each: bare.eq("plain", each), lambda each: books.eq("plain", each).find().items, year),
        slow,
    )
    yield "first page, newest first", case(bare.newest, lambda _: books.find().items, year), 60
    yield (
        "a page by `next()`, anywhere",
        case(bare.following, lambda each: page_behind(books, each), lambda: random_.randrange(count - BATCH)),
        60,
    )
    yield "sorted page, indexed", case(bare.page, lambda _: books.ascending("year").find().items, year), 60
    yield (
        "`contains`, first 50",
        case(bare.contains, lambda each: books.contains("title", each).find().items, lambda: f"{name()} of"),
        slow,
    )
    yield "count of an indexed `eq`", case(bare.count, lambda each: books.eq("year", each).count(), year), 60


def page_behind(books: Any, number: int) -> list[dict[str, Any]]:
    """The page that `next` gives where this item is the last of the one before."""
    last = {"_id": f"{number:07}", "_createdDate": parse_date(made_at(number))}
    found: list[dict[str, Any]] = replace(books, after=position(last, NEWEST_FIRST), size=50).find().items
    return found


def same(left: Any, right: Any) -> bool:
    """Return whether both gave the same items."""
    if isinstance(left, list):
        return [each["_id"] for each in left] == [each["_id"] for each in right]
    return bool(left["title"] == right["title"]) if isinstance(left, dict) else bool(left == right)


def measure(make: Callable[[], tuple[Call, Call]], times: int, rounds: int) -> tuple[list[float], list[float]]:
    """Microseconds per call of both, one sample per round, in turns."""
    made = make()
    if not same(made[0](), made[1]()):
        raise SystemExit("the two do not give the same")
    samples: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        calls = [make() for _ in range(times)]
        for which in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            for pair in calls:
                pair[which]()
            samples[which].append((time.perf_counter() - began) / times * 1e6)
    return samples


def reads(bare: Any, count: int, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Every case of reading."""
    random_ = random.Random(count)
    return {title: measure(make, times, rounds) for title, make, times in pairs(bare, count, random_)}


# --- writes ----------------------------------------------------------------------------------------------------------


def single_inserts(bare: Any, rounds: int) -> tuple[list[float], list[float]]:
    """Microseconds of one durable insert, alone."""
    numbers = iter(range(10**9))

    def make() -> tuple[Call, Call]:
        number = next(numbers)
        text, fields = text_of(number), document(number)
        name = f"single-{number}"
        return (lambda: bare.insert(name, text)), (lambda: items.insert("books", {**fields, "_id": name}))

    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        calls = [make() for _ in range(300)]
        for which in (0, 1):
            began = time.perf_counter()
            for pair in calls:
                pair[which]()
            samples[which].append((time.perf_counter() - began) / len(calls) * 1e6)
    return samples


def writer(what: str, url: str, name: str, count: int, pause: float) -> None:
    """One process of eight: eight threads that insert, or one that inserts eight at a time by hand."""
    text = text_of(7)
    fields = document(7)
    waits: list[float] = []
    if what == "bare":
        bare: Any = BareSQLite(Path(url)) if "://" not in url else BarePostgres(url)

        def one(thread: int) -> None:
            for start in range(0, count, 8):
                began = time.perf_counter()
                bare.insert_group([f"{name}-{thread}-{start + n}" for n in range(8)], text)
                waits.append(time.perf_counter() - began)

        threads = 1
    else:
        collections = Collections(open_store(url, Path()))
        collections.store.collections()
        threads = 8 if what == "own" else 1

        def one(thread: int) -> None:
            with override(collections):
                for number in range(count // threads):
                    began = time.perf_counter()
                    items.insert("books", {**fields, "_id": f"{name}-{thread}-{number}"})
                    waits.append(time.perf_counter() - began)
                    if pause:
                        time.sleep(pause)

    print("ready", flush=True)
    sys.stdin.readline()
    running = [threading.Thread(target=one, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    print(json.dumps(waits))


def eight(what: str, url: str, count: int, pause: float = 0.0) -> tuple[float, list[float]]:
    """Durable inserts per second of eight processes, ``count`` by each; and the waits, in seconds."""
    run = f"{what}-{random.randrange(10**9)}"
    command = [sys.executable, __file__, "--writer", what, "--url", url, "--count", str(count), "--pause", str(pause)]
    processes = [
        subprocess.Popen(
            [*command, "--name", f"{run}-{number}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    waits = [wait for process in processes for wait in json.loads(process.communicate()[0])]
    return 8 * count / (time.perf_counter() - began), waits


def fdatasync() -> float:
    """The median of small flushes to this disk, in milliseconds."""
    with tempfile.TemporaryFile() as file:
        spent = []
        for _ in range(500):
            began = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            spent.append(time.perf_counter() - began)
    return median(spent) * 1e3


# --- TinyDB ----------------------------------------------------------------------------------------------------------


def tinydb(folder: Path, count: int = 10_000) -> dict[str, float]:
    """Microseconds per call of TinyDB with few items; it reads and writes its whole file each time."""
    from tinydb import TinyDB, where  # type: ignore[import-not-found]  # only here

    database = TinyDB(folder / "tiny.json")
    database.insert_multiple({**document(number), "_id": f"{number:07}"} for number in range(count))

    def clock(call: Call, times: int = 5) -> float:
        began = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - began) / times * 1e6

    return {
        "get by id": clock(lambda: database.get(where("_id") == "0000007")),
        "`eq`, not indexed, first 50": clock(lambda: database.search(where("plain") == 7)[:50]),
        "single insert": clock(lambda: database.insert(document(1))),
    }


# --- the run ---------------------------------------------------------------------------------------------------------


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[tuple[Any, str, str]]:
    """The bare database, and the addresses of both for other processes."""
    if kind == "sqlite":
        bare_path = folder / "bare.sqlite3"
        yield BareSQLite(bare_path), str(bare_path), f"sqlite:///{folder / 'own.sqlite3'}"
        return
    import psycopg

    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
        try:
            yield BarePostgres(URL), URL, f"{URL}{'&' if '?' in URL else '?'}options=-csearch_path%3D{SCHEMA}"
        finally:
            connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def run(kind: str, count: int, rounds: int) -> dict[str, Any]:
    """All cases with so many items."""
    with tempfile.TemporaryDirectory(prefix="wixhttp-") as name, databases(kind, Path(name)) as (bare, bare_url, url):
        collections = Collections(open_store(url, Path()))
        with override(collections):
            bulk = count / bare.fill(count), count / fill(collections.store, count)
            found: dict[str, Any] = {"bulk": bulk, "reads": reads(bare, count, rounds)}
            found["single insert"] = single_inserts(bare, rounds)
        found["eight"] = [(eight("bare", bare_url, 2000)[0], eight("own", url, 2000)[0]) for _ in range(rounds)]
        waits = sorted(eight("paused", url, 500, 0.002)[1])
        found["wait"] = waits[int(len(waits) * 0.99)] * 1e3
        collections.store.close()
    return found


def show(kind: str, results: dict[int, dict[str, Any]]) -> str:
    """The tables."""
    head = [
        "µs per call",
        *(text for count in results for text in (f"bare, {count:,}", f"wixhttp, {count:,}", "ratio")),
    ]
    rows = []
    titles = [*next(iter(results.values()))["reads"], "single insert, durable"]
    for title in titles:
        row = [title]
        for found in results.values():
            bare, own = found["single insert"] if title.startswith("single") else found["reads"][title]
            row += [f"{median(bare):,.0f}", f"{median(own):,.0f}", report.ratio_range(own, bare)]
        rows.append(row)
    lines = [f"### {kind}", report.table(head, rows), ""]
    head = [
        "items per second",
        *(text for count in results for text in (f"bare, {count:,}", f"wixhttp, {count:,}", "ratio")),
    ]
    rows = []
    bulk, eights = ["bulk insert"], ["durable inserts, 8 processes of 8 threads"]
    for found in results.values():
        bare_rate, own_rate = found["bulk"]
        bulk += [f"{bare_rate:,.0f}", f"{own_rate:,.0f}", f"{own_rate / bare_rate:.2f}"]
        bares, owns = zip(*found["eight"], strict=True)
        eights += [f"{median(bares):,.0f}", f"{median(owns):,.0f}", report.ratio_range(list(owns), list(bares))]
    lines += [report.table(head, [bulk, eights]), ""]
    waits = ", ".join(f"{found['wait']:.1f} ms ({count:,} items)" for count, found in results.items())
    lines.append(f"99 % of the writes of eight processes that pause 2 ms between them took no longer than {waits}.")
    lines.append(f"fdatasync of 4 KiB here: {fdatasync():.2f} ms (median).")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    for name, kind in (("writer", str), ("url", str), ("name", str), ("count", int), ("pause", float)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        writer(options.writer, options.url, options.name, options.count, options.pause)
        return
    results = {count: run(options.store, count, options.rounds) for count in options.items}
    print(show(options.store, results))
    try:
        with tempfile.TemporaryDirectory() as folder:
            tiny = tinydb(Path(folder))
        print("\nTinyDB, 10,000 items: " + ", ".join(f"{title} {value:,.0f} µs" for title, value in tiny.items()) + ".")
    except ImportError as error:
        print(f"\nTinyDB is not measured: {error}.")
    print(report.environment_line(report.environment(DISTRIBUTIONS)))


if __name__ == "__main__":
    main()
