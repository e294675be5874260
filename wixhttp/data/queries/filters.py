"""A filter in Wix's query language, ``{"year": {"$gte": 2024}}``, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from wixhttp.errors import WixDataError
from wixhttp.messages import brief

from .tree import (
    MAX_COMPARISONS,
    MAX_OPERANDS,
    NOTHING,
    And,
    Compare,
    FieldPath,
    Linked,
    Not,
    Or,
    Order,
    Tree,
    all_of,
    parse_path,
    type_name,
)
from .values import BOOLEAN, DATE, NUMBER, STRING, format_date, is_unwritable, normalised_operand, type_rank

MAX_DEPTH = 50  # levels of a filter


def parse_filter(value: object) -> Tree:
    """The tree of a filter in Wix's query language: ``{"year": {"$gte": 2024}, "$or": [{...}, {...}]}``.

    Raises:
        WixDataError: it is no object (WDE0016), an operator is unknown or its operand wrong (WDE0093), or it is nested
            too deep (WDE0169).
    """
    return _parse(value, 0)


def _parse(value: object, depth: int) -> Tree:
    if not isinstance(value, Mapping):
        raise WixDataError("WDE0016", f"A filter must be an object, not [{type_name(value)}].")
    if depth > MAX_DEPTH:
        raise WixDataError("WDE0169", f"The filter is nested more than {MAX_DEPTH} levels deep.")
    if len(value) > MAX_COMPARISONS:
        raise WixDataError("WDE0093", f"A filter has {MAX_COMPARISONS} comparisons at most, not {len(value)}.")
    return _join(And, [_parse_member(name, operand, depth) for name, operand in value.items()])


def _parse_member(name: object, operand: Any, depth: int) -> Tree:
    if isinstance(name, str) and name.startswith("$"):
        parts = operand if isinstance(operand, list | tuple) else [operand]
        if name == "$not":
            return Not(_join(And, [_parse(part, depth + 1) for part in parts]))
        if name in ("$and", "$or", "$nor") and isinstance(operand, list | tuple):
            trees = [_parse(part, depth + 1) for part in parts]
            return _join(And, trees) if name == "$and" else _join(Or, trees) if name == "$or" else Not(_join(Or, trees))
        raise WixDataError(
            "WDE0093", f"{brief(name)} is no operator between filters; they are $and, $or, $nor with a list, and $not."
        )
    try:
        path = parse_path(name)
    except ValueError as error:
        code, _, text = str(error).partition(": ")
        raise WixDataError(code, text) from None
    return _parse_field(path, operand, depth)


def _join(kind: type[And] | type[Or], trees: list[Tree]) -> Tree:
    return trees[0] if len(trees) == 1 else kind(tuple(trees))


def _parse_field(path: FieldPath, operand: Any, depth: int) -> Tree:
    is_operators = isinstance(operand, Mapping) and any(isinstance(key, str) and key.startswith("$") for key in operand)
    if not is_operators or (len(operand) == 1 and "$date" in operand):
        return NOTHING if is_unwritable(operand) else Compare("eq", path, _value(operand, path))
    if depth > MAX_DEPTH:
        raise WixDataError("WDE0169", f"The filter is nested more than {MAX_DEPTH} levels deep.")
    return _join(And, [_parse_operator(path, name, each, depth) for name, each in operand.items()])


def _parse_operator(path: FieldPath, name: str, operand: Any, depth: int) -> Tree:
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
    if is_unwritable(operand) and name in ("$eq", "$ne", "$contains", "$startsWith", "$endsWith"):
        return Not(NOTHING) if name == "$ne" else NOTHING
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
        "WDE0093", f"{brief(name)} of {brief('.'.join(path))} is no operator; they are {', '.join(known.split())}."
    )


def _parse_list(path: FieldPath, name: str, operand: Any) -> Tree:
    if not isinstance(operand, list | tuple):
        raise _bad_operand(name, path, operand, "a list")
    if len(operand) > MAX_OPERANDS:
        raise _bad_operand(name, path, f"{len(operand)} values", f"{MAX_OPERANDS} values at most")
    values = [_value(each, path) for each in operand if not is_unwritable(each)]
    if name == "$hasAll" and len(values) < len(operand):
        return NOTHING
    if name.startswith("$has"):
        for value in values:
            if type_rank(value) not in (STRING, NUMBER, DATE):
                raise _bad_operand(name, path, value, "a list of strings, numbers or dates", "WDE0047")
    if name == "$hasAll":
        return all_of(path, values)
    some = Compare("in", path, values)
    return Not(some) if name == "$nin" else some


def _value(operand: Any, path: FieldPath) -> Any:
    return normalised_operand(operand, f"the operand of {brief('.'.join(path))}")


def _bad_operand(name: str, path: FieldPath, operand: Any, wanted: str, code: str = "WDE0093") -> WixDataError:
    return WixDataError(code, f"The operand of {name!r} of {brief('.'.join(path))} is {wanted}, not {brief(operand)}.")


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
    if isinstance(tree, Linked):
        raise TypeError("the filter that asks for links names their field")
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
