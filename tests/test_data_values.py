"""Values that an item can hold, and their canonical JSON."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wixhttp.data.queries.builders import Filter
from wixhttp.data.queries.evaluator import matches
from wixhttp.data.queries.filters import parse_filter
from wixhttp.data.queries.values import canonical, decode, encode, fold, format_date, normalised, parse_date, variants
from wixhttp.errors import WixDataError
from wixhttp.secrets import Secret


class Color(str, Enum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"b": 1, "a": (1.0, -0.0, 0.5)}, '{"a":[1,0,0.5],"b":1}'),
        ([math.nan, math.inf, None, True], "[null,null,null,true]"),
        ({Color.RED: Color.RED, "n": Number.ONE, "s": Secret("x")}, '{"n":1,"red":"red","s":"x"}'),
        (datetime(2024, 5, 1, 12, 30, 15, 123_999), '{"$date":"2024-05-01T12:30:15.123Z"}'),  # noqa: DTZ001  # naive is UTC
        (datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=2))), '{"$date":"2024-04-30T22:00:00.000Z"}'),
        ({"$date": "2024-05-01T12:00:00+02:00"}, '{"$date":"2024-05-01T10:00:00.000Z"}'),
        ([2**63 - 1, -(2**63), 2.0**62, 1e300], "[9223372036854775807,-9223372036854775808,4611686018427387904,1e300]"),
    ],
)
def test_what_is_held(value: Any, stored: str) -> None:
    made = normalised(value)
    assert json.loads(encode(made)) == json.loads(stored)
    assert encode(made) == encode(decode(encode(made)))


@pytest.mark.parametrize(
    ("value", "code", "place"),
    [
        ({"a": [1, {"b": {1, 2}}]}, "WDE0075", "a[1].b is {1, 2} (set)"),
        ({"a": 2**63}, "WDE0075", "64 bits"),
        ({"a": 10**5000}, "WDE0075", "a is a whole number (int)"),
        ({"a": "x\x00"}, "WDE0075", "a is "),
        ({"a": "\ud800"}, "WDE0075", "a is "),
        ({"a\x00": 1}, "WDE0075", "name of a field"),
        ({1: 2}, "WDE0075", "keys are text"),
        ({"a": {"$b": 1}}, "WDE0134", "a.$b"),
        ({"a": {"$date": "yesterday"}}, "WDE0075", "yesterday"),
        ({"a": Decimal(1)}, "WDE0075", "Decimal"),
        ({"a": date(2024, 1, 1)}, "WDE0075", "datetime.date"),
        ({"a": b"x"}, "WDE0075", "bytes"),
        ({"a": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))}, "WDE0075", "years 1 to 9999"),
    ],
)
def test_what_is_refused(value: Any, code: str, place: str) -> None:
    with pytest.raises(WixDataError) as caught:
        normalised(value)
    assert caught.value.code == code
    assert place in caught.value.message
    caught.value.message.encode()


def test_what_contains_itself_is_too_deep() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(WixDataError, match="WDE0168"):
        normalised(endless)


@settings(deadline=None)  # the first one builds the tables
@given(st.characters())
def test_a_character_is_folded_by_itself(character: str) -> None:
    lower = character.lower()
    assert fold(character) == (lower if len(lower) == 1 else "i")
    assert fold(f"{character}x") == fold(character) + "x"
    assert character in variants(fold(character))
    assert all(fold(each) == fold(character) for each in variants(fold(character)))


@settings(deadline=None)
@given(st.datetimes(), st.integers(-12 * 60, 12 * 60))
def test_dates_come_back(value: datetime, minutes: int) -> None:
    utc = value.replace(tzinfo=timezone.utc)
    kept = utc.replace(microsecond=utc.microsecond // 1000 * 1000)
    assert parse_date(format_date(value)) == parse_date(format_date(utc)) == kept
    if 2 < value.year < 9998:
        assert parse_date(format_date(utc.astimezone(timezone(timedelta(minutes=minutes))))) == kept


def test_canonical_is_what_encode_writes() -> None:
    written = '{"b": {"$date": "2024-05-01T12:00:00.000Z"}, "a": [10000000000000000000, 1.50]}'  # as PostgreSQL does
    assert canonical(written) == encode({"a": [1e19, 1.5], "b": parse_date("2024-05-01T12:00:00.000Z")})


@pytest.mark.parametrize("text", ["a\x00", "\ud800"])
def test_to_compare_with_what_no_item_holds_finds_nothing(text: str) -> None:
    item = {"_id": "1", "a": ["b", "c"]}
    for made, found in (
        (Filter().eq("a", text), False),
        (Filter().ne("a", text), True),
        (Filter().contains("a", text), False),
        (Filter().hasSome("a", text, "b"), True),
        (Filter().hasSome("a", text), False),
        (Filter().hasAll("a", "b", text), False),
        (Filter().in_("a", [text, "c"]), True),
        (Filter(parse_filter({"a": text})), False),
        (Filter(parse_filter({"a": {"$ne": text}})), True),
        (Filter(parse_filter({"a": {"$startsWith": text}})), False),
        (Filter(parse_filter({"a": {"$in": ["b", text]}})), True),
        (Filter(parse_filter({"a": {"$hasAll": ["b", text]}})), False),
    ):
        assert made.errors == ()
        assert matches(made.tree, item) is found
    assert Filter().gt("a", text).errors


def test_great_numbers_are_compared() -> None:
    item = {"_id": "1", "a": 5, "b": 1e20}
    assert matches(Filter().lt("a", 10**20).tree, item)
    assert matches(Filter().eq("b", 10**20).tree, item)
    assert not matches(parse_filter({"a": {"$gt": 10**30}}), item)
    assert Filter().eq("a", 10**400).errors


def test_an_interrupt_while_a_date_is_written_is_an_interrupt() -> None:
    class Late(datetime):
        def astimezone(self, tz: Any = None) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode([Late(2024, 1, 1, tzinfo=timezone.utc)])
