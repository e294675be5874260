"""Collections in PostgreSQL, shared by any number of machines.

The tables stand in the first schema of the connection's search_path. Writes are transactions in READ COMMITTED that
lock what they read; what the database asks to be done again is done again. Nothing is used that databases which speak
its protocol lack: no advisory locks, triggers, temporary tables or functions of our own.
"""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

import psycopg
from psycopg import errors
from psycopg_pool import PoolTimeout

from wixhttp.data.queries.tree import NEWEST_FIRST, Order, Tree
from wixhttp.errors import StoreUnavailable, WixDataError

from . import sql
from .contract import Index, Link, Result, Row, Transaction, no_collection
from .postgres_dialect import REFERENCED, REFERRING, PostgresDialect, digests, index_statements, newest_statements
from .postgres_pool import Connection, PostgresConnections
from .postgres_writes import PostgresCollection, PostgresTransaction, row_of, rows_by_id

_ATTEMPTS = 10  # at a write that the database asks to be done again
_LOOK_AGAIN = 1.0  # seconds after which indexes that others made are seen
_MOST_ADVICE = 100  # different lines about indexes: the fields of queries may come from anybody
_PING = 2.0  # seconds
_MERGED = 1000  # items that a page may leave out and be merged here all the same
_ARM_AND_RANGE = itemgetter(5, 6)  # of what `sql.find_in_arms` gives
_SCANNED = 100  # rows of a scan that are in memory at once

_TABLES = f"""
CREATE TABLE IF NOT EXISTS wixhttp_collections (number bigserial PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS wixhttp_indexes (
    number bigserial PRIMARY KEY, collection bigint NOT NULL, fields text NOT NULL, is_unique boolean NOT NULL,
    UNIQUE (collection, fields, is_unique));
CREATE TABLE IF NOT EXISTS wixhttp_links (
    number bigserial PRIMARY KEY, collection text COLLATE "C" NOT NULL, field text COLLATE "C" NOT NULL,
    referring text COLLATE "C" NOT NULL, referenced text COLLATE "C" NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS wixhttp_links_once ON wixhttp_links (collection, field, {REFERRING}, {REFERENCED});
CREATE INDEX IF NOT EXISTS wixhttp_links_there ON wixhttp_links (collection, field, {REFERRING}, number);
CREATE INDEX IF NOT EXISTS wixhttp_links_back ON wixhttp_links (collection, field, {REFERENCED}, number);
"""

_STATE = (
    "SELECT to_regclass($1::text) IS NULL, (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1::text))"
)

_LOOK = (
    "SELECT c.number, c.name, i.number, i.fields, i.is_unique,"
    " (SELECT reltuples FROM pg_class WHERE oid = to_regclass('items_' || c.number::text)),"
    " to_regclass('items_' || c.number::text || '_newest') IS NOT NULL,"
    " to_regclass('index_' || i.number::text || '_newest') IS NOT NULL"
    " FROM wixhttp_collections AS c LEFT JOIN wixhttp_indexes AS i ON i.collection = c.number ORDER BY c.name, i.number"
)

_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
# What the others did to the tables: what is known of them is read again.
_CHANGED = (errors.UndefinedTable, errors.UndefinedColumn, errors.UniqueViolation)

logger = logging.getLogger("wixhttp")


