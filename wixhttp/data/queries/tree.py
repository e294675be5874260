"""The tree of comparisons that a query is: immutable, its operands normalised values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Union

from wixhttp.errors import WixDataError

from .values import ARRAY, OBJECT, encode, type_rank

MAX_OPERANDS = 10_000  # of hasSome, hasAll, in
MAX_COMPARISONS = 1000  # of a query
MAX_DEPTH = 100  # levels of a query
MAX_ORDERS = 50  # fields that a query is sorted by
MAX_SEGMENTS = 20  # of a field's path

_BAD_NAME = re.compile("[\x00\ud800-\udfff]")

FieldPath = tuple[str, ...]


@dataclass(frozen=True)
class Compare:
    """One comparison. ``operator`` is a name of `OPERATORS`, ``value`` its operand: a list of values for ``in``.

    ``keys`` are the ranks and texts of such a list's values.
    """

    operator: str
    path: FieldPath
    value: Any
    keys: frozenset[tuple[int, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        operands = self.value if self.operator == "in" else ()
        object.__setattr__(self, "keys", frozenset((type_rank(each), encode(each)) for each in operands))


@dataclass(frozen=True)
class And:
    """All of ``parts``; without any, everything."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Or:
    """Some of ``parts``; without any, nothing."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Not:
    """The negation of ``part``."""

    part: Tree


@dataclass(frozen=True)
class Linked:
    """A link joins the item to another one: of ``ids``, or any where that is ``None``.

    The links are those that ``field`` of ``collection`` declares; ``is_reverse``: the item stands at their other end.
    """

    collection: str
    field: str
    is_reverse: bool = False
    ids: tuple[str, ...] | None = None


Tree = Union[Compare, And, Or, Not, Linked]  # noqa: UP007  # the parts name it before it is there

OPERATORS = ("eq", "gt", "gte", "lt", "lte", "contains", "startsWith", "endsWith", "in", "exists")
SAMENESS = ("eq", "contains", "startsWith", "endsWith", "in")  # what text that no item can hold never meets
EVERYTHING = And(())
NOTHING = Or(())


def both(left: Tree, right: Tree) -> Tree:
    """The conjunction of two trees."""
    if left == EVERYTHING:
        return right
    if right == EVERYTHING:
        return left
    return And((*(left.parts if isinstance(left, And) else (left,)), right))


def either(left: Tree, right: Tree) -> Tree:
    """The disjunction of two trees."""
    if EVERYTHING in (left, right):
        return EVERYTHING
    return Or((*(left.parts if isinstance(left, Or) and left.parts else (left,)), right))


def parse_path(name: object) -> FieldPath:
    """The segments of a field's dotted name.

    Raises:
        ValueError: it is not text (WDE0048), or no name of a field (WDE0093).
    """
    if not isinstance(name, str):
        raise ValueError(f"WDE0048: The field parameter must be a String. [{type_name(name)}]")
    path = tuple(name.split("."))
    if (
        not all(path)
        or len(path) > MAX_SEGMENTS
        or any(part.startswith("$") for part in path)
        or _BAD_NAME.search(name)
    ):
        raise ValueError(
            f"WDE0093: {name[:100]!r} is no name of a field: up to {MAX_SEGMENTS} names joined by dots, none empty, "
            "none with '$' first."
        )
    return path


@dataclass(frozen=True)
class Order:
    """A key of a sort."""

    path: FieldPath
    descending: bool = False


CREATED: FieldPath = ("_createdDate",)
NEWEST_FIRST = (Order(CREATED, descending=True),)
"""The order of a query that names none, as Wix documents it for its ``query()``."""


@dataclass(frozen=True)
class GroupOperation:
    """One result of an aggregation: ``kind`` is sum, avg, min, max or count."""

    kind: str
    path: FieldPath
    alias: str


def all_of(path: FieldPath, values: list[Any]) -> Tree:
    """The tree of ``$hasAll``: a field has all of the values. No values select nothing."""
    return And(tuple(Compare("eq", path, each) for each in values)) if values else NOTHING


def type_name(value: Any) -> str:
    """The name that JavaScript has for the type of a value."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, int | float):
        return "Number"
    if isinstance(value, str):
        return "String"
    if isinstance(value, datetime):
        return "Date"
    return "Array" if isinstance(value, list | tuple) else "Object" if isinstance(value, dict) else type(value).__name__


def check_extent(tree: Tree, order: Sequence[Order] = ()) -> None:
    """Raises WixDataError where a query is more than a database can be asked: WDE0169 too deep, WDE0093 too long."""
    if len(order) > MAX_ORDERS:
        raise WixDataError("WDE0093", f"A query is sorted by {MAX_ORDERS} fields at most, not {len(order)}.")
    level: list[Tree] = [tree]
    comparisons = 0
    for _ in range(MAX_DEPTH):
        following: list[Tree] = []
        for part in level:
            if isinstance(part, Compare):
                comparisons += 1 + sum(rank in (OBJECT, ARRAY) for rank, _ in part.keys)
            elif isinstance(part, Linked):
                comparisons += 1
            elif isinstance(part, Not):
                following.append(part.part)
            else:
                following += part.parts
        if comparisons > MAX_COMPARISONS:
            raise WixDataError("WDE0093", f"A query has {MAX_COMPARISONS} comparisons at most; this one has more.")
        if not following:
            return
        level = following
    raise WixDataError("WDE0169", f"The filter is nested more than {MAX_DEPTH} levels deep.")
