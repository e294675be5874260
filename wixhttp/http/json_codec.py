"""JSON texts (RFC 8259), both ways: read as JavaScript reads them, printed as it prints them.

orjson does the work; the standard library reads and prints what orjson cannot.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Coroutine, Iterator, Mapping, Set
from datetime import date, datetime, time, timezone
from decimal import Decimal
from enum import Enum
from json.encoder import encode_basestring
from typing import Any
from uuid import UUID

import orjson

from wixhttp.errors import EncodeError, InvalidJSON
from wixhttp.promises import Promise

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
# The shortest numbers that may be past 64 bits: orjson reads up to 2**64 - 1, and down to -2**63.
_NINETEEN = b"0" * 19
_LONG_NUMBER = b"0" + _NINETEEN
_LONG_NEGATIVE_NUMBER = b"-" + _NINETEEN
_SHORTEST = 20  # bytes of both
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.?)*"?', re.DOTALL)
# The dataclass form of orjson leaves out attributes with a leading underscore (_id), its datetime form has no Z.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
DEEPEST = 10_000
"""Levels of nesting that are printed; a body that can be read is never deeper."""


def decode_json(data: bytes) -> Any:
    """The value of a JSON text in UTF-8; a byte order mark is passed over, as JavaScript's ``text()`` does.

    orjson reads. The standard library reads what orjson refuses and JavaScript takes (lone surrogates in escapes), and
    whole numbers that are too long for orjson, which would round them.

    Raises:
        InvalidJSON: for anything else; also for a whole number of more digits than Python reads
            (``sys.get_int_max_str_digits()``), and for a long one nested too deep for the standard library: no digit is
            lost.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return _decode_json_slowly(data, error)
    if len(data) >= _SHORTEST and has_long_number(data):
        try:
            return _decode_json_slowly(data, None)
        except InvalidJSON:
            if has_long_number(_STRINGS.sub(b"", data)):
                raise
    return value


def json_or_text(data: bytes | None) -> Any:
    """The value of JSON that was stored, to be shown: its text where it is none; ``None`` for ``None``."""
    if data is None:
        return None
    try:
        return decode_json(data)
    except InvalidJSON:  # of another version
        return data.decode("utf-8", "replace")


def has_long_number(data: bytes) -> bool:
    """Return whether a JSON text may hold a whole number that orjson rounds: one of more than 64 bits."""
    digits = data.translate(_DIGITS)
    return _NINETEEN in digits and (_LONG_NUMBER in digits or _LONG_NEGATIVE_NUMBER in digits)


def _decode_json_slowly(data: bytes, first: orjson.JSONDecodeError | None) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidJSON("it is nested too deep") from None
    except UnicodeDecodeError as error:
        raise InvalidJSON(f"it is not UTF-8 at byte {error.start}", error.start) from None
    except ValueError as error:
        raise InvalidJSON(str(first or error), None if first is None else first.pos) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def encode_json(value: Any) -> bytes:
    """``value`` as JSON in UTF-8.

    Beside JSON's own types: datetime (ISO 8601, UTC, milliseconds, ``Z``; a naive one is taken as UTC), date, time,
    Decimal (a number with all its digits), UUID, Enum (its value), sets, mappings, dataclasses, pydantic models (by
    alias), exceptions (their message). NaN and infinities are ``null``; integers of any size are printed whole; keys
    become strings.

    Raises:
        EncodeError: for anything else; names the type and where in the value it stands.

    >>> encode_json({"at": datetime(2024, 5, 1, 12), "n": 2**70, "ü": float("nan")}).decode()
    '{"at":"2024-05-01T12:00:00.000Z","n":1180591620717411303424,"ü":null}'
    """
    try:
        return orjson.dumps(value, _default, _OPTIONS)
    except TypeError:
        # a lone surrogate has no UTF-8: \\ud800, as JSON.stringify writes it
        return "".join(_print(value)).encode("utf-8", "backslashreplace")


def _default(value: Any) -> Any:
    plain = simpler(value)
    if plain is value:
        if isinstance(value, Decimal):
            return orjson.Fragment(str(value))
        raise TypeError
    return plain


def simpler(value: Any) -> Any:
    """One step from a value towards JSON's own types (a Decimal stays one); ``value`` itself where there is none."""
    if isinstance(value, datetime):
        utc = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
        return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping) and not isinstance(value, dict):
        return dict(value)
    if isinstance(value, Set):
        return list(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, BaseException):
        return str(value)
    if hasattr(type(value), "__pydantic_serializer__"):
        return value.model_dump(by_alias=True)  # under the names that it is read by
    return value


def _print(root: Any) -> list[str]:
    """The pieces of the JSON text of what orjson cannot print, without recursion: any depth that can be read back.

    Raises:
        EncodeError: with the place of what cannot be printed.
    """
    out: list[str] = []
    stack: list[tuple[Iterator[tuple[str, str, Any]], str]] = [(iter([("", "body", root)]), "")]
    place = [""]  # where each level of the stack stands: joined only for a message, since it may be deep
    while stack:
        children, closing = stack[-1]
        for prefix, step, value in children:
            place[-1] = step
            out.append(prefix)
            while (plain := simpler(value)) is not value:
                value = plain
            if isinstance(value, dict):
                out.append("{")
                stack.append((_members(value, place), "}"))
                place.append("")
                break
            if isinstance(value, list | tuple):
                out.append("[")
                stack.append((_items(value), "]"))
                place.append("")
                break
            out.append(_scalar(value, place, ""))
        else:
            out.append(closing)
            stack.pop()
            place.pop()
        if len(stack) > DEEPEST:
            rule = f"it contains itself, or is deeper than {DEEPEST} levels"
            raise EncodeError("".join(place[:4]) + "...", type(value).__name__, rule)
    return out


def _members(value: dict[Any, Any], place: list[str]) -> Iterator[tuple[str, str, Any]]:
    comma = ""
    for key, member in value.items():
        while (plain := simpler(key)) is not key:
            key = plain
        name = key if isinstance(key, str) else _scalar(key, place[:-1], "a key of ")
        yield f"{comma}{encode_basestring(name)}:", f'["{name}"]', member
        comma = ","


def _items(value: list[Any] | tuple[Any, ...]) -> Iterator[tuple[str, str, Any]]:
    for index, item in enumerate(value):
        yield "," if index else "", f"[{index}]", item


def _scalar(value: Any, place: list[str], what: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, int):
        return whole_digits(value)
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else "null"
    if isinstance(value, Decimal):
        return str(value)
    rule = "JSON has no form for it; make it a str, a number, a list or a dict"
    kind = type(value).__name__
    if isinstance(value, Promise):
        kind, rule = "Promise", value.taken_for_its_value()
    elif isinstance(value, Coroutine):
        value.close()  # or it is warned of, too
        rule = "write await in front of the call that gave it"
    raise EncodeError(what + "".join(place), kind, rule)


def whole_digits(value: int) -> str:
    """All digits of a whole number of any size."""
    # str() refuses more than sys.get_int_max_str_digits(); Decimal does not.
    return str(int(value)) if value.bit_length() < 10_000 else format(Decimal(value), "f")
