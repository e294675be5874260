"""The builders that users chain: filters, sorts, queries, aggregations. Every call gives a new one.

Errors of a builder are kept until what it builds runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from wixhttp.errors import WixDataError

from .filters import parse_filter
from .tree import (
    EVERYTHING,
    MAX_OPERANDS,
    NOTHING,
    SAMENESS,
    Compare,
    FieldPath,
    GroupOperation,
    Not,
    Order,
    Tree,
    all_of,
    both,
    either,
    parse_path,
    type_name,
)
from .values import BOOLEAN, DATE, NUMBER, STRING, is_unwritable, normalised, normalised_operand, type_rank

MAX_LIMIT = 1000
DEFAULT_LIMIT = 50
MAX_NUMBER = 2**53 - 1  # the greatest whole number of JavaScript

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
        """Select what ``eq`` does not, items without the field included."""
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
            kinds = f"[{type_name(start)}] and [{type_name(end)}]"
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
        return self._many("hasAll", field, values, (STRING, NUMBER, DATE), all_of)

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
            return self._failed(f"WDE0093: Invalid .exists parameter [{type_name(exists)}]. It must be a Boolean.")
        return self._compare("exists", "exists", field, exists)

    def and_(self: _Self, *others: Filter | Mapping[str, Any]) -> _Self:
        """Select what this and the others select."""
        return self._joined("and", others, both)

    def or_(self: _Self, *others: Filter | Mapping[str, Any]) -> _Self:
        """Select what everything before, or one of the others selects."""
        return self._joined("or", others, either)

    def not_(self: _Self, *others: Filter | Mapping[str, Any]) -> _Self:
        """Select what this selects and none of the others does."""
        return self._joined("not", others, lambda left, right: both(left, Not(right)))

    def _compare(
        self: _Self, method: str, operator: str, name: object, value: Any, types: tuple[int, ...] | None = None
    ) -> _Self:
        try:
            path = parse_path(name)
            if is_unwritable(value) and operator in SAMENESS:
                return self._added(NOTHING)
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
        make: Callable[[FieldPath, list[Any]], Tree],
    ) -> _Self:
        if len(values) == 1 and isinstance(values[0], list | tuple | set | frozenset):
            values = tuple(values[0])
        if len(values) > MAX_OPERANDS:
            return self._failed(
                f"WDE0093: Invalid .{method} parameter: {MAX_OPERANDS} values at most, not {len(values)}."
            )
        try:
            path = parse_path(name)
            writable = [each for each in values if not is_unwritable(each)]
            if method == "hasAll" and len(writable) < len(values):
                return self._added(NOTHING)
            return self._added(make(path, [_operand(method, each, types) for each in writable]))
        except ValueError as error:
            return self._failed(str(error))
        except WixDataError as error:
            return self._failed(f"WDE0093: Invalid .{method} parameter: {error.description}")

    def _joined(
        self: _Self, method: str, others: tuple[Filter | Mapping[str, Any], ...], join: Callable[[Tree, Tree], Tree]
    ) -> _Self:
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
                made = made._failed(f"WDE0049: .{method} takes filters, not [{type_name(other)}].")
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


def _renamed(errors: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(error.replace(f".{old} ", f".{new} ") for error in errors)


def _operand(method: str, value: Any, types: tuple[int, ...] | None) -> Any:
    value = normalised_operand(value, "the operand")
    if types is None or type_rank(value) in types:
        return value
    code = "WDE0044" if types == (STRING,) else "WDE0047" if method in ("hasSome", "hasAll") else "WDE0045"
    names = [name for rank, name in _TYPE_NAMES.items() if rank in types]
    wanted = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    raise ValueError(f"{code}: Invalid .{method} parameter [{type_name(value)}]. It must be of type {wanted}.")


_TYPE_NAMES = {STRING: "String", NUMBER: "Number", DATE: "Date", BOOLEAN: "Boolean"}


def _rank(value: Any) -> int:
    return type_rank(normalised(value))


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
class PagedBuilder(Sort):
    """The part that queries and aggregates share: an order and a window."""

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


_Paged = TypeVar("_Paged", bound=PagedBuilder)


def _number_error(method: str, number: object, *, least: int) -> str:
    if isinstance(number, bool) or not isinstance(number, int | float):
        return f"WDE0032: .{method} parameter must be a number. [{type_name(number)}]"
    if not number >= least:  # NaN is not
        code, kind = ("WDE0033", "a positive number") if least else ("WDE0034", "a number that is not negative")
        return f"{code}: .{method} parameter must be {kind}."
    if isinstance(number, float) and not number.is_integer():
        return f"WDE0035: .{method} parameter must be an integer. [{number}]"
    if number > MAX_NUMBER:
        return f"WDE0036: .{method} parameter must be {MAX_NUMBER} at most."
    return ""


@dataclass(frozen=True)
class Include:
    """A reference to be replaced by the items it names; ``limit`` is for fields with many."""

    field: str
    limit: int = DEFAULT_LIMIT


@dataclass(frozen=True)
class QueryBuilder(Filter, PagedBuilder):
    """A query of one collection. A `results.Query`, or an `awaited_calls.AwaitedQuery`, runs it.

    ``runner`` is what runs it; ``after`` are the sort keys and the id of the item that the page follows.
    """

    collection: str = ""
    projection: tuple[FieldPath, ...] = ()
    includes: tuple[Include, ...] = ()
    runner: Any = field(default=None, repr=False, compare=False)
    after: tuple[Any, ...] | None = None

    def fields(self: _Query, *names: str) -> _Query:
        """Only these fields and ``_id``; called with none, all."""
        made = replace(self, projection=())
        for name in names:
            try:
                made = replace(made, projection=(*made.projection, parse_path(name)))
            except ValueError as error:
                made = made._failed(str(error))
        return made

    def include(self: _Query, *fields: Any) -> _Query:
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


_Query = TypeVar("_Query", bound=QueryBuilder)
_Results = TypeVar("_Results")


@dataclass(frozen=True)
class Aggregate(PagedBuilder, Generic[_Results]):
    """An aggregation of one collection, as ``wix_data.aggregate`` makes it. Nothing runs before `run`."""

    collection: str = ""
    first: Tree | None = None
    last: Tree | None = None
    grouping: tuple[str, ...] | None = None
    operations: tuple[GroupOperation, ...] = ()
    runner: Any = field(default=None, repr=False, compare=False)

    def filter(self, condition: Filter | Mapping[str, Any]) -> Aggregate[_Results]:
        """Only items that ``condition`` selects. Once."""
        return self._filtered("filter", "first", condition)

    def having(self, condition: Filter | Mapping[str, Any]) -> Aggregate[_Results]:
        """Only groups whose results ``condition`` selects, by their names: ``filter().gt("priceSum", 9)``. Once."""
        return self._filtered("having", "last", condition)

    def group(self, *fields: str) -> Aggregate[_Results]:
        """One result for each combination of these fields' values. Once."""
        if self.grouping is not None:
            return self._failed("WDE0013: .group can be called once.")
        made = self if fields else self._failed("WDE0043: .group takes at least one field.")
        for name in fields:
            made = made._checked(name)
        return replace(made, grouping=tuple(name for name in fields if isinstance(name, str)))

    def sum(self, field: str, name: str | None = None) -> Aggregate[_Results]:
        """The sum of the numbers of a field, 0 without any; named ``<field>Sum`` unless it is named."""
        return self._operated("sum", field, name)

    def avg(self, field: str, name: str | None = None) -> Aggregate[_Results]:
        """The mean of the numbers of a field, ``None`` without any; ``<field>Avg``."""
        return self._operated("avg", field, name)

    def min(self, field: str, name: str | None = None) -> Aggregate[_Results]:
        """The least value of a field in the order of sorts, ``None`` without any; ``<field>Min``."""
        return self._operated("min", field, name)

    def max(self, field: str, name: str | None = None) -> Aggregate[_Results]:
        """The greatest value of a field in the order of sorts, ``None`` without any; ``<field>Max``."""
        return self._operated("max", field, name)

    def count(self, name: str = "count") -> Aggregate[_Results]:
        """The number of items; ``count`` unless it is named."""
        return replace(self, operations=(*self.operations, GroupOperation("count", (), str(name))))

    def run(self, options: Mapping[str, Any] | None = None, **keywords: Any) -> _Results:
        """The first page of the results.

        Raises:
            WixDataError: as for a query; a call that is wrong is reported here.
        """
        results: _Results = self.runner.aggregate(self, options, **keywords)
        return results

    def _filtered(self, method: str, member: str, condition: Any) -> Aggregate[_Results]:
        if getattr(self, member) is not None:
            return self._failed(f"WDE0012: .{method} can be called once.")
        errors: tuple[str, ...] = ()
        if isinstance(condition, Mapping):
            try:
                condition = Filter(parse_filter(condition))
            except WixDataError as error:
                condition, errors = Filter(), (str(error),)
        if not isinstance(condition, Filter):
            return self._failed(f"WDE0011: .{method} takes a filter, not [{type_name(condition)}].")
        members: dict[str, Any] = {member: condition.tree, "errors": (*self.errors, *condition.errors, *errors)}
        return replace(self, **members)

    def _operated(self, kind: str, name: object, alias: str | None) -> Aggregate[_Results]:
        made = self._checked(name)
        if made.errors != self.errors:
            return made
        alias = str(name) + kind.capitalize() if alias is None else str(alias)
        return replace(made, operations=(*made.operations, GroupOperation(kind, parse_path(name), alias)))

    def _checked(self, name: object) -> Aggregate[_Results]:
        try:
            parse_path(name)
        except ValueError as error:
            return self._failed(str(error).replace("WDE0048", "WDE0044"))
        return self

    def _failed(self, error: str) -> Aggregate[_Results]:
        return replace(self, errors=(*self.errors, error))
