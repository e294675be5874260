"""Statements for what is asked of a collection, shared by the databases, whose expressions differ.

A field has a *key* in a database: the rank of its type, and one or two values that order it among its type, none of
them NULL. An index is one on the keys of its fields and the id. Where the path of a field meets an array, the rank is
that of arrays, and the database looks at each value by other means. A statement that could use an index is therefore
made in *arms*, joined by UNION ALL: one for the rows in which all fields of the index are single, and one for each
field for those in which it is not. So the first is nothing but ranges of the index, in its order.

No name of a field and no value is ever a part of a statement's text: they are bound. Only the fields of indexes, which
were declared, are named in it, in the way that the database chooses.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from wixhttp.data.queries.evaluator import SortKey as Position
from wixhttp.data.queries.evaluator import compare_positions, key_of, position
from wixhttp.data.queries.tree import (
    CREATED,
    EVERYTHING,
    NEWEST_FIRST,
    And,
    Compare,
    FieldPath,
    Linked,
    Not,
    Order,
    Tree,
    check_extent,
)
from wixhttp.data.queries.values import ARRAY, NULL, OBJECT, STRING, encode, type_rank

from .contract import SYSTEM_FIELDS, Index, Row, to_item

SLOW = 10_000  # items that a query may look at without a word in the log

_RANGES = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_WAYS = ("", " DESC")
_TEXTS = ("contains", "startsWith", "endsWith")


class FieldKey(NamedTuple):
    """The expressions of a field's key."""

    rank: str
    values: tuple[str, ...]


class Dialect(Protocol):
    """The expressions of one database, for one statement on one collection."""

    table: str
    """The table, as text of the statement."""
    row: str
    """The columns of a `contract.Row`, as text of the statement."""
    row_id: str
    """A column by which rows are read again, where the database would sort whole documents; else empty."""
    sorts_arrays: bool
    """The rows in which the path of a field meets an array are of one key in an index, and so in the order of the
    fields behind it."""

    def bind(self, value: Any) -> str:
        """The placeholder of a value."""

    def key(self, path: FieldPath) -> FieldKey:
        """The key of a field; of rank ARRAY where its path meets an array."""

    def unindexed(self, text: str) -> str:
        """An expression that the database is not to take an index for: one for the conditions was chosen."""

    def meets_array(self, key: FieldKey) -> str:
        """Return whether the path of an indexed field meets an array."""

    def bind_key(self, position: Position) -> tuple[str, ...]:
        """The placeholders of the values of a key, without its rank."""

    def is_present(self, path: FieldPath) -> str:
        """Return whether a field is there, be it with null; asked where its path meets no array."""

    def is_object(self, path: FieldPath, value: dict[str, Any]) -> str:
        """Return whether a field of rank OBJECT equals an object."""

    def is_one_of(self, key: FieldKey, values: Sequence[Any]) -> str:
        """Return whether a field has one of these values, which are of its rank: of NUMBER, STRING, BOOLEAN or DATE."""

    def has_text(self, key: FieldKey, operator: str, operand: str) -> str:
        """Return whether a field of rank STRING contains, begins or ends with a text, in any case."""

    def is_linked(self, linked: Linked) -> str:
        """Return whether the links that are asked for join the row to others."""

    def matches_many(self, compare: Compare) -> str:
        """Return whether a comparison holds where the path of its field meets an array."""

    def many_key(self, order: Order) -> FieldKey:
        """The sort key of a row where the path of the field meets an array."""


