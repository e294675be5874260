"""The values that a collection can hold: their normal form, canonical JSON, order of types, folding of case.

A value is ``None``, a bool, an int within 64 bits, a finite float, a str, a datetime, a list of values, or a dict of
them with str keys. Written down, keys are sorted, a whole float is an int, and a date is ``{"$date": "..."}``: so two
values are equal just when their texts are. Items are read back as such values, datetimes in UTC with milliseconds.
"""

from __future__ import annotations

import functools
import math
import re
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

import orjson

from wixhttp.errors import WixDataError
from wixhttp.messages import Place, brief, place_text

MAX_ITEM = 524_288  # bytes of an item's text
MAX_DEPTH = 100  # levels of an item, as in MongoDB
MIN_WHOLE, MAX_WHOLE = -(2**63), 2**63 - 1

# The order of types in sorts, from the lowest. NONE: an empty array has nothing to be sorted by.
NONE: Final = 0
NULL: Final = 1
NUMBER: Final = 2
STRING: Final = 3
OBJECT: Final = 4
ARRAY: Final = 5
BOOLEAN: Final = 6
DATE: Final = 7

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)")
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")  # NUL and lone surrogates: no database keeps them


def type_rank(value: Any) -> int:
    """The place of a value's type in the order of types; an absent value counts as ``None``."""
    if value is None:
        return NULL
    return _RANKS[type(value)]


_RANKS = {bool: BOOLEAN, int: NUMBER, float: NUMBER, str: STRING, dict: OBJECT, list: ARRAY, datetime: DATE}


@functools.cache
def folding() -> dict[int, str]:
    """The characters that are not their own lower case, by code point: one character each."""
    characters = map(chr, range(sys.maxunicode + 1))
    folded = {ord(each): lower for each in characters if (lower := each.lower()) != each and len(lower) == 1}
    return folded | {0x130: "i"}  # the one character whose lower case is two


@functools.cache
def _variants() -> dict[str, str]:
    found: dict[str, str] = {}
    for code, lower in folding().items():
        found[lower] = found.get(lower, lower) + chr(code)
    return found


def fold(text: str) -> str:
    """``text`` in lower case, each character by itself: ``contains``, ``startsWith`` and ``endsWith`` compare so.

    >>> fold("ÄΣ ß İ")
    'äσ ß i'
    """
    return text.lower() if text.isascii() else text.translate(folding())


def variants(folded: str) -> str:
    """All characters that fold to the character ``folded``, itself among them."""
    return _variants().get(folded, folded)


