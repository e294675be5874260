"""The evaluator of queries in plain Python: the reference, which the SQL of the databases must agree with.

An item is a dict of normalised values. A path leads to several values where it meets arrays: through an array it goes
on in each of its objects, and, where the next name is a whole number, in the element at that place.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .tree import And, Compare, FieldPath, GroupOperation, Linked, Not, Or, Order, Tree, check_extent
from .values import BOOLEAN, DATE, NONE, NULL, NUMBER, STRING, encode, fold, format_date, type_rank

Item = dict[str, Any]


def values_at(value: Any, path: FieldPath) -> Iterator[Any]:
    """The values that a path leads to, in order; none where it is absent."""
    if not path:
        yield value
        return
    name, rest = path[0], path[1:]
    if isinstance(value, dict):
        if name in value:
            yield from values_at(value[name], rest)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict) and name in each:
                yield from values_at(each[name], rest)
        place = whole(name)
        if place is not None and place < len(value):
            yield from values_at(value[place], rest)


def whole(name: str) -> int | None:
    """The place in an array that the name in a path may mean."""
    return int(name) if name.isascii() and name.isdigit() and len(name) <= 9 else None


def meets_array(value: Any, path: FieldPath) -> bool:
    """Return whether there is an array on the way of a path, or at its end."""
    for name in path:
        if not isinstance(value, dict):
            break
        value = value.get(name)
    return isinstance(value, list)


def candidates(item: Any, path: FieldPath) -> Iterator[Any]:
    """The values that a comparison looks at: those at the path, and of arrays also each element."""
    for value in values_at(item, path):
        yield value
        if isinstance(value, list):
            yield from value


def without_links(tree: Tree, joined: Callable[[Linked], Iterable[str]]) -> Tree:
    """A tree that asks for ids where the other asks for links; ``joined`` gives those of the items that have one."""
    if isinstance(tree, Linked):
        return Compare("in", ("_id",), list(joined(tree)))
    if isinstance(tree, Not):
        return Not(without_links(tree.part, joined))
    return (
        tree
        if isinstance(tree, Compare)
        else replace(tree, parts=tuple(without_links(each, joined) for each in tree.parts))
    )


def matches(tree: Tree, item: Any) -> bool:
    """Return whether a tree, which is `without_links`, selects an item."""
    if isinstance(tree, Compare):
        return _in(item, tree) if tree.operator == "in" else _COMPARE[tree.operator](item, tree.path, tree.value)
    if isinstance(tree, And):
        return all(matches(part, item) for part in tree.parts)
    if isinstance(tree, Or):
        return any(matches(part, item) for part in tree.parts)
    if isinstance(tree, Linked):
        raise TypeError("links do not stand in the item")
    return not matches(tree.part, item)


def _eq(item: Any, path: FieldPath, operand: Any) -> bool:
    found = list(candidates(item, path))
    if operand is None:
        return not found or None in found
    return any(equal(each, operand) for each in found)


def equal(left: Any, right: Any) -> bool:
    """Return whether two values are the same: 1 and 1.0 are, 1 and True are not."""
    if type_rank(left) != type_rank(right):
        return False
    return encode(left) == encode(right) if isinstance(left, dict | list) else bool(left == right)


def _in(item: Any, compare: Compare) -> bool:
    found = False
    for each in candidates(item, compare.path):
        found = True
        if (type_rank(each), encode(each)) in compare.keys:
            return True
    return not found and (NULL, "null") in compare.keys


def _exists(item: Any, path: FieldPath, operand: bool) -> bool:
    return any(True for _ in values_at(item, path)) is operand


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, FieldPath, Any], bool]:
    def compare(item: Any, path: FieldPath, operand: Any) -> bool:
        rank = type_rank(operand)
        return any(type_rank(each) == rank and test(each, operand) for each in candidates(item, path))

    return compare


def _text(test: Callable[[str, str], bool]) -> Callable[[Any, FieldPath, Any], bool]:
    def compare(item: Any, path: FieldPath, operand: Any) -> bool:
        needle = fold(operand)
        return any(isinstance(each, str) and test(fold(each), needle) for each in candidates(item, path))

    return compare


_COMPARE: Mapping[str, Callable[[Any, FieldPath, Any], bool]] = {
    "eq": _eq,
    "exists": _exists,
    "gt": _ordered(lambda value, operand: value > operand),
    "gte": _ordered(lambda value, operand: value >= operand),
    "lt": _ordered(lambda value, operand: value < operand),
    "lte": _ordered(lambda value, operand: value <= operand),
    "contains": _text(lambda value, operand: operand in value),
    "startsWith": _text(str.startswith),
    "endsWith": _text(str.endswith),
}


# --- order -----------------------------------------------------------------------------------------------------------

SortKey = tuple[int, Any]


def key_of(value: Any) -> SortKey:
    """The sort key of a value: the rank of its type, and what orders it among its type.

    That is 0 where nothing does: null, objects and arrays in arrays are ordered among themselves by ``_id``.
    """
    rank = type_rank(value)
    if rank == DATE:
        return rank, format_date(value)
    return rank, value if rank in (NUMBER, STRING) else int(value) if rank == BOOLEAN else 0


def sort_key(item: Any, order: Order) -> SortKey:
    """The key of an item: of several values the least, for a descending order the greatest. Absent counts as null."""
    keys: list[SortKey] = []
    for value in values_at(item, order.path):
        if isinstance(value, list):
            keys.extend(map(key_of, value) if value else [(NONE, 0)])
        else:
            keys.append(key_of(value))
    return (max(keys) if order.descending else min(keys)) if keys else (NULL, 0)


def position(item: Any, order: Sequence[Order]) -> tuple[Any, ...]:
    """The position of an item in an order, for keyset pagination: its keys, and at the end its ``_id``."""
    return (*(sort_key(item, each) for each in order), item["_id"])


def compare_positions(left: tuple[Any, ...], right: tuple[Any, ...], order: Sequence[Order]) -> int:
    """Less than 0 where ``left`` comes first, more than 0 where ``right`` does."""
    for mine, other, each in zip(left, right, order, strict=False):
        if mine != other:
            return (-1 if mine < other else 1) * (-1 if each.descending else 1)
    return int(left[-1] > right[-1]) - int(left[-1] < right[-1])


def select(
    items: Iterable[Item],
    tree: Tree,
    order: Sequence[Order] = (),
    after: tuple[Any, ...] | None = None,
    *,
    is_reversed: bool = False,
) -> list[Item]:
    """The items that a tree selects, in order, or in the opposite one; ``after`` is the position of the item that they
    follow."""
    check_extent(tree, order)

    def compare(left: tuple[Any, ...], right: tuple[Any, ...]) -> int:
        return compare_positions(*((right, left) if is_reversed else (left, right)), order)

    found = [(position(item, order), item) for item in items if matches(tree, item)]
    if after is not None:
        found = [pair for pair in found if compare(pair[0], after) > 0]
    found.sort(key=lambda pair: functools.cmp_to_key(compare)(pair[0]))
    return [item for _, item in found]


# --- projection, distinct, aggregation -------------------------------------------------------------------------------


def project(item: Item, paths: Sequence[FieldPath]) -> Item:
    """An item with only the fields at these paths and ``_id``; names that it does not have are passed over."""
    made: Item = {"_id": item["_id"]}
    for path in paths:
        _copy(item, made, path)
    return made


def _copy(source: Any, target: Any, path: FieldPath) -> None:
    name, rest = path[0], path[1:]
    if not isinstance(source, dict) or name not in source:
        return
    value = source[name]
    if not rest:
        target[name] = value
    elif isinstance(value, dict):
        inner = target.get(name)
        if not isinstance(inner, dict):
            inner = target[name] = {}
        if inner is not value:
            _copy(value, inner, rest)
    elif isinstance(value, list):
        inner = target.get(name)
        objects = [each for each in value if isinstance(each, dict)]
        if not isinstance(inner, list) or len(inner) != len(objects):
            inner = target[name] = [{} for _ in objects]
        if inner is not value:
            for part, made in zip(objects, inner, strict=True):
                if made is not part:
                    _copy(part, made, rest)


def distinct(items: Iterable[Item], path: FieldPath, *, descending: bool = False) -> list[Any]:
    """The different values at a path, elements of arrays instead of arrays, no null, in the order of sorts."""
    found: dict[tuple[int, str], Any] = {}
    for item in items:
        for value in values_at(item, path):
            for each in value if isinstance(value, list) else [value]:
                if each is not None:
                    found.setdefault((type_rank(each), encode(each)), each)
    return [each for _, each in sorted(found.items(), key=lambda pair: _total_key(pair[1]), reverse=descending)]


def _total_key(value: Any) -> tuple[int, Any, str]:
    return (*key_of(value), encode(value))


class Group:
    """The accumulators of one group of an aggregation."""

    def __init__(self, operations: Sequence[GroupOperation]) -> None:
        self._operations = operations
        self._count = 0
        self._numbers: list[list[Any]] = [[] for _ in operations]
        self._best: list[Any] = [None] * len(operations)

    def add(self, item: Any) -> None:
        """Take in one item."""
        self._count += 1
        for index, operation in enumerate(self._operations):
            for value in values_at(item, operation.path) if operation.path else ():
                if operation.kind in ("sum", "avg"):
                    if type_rank(value) == NUMBER:
                        self._numbers[index].append(value)
                elif value is not None:
                    best = self._best[index]
                    better = best is None or (
                        _total_key(value) < _total_key(best)
                        if operation.kind == "min"
                        else _total_key(value) > _total_key(best)
                    )
                    if better:
                        self._best[index] = value

    def results(self) -> Iterator[tuple[str, Any]]:
        """The results by their names."""
        for operation, numbers, best in zip(self._operations, self._numbers, self._best, strict=True):
            if operation.kind == "count":
                yield operation.alias, self._count
            elif operation.kind == "sum":
                yield operation.alias, _sum(numbers)
            elif operation.kind == "avg":
                yield operation.alias, _mean(numbers)
            else:
                yield operation.alias, best


def _sum(numbers: list[Any]) -> Any:
    if all(isinstance(number, int) for number in numbers):
        return sum(numbers)
    try:
        total = math.fsum(numbers)  # does not depend on the order
    except OverflowError:
        return None
    return int(total) if total.is_integer() and abs(total) < 2.0**63 else total


def _mean(numbers: list[Any]) -> Any:
    if not numbers:
        return None
    try:
        mean = math.fsum(numbers) / len(numbers)
    except OverflowError:
        return None
    return int(mean) if mean.is_integer() and abs(mean) < 2.0**63 else mean


def aggregate(
    items: Iterable[Item],
    grouping: Sequence[str] | None,
    operations: Sequence[GroupOperation],
    having: Tree | None = None,
    order: Sequence[Order] = (),
) -> list[Item]:
    """The results of an aggregation, one dict for each group, in order; without one, by the groups' values."""
    groups: dict[str, tuple[list[Any], Group]] = {}
    for item in items:
        values = [_group_value(item, name) for name in grouping or ()]
        _, group = groups.setdefault(encode(values), (values, Group(operations)))
        group.add(item)
    if not grouping and not groups:
        groups[""] = ([], Group(operations))
    ranked = sorted(groups.values(), key=lambda pair: [_total_key(value) for value in pair[0]])
    results = [_result(grouping or (), values, group) for values, group in ranked]
    names = _named_places(grouping or (), operations)
    if having is not None:
        check_extent(having)
        named = _named_tree(having, names)
        results = [result for result in results if matches(named, result)]
    for each in reversed(order):
        key = replace(each, path=_named_path(each.path, names))
        results.sort(key=functools.partial(sort_key, order=key), reverse=each.descending)
    return results