def find_rows(
    dialect: Dialect,
    indexes: Iterable[Index],
    tree: Tree,
    order: Sequence[Order] = (),
    *,
    skip: int = 0,
    limit: int | None = None,
    after: tuple[Any, ...] | None = None,
    is_reversed: bool = False,
) -> str:
    """The statement for `store.Store.find`."""
    arms = _arms(dialect, indexes, tree, order)
    parts = [
        (columns, where)
        for arm in arms
        for columns, ranges in [_ranged(dialect, arm, tree, order, after, is_reversed=is_reversed)]
        for where in ranges
    ]
    is_sorted_late = bool(dialect.row_id and order and limit) and not arms[0].has_index(order)
    row = f"{dialect.row_id} AS found, id" if is_sorted_late else dialect.row
    is_compound = len(parts) > 1
    selects = []
    for columns, where in parts:
        named = "".join(f", {text} AS k{place}" for place, (text, _) in enumerate(columns)) if is_compound else ""
        selects.append(f"SELECT {row}{named} FROM {dialect.table} WHERE {where}")
    columns = parts[0][0]
    if is_compound:  # it is ordered by its columns
        columns = [(f"k{place}", way) for place, (_, way) in enumerate(columns)]
    statement = f"{' UNION ALL '.join(selects)} ORDER BY {_order_by(columns, is_reversed)}"
    if limit is not None:
        statement += f" LIMIT {dialect.bind(limit)}"
    if skip:
        statement += f" OFFSET {dialect.bind(skip)}"
    if not is_sorted_late:
        return statement
    columns, _ = _ranged(dialect, _Arm(dialect, [], []), EVERYTHING, order, None, is_reversed=is_reversed)
    page = f"SELECT {dialect.row} FROM {dialect.table} WHERE {dialect.row_id} IN (SELECT found FROM ({statement}))"
    return f"{page} ORDER BY {_order_by([(dialect.unindexed(text), way) for text, way in columns], is_reversed)}"


def find_in_arms(
    dialect: Dialect,
    indexes: Iterable[Index],
    tree: Tree,
    order: Sequence[Order],
    limit: int,
    after: tuple[Any, ...] | None = None,
    *,
    is_reversed: bool = False,
) -> str:
    """The statement whose rows have the number of their arm behind them, and that of their range in it, at most
    ``limit`` of each: of an arm, the rows of a range come before those of the next. The arms are to be `merged`.

    For a database that does not merge arms in the order of their indexes by itself.
    """
    parts = []
    for place, arm in enumerate(_arms(dialect, indexes, tree, order)):
        columns, ranges = _ranged(dialect, arm, tree, order, after, is_reversed=is_reversed)
        # A number in the text: with a placeholder, no plan that is kept would be as good as one made anew each time.
        ending = f"ORDER BY {_order_by(columns, is_reversed)} LIMIT {int(limit)}"
        parts += [
            f"(SELECT {dialect.row}, {place} AS arm, {turn} AS turn FROM {dialect.table} WHERE {where} {ending})"
            for turn, where in enumerate(ranges)
        ]
    return " UNION ALL ".join(parts)


def merged(arms: Collection[Sequence[Row]], order: Sequence[Order], *, is_reversed: bool = False) -> Iterable[Row]:
    """The rows of arms that are each in order, or all in the opposite one, in that order."""
    if len(arms) == 1:
        return next(iter(arms))

    def compare(left: tuple[Any, ...], right: tuple[Any, ...]) -> int:
        return compare_positions(*((right, left) if is_reversed else (left, right)), order)

    return heapq.merge(*arms, key=lambda row: functools.cmp_to_key(compare)(position(to_item(row), order)))


def _ranged(
    dialect: Dialect,
    arm: _Arm,
    tree: Tree,
    order: Sequence[Order],
    after: tuple[Any, ...] | None,
    *,
    is_reversed: bool,
) -> tuple[list[tuple[str, str]], list[str]]:
    """The expressions that order an arm, each with its direction, and the arm's condition; for rows after a position
    (keyset pagination) one for each range of an index."""
    keys = [arm.sort_key(each) for each in order]
    if not arm.has_index(order):
        keys = [FieldKey(key.rank, tuple(map(dialect.unindexed, key.values))) for key in keys]
    columns = [
        (text, _WAYS[each.descending != is_reversed])
        for key, each in zip(keys, order, strict=True)
        for text in (key.rank, *key.values)
        if not text.isdigit()  # the rank of a system field, which would be the number of a column
    ]
    where = arm.where(tree)
    if after is None:
        return columns, [where]
    tests = _behind(dialect, keys, order, after, is_reversed=is_reversed)
    if not arm.has_index(order):  # one look at all rows rather than two
        tests = [_joined(tests, "OR")]
    return columns, [f"({where}) AND ({each})" for each in tests]


