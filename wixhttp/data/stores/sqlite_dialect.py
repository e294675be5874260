"""The SQL dialect of SQLite: keys of fields, comparisons, generated columns and their indexes.

An indexed field has two virtual columns, its rank and its value, stored in indexes only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from wixhttp.data.queries.evaluator import SortKey as Position
from wixhttp.data.queries.evaluator import matches, sort_key
from wixhttp.data.queries.tree import Compare, FieldPath, Linked, Order
from wixhttp.data.queries.values import ARRAY, BOOLEAN, DATE, NULL, NUMBER, OBJECT, STRING, decode, encode, fold

from . import sql
from .contract import SYSTEM_FIELDS, Index


class SQLiteCollection:
    """The catalogue entry of a collection: its number, its indexes by number, and the numbers of its indexed fields."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = f"items_{number}"
        self.indexes: dict[int, Index] = {}
        self.fields: dict[FieldPath, int] = {}
        self.is_upgraded = True  # has all its indexes that hold items newest first


# --- indexes ---------------------------------------------------------------------------------------------------------


def newest_indexes(table: SQLiteCollection) -> dict[str, str]:
    """The indexes that a table has for queries without an order, by name, with the statements that make them."""
    columns = {f"{table.name}_newest": ["created DESC", "id"]}
    for number, index in table.indexes.items():
        if index.has_newest:
            columns[f"index_{number}_newest"] = [*_columns(table, index)[0], "created DESC", "id"]
    return {
        name: f"CREATE INDEX IF NOT EXISTS {name} ON {table.name} ({', '.join(texts)})"
        for name, texts in columns.items()
    }


def make_index(connection: apsw.Connection, table: SQLiteCollection, index: Index) -> None:
    """Make an index of a table, in the transaction at hand."""
    run = connection.execute
    for path in index.paths:
        _make_field(connection, table, path)
    columns, ranks = _columns(table, index)
    values = (table.number, format_fields(index.fields), index.unique)
    run("INSERT INTO wixhttp_indexes (collection, fields, is_unique) VALUES (?, ?, ?)", values)
    number = connection.last_insert_rowid()
    run(f"CREATE INDEX index_{number} ON {table.name} ({', '.join([*columns, 'id'])})")
    if index.unique:
        compared = " AND ".join(f"{rank} IN ({NUMBER}, {STRING}, {BOOLEAN}, {DATE})" for rank in ranks)
        run(f"CREATE UNIQUE INDEX unique_{number} ON {table.name} ({', '.join(columns)}) WHERE {compared}")
    table.indexes[number] = index
    for statement in newest_indexes(table).values():
        run(statement)


def _columns(table: SQLiteCollection, index: Index) -> tuple[list[str], list[str]]:
    """The columns of an index, and the ranks of its fields."""
    columns, ranks = [], []
    for order in index.fields:
        key = _field_key(table, order.path)
        way = " DESC" if order.descending else ""
        columns += [f"{text}{way}" for text in (key.rank, *key.values) if not text.isdigit()]
        ranks.append(key.rank)
    return columns, ranks


def _field_key(table: SQLiteCollection, path: FieldPath) -> sql.FieldKey:
    """The columns of an indexed field."""
    if path[0] in SYSTEM_FIELDS:
        return _system_key(path)
    number = table.fields[path]
    return sql.FieldKey(f"rank_{number}", (f"value_{number}",))


def _make_field(connection: apsw.Connection, table: SQLiteCollection, path: FieldPath) -> None:
    """Make the columns of an indexed field, unless they are there. They are stored in indexes only."""
    if path[0] in SYSTEM_FIELDS or path in table.fields:
        return
    connection.execute("INSERT INTO wixhttp_fields (collection, path) VALUES (?, ?)", (table.number, json.dumps(path)))
    number = table.fields[path] = connection.last_insert_rowid()
    key = _key(path, _quoted)
    for name, text in (("rank", key.rank), ("value", key.values[0])):
        connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {name}_{number} GENERATED ALWAYS AS ({text}) VIRTUAL")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def format_fields(fields: tuple[Order, ...]) -> str:
    """The fields of an index, to be written down."""
    return json.dumps([[list(each.path), each.descending] for each in fields])


def parse_fields(text: str) -> tuple[Order, ...]:
    """The fields of an index, as they are written down."""
    return tuple(Order(tuple(path), descending) for path, descending in json.loads(text))


# --- expressions -----------------------------------------------------------------------------------------------------


