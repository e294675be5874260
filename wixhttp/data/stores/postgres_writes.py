"""One write to PostgreSQL: the statements of a transaction, and the rows that they read and leave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import errors

from wixhttp.data.queries.tree import FieldPath
from wixhttp.data.queries.values import canonical

from .contract import Index, Link, Row, WriteOutcome
from .postgres_dialect import LONGEST_ID, REFERENCED, REFERRING, digest_of, digests
from .postgres_pool import Connection

_BATCH = 8_000_000  # characters of texts in one statement


class PostgresCollection(NamedTuple):
    """The catalogue entry of a collection: its number, its indexes by number, how many items it has, or -1, and whether
    it has all indexes that hold items newest first."""

    number: int
    indexes: Mapping[int, Index]
    size: float
    is_upgraded: bool = True

    @property
    def name(self) -> str:
        """The name of the table of its items."""
        return f"items_{self.number}"

    @property
    def indexed(self) -> frozenset[FieldPath]:
        """The fields that its indexes name."""
        return frozenset(path for index in self.indexes.values() for path in index.paths)


def row_of(record: Sequence[Any]) -> Row:
    """The row of what a statement gave for `PostgresDialect.row`, its text in canonical form."""
    return Row(record[0], canonical(record[1]), record[2], record[3], record[4])


def rows_by_id(
    connection: Connection, table: PostgresCollection, ids: Collection[str], then: str = ""
) -> dict[str, Row]:
    """The rows with these ids."""
    statement = f"SELECT id, doc, created, updated, owner FROM {table.name} WHERE id "
    if len(ids) == 1:
        found = connection.execute(f"{statement} = $1::text{then}", tuple(ids))
    else:
        found = connection.execute(f"{statement} = ANY($1::text[]) ORDER BY id{then}", (list(ids),))
    return {record[0]: row_of(record) for record in found}


class PostgresTransaction:
    """See `contract.Transaction`. Until `begin` is called, each statement is a transaction of its own."""

    def __init__(
        self,
        connection: Connection,
        look_up: Callable[[str, Connection], PostgresCollection],
        targets: Mapping[Link, str],
    ) -> None:
        self.connection = connection
        self._look_up = look_up
        self._targets = targets
        self._has_begun = False

    # --- the transaction ---

    def begin(self) -> None:
        """Join all that follows in one transaction."""
        if not self._has_begun:
            self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            self._has_begun = True

    def commit(self) -> None:
        """Write it to disk."""
        if self._has_begun:
            self.connection.execute("COMMIT")

    def _run(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement, values).fetchall()

    def _table(self, collection: str) -> PostgresCollection:
        return self._look_up(collection, self.connection)

    def _try(self, statement: str, values: Sequence[Any], otherwise: WriteOutcome) -> WriteOutcome:
        """Write one row, and return its outcome; a conflict leaves the transaction as it was."""
        if self._has_begun:
            self.connection.execute("SAVEPOINT row")
        try:
            count = self.connection.execute(statement, values).rowcount
        except errors.UniqueViolation:
            if self._has_begun:
                self.connection.execute("ROLLBACK TO SAVEPOINT row")
            return "conflict"
        if self._has_begun:
            self.connection.execute("RELEASE SAVEPOINT row")
        return "done" if count else otherwise

    # --- rows ---

    def get(self, collection: str, ids: Collection[str]) -> dict[str, Row]:
        return rows_by_id(self.connection, self._table(collection), ids, " FOR UPDATE") if ids else {}

    def insert(self, collection: str, rows: Sequence[Row]) -> list[WriteOutcome]:
        table = self._table(collection)
        if len(rows) > 1:
            self.begin()
        return [outcome for batch in _batches(rows) for outcome in self._insert(table, batch)]

    def _insert(self, table: PostgresCollection, rows: list[Row]) -> list[WriteOutcome]:
        into = f"INSERT INTO {table.name} (id, doc, created, updated, owner)"
        single = f"{into} VALUES ($1::text, $2::jsonb, $3::text, $4::text, $5::text) ON CONFLICT (id) DO NOTHING"
        done = set()
        if self._has_begun:
            statement = (
                f"{into} SELECT * FROM unnest($1::text[], $2::jsonb[], $3::text[], $4::text[], $5::text[])"
                " ON CONFLICT DO NOTHING RETURNING id"
            )
            done = {each for (each,) in self._run(statement, [list(column) for column in zip(*rows, strict=True)])}
        # Those that were left out say one by one why.
        return ["done" if row.id in done else self._try(single, row, "exists") for row in rows]

    def update(self, collection: str, rows: Sequence[Row]) -> list[WriteOutcome]:
        table = self._table(collection)
        if len(rows) > 1:
            self.begin()
        if len(rows) == 1 or any(index.unique for index in table.indexes.values()):  # in their order, each by itself
            values = "doc = $2::jsonb, updated = $3::text, owner = $4::text"
            statement = f"UPDATE {table.name} SET {values} WHERE id = $1::text"
            return [self._try(statement, (row.id, row.text, row.updated, row.owner), "missing") for row in rows]
        return [outcome for batch in _batches(rows) for outcome in self._update(table, batch)]

    def _update(self, table: PostgresCollection, rows: list[Row]) -> list[WriteOutcome]:
        statement = (
            f"UPDATE {table.name} AS items SET doc = v.doc, updated = v.updated, owner = v.owner"
            " FROM unnest($1::text[], $2::jsonb[], $3::text[], $4::text[]) AS v (id, doc, updated, owner)"
            " WHERE items.id = v.id RETURNING items.id"
        )
        columns = zip(*((row.id, row.text, row.updated, row.owner) for row in rows), strict=True)
        done = {each for (each,) in self._run(statement, [list(column) for column in columns])}
        return ["done" if row.id in done else "missing" for row in rows]

    def delete(self, collection: str, ids: Collection[str]) -> set[str]:
        table = self._table(collection)
        sides = [
            (link, side)
            for link, target in self._targets.items()
            for side, of in ((REFERRING, link.collection), (REFERENCED, target))
            if of == collection
        ]
        if sides:
            self.begin()
        statement = f"DELETE FROM {table.name} WHERE id = ANY($1::text[]) RETURNING id"
        gone = {each for (each,) in self._run(statement, (list(ids),))}
        for link, side in sides if gone else ():
            self.connection.execute(
                "DELETE FROM wixhttp_links WHERE collection = $1::text AND field = $2::text"
                f" AND {side} = ANY($3::text[])",
                (*link, digests(gone)),
            )
        return gone

    def truncate(self, collection: str) -> None:
        table = self._table(collection)
        self.begin()
        self.connection.execute(f"DELETE FROM {table.name}")
        self.unlink(collection)

    def unlink(self, collection: str) -> None:
        """Remove all links from and to a collection."""
        for link, target in self._targets.items():
            if collection in (link.collection, target):
                self.connection.execute(
                    "DELETE FROM wixhttp_links WHERE collection = $1::text AND field = $2::text", link
                )

    # --- links ---

    def linked(
        self, link: Link, referring: Collection[str] | None, referenced: Collection[str] | None
    ) -> list[tuple[str, str]]:
        where, values = "collection = $1::text AND field = $2::text", [*link]
        bound: list[Any] = values
        for side, ids in ((REFERRING, referring), (REFERENCED, referenced)):
            if ids is not None:
                bound.append(digests(ids))
                where += f" AND {side} = ANY(${len(bound)}::text[])"
        statement = f"SELECT referring, referenced FROM wixhttp_links WHERE {where} ORDER BY number FOR UPDATE"
        return [(mine, other) for mine, other in self._run(statement, bound)]

    def add_links(self, link: Link, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        statement = (
            "INSERT INTO wixhttp_links (collection, field, referring, referenced)"
            " SELECT $1::text, $2::text, mine, other FROM"
            " unnest($3::text[], $4::text[]) WITH ORDINALITY AS pairs (mine, other, place) ORDER BY place"
            " ON CONFLICT DO NOTHING RETURNING referring, referenced"
        )
        return self._change_links(statement, link, pairs)

    def remove_links(self, link: Link, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        mine, other = digest_of("pairs.mine", LONGEST_ID), digest_of("pairs.other", LONGEST_ID)
        statement = (
            "DELETE FROM wixhttp_links USING unnest($3::text[], $4::text[]) AS pairs (mine, other)"
            f" WHERE collection = $1::text AND field = $2::text AND {REFERRING} = {mine} AND {REFERENCED} = {other}"
            " RETURNING referring, referenced"
        )
        return self._change_links(statement, link, pairs)

    def _change_links(self, statement: str, link: Link, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        left = {(mine, other) for mine, other in self._run(statement, (*link, *_columns(pairs)))} if pairs else set()
        changed = []
        for pair in pairs:  # the second of two equal ones changed nothing
            changed.append(pair in left)
            left.discard(pair)
        return changed


def _columns(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [mine for mine, _ in pairs], [other for _, other in pairs]


def _batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows in their order, no id twice in a batch."""
    batch: list[Row] = []
    ids: set[str] = set()
    size = 0
    for row in rows:
        if row.id in ids or size > _BATCH:
            yield batch
            batch, ids, size = [], set(), 0
        batch.append(row)
        ids.add(row.id)
        size += len(row.text)
    if batch:
        yield batch
