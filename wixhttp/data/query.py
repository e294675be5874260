"""What is asked of a collection: a tree of comparisons, the builders that make it, and its JSON form.

    Compare(operator, path, value)     one field; And, Or, Not join them
    Filter, Sort, Query                what users chain; every call gives a new one
    parse_filter, format_filter        {"year": {"$gte": 2024}} and back

A tree is immutable and its operands are normalised values. Errors of a builder are kept until the query runs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar, Union

from ..errors import WixDataError
from .values import BOOLEAN, DATE, NUMBER, STRING, format_date, normalised, type_rank

MAX_DEPTH = 50  # levels of a filter
MAX_OPERANDS = 10_000  # of hasSome, hasAll, in
MAX_SEGMENTS = 20  # of a field's path
MAX_LIMIT = 1000
DEFAULT_LIMIT = 50

_BAD_NAME = re.compile("[\x00\ud800-\udfff]")

Path = tuple[str, ...]


# --- the tree --------------------------------------------------------------------------------------------------------


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
        raise ValueError(f"WDE0048: The field parameter must be a String. [{_type_name(name)}]")
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


# --- the builders ----------------------------------------------------------------------------------------------------

_Self = TypeVar("_Self", bound="Filter")


@dataclass(frozen=True)
class Filter:
    """A chain of conditions, all of which an item must meet. Every call gives a new one."""

    tree: Tree = EVERYTHING
    errors: tuple[str, ...] = ()

    # Field names and operands of the methods below are Wix's: eq("year", 2024), eq("author.name", "Ada").

    def eq(self: _Self, field: str, value: Any) -> _Self:
        """The field equals ``value``, or is an array that contains it; ``None``: it is null or absent."""
        return self._compare("eq", "eq", field, value)

    def ne(self: _Self, field: str, value: Any) -> _Self:
        """What ``eq`` does not select, items without the field included."""
        made = Filter().eq(field, value)
        return self._added(Not(made.tree), _renamed(made.errors, "eq", "ne"))

    def gt(self: _Self, field: str, value: Any) -> _Self:
        """The field is greater than ``value``, and of its type."""
        return self._compare("gt", "gt", field, value, (STRING, NUMBER, DATE, BOOLEAN))

    def ge(self: _Self, field: str, value: Any) -> _Self:
        """The field is ``value`` or greater, and of its type."""
        return self._compare("ge", "gte", field, value, (STRING, NUMBER, DATE, BOOLEAN))

    def lt(self: _Self, field: str, value: Any) -> _Self:
        """The field is less than ``value``, and of its type."""
        return self._compare("lt", "lt", field, value, (STRING, NUMBER, DATE, BOOLEAN))

    def le(self: _Self, field: str, value: Any) -> _Self:
        """The field is ``value`` or less, and of its type."""
        return self._compare("le", "lte", field, value, (STRING, NUMBER, DATE, BOOLEAN))

    def between(self: _Self, field: str, start: Any, end: Any) -> _Self:
        """The field is ``start`` or greater, and less than ``end``. Both are of one type."""
        made = Filter()._compare("between", "gte", field, start, (STRING, NUMBER, DATE))
        if not made.errors:
            made = made._compare("between", "lt", field, end, (STRING, NUMBER, DATE))
        if not made.errors and _rank(start) != _rank(end):
            kinds = f"[{_type_name(start)}] and [{_type_name(end)}]"
            return self._failed(f"WDE0046: Invalid .between parameters: both must be of one type, not {kinds}.")
        return self._added(made.tree, made.errors)

    def contains(self: _Self, field: str, text: str) -> _Self:
        """The field has ``text`` in it, in any case of letters."""
        return self._compare("contains", "contains", field, text, (STRING,))

    def startsWith(self: _Self, field: str, text: str) -> _Self:
        """The field begins with ``text``, in any case of letters."""
        return self._compare("startsWith", "startsWith", field, text, (STRING,))

    def endsWith(self: _Self, field: str, text: str) -> _Self:
        """The field ends with ``text``, in any case of letters."""
        return self._compare("endsWith", "endsWith", field, text, (STRING,))

    def hasSome(self: _Self, field: str, *values: Any) -> _Self:
        """The field equals one of ``values``, or is an array with one of them. They may be one list."""
        return self._many(
            "hasSome", field, values, (STRING, NUMBER, DATE), lambda path, each: Compare("in", path, each)
        )

    def hasAll(self: _Self, field: str, *values: Any) -> _Self:
        """The field is an array with all of ``values``; of none, nothing."""
        return self._many("hasAll", field, values, (STRING, NUMBER, DATE), _all_of)

    def in_(self: _Self, field: str, *values: Any) -> _Self:
        """The field equals one of ``values``, of any type. They may be one list."""
        return self._many("in", field, values, None, lambda path, each: Compare("in", path, each))

    def isEmpty(self: _Self, field: str) -> _Self:
        """The field is null or absent. Empty text and empty arrays are values."""
        return self._compare("isEmpty", "eq", field, None)

    def isNotEmpty(self: _Self, field: str) -> _Self:
        """The field has a value."""
        made = Filter()._compare("isNotEmpty", "eq", field, None)
        return self._added(Not(made.tree), made.errors)

    def exists(self: _Self, field: str, exists: bool = True) -> _Self:
        """The field is there, be it with null; with ``False``: it is absent."""
        if not isinstance(exists, bool):
            return self._failed(f"WDE0093: Invalid .exists parameter [{_type_name(exists)}]. It must be a Boolean.")
        return self._compare("exists", "exists", field, exists)

    def and_(self: _Self, *others: Filter) -> _Self:
        """What this and the others select."""
        return self._joined("and", others, both)

    def or_(self: _Self, *others: Filter) -> _Self:
        """What everything before, or one of the others selects."""
        return self._joined("or", others, either)

    def not_(self: _Self, *others: Filter) -> _Self:
        """What this selects and none of the others does."""
        return self._joined("not", others, lambda left, right: both(left, Not(right)))

    def _compare(
        self: _Self, method: str, operator: str, name: object, value: Any, types: tuple[int, ...] | None = None
    ) -> _Self:
        try:
            path = parse_path(name)
            return self._added(Compare(operator, path, _operand(method, value, types)))
        except ValueError as error:
            return self._failed(str(error))
        except WixDataError as error:
            return self._failed(f"WDE0093: Invalid .{method} parameter: {error.description}")

    def _many(
        self: _Self,
        method: str,
        name: object,
        values: tuple[Any, ...],
        types: tuple[int, ...] | None,
        make: Callable[[Path, list[Any]], Tree],
    ) -> _Self:
        if len(values) == 1 and isinstance(values[0], list | tuple | set | frozenset):
            values = tuple(values[0])
        if len(values) > MAX_OPERANDS:
            return self._failed(
                f"WDE0093: Invalid .{method} parameter: {MAX_OPERANDS} values at most, not {len(values)}."
            )
        try:
            path = parse_path(name)
            return self._added(make(path, [_operand(method, each, types) for each in values]))
        except ValueError as error:
            return self._failed(str(error))
        except WixDataError as error:
            return self._failed(f"WDE0093: Invalid .{method} parameter: {error.description}")

    def _joined(self: _Self, method: str, others: tuple[Filter, ...], join: Callable[[Tree, Tree], Tree]) -> _Self:
        made = self
        if not others:
            made = made._failed(f"WDE0043: .{method} takes at least one filter.")
        for other in others:
            if isinstance(other, Mapping):
                try:
                    other = Filter(parse_filter(other))
                except WixDataError as error:
                    made = made._failed(str(error))
                    continue
            if not isinstance(other, Filter):
                made = made._failed(f"WDE0049: .{method} takes filters, not [{_type_name(other)}].")
                continue
            name, own = getattr(other, "collection", None), getattr(self, "collection", None)
            if name is not None and own is not None and name != own:
                made = made._failed(f"WDE0050: .{method} takes a query of the collection {own!r}, not of {name!r}.")
                continue
            made = replace(made, tree=join(made.tree, other.tree), errors=(*made.errors, *other.errors))
        return made

    def _added(self: _Self, tree: Tree, errors: tuple[str, ...] = ()) -> _Self:
        if errors:
            return replace(self, errors=(*self.errors, *errors))
        return replace(self, tree=both(self.tree, tree))

    def _failed(self: _Self, error: str) -> _Self:
        return replace(self, errors=(*self.errors, error))


def _all_of(path: Path, values: list[Any]) -> Tree:
    return And(tuple(Compare("eq", path, each) for each in values)) if values else NOTHING


def _renamed(errors: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(error.replace(f".{old} ", f".{new} ") for error in errors)


def _operand(method: str, value: Any, types: tuple[int, ...] | None) -> Any:
    value = normalised(value, "the operand")
    if types is None or type_rank(value) in types:
        return value
    code = "WDE0044" if types == (STRING,) else "WDE0047" if method in ("hasSome", "hasAll") else "WDE0045"
    names = [name for rank, name in _TYPE_NAMES.items() if rank in types]
    wanted = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    raise ValueError(f"{code}: Invalid .{method} parameter [{_type_name(value)}]. It must be of type {wanted}.")


_TYPE_NAMES = {STRING: "String", NUMBER: "Number", DATE: "Date", BOOLEAN: "Boolean"}


def _rank(value: Any) -> int:
    return type_rank(normalised(value))


def _type_name(value: Any) -> str:
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


_Sorted = TypeVar("_Sorted", bound="Sort")


@dataclass(frozen=True)
class Sort:
    """An order: by the first field, where that is equal by the next, at the end by ``_id``."""

    order: tuple[Order, ...] = ()
    errors: tuple[str, ...] = ()

    def ascending(self: _Sorted, *fields: str) -> _Sorted:
        """Then by these fields, the lowest first; what has no value is lowest."""
        return self._by("ascending", fields, descending=False)

    def descending(self: _Sorted, *fields: str) -> _Sorted:
        """Then by these fields, the highest first."""
        return self._by("descending", fields, descending=True)

    def _by(self: _Sorted, method: str, names: tuple[Any, ...], *, descending: bool) -> _Sorted:
        made = self
        if len(names) == 1 and isinstance(names[0], list | tuple):
            names = tuple(names[0])
        if not names:
            return replace(made, errors=(*made.errors, f"WDE0043: .{method} takes at least one field."))
        for name in names:
            try:
                made = replace(made, order=(*made.order, Order(parse_path(name), descending)))
            except ValueError as error:
                text = str(error).replace("WDE0048: The field parameter", f"WDE0051: The .{method} parameter")
                made = replace(made, errors=(*made.errors, text))
        return made


@dataclass(frozen=True)
class Page(Sort):
    """What queries and aggregates share: an order and a window."""

    offset: int = 0
    size: int | None = None

    def skip(self: _Paged, number: int) -> _Paged:
        """Leave out the first ``number`` items."""
        error = _number_error("skip", number, least=0)
        return replace(self, errors=(*self.errors, error)) if error else replace(self, offset=int(number))

    def limit(self: _Paged, number: int) -> _Paged:
        """At most ``number`` items, 1 to 1000; 50 unless it is called."""
        error = _number_error("limit", number, least=1)
        return replace(self, errors=(*self.errors, error)) if error else replace(self, size=int(number))


_Paged = TypeVar("_Paged", bound=Page)


def _number_error(method: str, number: object, *, least: int) -> str:
    if isinstance(number, bool) or not isinstance(number, int | float):
        return f"WDE0032: .{method} parameter must be a number. [{_type_name(number)}]"
    if math.isnan(number) or number < least:
        code, kind = ("WDE0033", "a positive number") if least else ("WDE0034", "a number that is not negative")
        return f"{code}: .{method} parameter must be {kind}. [{number}]"
    if number != number // 1 or math.isinf(number):
        return f"WDE0035: .{method} parameter must be an integer. [{number}]"
    return ""


@dataclass(frozen=True)
class Include:
    """A reference to be replaced by the items it names; ``limit`` is for fields with many."""

    field: str
    limit: int = DEFAULT_LIMIT


@dataclass(frozen=True)
class Query(Filter, Page):
    """A query of one collection, as ``wix_data.query`` makes it. Nothing runs before `find`, `count` or `distinct`.

    ``runner`` is what runs it; ``after`` are the sort keys and the id of the item that the page follows.
    """

    collection: str = ""
    projection: tuple[Path, ...] = ()
    includes: tuple[Include, ...] = ()
    runner: Any = field(default=None, repr=False, compare=False)
    after: tuple[Any, ...] | None = None

    def fields(self, *names: str) -> Query:
        """Only these fields and ``_id``; called with none, all."""
        made = replace(self, projection=())
        for name in names:
            try:
                made = replace(made, projection=(*made.projection, parse_path(name)))
            except ValueError as error:
                made = made._failed(str(error))
        return made

    def include(self, *fields: Any) -> Query:
        """With the items that these reference fields name in the place of their ids.

        A whole number behind the names is the limit of items for each: ``include("authors", 200)``; 50 without it.
        """
        limit, names = DEFAULT_LIMIT, list(fields)
        if names and isinstance(names[-1], int) and not isinstance(names[-1], bool):
            limit = names.pop()
            if not 1 <= limit <= MAX_LIMIT:
                return self._failed(f"WDE0036: the limit of .include is 1 to {MAX_LIMIT}, not {limit}.")
        made = self
        if not names:
            return made._failed("WDE0043: .include takes at least one field.")
        for name in names:
            try:
                parse_path(name)
            except ValueError as error:
                made = made._failed(str(error))
                continue
            made = replace(made, includes=(*made.includes, Include(name, limit)))
        return made

    def find(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> Any:
        """The first page of what the query selects, a `QueryResult`.

        Raises:
            WixDataError: a condition is wrong (all of them in one message), the collection does not exist, or reading
                it is not permitted.
        """
        return self.runner.find(self, options, **keywords)

    def count(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> Any:
        """How many items the query selects; order, ``skip`` and ``limit`` do not matter. Raises as `find`."""
        return self.runner.count(self, options, **keywords)

    def distinct(self, field: str, options: Mapping[str, Any] | None = None, **keywords: Any) -> Any:
        """The different values of a field, of arrays their elements, a page of them. Raises as `find`."""
        return self.runner.distinct(self, field, options, **keywords)


@dataclass(frozen=True)
class Operation:
    """One result of an aggregation: ``kind`` is sum, avg, min, max or count."""

    kind: str
    path: Path
    alias: str


@dataclass(frozen=True)
class Aggregate(Page):
    """An aggregation of one collection, as ``wix_data.aggregate`` makes it. Nothing runs before `run`."""

    collection: str = ""
    first: Tree | None = None
    last: Tree | None = None
    grouping: tuple[str, ...] | None = None
    operations: tuple[Operation, ...] = ()
    runner: Any = field(default=None, repr=False, compare=False)

    def filter(self, condition: Filter | Mapping[str, Any]) -> Aggregate:
        """Only items that ``condition`` selects. Once."""
        return self._filtered("filter", "first", condition)

    def having(self, condition: Filter | Mapping[str, Any]) -> Aggregate:
        """Only groups whose results ``condition`` selects, by their names: ``filter().gt("priceSum", 9)``. Once."""
        return self._filtered("having", "last", condition)

    def group(self, *fields: str) -> Aggregate:
        """One result for each combination of these fields' values. Once."""
        if self.grouping is not None:
            return self._failed("WDE0013: .group can be called once.")
        made = self if fields else self._failed("WDE0043: .group takes at least one field.")
        for name in fields:
            made = made._checked(name)
        return replace(made, grouping=tuple(name for name in fields if isinstance(name, str)))

    def sum(self, field: str, name: str | None = None) -> Aggregate:
        """The sum of the numbers of a field, 0 without any; named ``<field>Sum`` unless it is named."""
        return self._operated("sum", field, name)

    def avg(self, field: str, name: str | None = None) -> Aggregate:
        """The mean of the numbers of a field, ``None`` without any; ``<field>Avg``."""
        return self._operated("avg", field, name)

    def min(self, field: str, name: str | None = None) -> Aggregate:
        """The least value of a field in the order of sorts, ``None`` without any; ``<field>Min``."""
        return self._operated("min", field, name)

    def max(self, field: str, name: str | None = None) -> Aggregate:
        """The greatest value of a field in the order of sorts, ``None`` without any; ``<field>Max``."""
        return self._operated("max", field, name)

    def count(self, name: str = "count") -> Aggregate:
        """The number of items; ``count`` unless it is named."""
        return replace(self, operations=(*self.operations, Operation("count", (), str(name))))

    def run(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> Any:
        """The first page of the results.

        Raises:
            WixDataError: as for a query; a call that is wrong is reported here.
        """
        return self.runner.aggregate(self, options, **keywords)

    def _filtered(self, method: str, member: str, condition: Any) -> Aggregate:
        if getattr(self, member) is not None:
            return self._failed(f"WDE0012: .{method} can be called once.")
        errors: tuple[str, ...] = ()
        if isinstance(condition, Mapping):
            try:
                condition = Filter(parse_filter(condition))
            except WixDataError as error:
                condition, errors = Filter(), (str(error),)
        if not isinstance(condition, Filter):
            return self._failed(f"WDE0011: .{method} takes a filter, not [{_type_name(condition)}].")
        members: dict[str, Any] = {member: condition.tree, "errors": (*self.errors, *condition.errors, *errors)}
        return replace(self, **members)

    def _operated(self, kind: str, name: object, alias: str | None) -> Aggregate:
        made = self._checked(name)
        if made.errors != self.errors:
            return made
        alias = str(name) + kind.capitalize() if alias is None else str(alias)
        return replace(made, operations=(*made.operations, Operation(kind, parse_path(name), alias)))

    def _checked(self, name: object) -> Aggregate:
        try:
            parse_path(name)
        except ValueError as error:
            return self._failed(str(error).replace("WDE0048", "WDE0044"))
        return self

    def _failed(self, error: str) -> Aggregate:
        return replace(self, errors=(*self.errors, error))


# --- the JSON form ---------------------------------------------------------------------------------------------------


def parse_filter(value: object) -> Tree:
    """The tree of a filter in Wix's query language: ``{"year": {"$gte": 2024}, "$or": [{...}, {...}]}``.

    Raises:
        WixDataError: it is no object (WDE0016), an operator is unknown or its operand wrong (WDE0093), or it is nested
            too deep (WDE0169).
    """
    return _parse(value, 0)


def _parse(value: object, depth: int) -> Tree:
    if not isinstance(value, Mapping):
        raise WixDataError("WDE0016", f"A filter must be an object, not [{_type_name(value)}].")
    if depth > MAX_DEPTH:
        raise WixDataError("WDE0169", f"The filter is nested more than {MAX_DEPTH} levels deep.")
    tree: Tree = EVERYTHING
    for name, operand in value.items():
        tree = both(tree, _parse_member(name, operand, depth))
    return tree


def _parse_member(name: object, operand: Any, depth: int) -> Tree:
    if isinstance(name, str) and name.startswith("$"):
        parts = operand if isinstance(operand, list | tuple) else [operand]
        if name == "$not":
            return Not(_join(And, [_parse(part, depth + 1) for part in parts]))
        if name in ("$and", "$or", "$nor") and isinstance(operand, list | tuple):
            trees = [_parse(part, depth + 1) for part in parts]
            return _join(And, trees) if name == "$and" else _join(Or, trees) if name == "$or" else Not(_join(Or, trees))
        raise WixDataError(
            "WDE0093", f"{name!r} is no operator between filters; they are $and, $or, $nor with a list, and $not."
        )
    try:
        path = parse_path(name)
    except ValueError as error:
        code, _, text = str(error).partition(": ")
        raise WixDataError(code, text) from None
    return _parse_field(path, operand, depth)


def _join(kind: type[And] | type[Or], trees: list[Tree]) -> Tree:
    return trees[0] if len(trees) == 1 else kind(tuple(trees))


def _parse_field(path: Path, operand: Any, depth: int) -> Tree:
    is_operators = isinstance(operand, Mapping) and any(isinstance(key, str) and key.startswith("$") for key in operand)
    if not is_operators or (len(operand) == 1 and "$date" in operand):
        return Compare("eq", path, _value(operand, path))
    if depth > MAX_DEPTH:
        raise WixDataError("WDE0169", f"The filter is nested more than {MAX_DEPTH} levels deep.")
    return _join(And, [_parse_operator(path, name, each, depth) for name, each in operand.items()])


def _parse_operator(path: Path, name: str, operand: Any, depth: int) -> Tree:
    if name == "$not":
        return Not(_parse_field(path, operand, depth + 1))
    if name in ("$isEmpty", "$exists"):
        if not isinstance(operand, bool):
            raise _bad_operand(name, path, operand, "true or false")
        if name == "$exists":
            return Compare("exists", path, operand)
        empty = Compare("eq", path, None)
        return empty if operand else Not(empty)
    if name in ("$in", "$nin", "$hasSome", "$hasAll"):
        return _parse_list(path, name, operand)
    value = _value(operand, path)
    if name in ("$eq", "$ne"):
        equal = Compare("eq", path, value)
        return equal if name == "$eq" else Not(equal)
    if name in ("$gt", "$gte", "$lt", "$lte"):
        if type_rank(value) not in (STRING, NUMBER, DATE, BOOLEAN):
            raise _bad_operand(name, path, operand, "a string, a number, a boolean or a date", "WDE0045")
        return Compare(name[1:], path, value)
    if name in ("$contains", "$startsWith", "$endsWith"):
        if not isinstance(value, str):
            raise _bad_operand(name, path, operand, "a string", "WDE0044")
        return Compare(name[1:], path, value)
    known = "$eq $ne $gt $gte $lt $lte $in $nin $hasSome $hasAll $contains $startsWith $endsWith $exists $isEmpty $not"
    raise WixDataError(
        "WDE0093", f"{name!r} of {'.'.join(path)!r} is no operator; they are {', '.join(known.split())}."
    )


def _parse_list(path: Path, name: str, operand: Any) -> Tree:
    if not isinstance(operand, list | tuple):
        raise _bad_operand(name, path, operand, "a list")
    if len(operand) > MAX_OPERANDS:
        raise _bad_operand(name, path, f"{len(operand)} values", f"{MAX_OPERANDS} values at most")
    values = [_value(each, path) for each in operand]
    if name.startswith("$has"):
        for value in values:
            if type_rank(value) not in (STRING, NUMBER, DATE):
                raise _bad_operand(name, path, value, "a list of strings, numbers or dates", "WDE0047")
    if name == "$hasAll":
        return _all_of(path, values)
    some = Compare("in", path, values)
    return Not(some) if name == "$nin" else some


def _value(operand: Any, path: Path) -> Any:
    return normalised(operand, f"the operand of {'.'.join(path)!r}")


def _bad_operand(name: str, path: Path, operand: Any, wanted: str, code: str = "WDE0093") -> WixDataError:
    shown = repr(operand)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return WixDataError(code, f"The operand of {name!r} of {'.'.join(path)!r} is {wanted}, not {shown}.")


def format_filter(tree: Tree) -> dict[str, Any]:
    """A tree in Wix's query language, dates as ``{"$date": text}``; `parse_filter` makes the same selection of it."""
    if isinstance(tree, Compare):
        value = _wire(tree.value)
        name = ".".join(tree.path)
        return (
            {name: value}
            if tree.operator == "eq" and not isinstance(value, dict)
            else {name: {f"${tree.operator}": value}}
        )
    if isinstance(tree, Not):
        part = tree.part
        if isinstance(part, Compare) and part.operator == "eq":
            return {".".join(part.path): {"$ne": _wire(part.value)}}
        return {"$not": format_filter(part)}
    if isinstance(tree, And) and not tree.parts:
        return {}
    return {"$and" if isinstance(tree, And) else "$or": [format_filter(part) for part in tree.parts]}


def format_order(order: Iterable[Order]) -> list[dict[str, str]]:
    """A sort in Wix's form: ``[{"fieldName": "year", "order": "DESC"}]``."""
    return [{"fieldName": ".".join(each.path), "order": "DESC" if each.descending else "ASC"} for each in order]


def _wire(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$date": format_date(value)}
    if isinstance(value, dict):
        return {key: _wire(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_wire(each) for each in value]
    return value
