"""Collections in one SQLite file, shared by the processes of a machine.

A write that returned is on disk: the log is flushed at each commit. One connection of each process writes, under a lock
on a file beside the database: SQLite's own waiting lets processes starve. Others read, each what was committed when
its statement began. Nothing is carried over a fork.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import apsw

from wixhttp.data.queries.tree import NEWEST_FIRST, FieldPath, Order, Tree
from wixhttp.data.queries.values import encode
from wixhttp.errors import StoreUnavailable, WixDataError
from wixhttp.project.opened_database import OpenedDatabase

from . import sql
from .contract import Index, Link, Result, Row, Transaction, WriteOutcome, no_collection
from .group_commit import GroupCommit, PendingWrite
from .private_files import create_private
from .sqlite_connections import SQLiteConnections
from .sqlite_dialect import SQLiteCollection, SQLiteDialect, make_index, newest_indexes, parse_fields
from .sqlite_errors import UNDOING, damaged

_LOOK_AGAIN = 1.0  # seconds after which indexes that others made are seen
_MOST_ADVICE = 100  # different lines about indexes: the fields of queries may come from anybody
_STEP = 1000  # pages between two reports of a backup

logger = logging.getLogger("wixhttp")
_left_behind: list[object] = []  # connections of the process that this one was forked from: never to be closed here


class SQLiteStore:
    """See `store.Store`. ``path`` is the database; it and its folder are made on first use."""

    def __init__(self, path: Path, opened: OpenedDatabase | None = None) -> None:
        self.path = path
        self.companions: dict[str, Any] = {}
        self._opened = opened
        self._targets: dict[Link, str] = {}
        self._advised: set[tuple[str, tuple[FieldPath, ...]]] = set()
        self._left_as_is: set[str] = set()  # collections that cannot be upgraded
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._connections = SQLiteConnections(self.path, self._opened, self._forget)
        self._group = GroupCommit(self._commit)
        self._forget()

    def _of_this_process(self) -> SQLiteConnections:
        if self._pid != os.getpid():
            _left_behind.append(self._connections)
            self._connections.leave_locks()
            self._begin()
        return self._connections

    def _forget(self) -> None:
        """Forget what is known of the tables: they are others, or others may have changed them."""
        self._tables: dict[str, SQLiteCollection] = {}
        self._looked = 0.0

    def reading(self) -> AbstractContextManager[apsw.Connection]:
        """A connection to read with: each statement sees what was committed when it began.

        It is for tables of this package beside the collections. Errors of the file and its disk are raised as
        StoreUnavailable, mistakes in a statement as they are.
        """
        return self._of_this_process().reading()

    def transact(self, work: Callable[[apsw.Connection], Result]) -> Result:
        """Return the result of ``work``, which writes tables of this package beside the collections, once that is on
        disk; with what other threads write meanwhile it is one commit. An exception undoes it, and nothing else.

        Raises:
            StoreUnavailable: nothing was written: the disk is full, the file is away, damaged or read-only.
        """
        self._of_this_process()
        return self._group.run(lambda changes: work(changes.connection))

    def _read(self, collection: str, read: Callable[[apsw.Connection, SQLiteCollection], Result]) -> Result:
        """Return the result of ``read``, retried once where others changed the tables meanwhile."""
        for attempt in (1, 2):
            table = self._table(collection)
            try:
                with self.reading() as connection:
                    return read(connection, table)
            except apsw.SQLError:
                self._looked = 0.0
                if attempt == 2:
                    raise
        raise AssertionError

    def _commit(self, take: Callable[[], list[PendingWrite[Any]]]) -> None:
        """Do what threads wait to have written, in one transaction of the database."""
        jobs: list[PendingWrite[Any]] = []
        try:
            with self._connections.writing() as writer:
                jobs = take()
                self._transact(writer, jobs)
        except (apsw.Error, OSError, StoreUnavailable) as error:
            failure = self._connections.failure(error)
            for job in jobs or take():  # also what seemed done is undone
                job.error = failure

    def _transact(self, writer: apsw.Connection, jobs: list[PendingWrite[Any]]) -> None:
        try:
            self._do(writer, jobs)
        finally:
            if writer.in_transaction:
                writer.execute("ROLLBACK")

    def _do(self, writer: apsw.Connection, jobs: list[PendingWrite[Any]]) -> None:
        writer.execute("BEGIN IMMEDIATE")
        for job in jobs:
            if len(jobs) > 1:
                writer.execute("SAVEPOINT job")
            try:
                job.result = job.work(SQLiteTransaction(self, writer))
            except BaseException as error:  # it is the caller's; the others go on
                if isinstance(error, UNDOING) or not writer.in_transaction:
                    raise
                job.error = error
                if isinstance(error, apsw.Error | UnicodeDecodeError):
                    job.error = self._connections.failure(error)
                if len(jobs) > 1:
                    writer.execute("ROLLBACK TO job")
            if len(jobs) > 1:
                writer.execute("RELEASE job")
        if len(jobs) > 1 or jobs[0].error is None:
            writer.execute("COMMIT")

    # --- tables ---

    def _table(self, collection: str) -> SQLiteCollection:
        self._of_this_process()
        table = self._tables.get(collection)
        if table is None or time.monotonic() - self._looked > _LOOK_AGAIN:
            with self.reading() as connection:
                self._look(connection)
            table = self._tables.get(collection)
        if table is None:
            raise no_collection(collection)
        return table

    def _look(self, connection: apsw.Connection) -> None:
        tables: dict[str, SQLiteCollection] = {}
        try:
            with _one_moment(connection):
                for number, name in connection.execute("SELECT number, name FROM wixhttp_collections ORDER BY name"):
                    tables[name] = SQLiteCollection(number)
                by_number = {table.number: table for table in tables.values()}
                for number, of, fields, is_unique in connection.execute(
                    "SELECT number, collection, fields, is_unique FROM wixhttp_indexes ORDER BY number"
                ):
                    by_number[of].indexes[number] = Index(parse_fields(fields), bool(is_unique))
                for number, of, path in connection.execute("SELECT number, collection, path FROM wixhttp_fields"):
                    by_number[of].fields[tuple(json.loads(path))] = number
                there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}
                for table in tables.values():
                    table.is_upgraded = newest_indexes(table).keys() <= there
        except apsw.SQLError as error:
            if "no such table" not in str(error):
                raise
            tables = {}  # a new file
        except (KeyError, ValueError) as error:
            fault = damaged(self.path, f"the list of collections cannot be read ({error!r})")
            self._connections.faults.note(fault, stops_writes=True)
            raise fault from error
        self._tables, self._looked = tables, time.monotonic()

    def collections(self) -> dict[str, tuple[Index, ...]]:
        with self.reading() as connection:
            self._look(connection)
        return {name: tuple(table.indexes.values()) for name, table in self._tables.items()}

    def create(self, collection: str) -> None:
        if collection in self._tables and self._pid == os.getpid():
            return

        def work(changes: SQLiteTransaction) -> None:
            run = changes.connection.execute
            if run("SELECT 1 FROM wixhttp_collections WHERE name = ?", (collection,)).fetchone():
                return
            run("INSERT INTO wixhttp_collections (name) VALUES (?)", (collection,))
            number = changes.connection.last_insert_rowid()
            run(
                f"CREATE TABLE items_{int(number)} (id TEXT PRIMARY KEY NOT NULL, doc BLOB NOT NULL,"
                " created TEXT NOT NULL, updated TEXT NOT NULL, owner TEXT)"
            )
            for statement in newest_indexes(SQLiteCollection(number)).values():
                run(statement)

        self._change(work)

    def _change(self, work: Callable[[SQLiteTransaction], Result]) -> Result:
        """Change tables; what is known of them is forgotten."""
        self._of_this_process()
        try:
            return self._group.run(work)
        finally:
            self._forget()

    def drop(self, collection: str) -> None:
        table = self._table(collection)

        def work(changes: SQLiteTransaction) -> None:
            changes.truncate(collection)
            run = changes.connection.execute
            run(f"DROP TABLE {table.name}")
            for name in ("wixhttp_indexes", "wixhttp_fields"):
                run(f"DELETE FROM {name} WHERE collection = ?", (table.number,))
            run("DELETE FROM wixhttp_collections WHERE number = ?", (table.number,))

        self._change(work)

    def add_index(self, collection: str, index: Index) -> None:
        if index in self._table(collection).indexes.values():
            return

        def work(changes: SQLiteTransaction) -> None:
            self._look(changes.connection)
            table = self._tables[collection]
            if index not in table.indexes.values():
                make_index(changes.connection, table, index)

        try:
            self._change(work)
        except apsw.ConstraintError:
            raise _duplicated(collection, index) from None

    def _upgrade(self, collection: str, order: Sequence[Order]) -> None:
        """Make what a query without an order is answered by, where a database of an earlier version lacks it.

        Where that cannot be, as in a file that is read-only, the query is answered all the same.
        """
        if tuple(order) != NEWEST_FIRST or self._table(collection).is_upgraded or collection in self._left_as_is:
            return
        logger.info("the collection %r gets its index of the newest items", collection)

        def work(changes: SQLiteTransaction) -> None:
            self._look(changes.connection)
            if collection in self._tables:
                for statement in newest_indexes(self._tables[collection]).values():
                    changes.connection.execute(statement)

        try:
            with self._connections.faults.left_out():
                self._change(work)
        except StoreUnavailable as error:
            self._left_as_is.add(collection)
            logger.warning("the collection %r has no index of its newest items: %s", collection, error)

    def drop_index(self, collection: str, index: Index) -> None:
        def work(changes: SQLiteTransaction) -> None:
            self._look(changes.connection)
            table = self._tables.get(collection)
            if table is None:
                raise no_collection(collection)
            for number, each in table.indexes.items():
                if each == index:
                    changes.connection.execute(
                        f"DROP INDEX IF EXISTS index_{number}; DROP INDEX IF EXISTS unique_{number};"
                        f"DROP INDEX IF EXISTS index_{number}_newest;"
                        f"DELETE FROM wixhttp_indexes WHERE number = {number}"
                    )

        self._change(work)

    # --- reading ---

    def get(self, collection: str, ids: Collection[str]) -> dict[str, Row]:
        return self._read(collection, lambda connection, table: _rows_by_id(connection, table, ids))

    def find(
        self,
        collection: str,
        tree: Tree,
        order: Sequence[Order] = (),
        *,
        skip: int = 0,
        limit: int | None = None,
        after: tuple[Any, ...] | None = None,
        is_reversed: bool = False,
    ) -> list[Row]:
        def read(connection: apsw.Connection, table: SQLiteCollection) -> list[Row]:
            dialect = SQLiteDialect(table)
            statement = sql.find_rows(
                dialect,
                table.indexes.values(),
                tree,
                order,
                skip=skip,
                limit=-1 if limit is None and skip else limit,
                after=after,
                is_reversed=is_reversed,
            )
            return [Row._make(row[:5]) for row in connection.execute(statement, dialect.bound)]

        self._upgrade(collection, order)
        self._advise(collection, tree, order)
        return self._read(collection, read)

    def count(self, collection: str, tree: Tree) -> int:
        def read(connection: apsw.Connection, table: SQLiteCollection) -> int:
            dialect = SQLiteDialect(table)
            statement = sql.count_rows(dialect, table.indexes.values(), tree)
            return int(connection.execute(statement, dialect.bound).get)

        self._advise(collection, tree, ())
        return self._read(collection, read)

    def scan(self, collection: str, tree: Tree, order: Sequence[Order] = ()) -> Iterator[Row]:
        self._looked = 0.0
        self._upgrade(collection, order)
        table = self._table(collection)
        dialect = SQLiteDialect(table)
        statement = sql.find_rows(dialect, (), tree, order)
        with self.reading() as connection:
            cursor = connection.execute(statement, dialect.bound)
            try:
                for row in cursor:
                    yield Row(*row)
            finally:
                cursor.close()

    def _advise(self, collection: str, tree: Tree, order: Sequence[Order]) -> None:
        """Log, once, the index that a query over many items would be faster with."""
        table = self._table(collection)
        missing = sql.missing_index(table.indexes.values(), tree, order)
        if not missing or (collection, missing) in self._advised or len(self._advised) > _MOST_ADVICE:
            return
        with self.reading() as connection:
            size = connection.execute(f"SELECT max(rowid) FROM {table.name}").get
        if size is not None and size > sql.SLOW:
            self._advised.add((collection, missing))
            logger.warning("%s", sql.advice(collection, missing))

    # --- writing ---

    def write(self, work: Callable[[Transaction], Result], *, single: bool = False) -> Result:
        self._of_this_process()
        try:
            return self._group.run(work)
        except apsw.SQLError:  # others changed the tables meanwhile
            self._looked = 0.0
        return self._group.run(work)

    def links(
        self,
        link: Link,
        *,
        referring: str | None = None,
        referenced: str | None = None,
        descending: bool = False,
        skip: int = 0,
        limit: int | None = None,
    ) -> list[tuple[str, str]]:
        where, values = _link_condition(link, referring, referenced)
        statement = f"SELECT referring, referenced FROM wixhttp_links WHERE {where} ORDER BY number"
        statement += f"{' DESC' if descending else ''} LIMIT ? OFFSET ?"
        return self._read_links(statement, (*values, -1 if limit is None else limit, skip))

    def count_links(self, link: Link, *, referring: str | None = None, referenced: str | None = None) -> int:
        where, values = _link_condition(link, referring, referenced)
        [(count,)] = self._read_links(f"SELECT count(*) FROM wixhttp_links WHERE {where}", values) or [(0,)]
        return int(count)

    def _read_links(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            with self.reading() as connection:
                return connection.execute(statement, values).fetchall()
        except apsw.SQLError as error:
            if "no such table" not in str(error):
                raise
            return []  # a new file

    def declare_links(self, links: Mapping[Link, str]) -> None:
        self._targets = dict(links)

    # --- care ---

    def clock(self) -> float:
        return time.monotonic()  # which all processes of a machine read the same, and nobody sets back

    def ping(self) -> None:
        self._of_this_process().examine(self._write_nothing)

    def _write_nothing(self) -> None:
        """Write the first page as it is."""

        def work(changes: SQLiteTransaction) -> None:
            run = changes.connection.execute
            run(f"PRAGMA user_version = {int(run('PRAGMA user_version').get)}")

        self._group.run(work)

    def check(self) -> list[str]:
        found: list[str] = []
        try:
            with self._of_this_process().faults.left_out(), self.reading() as connection:
                found += [str(line) for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
                self._look(connection)
                for name, table in self._tables.items():
                    statement = f"SELECT id FROM {table.name} WHERE NOT json_valid(doc, 8)"
                    found += [f"the item {each!r} of {name} holds no JSON" for (each,) in connection.execute(statement)]
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, apsw.CorruptError | apsw.NotADBError):
                raise
            found.append(f"{self.path}: {error.__cause__}")
        return found

    def backup(self, target: str, progress: Callable[[int, int], None] | None = None) -> None:
        create_private(Path(target))
        fault = ""  # of the copy: a full disk, a folder that went away; raised where it is not taken for the store's
        with self.reading() as connection, _one_moment(connection):
            try:
                with (
                    contextlib.closing(apsw.Connection(target)) as copy,
                    copy.backup("main", connection, "main") as backup,
                ):
                    while not backup.done:
                        backup.step(_STEP)
                        if progress is not None:
                            progress(backup.page_count - backup.remaining, backup.page_count)
            except apsw.Error as error:
                fault = str(apsw.mapping_result_codes.get(getattr(error, "result", 0), error))
        if fault:
            raise OSError(errno.EIO, f"the copy cannot be written: {fault}", target)

    def close(self) -> None:
        if self._pid == os.getpid():
            self._connections.close()


class SQLiteTransaction:
    """The transaction of a job: see `contract.Transaction`."""

    def __init__(self, store: SQLiteStore, connection: apsw.Connection) -> None:
        self._store = store
        self.connection = connection

    def get(self, collection: str, ids: Collection[str]) -> dict[str, Row]:
        return _rows_by_id(self.connection, self._store._table(collection), ids)

    def insert(self, collection: str, rows: Sequence[Row]) -> list[WriteOutcome]:
        name = self._store._table(collection).name
        statement = (
            f"INSERT INTO {name} (id, doc, created, updated, owner) VALUES (?, jsonb(?), ?, ?, ?)"
            " ON CONFLICT (id) DO NOTHING"
        )
        return [self._changed(statement, row, "exists") for row in rows]

    def update(self, collection: str, rows: Sequence[Row]) -> list[WriteOutcome]:
        name = self._store._table(collection).name
        statement = f"UPDATE {name} SET doc = jsonb(?), updated = ?, owner = ? WHERE id = ?"
        return [self._changed(statement, (row.text, row.updated, row.owner, row.id), "missing") for row in rows]

    def _changed(self, statement: str, values: tuple[Any, ...], otherwise: WriteOutcome) -> WriteOutcome:
        try:
            self.connection.execute(statement, values)
        except apsw.ConstraintError:
            return "conflict"
        return "done" if self.connection.changes() else otherwise

    def delete(self, collection: str, ids: Collection[str]) -> set[str]:
        name = self._store._table(collection).name
        statement = f"DELETE FROM {name} WHERE id IN (SELECT value FROM json_each(?)) RETURNING id"
        gone = {each for (each,) in self.connection.execute(statement, (encode(list(ids)),))}
        listed = encode(list(gone))
        for link, target in self._store._targets.items() if gone else ():
            for side, of in (("referring", link.collection), ("referenced", target)):
                if of == collection:
                    self.connection.execute(
                        "DELETE FROM wixhttp_links WHERE collection = ? AND field = ?"
                        f" AND {side} IN (SELECT value FROM json_each(?))",
                        (*link, listed),
                    )
        return gone

    def truncate(self, collection: str) -> None:
        self.connection.execute(f"DELETE FROM {self._store._table(collection).name}")
        for link, target in self._store._targets.items():
            if collection in (link.collection, target):
                self.connection.execute("DELETE FROM wixhttp_links WHERE collection = ? AND field = ?", link)

    def linked(
        self, link: Link, referring: Collection[str] | None, referenced: Collection[str] | None
    ) -> list[tuple[str, str]]:
        where, values = "collection = ? AND field = ?", list(link)
        for side, ids in (("referring", referring), ("referenced", referenced)):
            if ids is not None:
                where += f" AND {side} IN (SELECT value FROM json_each(?))"
                values.append(encode(list(ids)))
        statement = f"SELECT referring, referenced FROM wixhttp_links WHERE {where} ORDER BY number"
        return list(self.connection.execute(statement, values))

    def add_links(self, link: Link, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        statement = (
            "INSERT INTO wixhttp_links (collection, field, referring, referenced) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING"
        )
        return [self._changed(statement, (*link, *pair), "exists") == "done" for pair in pairs]

    def remove_links(self, link: Link, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        statement = "DELETE FROM wixhttp_links WHERE collection = ? AND field = ? AND referring = ? AND referenced = ?"
        return [self._changed(statement, (*link, *pair), "missing") == "done" for pair in pairs]


@contextlib.contextmanager
def _one_moment(connection: apsw.Connection) -> Iterator[None]:
    """Let what is read be of one moment: that of the transaction that is open, or of the beginning of the block."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN; SELECT 1 FROM sqlite_schema")
    try:
        yield
    finally:
        if connection.in_transaction:  # some errors end it
            connection.execute("COMMIT")


def _rows_by_id(connection: apsw.Connection, table: SQLiteCollection, ids: Collection[str]) -> dict[str, Row]:
    statement = f"SELECT id, json(doc), created, updated, owner FROM {table.name} WHERE id "
    if len(ids) == 1:
        found = connection.execute(statement + "= ?", tuple(ids))
    else:
        found = connection.execute(statement + "IN (SELECT value FROM json_each(?))", (encode(list(ids)),))
    return {row[0]: Row._make(row) for row in found}


def _link_condition(link: Link, referring: str | None, referenced: str | None) -> tuple[str, tuple[Any, ...]]:
    where, values = "collection = ? AND field = ?", tuple(link)
    for side, each in (("referring", referring), ("referenced", referenced)):
        if each is not None:
            where, values = f"{where} AND {side} = ?", (*values, each)
    return where, values


def _duplicated(collection: str, index: Index) -> WixDataError:
    names = ", ".join(".".join(path) for path in index.paths)
    return WixDataError("WDE0123", f"Duplicated values of {names} in {collection}.", status=409)
