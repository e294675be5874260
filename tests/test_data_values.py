"""Values that an item can hold, and their canonical JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wixhttp import data
from wixhttp.data import items
from wixhttp.data.queries.builders import Filter
from wixhttp.data.queries.evaluator import matches
from wixhttp.data.queries.filters import parse_filter
from wixhttp.data.queries.values import canonical, decode, encode, fold, format_date, normalised, parse_date, variants
from wixhttp.errors import WixDataError
from wixhttp.http.json_codec import decode_json
from wixhttp.secrets import Secret
from wixhttp.testing import fake_data


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
        ({"a": 10**5000}, "WDE0075", "a is a whole number of 16610 bits (int)"),
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


# --- nested deeper than Python's stack -------------------------------------------------------------------------------


def nested(depth: int, kind: str) -> Any:
    value: Any = 1
    for number in range(depth):
        value = [value] if kind == "lists" or (kind == "both" and number % 2) else {"a": value}
    return value


def nested_filter(depth: int, name: str) -> Any:
    made: Any = {"a": 1}
    for _ in range(depth):
        made = {name: made if name == "$not" else [made]}
    return made


def take_apart(value: Any) -> None:
    """Undo what is nested, level by level: Python itself would do it recursively."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list | dict):
            waiting += each.values() if isinstance(each, dict) else each
            each.clear()


DEEP_CALLS: dict[str, Callable[[Any], object]] = {
    "insert": lambda deep: data.insert("c", {"a": deep}),
    "insert an _id": lambda deep: data.insert("c", {"_id": deep}),
    "insert an _owner": lambda deep: data.insert("c", {"_owner": deep}),
    "insert no item": lambda deep: data.insert("c", [deep]),  # type: ignore[arg-type]
    "update": lambda deep: data.update("c", {"_id": "1", "a": deep}),
    "save": lambda deep: data.save("c", {"_id": deep, "a": 1}),
    "get": lambda deep: data.get("c", deep),
    "remove": lambda deep: data.remove("c", deep),
    "bulkInsert": lambda deep: data.bulkInsert("c", [{"a": deep}]),
    "bulkInsert of no item": lambda deep: data.bulkInsert("c", [deep]),
    "bulkInsert of no list": lambda deep: data.bulkInsert("c", {"a": deep}),  # type: ignore[arg-type]
    "bulkSave an _id": lambda deep: data.bulkSave("c", [{"_id": deep}]),
    "bulkRemove": lambda deep: data.bulkRemove("c", [deep]),
    "collection": lambda deep: data.insert(deep, {"a": 1}),
    "options": lambda deep: data.insert("c", {"a": 1}, deep),
    "an option": lambda deep: data.insert("c", {"a": 1}, {"suppressHooks": deep}),
    "eq": lambda deep: data.query("c").eq("a", deep).find(),
    "gt": lambda deep: data.query("c").gt("a", deep).find(),
    "between": lambda deep: data.query("c").between("a", deep, 1).find(),
    "contains": lambda deep: data.query("c").contains("a", deep).find(),
    "hasSome": lambda deep: data.query("c").hasSome("a", [deep]).find(),
    "hasAll": lambda deep: data.query("c").hasAll("a", deep, 1).find(),
    "a field": lambda deep: data.query("c").eq(deep, 1).find(),
    "ascending": lambda deep: data.query("c").ascending(deep).find(),
    "limit": lambda deep: data.query("c").limit(deep).find(),
    "fields": lambda deep: data.query("c").fields(deep).find(),
    "include": lambda deep: data.query("c").include(deep).find(),
    "aggregate": lambda deep: data.aggregate("c").filter(data.filter().eq("a", deep)).count().run(),
    "having": lambda deep: data.aggregate("c").group("a").count().having(data.filter().eq("count", deep)).run(),
    "group": lambda deep: data.aggregate("c").group(deep).run(),
    "insertReference": lambda deep: data.insertReference("c", "many", deep, "1"),
    "replaceReferences": lambda deep: data.replaceReferences("c", "many", "1", [deep]),
    "queryReferenced": lambda deep: data.queryReferenced("c", deep, deep),
    "a filter's value": lambda deep: parse_filter({"a": deep}),
    "a filter's operand": lambda deep: parse_filter({"a": {"$gt": deep}}),
    "a filter's list": lambda deep: parse_filter({"a": {"$hasSome": [deep], "$in": deep}}),
    "a filter's truth": lambda deep: parse_filter({"a": {"$exists": deep}}),
    "a filter": lambda deep: parse_filter([deep]),
    "a filter of filters": lambda deep: parse_filter({"$and": [deep]}),
    "set a field": lambda deep: items.patch("c", "1").setField("a", deep).run(),
    "patch": lambda deep: items.patch("c", "1").modified([{"action": deep}]).run(),
    "increment": lambda deep: items.patch("c", "1").incrementField("a", deep).run(),
}  # fmt: skip


DEPTHS = [("lists", 1000), ("dicts", 1000), ("both", 100_000)]


@pytest.fixture(scope="module")
def deep_values() -> Iterator[list[Any]]:
    """Made in Python and read from JSON; no call changes them."""
    deep = [nested(depth, kind) for kind, depth in DEPTHS]
    yield deep + [decode_json(json.dumps(nested(900, kind)).encode()) for kind, _ in DEPTHS]
    for each in deep:
        take_apart(each)


@pytest.mark.parametrize("call", DEEP_CALLS)
def test_what_is_nested_too_deep_is_an_error_of_ours(call: str, deep_values: list[Any]) -> None:
    with fake_data():
        data.insert("c", {"_id": "1", "a": 1})
        for value in deep_values:
            try:
                result: Any = DEEP_CALLS[call](value)
            except (WixDataError, TypeError) as error:
                message = str(error)
            else:  # of a bulk call
                assert result["inserted"] == 0
                message = str(result["errors"][0])
            assert len(message) < 2000


@pytest.mark.parametrize("name", ["$and", "$or", "$nor", "$not"])
def test_filters_that_are_nested_too_deep_are_an_error_of_ours(name: str) -> None:
    for depth in (60, 900, 100_000):
        made = nested_filter(depth, name)
        for asked in (made, {"a": made} if name == "$not" else made):
            with pytest.raises(WixDataError) as caught:
                parse_filter(asked)
            assert caught.value.code == "WDE0169"
        take_apart(made)


def test_a_query_of_many_steps_is_too_deep() -> None:
    made = Filter().eq("a", 1)
    for _ in range(1000):
        made = Filter().not_(made).eq("b", 1)
    with fake_data():
        data.insert("c", {"a": 1})
        with pytest.raises(WixDataError, match="WDE0169"):
            data.query("c").and_(made).find()


def test_a_place_is_text_in_an_error_alone() -> None:
    long = {"K" * 200_000: [0] * 50_000}  # as text, each of the places has 200 kB
    assert normalised(long) == long
    with pytest.raises(WixDataError) as caught:
        normalised({"K" * 200_000: [{1}]})
    assert len(caught.value.message) < 500