class SQLiteDialect:
    """See `sql.Dialect`."""

    row = "id, json(doc), created, updated, owner"
    sorts_arrays = True
    row_id = "rowid"

    def __init__(self, table: SQLiteCollection) -> None:
        self.table = table.name
        self.bound: list[Any] = []
        self._table = table
        self._places: dict[str, str] = {}

    def bind(self, value: Any) -> str:
        self.bound.append(value)
        return f"?{len(self.bound)}"

    def _bind_text(self, text: str) -> str:
        """The placeholder of a text that the statement names more than once."""
        if text not in self._places:
            self._places[text] = self.bind(text)
        return self._places[text]

    def key(self, path: FieldPath) -> sql.FieldKey:
        if path[0] in SYSTEM_FIELDS:
            return _system_key(path)
        return _field_key(self._table, path) if path in self._table.fields else _key(path, self._bind_text)

    def unindexed(self, text: str) -> str:
        return f"+{text}"  # SQLite counts on a condition to leave a fourth of the rows

    def meets_array(self, key: sql.FieldKey) -> str:
        return f"{key.rank} = {ARRAY} AND {key.values[0]} = 0"  # it is: so they are a range of the index, in its order

    def bind_key(self, position: Position) -> tuple[str, ...]:
        return (self.bind(position[1]),)

    def is_present(self, path: FieldPath) -> str:
        if path[0] in SYSTEM_FIELDS:
            return "1 = 1" if len(path) == 1 else "1 = 0"
        return f"json_type(doc, {self._bind_text(_json_path(path))}) IS NOT NULL"

    def is_object(self, path: FieldPath, value: dict[str, Any]) -> str:
        if path[0] in SYSTEM_FIELDS:
            return "1 = 0"
        return f"json_extract(doc, {self._bind_text(_json_path(path))}) = {self.bind(encode(value))}"

    def is_one_of(self, key: sql.FieldKey, values: Sequence[Any]) -> str:
        listed = encode([sort_key({"value": value}, Order(("value",)))[1] for value in values])
        return f"{key.values[0]} IN (SELECT value FROM json_each({self.bind(listed)}))"

    def has_text(self, key: sql.FieldKey, operator: str, operand: str) -> str:
        folded, needle = f"wixhttp_fold({key.values[0]})", self.bind(fold(operand))
        if operator == "contains":
            return f"instr({folded}, {needle}) > 0"
        if operator == "startsWith":
            return f"instr({folded}, {needle}) = 1"
        return f"(length({needle}) = 0 OR substr({folded}, -length({needle})) = {needle})"

    def is_linked(self, linked: Linked) -> str:
        mine, other = ("referenced", "referring") if linked.is_reverse else ("referring", "referenced")
        collection, field = self.bind(linked.collection), self.bind(linked.field)
        where = f"collection = {collection} AND field = {field}"
        if linked.ids is None:
            return f"EXISTS (SELECT 1 FROM wixhttp_links WHERE {where} AND {mine} = id)"
        listed = self.bind(encode(list(linked.ids)))
        # From each id to its links: left to itself, SQLite goes through all links of the field.
        index = "wixhttp_links_there" if linked.is_reverse else "wixhttp_links_back"
        links = f"json_each({listed}) AS asked CROSS JOIN wixhttp_links INDEXED BY {index}"
        return f"id IN (SELECT {mine} FROM {links} WHERE {where} AND {other} = asked.value)"

    def matches_many(self, compare: Compare) -> str:
        top = compare.path[0]
        return self._call(top, lambda text: matches(compare, {top: decode(text)}))

    def many_key(self, order: Order) -> sql.FieldKey:
        top = order.path[0]
        rank = self._call(top, lambda text: sort_key({top: decode(text)}, order)[0])
        return sql.FieldKey(rank, (self._call(top, lambda text: sort_key({top: decode(text)}, order)[1]),))

    def _call(self, top: str, test: Callable[[str], Any]) -> str:
        """Ask the reference evaluator about the JSON text of a field, where there are arrays."""
        return f"wixhttp_many(doc -> {self._bind_text(_json_path((top,)))}, {self.bind(apsw.pyobject(test))})"


def _json_path(path: FieldPath) -> str:
    return "$" + "".join(f".{json.dumps(name, ensure_ascii=False)}" for name in path)


def _system_key(path: FieldPath) -> sql.FieldKey:
    if len(path) > 1:
        return sql.FieldKey(str(NULL), ("0",))
    if path == ("_owner",):
        return sql.FieldKey(f"CASE WHEN owner IS NULL THEN {NULL} ELSE {STRING} END", ("coalesce(owner, 0)",))
    rank, column = {"_id": (STRING, "id"), "_createdDate": (DATE, "created"), "_updatedDate": (DATE, "updated")}[
        path[0]
    ]
    return sql.FieldKey(str(rank), (column,))


def _key(path: FieldPath, text: Callable[[str], str]) -> sql.FieldKey:
    """The key of a field of the document; ``text`` makes a path a part of the statement."""
    whole, date = text(_json_path(path)), text(_json_path((*path, "$date")))
    rank = (
        f"CASE json_type(doc, {whole}) WHEN 'text' THEN {STRING} WHEN 'integer' THEN {NUMBER} WHEN 'real' THEN {NUMBER}"
        f" WHEN 'true' THEN {BOOLEAN} WHEN 'false' THEN {BOOLEAN} WHEN 'array' THEN {ARRAY} WHEN 'object' THEN"
        f" CASE WHEN json_type(doc, {date}) IS NULL THEN {OBJECT} ELSE {DATE} END ELSE {NULL} END"
    )
    for length in range(len(path) - 1, 0, -1):
        rank = f"CASE WHEN json_type(doc, {text(_json_path(path[:length]))}) = 'array' THEN {ARRAY} ELSE {rank} END"
    value = (
        f"CASE json_type(doc, {whole}) WHEN 'object' THEN coalesce(json_extract(doc, {date}), 0) WHEN 'array' THEN 0"
        f" ELSE coalesce(json_extract(doc, {whole}), 0) END"
    )
    return sql.FieldKey(rank, (value,))


def add_functions(connection: apsw.Connection) -> None:
    """Give a connection the functions that the expressions call."""
    connection.create_scalar_function("wixhttp_fold", _fold, 1, deterministic=True)
    connection.create_scalar_function("wixhttp_many", _ask, 2)


def _fold(*arguments: Any) -> str:
    return fold(str(arguments[0]))  # what is compared first is not said: it may be a number


def _ask(*arguments: Any) -> Any:
    text, test = arguments
    return test(text)