def format_date(value: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ``; a naive datetime counts as UTC; what is finer than a millisecond is cut off."""
    try:
        utc = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError(f"{value!r} is outside the years 1 to 9999 in UTC") from None
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_date(text: str) -> datetime:
    """The datetime in UTC of an ISO 8601 text with a time zone.

    Raises:
        ValueError: it is none.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a date; write it as 2024-05-01T12:00:00.000Z")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction = int((match[7] or "").ljust(3, "0")[:3]) * 1000
    try:
        utc = datetime(year, month, day, hour, minute, second, fraction, timezone.utc)
        if match[8] != "Z":
            offset = datetime.strptime(match[8], "%z").utcoffset()
            utc -= offset  # type: ignore[operator]  # %z always gives one
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a date of the years 1 to 9999") from None
    return utc


def normalised(value: Any, where: Place = "", depth: int = 0) -> Any:  # noqa: C901  # one case for each kind of value
    """A value as a collection holds it, sharing nothing with ``value``: sorted keys, whole floats as ints, datetimes in
    UTC cut to milliseconds. NaN and infinities become ``None``, tuples lists, ``{"$date": text}`` a datetime.

    Raises:
        WixDataError: it, or what it contains, is outside of that; names the place.
    """
    kind = type(value)
    if kind is str:
        if UNWRITABLE.search(value):
            raise _refused(where, value, "text holds no NUL and no lone surrogate")
        return value
    if value is None or kind is bool:
        return value
    if kind is int:
        if not MIN_WHOLE <= value <= MAX_WHOLE:
            raise _refused(where, value, "a whole number has 64 bits at most; make it a str")
        return value
    if kind is float:
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and MIN_WHOLE <= value < 2.0**63 else value
    if depth > MAX_DEPTH:
        raise WixDataError("WDE0168", f"{place_text(where)} is nested more than {MAX_DEPTH} levels deep; flatten it.")
    if kind is datetime:
        try:
            return parse_date(format_date(value))
        except ValueError as error:
            raise _refused(where, value, str(error)) from None
    if kind is dict:
        return _normalised_members(value, where, depth)
    if kind is list or kind is tuple:
        return [normalised(each, (where, index), depth + 1) for index, each in enumerate(value)]
    if isinstance(value, str):  # a subclass, such as Secret; of an Enum, str() would give the name
        return normalised(str.__str__(value), where, depth)
    for base in (int, float):
        if isinstance(value, base):
            return normalised(base(value), where, depth)
    if isinstance(value, datetime):
        return normalised(datetime.fromisoformat(value.isoformat()), where, depth)
    if isinstance(value, Mapping):
        return _normalised_members(dict(value), where, depth)
    raise _refused(
        where,
        value,
        "a collection holds None, bool, int, float, str, datetime, list and dict; turn it into one of them",
    )


def is_unwritable(value: Any) -> bool:
    """Return whether a value is text that no item can hold: to compare with it finds nothing, and is no error."""
    return isinstance(value, str) and UNWRITABLE.search(value) is not None


def normalised_operand(value: Any, where: str) -> Any:
    """A value to compare with, `normalised`; a whole number of more than 64 bits becomes a float. Raises as it."""
    if type(value) is int and not MIN_WHOLE <= value <= MAX_WHOLE:
        try:
            value = float(value)
        except OverflowError:
            pass  # the error says it better
    return normalised(value, where)


def _normalised_members(value: dict[Any, Any], where: Place, depth: int) -> Any:
    for key, member in value.items():
        if not isinstance(key, str):
            raise _refused(where, key, "keys are text")
        if key.startswith("$"):
            if key == "$date" and len(value) == 1 and isinstance(member, str):
                try:
                    return parse_date(member)
                except ValueError as error:
                    raise _refused(where, value, str(error)) from None
            raise WixDataError(
                "WDE0134", f"{place_text((where, key))}: the name of a field cannot begin with '$'; rename it."
            )
        if UNWRITABLE.search(key):
            raise _refused(where, key, "the name of a field holds no NUL and no lone surrogate")
    return {str.__str__(key): normalised(value[key], (where, key), depth + 1) for key in sorted(value)}


def _refused(where: Place, value: Any, rule: str) -> WixDataError:
    place = place_text(where) or "the value"
    return WixDataError("WDE0075", f"{place} is {brief(value)} ({type(value).__name__}): {rule}.")


def encode(value: Any) -> str:
    """The canonical text of a normalised value."""
    try:
        return orjson.dumps(value, _wire_date, orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except orjson.JSONEncodeError as error:
        cause = error.__cause__
        if cause is not None and not isinstance(cause, Exception):  # an interrupt came while orjson asked _wire_date
            raise cause from None
        raise


def _wire_date(value: Any) -> Any:
    return {"$date": format_date(value)}


if sys.version_info >= (3, 11):
    stored_date = datetime.fromisoformat
    """The datetime of a text that `format_date` wrote."""
else:

    def stored_date(text: str) -> datetime:
        """The datetime of a text that `format_date` wrote."""
        return datetime.fromisoformat(text[:-1] + "+00:00")


def decode(text: str) -> Any:
    """The value of a canonical text."""
    value = orjson.loads(text)
    return _restored(value) if '"$date"' in text else value


def canonical(text: str) -> str:
    """The canonical text of a JSON text that says the same, of a database that writes in a way of its own."""
    value = orjson.loads(text)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER).decode()
    except orjson.JSONEncodeError:  # a whole number of more than 53 bits, which may have been a float
        return encode(normalised(_restored(value)))


def _restored(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        if len(value) == 1 and "$date" in value:
            return stored_date(value["$date"])
        return {key: _restored(each) for key, each in value.items()}
    if kind is list:
        return [_restored(each) for each in value]
    if kind is int and not MIN_WHOLE <= value <= MAX_WHOLE:
        return float(value)  # PostgreSQL writes 1e19 with all its digits
    return value