def _order_by(columns: Sequence[tuple[str, str]], is_reversed: bool) -> str:
    return ", ".join([*(text + way for text, way in columns), "id" + _WAYS[is_reversed]])


def count_rows(dialect: Dialect, indexes: Iterable[Index], tree: Tree) -> str:
    """The statement for `store.Store.count`."""
    arms = _arms(dialect, indexes, tree, ())
    return "SELECT " + " + ".join(f"(SELECT count(*) FROM {dialect.table} WHERE {arm.where(tree)})" for arm in arms)


def _flat(keys: Iterable[FieldKey]) -> list[str]:
    return [text for key in keys for text in (key.rank, *key.values)]


def _behind(
    dialect: Dialect, keys: Sequence[FieldKey], order: Sequence[Order], after: tuple[Any, ...], *, is_reversed: bool
) -> list[str]:
    """The conditions for rows after a position, each a range of an index in that order, and the nearest first."""
    columns, places = [], []
    for key, place in zip(keys, after[:-1], strict=True):
        theirs = [str(int(place[0])), *dialect.bind_key(place)]
        pairs = list(zip(_flat([key]), theirs, strict=True))
        pairs = [(mine, other) for mine, other in pairs if mine != other] or pairs  # such as the rank of a system field
        columns.append([mine for mine, _ in pairs])
        places.append([other for _, other in pairs])
    last = dialect.bind(after[-1])
    mine = [text for texts in columns for text in texts]
    theirs = [text for texts in places for text in texts]
    sign, opposite = ("<", ">") if is_reversed else (">", "<")  # of what ascends, and of what descends
    if not any(each.descending for each in order):
        return [f"{_tuple([*mine, 'id'])} {sign} {_tuple([*theirs, last])}"]
    # Directions differ, if only for the id: items that share a date, or a year, would all be gone through in one range.
    tie = " AND ".join([*(f"{own} = {other}" for own, other in zip(mine, theirs, strict=True)), f"id {sign} {last}"])
    if all(each.descending for each in order):
        return [tie, f"{_tuple(mine)} {opposite} {_tuple(theirs)}"]
    beyond = "1 = 0"
    for own, other, each in reversed(list(zip(columns, places, order, strict=True))):
        way = opposite if each.descending else sign
        beyond = f"({_tuple(own)} {way}= {_tuple(other)} AND ({_tuple(own)} <> {_tuple(other)} OR {beyond}))"
    return [tie, beyond]


def _tuple(texts: Sequence[str]) -> str:
    return f"({', '.join(texts)})" if len(texts) > 1 else texts[0]


# --- arms ------------------------------------------------------------------------------------------------------------