class PostgresStore:
    """See `store.Store`. ``url`` is what libpq takes; ``options=-csearch_path%3Dname`` in it chooses a schema.

    A process holds `postgres_pool.MOST` connections at most.

    Raises:
        ConfigError: ``url`` is none.
    """

    path = None

    def __init__(self, url: str) -> None:
        self.companions: dict[str, Any] = {}
        self._connections = PostgresConnections(url)
        self._targets: dict[Link, str] = {}
        self._advised: set[tuple[str, tuple[tuple[str, ...], ...]]] = set()
        self._left_as_is: set[str] = set()  # collections that cannot be upgraded
        self._tables: dict[str, PostgresCollection] = {}
        self._looked = 0.0

    # --- tables ---

    def _table(self, collection: str, connection: Connection) -> PostgresCollection:
        table = self._tables.get(collection)
        if table is None or time.monotonic() - self._looked > _LOOK_AGAIN:
            self._look(connection)
            table = self._tables.get(collection)
        if table is None:
            raise no_collection(collection)
        return table

    def _look(self, connection: Connection) -> None:
        now = time.monotonic()
        try:
            records = connection.execute(_LOOK).fetchall()
        except errors.UndefinedTable:  # a new database
            records = []
        tables: dict[str, PostgresCollection] = {}
        for number, name, index, fields, is_unique, size, is_upgraded, has_newest in records:
            table = tables.setdefault(name, PostgresCollection(number, {}, -1 if size is None else size, is_upgraded))
            if index is not None:
                made = Index(_parse_fields(fields), is_unique)
                is_whole = table.is_upgraded and (has_newest or not made.has_newest)
                tables[name] = table._replace(indexes={**table.indexes, index: made}, is_upgraded=is_whole)
        self._tables, self._looked = tables, now

    def _forget(self) -> None:
        self._tables, self._looked = {}, 0.0

    def collections(self) -> dict[str, tuple[Index, ...]]:
        def read(connection: Connection) -> dict[str, PostgresCollection]:
            self._look(connection)
            return self._tables

        return {name: tuple(table.indexes.values()) for name, table in self.ask(read).items()}

    def create(self, collection: str) -> None:
        if collection in self._tables:
            return

        def change(connection: Connection) -> None:
            made = connection.execute(
                "INSERT INTO wixhttp_collections (name) VALUES ($1::text)"
                " ON CONFLICT (name) DO NOTHING RETURNING number",
                (collection,),
            ).fetchone()
            if made is not None:
                connection.execute(
                    f'CREATE TABLE items_{int(made[0])} (id text COLLATE "C" PRIMARY KEY, doc jsonb NOT NULL,'
                    ' created text COLLATE "C" NOT NULL, updated text COLLATE "C" NOT NULL, owner text COLLATE "C")'
                )
                for statement in newest_statements(f"items_{int(made[0])}", {}):
                    connection.execute(statement)

        self._define(change)

    def drop(self, collection: str) -> None:
        def change(connection: Connection) -> None:
            table = self._fresh(collection, connection)
            self._changes(connection).unlink(collection)
            connection.execute("DELETE FROM wixhttp_collections WHERE number = $1::bigint", (table.number,))
            connection.execute("DELETE FROM wixhttp_indexes WHERE collection = $1::bigint", (table.number,))
            connection.execute(f"DROP TABLE IF EXISTS {table.name}")

        self._define(change)

    def add_index(self, collection: str, index: Index) -> None:
        def change(connection: Connection) -> None:
            table = self._fresh(collection, connection)
            made = connection.execute(
                "INSERT INTO wixhttp_indexes (collection, fields, is_unique) VALUES ($1::bigint, $2::text, $3::boolean)"
                " ON CONFLICT DO NOTHING RETURNING number",
                (table.number, _format_fields(index.fields), index.unique),
            ).fetchone()
            for statement in index_statements(table.name, int(made[0]), index) if made is not None else ():
                connection.execute(statement)

        try:
            self._define(change)
        except errors.UniqueViolation:
            names = ", ".join(".".join(path) for path in index.paths)
            raise WixDataError("WDE0123", f"Duplicated values of {names} in {collection}.", status=409) from None

    def drop_index(self, collection: str, index: Index) -> None:
        def change(connection: Connection) -> None:
            for number, each in self._fresh(collection, connection).indexes.items():
                if each == index:
                    connection.execute("DELETE FROM wixhttp_indexes WHERE number = $1::bigint", (number,))
                    for kind in ("index", "unique", "many"):
                        connection.execute(f"DROP INDEX IF EXISTS {kind}_{number}")
                    connection.execute(f"DROP INDEX IF EXISTS index_{number}_newest")

        self._define(change)

    def _upgrade(self, collection: str, order: Sequence[Order]) -> None:
        """Make what a query without an order is answered by, where a database of an earlier version lacks it.

        Where that cannot be, as in a standby or without the right to it, the query is answered all the same.
        """
        if tuple(order) != NEWEST_FIRST or collection in self._left_as_is:
            return
        table = self._tables.get(collection) or self._read(collection, lambda _, found: found)
        if table.is_upgraded:
            return
        logger.info("the collection %r gets its index of the newest items", collection)

        def change(connection: Connection) -> None:
            found = self._fresh(collection, connection)
            for statement in newest_statements(found.name, found.indexes):
                connection.execute(statement)

        try:
            with self._connections.faults.left_out():
                self._define(change)
        except (StoreUnavailable, psycopg.Error) as error:
            self._left_as_is.add(collection)
            logger.warning("the collection %r has no index of its newest items: %s", collection, error)

    def _fresh(self, collection: str, connection: Connection) -> PostgresCollection:
        self._looked = 0.0
        return self._table(collection, connection)

    def _define(self, change: Callable[[Connection], None]) -> None:
        """Change tables in one transaction, again where others did the same at the same moment."""

        def work(changes: PostgresTransaction) -> None:
            try:
                change(changes.connection)
            except errors.UndefinedTable:  # a new database
                changes.connection.execute("ROLLBACK")
                changes.connection.execute("BEGIN")
                changes.connection.execute(_TABLES)
                change(changes.connection)

        try:
            self._write(work, single=False, again=_is_race)
        finally:
            self._forget()

    # --- reading ---

    def ask(self, read: Callable[[Connection], Result]) -> Result:
        """Return the result of ``read``, retried once where the connection broke.

        It is for tables of this package beside the collections, too. Mistakes in a statement are raised as they are.
        """
        try:
            with self._connections.use() as connection:
                return read(connection)
        except StoreUnavailable as error:
            if not _is_lost(error.__cause__):
                raise
        except _AGAIN:
            pass
        with self._connections.use() as connection:
            return read(connection)

    def _read(self, collection: str, read: Callable[[Connection, PostgresCollection], Result]) -> Result:
        """Return the result of ``read``, retried once where others changed the tables of the collection meanwhile."""

        def once(connection: Connection) -> Result:
            return read(connection, self._table(collection, connection))

        try:
            return self.ask(once)
        except _CHANGED:
            self._forget()
        try:
            return self.ask(once)
        except errors.UndefinedTable:
            raise no_collection(collection) from None

    def get(self, collection: str, ids: Collection[str]) -> dict[str, Row]:
        return self._read(collection, lambda connection, table: rows_by_id(connection, table, ids))

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
        def read(connection: Connection, table: PostgresCollection) -> list[Row]:
            self._advise(collection, table, tree, order)
            dialect = PostgresDialect(table.name, table.indexed)
            indexes = table.indexes.values()
            if limit is None or skip > _MERGED:
                statement = sql.find_rows(
                    dialect, indexes, tree, order, skip=skip, limit=limit, after=after, is_reversed=is_reversed
                )
                return [row_of(record) for record in connection.execute(statement, dialect.bound)]
            statement = sql.find_in_arms(dialect, indexes, tree, order, skip + limit, after, is_reversed=is_reversed)
            arms: dict[int, list[Row]] = {}
            for record in sorted(connection.execute(statement, dialect.bound).fetchall(), key=_ARM_AND_RANGE):
                arms.setdefault(record[5], []).append(row_of(record))
            return list(islice(sql.merged(arms.values(), order, is_reversed=is_reversed), skip, skip + limit))

        self._upgrade(collection, order)
        return self._read(collection, read)

    def count(self, collection: str, tree: Tree) -> int:
        def read(connection: Connection, table: PostgresCollection) -> int:
            self._advise(collection, table, tree, ())
            dialect = PostgresDialect(table.name, table.indexed)
            statement = sql.count_rows(dialect, table.indexes.values(), tree)
            [(count,)] = connection.execute(statement, dialect.bound)
            return int(count)

        return self._read(collection, read)

    def scan(self, collection: str, tree: Tree, order: Sequence[Order] = ()) -> Iterator[Row]:
        self._upgrade(collection, order)
        with self._connections.use() as connection:
            try:
                table = self._fresh(collection, connection)
                dialect = PostgresDialect(table.name, table.indexed)
                statement = sql.find_rows(dialect, (), tree, order)
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                with connection.cursor("wixhttp_scan") as cursor:
                    cursor.itersize = _SCANNED
                    for record in cursor.execute(statement, dialect.bound):
                        yield row_of(record)
                connection.execute("COMMIT")
            except errors.UndefinedTable:
                raise no_collection(collection) from None

    def _advise(self, collection: str, table: PostgresCollection, tree: Tree, order: Sequence[Order]) -> None:
        """Log, once, the index that a query over many items would be faster with."""
        if table.size <= sql.SLOW:
            return
        missing = sql.missing_index(table.indexes.values(), tree, order)
        if missing and (collection, missing) not in self._advised and len(self._advised) <= _MOST_ADVICE:
            self._advised.add((collection, missing))
            logger.warning("%s", sql.advice(collection, missing))

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
        statement += f"{' DESC' if descending else ''} OFFSET ${len(values) + 1}::bigint"
        values.append(skip)
        if limit is not None:
            values.append(limit)
            statement += f" LIMIT ${len(values)}::bigint"
        return [(mine, other) for mine, other in self._read_links(statement, values)]

    def count_links(self, link: Link, *, referring: str | None = None, referenced: str | None = None) -> int:
        where, values = _link_condition(link, referring, referenced)
        [(count,)] = self._read_links(f"SELECT count(*) FROM wixhttp_links WHERE {where}", values) or [(0,)]
        return int(count)

    def _read_links(self, statement: str, values: list[Any]) -> list[tuple[Any, ...]]:
        try:
            return self.ask(lambda connection: connection.execute(statement, values).fetchall())
        except errors.UndefinedTable:  # a new database
            return []

    def declare_links(self, links: Mapping[Link, str]) -> None:
        self._targets = dict(links)

    # --- writing ---

    def write(self, work: Callable[[Transaction], Result], *, single: bool = False) -> Result:
        is_known = True

        def again(error: psycopg.Error) -> bool:  # once, with what is known of the tables read again
            nonlocal is_known
            was_known, is_known = is_known, False
            self._forget()
            return was_known and isinstance(error, _CHANGED)

        return self._write(work, single=single, again=again)

    def _changes(self, connection: Connection) -> PostgresTransaction:
        return PostgresTransaction(connection, self._table, self._targets)

    def _write(
        self, work: Callable[[PostgresTransaction], Result], *, single: bool, again: Callable[[psycopg.Error], bool]
    ) -> Result:
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311  # apart from the others, no secret
            try:
                with self._connections.use() as connection:
                    changes = self._changes(connection)
                    if not single:
                        changes.begin()
                    result = work(changes)
                    changes.commit()
                    return result
            except _AGAIN:
                continue
            except psycopg.Error as error:
                if not again(error):
                    raise
        raise StoreUnavailable(f"The database had too many writes at once: it refused this one {_ATTEMPTS} times.")

    def transact(
        self, work: Callable[[PostgresTransaction], Result], *, single: bool = False, defines: bool = False
    ) -> Result:
        """Return the result of ``work``, which writes tables of this package beside the collections, once that is
        committed. It is called again where the database asks for it.

        ``single``: each of its statements is a transaction of its own. ``defines``: it makes tables, as others may at
        the same moment. An exception undoes everything.

        Raises:
            StoreUnavailable: nothing was written, or, where the connection broke at the end, nobody can tell.
        """
        return self._write(work, single=single, again=_is_race if defines else lambda _: False)

    # --- care ---

    def clock(self) -> float:
        statement = "SELECT extract(epoch FROM clock_timestamp())::double precision"
        [(seconds,)] = self.ask(lambda connection: connection.execute(statement).fetchall())
        return float(seconds)

    def ping(self) -> None:
        with self._connections.use(_PING) as connection, socket.socket(fileno=os.dup(connection.fileno())) as line:
            # Who waits for a server that does not answer wakes up when the line is cut.
            watch = threading.Timer(_PING, line.shutdown, (socket.SHUT_RDWR,))
            watch.daemon = True
            watch.start()
            try:
                connection.execute("SELECT 1")
                self._connections.faults.look(lambda: _check_writable(connection))
            finally:
                watch.cancel()
                watch.join()

    def check(self) -> list[str]:
        def read(connection: Connection) -> list[str]:
            self._look(connection)
            wanted = {(name, table.name) for name, table in self._tables.items()}
            for name, table in self._tables.items():
                for number, index in table.indexes.items():
                    parts = (
                        each.partition("INDEX ")[2].split()[0] for each in index_statements(table.name, number, index)
                    )
                    wanted |= {(name, part) for part in parts if table.is_upgraded or not part.endswith("_newest")}
            found = []
            for name, part in sorted(wanted):
                [(is_absent, is_valid)] = connection.execute(_STATE, (part,))
                if is_absent:
                    found.append(f"the collection {name} lacks its {part}")
                elif is_valid is False:
                    found.append(f"the index {part} of {name} is not complete: drop it and make it again")
            return found

        return self.ask(read)

    def backup(self, target: str, progress: Callable[[int, int], None] | None = None) -> None:
        raise WixDataError("WDE0120", "A store in PostgreSQL is copied with pg_dump, or with: wixhttp data export.")

    def close(self) -> None:
        self._connections.close()
        self._forget()


