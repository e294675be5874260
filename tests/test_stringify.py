"""wixhttp.stringify: the text that JavaScript's JSON.stringify prints, compared with node where there is one."""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import subprocess
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from wixhttp import EncodeError, stringify
from wixhttp.http.json_codec import decode_json

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(not NODE and not os.environ.get("CI"), reason="there is no node on this machine")

KEYS = ["b", "a", "10", "2", "02", "-1", "1.5", "", "4294967294", "4294967295", "__proto__", "\u2028", "\ud800", "😀"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (123456789012345680000.0, "123456789012345680000"),
        (1.5e-7, "1.5e-7"),
        (0.000001, "0.000001"),
        (5e-324, "5e-324"),
        (-1.7976931348623157e308, "-1.7976931348623157e+308"),
        ([math.nan, math.inf, -math.inf, None, True], "[null,null,null,null,true]"),
        (2**53 + 1, "9007199254740993"),
        (10**30, "1" + "0" * 30),
        ({"b": 1, 10: 2, "2": 3, "02": 4}, '{"2":3,"10":2,"b":1,"02":4}'),
        ({1: "a", "1": "b"}, '{"1":"b"}'),
        (datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))), '"2024-05-01T10:00:00.000Z"'),
        ([date(2024, 5, 1), Decimal("1.10"), (1,), {7}], '["2024-05-01",1.10,[1],[7]]'),
        ('é漢😀\u2028\x7f\x00\b"\\/', '"é漢😀\u2028\x7f\\u0000\\b\\"\\\\/"'),
        ("\ud800 \udc00\ud83d\ude00", '"\\ud800 \\udc00😀"'),
        ("", '""'),
        ([[], {}, [[]]], "[[],{},[[]]]"),
    ],
)
def test_the_table(value: Any, text: str) -> None:
    assert stringify(value) == text
    assert stringify({"a": [value]}) == f'{{"a":[{text}]}}'


@pytest.mark.parametrize(
    ("indent", "gap"),
    [
        (2, "  "), (0, None), (-1, None), (99, " " * 10), (2.9, "  "), (math.inf, " " * 10), (math.nan, None),
        (True, None), ("\t", "\t"), ("", None), ("-" * 12, "-" * 10), (None, None), ("😀" * 9, "😀" * 5),
    ],
)  # fmt: skip
def test_indentation(indent: Any, gap: str | None) -> None:
    found = stringify({"a": [1, [], {}], "b": {"c": None}}, None, indent)
    if gap is None:
        assert found == '{"a":[1,[],{}],"b":{"c":null}}'
    else:
        lines = ["{", '1"a": [', "21,", "2[],", "2{}", "1],", '1"b": {', '2"c": null', "1}", "}"]
        assert found.split("\n") == [gap * int(line[0]) + line[1:] if line[0].isdigit() else line for line in lines]


def test_a_replacer_is_a_function_or_the_keys_to_print() -> None:
    value = {"a": 1, "b": {"a": 2, "c": [3, {"c": 4, "1": 5}]}, 1: 6}
    assert stringify(value, ["c", "b", 1, "c", True, None]) == '{"b":{"c":[3,{"c":4,"1":5}]},"1":6}'  # type: ignore[list-item]  # passed over
    assert stringify(value, []) == "{}"
    seen: list[tuple[str, Any]] = []

    def double(key: str, each: Any) -> Any:
        seen.append((key, each))
        return each * 2 if isinstance(each, int) else each

    assert stringify({"a": [1, "x"], "at": datetime(2024, 5, 1)}, double) == (  # noqa: DTZ001  # naive is UTC
        '{"a":[2,"x"],"at":"2024-05-01T00:00:00.000Z"}'
    )
    assert [key for key, _ in seen] == ["", "a", "0", "1", "at"]
    assert seen[-1] == ("at", "2024-05-01T00:00:00.000Z")


def test_what_has_no_form_is_named_with_its_place() -> None:
    for value, where in (({"a": [1, object()]}, "value['a']['1']"), ({(1,): 1}, "a key of value"), (b"x", "value")):
        with pytest.raises(EncodeError) as caught:
            stringify(value)
        assert caught.value.where == where
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodeError, match="it contains itself"):
        stringify(loop)


def test_any_depth_that_can_be_read_is_printed() -> None:
    text = "[" * 900 + "]" * 900
    assert stringify(decode_json(text.encode())) == text


TEXT = st.text(max_size=6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.binary(min_size=8, max_size=8).map(
    lambda data: struct.unpack("d", data)[0]
).filter(math.isfinite)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | TEXT, inner, max_size=5),
    max_leaves=12,
)
INDENTS = st.none() | st.integers(-1, 12) | st.sampled_from(["", "\t", "--", "x" * 12, "\ud800"])
LISTS = st.none() | st.lists(st.sampled_from([key for key in KEYS if key != "__proto__"]), max_size=4)


@needs_node
@given(cases=st.lists(st.tuples(VALUES, LISTS, INDENTS), min_size=20, max_size=20))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_it_prints_what_node_prints(cases: list[tuple[Any, Any, Any]]) -> None:
    # Of indexes in a dict node has the order that JSON.parse gives them, which is the order of indexes, too.
    program = """
        const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
        const print = ([text, keys, indent]) => JSON.stringify(JSON.parse(text), keys, indent);
        console.log(JSON.stringify(cases.map(print)));
    """
    sent = json.dumps([[json.dumps(value), keys, indent] for value, keys, indent in cases])
    done = subprocess.run([NODE or "node", "-e", program], input=sent, capture_output=True, text=True, check=True)
    for case, theirs in zip(cases, json.loads(done.stdout), strict=True):
        assert (stringify(*case), case) == (theirs, case)


def test_functions_are_left_out_as_in_javascript() -> None:
    value = {"a": len, "b": [lambda: 1, int, {}.get], "c": {"d": print}, "e": 1}
    assert stringify(value) == '{"b":[null,null,null],"c":{},"e":1}'
    assert stringify({"c": {"d": print}}, None, 1) == '{\n "c": {}\n}'
    assert stringify({"a": 1}, lambda key, each: len if key else each) == "{}"
    with pytest.raises(EncodeError):  # JavaScript's undefined, which is no text
        stringify(len)