def _named_places(grouping: Sequence[str], operations: Sequence[GroupOperation]) -> Mapping[str, FieldPath]:
    """The keys to a named value in a result: ``"price.netSum"`` is one key, and so is a dotted one in ``_id``."""
    places: dict[str, FieldPath] = {f"_id.{name}": ("_id", name) for name in grouping} if len(grouping) > 1 else {}
    return places | {name: (name,) for name in (*grouping, *(each.alias for each in operations))}


def _named_tree(tree: Tree, names: Mapping[str, FieldPath]) -> Tree:
    if isinstance(tree, Compare):
        return replace(tree, path=_named_path(tree.path, names))
    if isinstance(tree, Not):
        return Not(_named_tree(tree.part, names))
    if isinstance(tree, Linked):
        raise TypeError("results have no links")
    return replace(tree, parts=tuple(_named_tree(part, names) for part in tree.parts))


def _named_path(path: FieldPath, names: Mapping[str, FieldPath]) -> FieldPath:
    for end in range(len(path), 0, -1):
        place = names.get(".".join(path[:end]))
        if place is not None:
            return (*place, *path[end:])
    return path


def _group_value(item: Item, name: str) -> Any:
    return next(values_at(item, tuple(name.split("."))), None)


def _result(grouping: Sequence[str], values: list[Any], group: Group) -> Item:
    made: Item = {}
    if len(grouping) == 1:
        made["_id"] = values[0]
    elif grouping:
        made["_id"] = dict(zip(grouping, values, strict=True))
    made.update(zip(grouping, values, strict=True))
    made.update(group.results())
    return made
