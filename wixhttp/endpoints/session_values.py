"""The values of a session, as a session holds them, and as the text that the store keeps.

Keys and text are what a client may have sent, so none is refused: the store gets the values as one JSON text, in which
NUL and lone surrogates are escapes. A date is ``{"$date": text}``, and a key that begins with ``$`` has one more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wixhttp.data.queries.values import MAX_WHOLE, MIN_WHOLE, format_date, parse_date
from wixhttp.errors import InvalidInput
from wixhttp.http.json_codec import decode_json, encode_json
from wixhttp.messages import Place, brief, place_text

MAX_DEPTH = 100
"""Levels of lists and dicts in a value."""

_DATE = "$date"


def held(value: Any, place: Place, depth: int = 0) -> Any:
    """A value as a session holds it, sharing nothing with ``value``: tuples are lists, whole floats ints, NaN and
    infinities ``None``, datetimes in UTC with milliseconds. ``place`` names it in errors.

    Raises:
        ValueError: it, or what it contains, is of another type; `InvalidInput` (413), it is nested too deep.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of a member of an Enum, str() would give the name
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and MIN_WHOLE <= value <= MAX_WHOLE else float(value)
    if isinstance(value, datetime):
        return parse_date(format_date(value))
    if depth == MAX_DEPTH:
        raise InvalidInput(
            "The session cannot hold this.",
            status=413,
            reason=f"the session cannot hold {place_text(place)}: more than {MAX_DEPTH} levels; flatten it",
        )
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _refused(place, key, "keys are text")
        return {str.__str__(key): held(each, (place, key), depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [held(each, (place, index), depth + 1) for index, each in enumerate(value)]
    raise _refused(
        place, value, "it holds None, bool, int, float, str, datetime, list and dict; turn it into one of them"
    )


def _refused(place: Place, value: object, rule: str) -> ValueError:
    kind = type(value).__name__
    return ValueError(f"the session cannot hold {place_text(place)}, {brief(value)} ({kind}): {rule}")


def encode_values(values: Mapping[str, Any]) -> str:
    """The JSON text of held values; `decode_values` reads it back."""
    return encode_json(_marked(values)).decode()


def decode_values(text: str) -> dict[str, Any]:
    """The values of a text that `encode_values` wrote."""
    values: dict[str, Any] = _unmarked(decode_json(text.encode()))
    return values


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {"$" + key if key[:1] == "$" else key: _marked(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_marked(each) for each in value]
    return {_DATE: format_date(value)} if isinstance(value, datetime) else value


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        if _DATE in value:  # a key of the user's would have one $ more
            return parse_date(value[_DATE])
        return {key[1:] if key[:1] == "$" else key: _unmarked(each) for key, each in value.items()}
    return [_unmarked(each) for each in value] if isinstance(value, list) else value
