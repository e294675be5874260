"""wixhttp.http.encoding: JSON as JavaScript prints it, and answers as they go on the wire."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wixhttp.errors import EncodeError
from wixhttp.http.encoding import encode
from wixhttp.http.json_codec import encode_json
from wixhttp.http.response import Response

SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
ANY = st.recursive(
    SIMPLE, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner), max_leaves=20
)


class Colour(Enum):
    RED = "red"
    NESTED = ("a", 1)


class Size(IntEnum):
    BIG = 3


class Name(str, Enum):
    ANN = "ann"


@dataclass
class Item:
    _id: str
    at: Any
    more: Any = None


Point = namedtuple("Point", "x y")  # as users write it
HOUR = timezone(timedelta(hours=1))

TABLE = [
    (datetime(2024, 5, 1, 12, 0, 0, 999_999, timezone.utc), '"2024-05-01T12:00:00.999Z"'),
    (datetime(2024, 5, 1, 12, tzinfo=HOUR), '"2024-05-01T11:00:00.000Z"'),
    (datetime(2024, 5, 1, 12), '"2024-05-01T12:00:00.000Z"'),  # noqa: DTZ001  # the rule for naive ones
    (date(2024, 5, 1), '"2024-05-01"'),
    (time(1, 2), '"01:02:00"'),
    (Decimal("1.10"), "1.10"),
    (Decimal("NaN"), "null"),
    (Decimal("-Infinity"), "null"),
    (Decimal("12345678901234567890.123456789"), "12345678901234567890.123456789"),
    (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (Colour.RED, '"red"'),
    (Colour.NESTED, '["a",1]'),
    (Size.BIG, "3"),
    (Name.ANN, '"ann"'),
    ({7}, "[7]"),
    (frozenset(), "[]"),
    ((1, "a"), '[1,"a"]'),
    (Point(1, 2), "[1,2]"),
    (OrderedDict(a=1), '{"a":1}'),
    (UserDict(a=1), '{"a":1}'),
    (MappingProxyType({"a": 1}), '{"a":1}'),
    (Item("x", date(2024, 5, 1)), '{"_id":"x","at":"2024-05-01","more":null}'),
    (ValueError("bad"), '"bad"'),
    (math.nan, "null"),
    (-math.inf, "null"),
    ("üß漢😀", '"üß漢😀"'),
    ('\u2028\x00"\\/', '"\u2028\\u0000\\"\\\\/"'),
    ("\ud800", '"\\ud800"'),
    (2**64, str(2**64)),
    (-(2**64), str(-(2**64))),
    (True, "true"),
    ({1: 3, None: 2, False: 1, 1.5: 4}, '{"1":3,"null":2,"false":1,"1.5":4}'),
    ({date(2024, 5, 1): 1, Colour.RED: 2}, '{"2024-05-01":1,"red":2}'),
]


@pytest.mark.parametrize(("value", "text"), TABLE, ids=lambda each: ascii(each)[:30])
def test_the_table(value: Any, text: str) -> None:
    assert encode_json(value).decode() == text
    assert encode_json([value]).decode() == f"[{text}]"
    assert encode_json({"a": {"b": value}}).decode() == f'{{"a":{{"b":{text}}}}}'


@pytest.mark.parametrize(("value", "text"), TABLE, ids=lambda each: ascii(each)[:30])
def test_both_printers_print_alike(value: Any, text: str) -> None:
    assert encode_json([2**70, value]).decode() == f"[{2**70},{text}]"


@given(ANY)
@settings(max_examples=80)
def test_it_prints_what_the_standard_library_prints(value: Any) -> None:
    assert nulled(json.loads(encode_json(value))) == nulled(json.loads(json.dumps(value)))


def nulled(value: Any) -> Any:
    """``value`` with None for what is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [nulled(each) for each in value]
    if isinstance(value, dict):
        return {key: nulled(each) for key, each in value.items()}
    return value


def test_an_empty_text_has_no_type() -> None:
    assert encode(Response(200, ""), "GET").fields == encode(Response(200), "GET").fields == [("Content-Length", "0")]
    assert encode(Response(200, "", {"Content-Type": "text/x"}), "GET").fields[0] == ("Content-Type", "text/x")
    assert encode(Response(200, " "), "GET").fields[0] == ("Content-Type", "text/plain; charset=utf-8")


@pytest.mark.parametrize("digits", [20, 1000, 4299, 4301, 20_000])
def test_integers_of_any_size_are_printed_whole(digits: int) -> None:
    assert encode_json({"n": -(10**digits)}) == b'{"n":-1' + b"0" * digits + b"}"


@pytest.mark.parametrize(
    ("value", "where", "kind"),
    [
        (object(), "body", "object"),
        ([1, b"x"], "body[1]", "bytes"),
        ({"a": [{"b": len}]}, 'body["a"][0]["b"]', "builtin_function_or_method"),
        ({"a": {(1,): 1}}, 'a key of body["a"]', "tuple"),
        (Item("x", [object]), 'body["at"][0]', "type"),
        ([2**70, {1: timedelta(1)}], 'body[1]["1"]', "timedelta"),
        ({"a": 1j}, 'body["a"]', "complex"),
    ],
)
def test_what_has_no_form_is_named_with_its_place(value: Any, where: str, kind: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode_json(value)
    assert (caught.value.where, caught.value.kind) == (where, kind)
    assert isinstance(caught.value, TypeError)


def test_a_value_that_contains_itself_is_refused() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    for value in (ring, {"a": ring}, (2**70, ring)):
        with pytest.raises(EncodeError, match="it contains itself"):
            encode_json(value)


@pytest.mark.parametrize("levels", [300, 4000])
def test_deep_values_are_printed(levels: int) -> None:
    value: Any = 0
    for _ in range(levels):
        value = [{"a": value}]
    assert encode_json(value) == b'[{"a":' * levels + b"0" + b"}]" * levels


def test_an_unknown_status_has_a_reason_phrase() -> None:
    assert encode(Response(299), "GET").status_line == "299 Unknown"
    assert encode(Response(404), "GET").status_line == "404 Not Found"


@given(
    st.binary() | st.text() | st.lists(st.integers()),
    st.sampled_from(["GET", "HEAD"]),
    st.sampled_from([200, 204, 304, 500]),
)
def test_the_length_is_always_right(body: Any, method: str, status: int) -> None:
    encoded = encode(Response(status, body), method)
    lengths = [int(value) for name, value in encoded.fields if name == "Content-Length"]
    assert lengths == ([] if status in (204, 304) else [len(encode(Response(200, body), "GET").data)])
    assert not encoded.data or (method == "GET" and status not in (204, 304))