class _Arm:
    """Some of the rows of a collection: those in which ``many`` meets an array and ``single`` do not."""

    def __init__(
        self, dialect: Dialect, index: Sequence[FieldPath], single: Sequence[FieldPath], many: FieldPath | None = None
    ) -> None:
        self.dialect = dialect
        self.single = frozenset(single) | {(name,) for name in SYSTEM_FIELDS}
        self.many = many
        self._index = index
        self._own = single

    def has_index(self, order: Sequence[Order]) -> bool:
        """Return whether an index has the rows of this arm in an order: that which was chosen, or that of all items."""
        fields = self._index or [CREATED]
        if self.many is not None and not (self.dialect.sorts_arrays and self.many in fields[-2:-1]):
            return False
        return all(each.path in fields and each.path in self.single for each in order)

    def where(self, tree: Tree) -> str:
        """The condition for the rows of this arm that a tree selects."""
        limits = []
        if self.many is not None:
            limits.append(self.dialect.meets_array(self.dialect.key(self.many)))
        settled = {part.path for part in _conjunction(tree) if isinstance(part, Compare) and _settles(part)}
        limits += [f"{self.dialect.key(path).rank} <> {ARRAY}" for path in self._own if path not in settled]
        parts = [self.condition(part) for part in _conjunction(tree)]
        tests = [*limits, *parts]
        return _joined(tests, "AND") if tests else "1 = 1"

    def condition(self, tree: Tree) -> str:
        """A tree as an expression that is true or false, never NULL."""
        if isinstance(tree, Compare):
            return self._comparison(tree)
        if isinstance(tree, Linked):
            return self.dialect.is_linked(tree)
        if isinstance(tree, Not):
            return f"NOT ({self.condition(tree.part)})"
        if not tree.parts:
            return "1 = 1" if isinstance(tree, And) else "1 = 0"
        return _joined([self.condition(part) for part in tree.parts], "AND" if isinstance(tree, And) else "OR")

    def _comparison(self, compare: Compare) -> str:
        if compare.path == self.many:
            return self.dialect.matches_many(compare)
        single = self._single(compare)
        if compare.path in self.single:
            return single
        rank = self.dialect.key(compare.path).rank
        return f"CASE WHEN {rank} = {ARRAY} THEN {self.dialect.matches_many(compare)} ELSE {single} END"

    def _single(self, compare: Compare) -> str:
        """A comparison in rows in which the path of its field meets no array."""
        dialect, operator, value = self.dialect, compare.operator, compare.value
        if operator == "exists":
            present = dialect.is_present(compare.path)
            return present if value else f"NOT ({present})"
        if operator == "in":
            return self._in(compare)
        key, rank = dialect.key(compare.path), type_rank(value)
        if operator == "eq":
            if rank == ARRAY:
                return "1 = 0"
            if rank == NULL and compare.path not in self._own:  # in an index, it is one value like others
                return f"{key.rank} = {NULL}"
            if rank == OBJECT:
                return f"({key.rank} = {OBJECT} AND {dialect.is_object(compare.path, value)})"
            tests = zip(key.values, dialect.bind_key(key_of(value)), strict=True)
            return " AND ".join([f"({key.rank} = {rank}", *(f"{mine} = {other}" for mine, other in tests)]) + ")"
        if operator in _TEXTS:
            return f"({key.rank} = {STRING} AND {dialect.has_text(key, operator, value)})"
        pairs = f"{_tuple(key.values)} {_RANGES[operator]} {_tuple(dialect.bind_key(key_of(value)))}"
        return f"({key.rank} = {rank} AND {pairs})"

    def _in(self, compare: Compare) -> str:
        by_rank: dict[int, dict[str, Any]] = {}
        for value in compare.value:
            by_rank.setdefault(type_rank(value), {})[encode(value)] = value
        key = self.dialect.key(compare.path)
        tests = []
        for rank, values in by_rank.items():
            if rank in (NULL, OBJECT, ARRAY):
                tests += [self._single(Compare("eq", compare.path, value)) for value in values.values()]
            else:
                tests.append(f"({key.rank} = {rank} AND {self.dialect.is_one_of(key, list(values.values()))})")
        return _joined(tests, "OR") if tests else "1 = 0"

    def sort_key(self, order: Order) -> FieldKey:
        """The sort keys of the rows of this arm."""
        if order.path == self.many:
            return self.dialect.many_key(order)
        key = self.dialect.key(order.path)
        if order.path in self.single:
            return key
        many = self.dialect.many_key(order)
        pairs = zip(_flat([many]), _flat([key]), strict=True)
        rank, *values = (f"CASE WHEN {key.rank} = {ARRAY} THEN {theirs} ELSE {mine} END" for theirs, mine in pairs)
        return FieldKey(rank, tuple(values))