def _check_writable(connection: Connection) -> None:
    """Raises StoreUnavailable where nothing can be written: in a standby, or a database that is read-only."""
    [(is_read_only,)] = connection.execute("SELECT current_setting('transaction_read_only')")
    if is_read_only == "on":
        raise StoreUnavailable("The database is read-only: a standby, or default_transaction_read_only is on.")


def _is_lost(error: object) -> bool:
    """Return whether a connection broke, where another may be made."""
    if not isinstance(error, psycopg.OperationalError) or isinstance(error, PoolTimeout):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


def _is_race(error: psycopg.Error) -> bool:
    """Return whether two made the same tables at once: the catalogue of the database then says so in many ways."""
    if isinstance(error, errors.UniqueViolation):
        return (error.diag.constraint_name or "").startswith("pg_")
    return isinstance(error, errors.DuplicateTable | errors.DuplicateObject | errors.UndefinedTable) or (
        "concurrently" in str(error)
    )


def _link_condition(link: Link, referring: str | None, referenced: str | None) -> tuple[str, list[Any]]:
    where, values = "collection = $1::text AND field = $2::text", list[Any](link)
    for side, each in ((REFERRING, referring), (REFERENCED, referenced)):
        if each is not None:
            values += digests([each])
            where += f" AND {side} = ${len(values)}::text"
    return where, values


def _format_fields(fields: tuple[Order, ...]) -> str:
    return json.dumps([[list(each.path), each.descending] for each in fields])


def _parse_fields(text: str) -> tuple[Order, ...]:
    return tuple(Order(tuple(path), descending) for path, descending in json.loads(text))
