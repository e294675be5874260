"""JSON that somebody has typed, read with the places of its mistakes."""

from __future__ import annotations

import json
import math
from typing import Any


def parse_plain_json(text: str) -> Any:
    """The value of a JSON text, with numbers that JSON has alone: Python reads ``NaN`` and ``1e999``, too, which no
    collection can hold.

    >>> parse_plain_json('{"n": 1e3}')
    {'n': 1000.0}

    Raises:
        json.JSONDecodeError: it is no JSON.
        ValueError: it has such a number, or one of more digits than Python reads.
        RecursionError: it is nested too deep.
    """
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _refuse(name: str) -> Any:
    raise ValueError(f"JSON has no {name}; write null, or leave the field out")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:40]} is too large; numbers go up to 1.7976931348623157e308")
    return number
