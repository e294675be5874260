"""The SQL dialect of PostgreSQL: comparisons, sort keys and indexes of a collection as expressions.

The key of a field is (rank, number, text), none of them NULL: the number of a number or a boolean, or 0; the text of a
text or a date, or ''. In an index no text is longer than `LONGEST` bytes, for PostgreSQL takes no long keys: where an
indexed field holds a longer one its rank is that of arrays and its text a hash, so that it is found, and sorted, with
the rows that need another look.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from wixhttp.data.queries.evaluator import SortKey as Position
from wixhttp.data.queries.evaluator import key_of, whole
from wixhttp.data.queries.tree import Compare, FieldPath, Linked, Order
from wixhttp.data.queries.values import (
    ARRAY,
    BOOLEAN,
    DATE,
    NONE,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    encode,
    fold,
    folding,
    type_rank,
    variants,
)

from . import sql
from .contract import SYSTEM_FIELDS, Index

LONGEST = 240  # bytes of a text in an index
LONGEST_ID = 63  # bytes of an id that the indexes of links hold as it is: a hash has one more
_LONG_NEEDLE = 200  # characters from which on a text is folded, where a pattern would be large
# PostgreSQL keeps the expressions of an index in one row of 8 kB: how many bytes there are, and are taken at most.
_INDEX_ROW_BYTES, _FIELD, _SEGMENT = 7000, 1000, 480
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_ALONE = "1 = 1", "1 = 0"

Bind = Callable[[str], str]


def quoted(text: str) -> str:
    """A text as a part of a statement: only of what was declared."""
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in text else f"'{escaped}'"


def digest(text: str, longest: int) -> str:
    """A text, or its hash where it has more than ``longest`` bytes; `digest_of` is the same in a statement."""
    data = text.encode()
    return hashlib.sha256(data).hexdigest() if len(data) > longest else text


def digest_of(text: str, longest: int) -> str:
    """The expression of `digest`."""
    return f"CASE WHEN octet_length({text}) > {longest} THEN encode({_hash(text)}, 'hex') ELSE {text} END"


def digests(ids: Iterable[str]) -> list[str]:
    """The digests of ids, as the indexes of links hold them."""
    return [digest(each, LONGEST_ID) for each in ids]


def _hash(text: str) -> str:
    # `decode` is immutable, as an index needs it, where `convert_to` is not.
    return rf"sha256(decode(replace({text}, E'\\', E'\\\\'), 'escape'))"


REFERRING, REFERENCED = (f"({digest_of(side, LONGEST_ID)})" for side in ("referring", "referenced"))
"""What the indexes of links hold of the ids."""


def field_key(path: FieldPath, text: Bind, *, is_indexed: bool) -> sql.FieldKey:
    """The key of a field of the document; ``text`` makes a name a part of the statement."""
    value = _member("doc", path, text)
    rank = _rank(value, is_indexed=is_indexed)
    for length in range(len(path) - 1, 0, -1):
        rank = f"CASE WHEN jsonb_typeof({_member('doc', path[:length], text)}) = 'array' THEN {ARRAY} ELSE {rank} END"
    return sql.FieldKey(rank, (_number(value), _text(value, is_indexed=is_indexed)))


def _member(value: str, path: FieldPath, text: Bind) -> str:
    """The value at a path through objects only: `->` with a name gives NULL for all else."""
    return "(" + " -> ".join([value, *map(text, path)]) + ")"


def _rank(value: str, *, is_indexed: bool = False, absent: int = NULL) -> str:
    string = f"{STRING}"
    if is_indexed:
        string = f"CASE WHEN octet_length({value} #>> '{{}}') > {LONGEST} THEN {ARRAY} ELSE {STRING} END"
    return (
        f"CASE jsonb_typeof({value}) WHEN 'string' THEN {string} WHEN 'number' THEN {NUMBER}"
        f" WHEN 'boolean' THEN {BOOLEAN} WHEN 'array' THEN {ARRAY}"
        f" WHEN 'object' THEN CASE WHEN {value} ? '$date' THEN {DATE} ELSE {OBJECT} END"
        f" WHEN 'null' THEN {NULL} ELSE {absent} END"
    )


def _number(value: str) -> str:
    return (
        f"CASE jsonb_typeof({value}) WHEN 'number' THEN {value}::numeric"
        f" WHEN 'boolean' THEN {value}::boolean::int::numeric ELSE 0::numeric END"
    )


def _text(value: str, *, is_indexed: bool = False) -> str:
    string = f"({value} #>> '{{}}')"
    if is_indexed:
        string = digest_of(string, LONGEST)
    return (
        f"(CASE jsonb_typeof({value}) WHEN 'string' THEN {string}"
        f" WHEN 'object' THEN coalesce({value} ->> '$date', '') ELSE '' END) COLLATE \"C\""
    )


def system_key(path: FieldPath) -> sql.FieldKey:
    """The key of a field that has a column of its own."""
    if len(path) > 1:
        return sql.FieldKey(str(NULL), ("0", "''::text COLLATE \"C\""))
    if path == ("_owner",):
        return sql.FieldKey(f"CASE WHEN owner IS NULL THEN {NULL} ELSE {STRING} END", ("0", "coalesce(owner, '')"))
    rank, column = {"_id": (STRING, "id"), "_createdDate": (DATE, "created"), "_updatedDate": (DATE, "updated")}[
        path[0]
    ]
    return sql.FieldKey(str(rank), ("0", column))


def newest_statements(table: str, indexes: Mapping[int, Index]) -> list[str]:
    """The statements that make the indexes of a table for queries without an order, those that are not there."""
    made = [f"CREATE INDEX {table}_newest ON {table} (created DESC, id)"]
    for number, index in indexes.items():
        made += [each for each in index_statements(table, number, index) if f"index_{number}_newest" in each]
    return [each.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS", 1) for each in made]


def index_statements(table: str, number: int, index: Index) -> list[str]:
    """The statements that make an index, by the number that it has; `check` asks for what they name.

    Besides the one that queries use: one for queries without an order, or where it is unique, one that holds no id;
    and for a single field one of what its arrays contain. The last is for fields at the top only: through an array of
    objects, a path has many forms.
    """
    columns = []
    bytes_left = _INDEX_ROW_BYTES
    for order in index.fields:
        is_system = order.path[0] in SYSTEM_FIELDS
        bytes_left -= _FIELD + len(order.path) * _SEGMENT
        if bytes_left < 0 and not is_system:
            break  # the rest is sorted and looked at by the query
        key = system_key(order.path) if is_system else field_key(order.path, quoted, is_indexed=True)
        way = " DESC" if order.descending else ""
        columns += [f"({text}){way}" for text in (key.rank, *key.values) if not text.isdigit()]
    made = [f"CREATE INDEX index_{number} ON {table} ({', '.join([*columns, 'id'])})"]
    if index.has_newest:
        made.append(f"CREATE INDEX index_{number}_newest ON {table} ({', '.join([*columns, 'created DESC', 'id'])})")
    if index.unique:
        made.append(_unique_statement(table, number, index))
    [path, *others] = index.paths
    if not others and len(path) == 1 and path[0] not in SYSTEM_FIELDS:
        value = _member("doc", path, quoted)
        made.append(
            f"CREATE INDEX many_{number} ON {table} USING gin ({value} jsonb_path_ops)"
            f" WHERE jsonb_typeof({value}) = 'array'"
        )
    return made


def _unique_statement(table: str, number: int, index: Index) -> str:
    """One hash of the texts of all fields: equal values have equal texts, and different ones no common text."""
    texts, compared = [], []
    for path in index.paths:
        if path[0] in SYSTEM_FIELDS:
            column = system_key(path).values[1]
            texts.append(f"length({column})::text || ':' || {column}")
            compared.append("owner IS NOT NULL" if path == ("_owner",) else _ALONE[len(path) > 1])
        else:
            value = _member("doc", path, quoted)
            texts.append(f"{value}::text")
            single = f"jsonb_typeof({value}) IN ('string', 'number', 'boolean')"
            compared.append(f"({single} OR {value} ->> '$date' IS NOT NULL)")
    joined = " || ',' || ".join(texts)
    return f"CREATE UNIQUE INDEX unique_{number} ON {table} ({_hash(joined)}) WHERE {' AND '.join(compared)}"


class PostgresDialect:
    """See `sql.Dialect`. ``indexed`` are the fields that indexes of the table name."""

    row = "id, doc, created, updated, owner"
    sorts_arrays = False
    row_id = ""  # it sorts references to the documents

    def __init__(self, table: str, indexed: Collection[FieldPath] = ()) -> None:
        self.table = table
        self.bound: list[Any] = []
        self._indexed = indexed
        self._places: dict[str, str] = {}

    def bind(self, value: Any) -> str:
        return self._bind(value, "bigint" if isinstance(value, int) else "text")

    def _bind(self, value: Any, kind: str) -> str:
        self.bound.append(value)
        return f"${len(self.bound)}::{kind}"

    def _name(self, text: str) -> str:
        """The placeholder of a name, which a statement has more than once."""
        if text not in self._places:
            self._places[text] = self.bind(text)
        return self._places[text]

    def _names(self, path: FieldPath) -> Bind:
        return quoted if path in self._indexed else self._name

    def _value(self, path: FieldPath) -> str:
        return _member("doc", path, self._names(path))

    def key(self, path: FieldPath) -> sql.FieldKey:
        if path[0] in SYSTEM_FIELDS:
            return system_key(path)
        return field_key(path, self._names(path), is_indexed=path in self._indexed)

    def unindexed(self, text: str) -> str:
        return text  # PostgreSQL knows how many rows a condition leaves

    def meets_array(self, key: sql.FieldKey) -> str:
        return f"{key.rank} = {ARRAY}"

    def bind_key(self, position: Position) -> tuple[str, ...]:
        rank, value = position
        if rank in (STRING, DATE):
            return "0", self._bind(value, "text")
        if rank in (NUMBER, BOOLEAN):
            return self._bind(repr(value), "numeric"), "''"
        return "0", "''"

    def is_present(self, path: FieldPath) -> str:
        if path[0] in SYSTEM_FIELDS:
            return _ALONE[len(path) > 1]
        return f"{self._value(path)} IS NOT NULL"

    def is_object(self, path: FieldPath, value: dict[str, Any]) -> str:
        if path[0] in SYSTEM_FIELDS:
            return _ALONE[1]
        return f"{self._value(path)} = {self._bind(encode(value), 'jsonb')}"

    def is_one_of(self, key: sql.FieldKey, values: Sequence[Any]) -> str:
        number, text = key.values
        keys = [key_of(value)[1] for value in values]
        if type_rank(values[0]) in (NUMBER, BOOLEAN):
            return f"{number} = ANY({self._bind([repr(each) for each in keys], 'numeric[]')}) AND {text} = ''"
        return f"{number} = 0 AND {text} = ANY({self._bind(keys, 'text[]')})"

    def has_text(self, key: sql.FieldKey, operator: str, operand: str) -> str:
        return self._has_text(key.values[1], operator, operand)

    def _has_text(self, text: str, operator: str, operand: str) -> str:
        needle = fold(operand)
        if not needle:
            return _ALONE[0]
        if operator == "startsWith":
            text = f"left({text}, {len(needle)})"
        elif operator == "endsWith":
            text = f"right({text}, {len(needle)})"
        if len(needle) > _LONG_NEEDLE:
            upper, lower = _foldings()
            folded = f"translate({text}, {self._name(upper)}, {self._name(lower)})"
            test = f"strpos({folded}, {self._bind(needle, 'text')}) > 0"
            return f"(length({text}) >= {len(needle)} AND {test})"
        pattern = "".join(map(_pattern, needle))
        return f'({text}) COLLATE "C" ~ {self._bind(pattern, "text")}'

    def is_linked(self, linked: Linked) -> str:
        mine, other = (REFERENCED, REFERRING) if linked.is_reverse else (REFERRING, REFERENCED)
        of = f"collection = {self.bind(linked.collection)} AND field = {self.bind(linked.field)}"
        if linked.ids is None:
            return f"EXISTS (SELECT 1 FROM wixhttp_links WHERE {of} AND {mine} = ({digest_of('id', LONGEST_ID)}))"
        column = "referenced" if linked.is_reverse else "referring"
        listed = self._bind(digests(linked.ids), "text[]")
        return f"id IN (SELECT {column} FROM wixhttp_links WHERE {of} AND {other} = ANY({listed}))"

    # --- where there are arrays ---

    def matches_many(self, compare: Compare) -> str:
        operator, value = compare.operator, compare.value
        if operator in ("eq", "in") and len(compare.path) == 1 and compare.path[0] not in SYSTEM_FIELDS:
            return self._contains(compare.path, value if operator == "in" else [value])
        if operator == "exists":
            test = f"EXISTS (SELECT 1 FROM {self._values(compare.path)} WHERE {_last(compare.path)} IS NOT NULL)"
            return test if value else f"NOT {test}"
        if operator in ("eq", "in"):
            operands = value if operator == "in" else [value]
            listed = self._bind([encode(each) for each in operands], "jsonb[]")
            test = self._some(compare.path, f"c.v = ANY({listed})")
            return f"({test} OR NOT {self._some(compare.path, _ALONE[0])})" if None in operands else test
        if operator in _SIGNS:
            return self._some(compare.path, self._range(_SIGNS[operator], value))
        text = self._has_text("(c.v #>> '{}')", operator, value)
        return self._some(compare.path, f"jsonb_typeof(c.v) = 'string' AND {text}")

    def _range(self, sign: str, operand: Any) -> str:
        rank = type_rank(operand)
        other = self.bind_key(key_of(operand))
        if rank == STRING:
            return f"(jsonb_typeof(c.v) = 'string' AND (c.v #>> '{{}}') COLLATE \"C\" {sign} {other[1]})"
        if rank == DATE:
            return f"(c.v ->> '$date') COLLATE \"C\" {sign} {other[1]}"
        kind, cast = ("number", "numeric") if rank == NUMBER else ("boolean", "boolean::int")
        return f"CASE jsonb_typeof(c.v) WHEN '{kind}' THEN c.v::{cast} {sign} {other[0]} ELSE FALSE END"

    def _contains(self, path: FieldPath, operands: Sequence[Any]) -> str:
        """Return whether a field at the top, an array or a long text, is or contains one of some values."""
        value = self._value(path)
        plain = [each for each in operands if not isinstance(each, dict | list)]
        tests = []
        if plain:  # what an index of arrays answers
            wanted = [encode([each]) for each in plain]
            several = len(wanted) > 1
            tests.append(
                f"{value} @> ANY({self._bind(wanted, 'jsonb[]')})"
                if several
                else f"{value} @> {self._bind(wanted[0], 'jsonb')}"
            )
        others = [each for each in operands if isinstance(each, dict | list)]
        if others:
            tests.append(self._some(path, f"c.v = ANY({self._bind([encode(each) for each in others], 'jsonb[]')})"))
        found = f"(jsonb_typeof({value}) = 'array' AND ({' OR '.join(tests)}))" if tests else _ALONE[1]
        long = [each for each in plain if isinstance(each, str) and len(each.encode()) > LONGEST]
        if not long or path not in self._indexed:
            return found
        key = self.key(path)
        hashes = self._bind([digest(each, LONGEST) for each in long], "text[]")
        return f"({found} OR ({key.values[0]} = 0 AND {key.values[1]} = ANY({hashes}) AND {key.rank} = {ARRAY}))"

    def _some(self, path: FieldPath, test: str) -> str:
        """Return whether a test holds of ``c.v`` for some value at a path, or element of an array there."""
        last = _last(path)
        return (
            f"EXISTS (SELECT 1 FROM {self._values(path)} CROSS JOIN LATERAL"
            f" (SELECT {last} AS v UNION ALL {_elements(last)}) AS c WHERE c.v IS NOT NULL AND {test})"
        )

    def _values(self, path: FieldPath) -> str:
        """The values at a path: what `evaluator.values_at` gives, and NULL."""
        steps = [f"(SELECT {_member('doc', path[:1], self._name)} AS v) AS p1"]
        for place, name in enumerate(path[1:], 1):
            before, bound = f"p{place}.v", self._name(name)
            step = f"SELECT {before} -> {bound} AS v UNION ALL {_elements(before, f' -> {bound}')}"
            at = whole(name)
            if at is not None:
                step += f" UNION ALL SELECT CASE jsonb_typeof({before}) WHEN 'array' THEN {before} -> {at} END"
            steps.append(f"LATERAL ({step}) AS p{place + 1}")
        return " CROSS JOIN ".join(steps)

    def many_key(self, order: Order) -> sql.FieldKey:
        last, way = _last(order.path), " DESC" if order.descending else ""
        # NULL stands for what an empty array has to be sorted by.
        source = (
            f"FROM {self._values(order.path)} CROSS JOIN LATERAL ("
            f"SELECT {last} AS v WHERE jsonb_typeof({last}) <> 'array' UNION ALL {_elements(last)}"
            f" UNION ALL SELECT NULL::jsonb WHERE {last} = '[]') AS c CROSS JOIN LATERAL"
            f" (SELECT {_rank('c.v', absent=NONE)} AS r, {_number('c.v')} AS n, {_text('c.v')} AS t) AS k"
            f" ORDER BY k.r{way}, k.n{way}, k.t{way} LIMIT 1"
        )
        return sql.FieldKey(
            f"coalesce((SELECT k.r {source}), {NULL})",
            (f"coalesce((SELECT k.n {source}), 0)", f"coalesce((SELECT k.t {source}), '') COLLATE \"C\""),
        )


def _last(path: FieldPath) -> str:
    return f"p{len(path)}.v"


def _elements(value: str, then: str = "") -> str:
    array = f"CASE jsonb_typeof({value}) WHEN 'array' THEN {value} ELSE '[]' END"
    return f"SELECT e.v{then} FROM jsonb_array_elements({array}) AS e(v)"


def _pattern(character: str) -> str:
    """A regular expression for all characters that fold to one."""
    same = variants(character)
    if len(same) > 1:
        return f"[{same}]"
    return (
        f"\\{character}" if character.isascii() and character.isprintable() and not character.isalnum() else character
    )


@functools.cache
def _foldings() -> tuple[str, str]:
    pairs = folding()
    return "".join(map(chr, pairs)), "".join(pairs.values())
