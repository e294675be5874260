"""What a query selects, as a tree of comparisons: immutable, its operands normalised values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Union

MAX_OPERANDS = 10_000  # of hasSome, hasAll, in
MAX_SEGMENTS = 20  # of a field's path

_BAD_NAME = re.compile("[\x00\ud800-\udfff]")

Path = tuple[str, ...]


@dataclass(frozen=True)
class Compare:
    """One comparison. ``operator`` is a name of `OPERATORS`, ``value`` its operand: a list of values for ``in``."""

    operator: str
    path: Path
    value: Any


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
    """What ``part`` does not select."""

    part: Tree


Tree = Union[Compare, And, Or, Not]  # noqa: UP007  # the parts name it before it is there

OPERATORS = ("eq", "gt", "gte", "lt", "lte", "contains", "startsWith", "endsWith", "in", "exists")
EVERYTHING = And(())
NOTHING = Or(())


def both(left: Tree, right: Tree) -> Tree:
    """What both select."""
    if left == EVERYTHING:
        return right
    if right == EVERYTHING:
        return left
    return And((*(left.parts if isinstance(left, And) else (left,)), right))


def either(left: Tree, right: Tree) -> Tree:
    """What one of them selects, or both do."""
    if EVERYTHING in (left, right):
        return EVERYTHING
    return Or((*(left.parts if isinstance(left, Or) and left.parts else (left,)), right))


def parse_path(name: object) -> Path:
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

    path: Path
    descending: bool = False


@dataclass(frozen=True)
class Operation:
    """One result of an aggregation: ``kind`` is sum, avg, min, max or count."""

    kind: str
    path: Path
    alias: str


def all_of(path: Path, values: list[Any]) -> Tree:
    """What has all of the values; of none, nothing."""
    return And(tuple(Compare("eq", path, each) for each in values)) if values else NOTHING


def type_name(value: Any) -> str:
    """What JavaScript calls the type of a value."""
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