def _joined(tests: Sequence[str], word: str) -> str:
    """Tests joined by ``word`` in parentheses that are a balanced tree: databases bound its depth."""
    if len(tests) <= 8:
        return f"({f' {word} '.join(tests)})"
    middle = len(tests) // 2
    return f"({_joined(tests[:middle], word)} {word} {_joined(tests[middle:], word)})"


def _conjunction(tree: Tree) -> Sequence[Tree]:
    """The parts of a tree that must all hold."""
    if not isinstance(tree, And):
        return (tree,)
    return [inner for part in tree.parts for inner in _conjunction(part)]


def _settles(compare: Compare) -> bool:
    """Return whether a comparison, made for rows in which its field is single, holds in no other row."""
    return compare.operator not in ("exists", "in") or (compare.operator == "in" and bool(compare.value))


def _arms(dialect: Dialect, indexes: Iterable[Index], tree: Tree, order: Sequence[Order]) -> list[_Arm]:
    check_extent(tree, order)
    index = _best(indexes, tree, order)
    if not index and any(isinstance(part, Linked) and part.ids is not None for part in _conjunction(tree)):
        index = [("_id",)]  # links lead to the rows
    paths = [path for path in index if path[0] not in SYSTEM_FIELDS]
    arms = [_Arm(dialect, index, paths)]
    arms += [_Arm(dialect, index, paths[:place], path) for place, path in enumerate(paths)]
    return arms


def _best(indexes: Iterable[Index], tree: Tree, order: Sequence[Order]) -> list[FieldPath]:
    """The fields of the index that helps most: those that are compared, or sorted by behind what is equal."""
    compared = {part.path: part.operator for part in _conjunction(tree) if isinstance(part, Compare)}
    best: tuple[int, list[FieldPath]] = (0, [])
    wanted, is_newest = tuple(each.path for each in order), tuple(order) == NEWEST_FIRST
    for index in indexes:
        # Equal items of an index are kept newest first, too.
        fields = (*index.paths, CREATED) if is_newest and index.has_newest else index.paths
        equal = 0
        while equal < len(fields) and compared.get(fields[equal]) == "eq":
            equal += 1
        ranged = equal < len(fields) and compared.get(fields[equal]) in (*_RANGES, "in")
        is_sorted = bool(wanted) and fields[equal : equal + len(wanted)] == wanted
        score = 4 * equal + 2 * ranged + is_sorted
        if score > best[0]:
            best = score, list(fields[: equal + (len(wanted) if is_sorted else ranged)])
    return best[1]


def missing_index(indexes: Iterable[Index], tree: Tree, order: Sequence[Order]) -> tuple[FieldPath, ...]:
    """The fields of an index that would answer what no index does; none where there would be none."""
    if tuple(order) == NEWEST_FIRST:
        if tree == EVERYTHING:
            return ()
        order = ()
    if _best([*indexes, Index(NEWEST_FIRST)], tree, order):
        return ()
    helped = (*_RANGES, "eq", "in")
    compared = {part.path: part.operator for part in _conjunction(tree) if isinstance(part, Compare)}
    equal = [path for path, operator in compared.items() if operator == "eq"]
    ranged = [path for path, operator in compared.items() if operator in helped and operator != "eq"]
    paths = dict.fromkeys([*equal, *(each.path for each in order), *([] if order else ranged[:1])])
    return tuple(path for path in paths if path != ("_id",))


def advice(collection: str, missing: Sequence[FieldPath]) -> str:
    """The warning of a query that scans more than `SLOW` items: the index that would help."""
    names = " ".join(".".join(path) for path in missing)
    way = f"wixhttp data index {collection} {names}"
    return f"a query of {collection} looks at more than {SLOW} items; an index would make it faster: {way}"
