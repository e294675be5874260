"""wixhttp.request: headers, body readers, JSON and charsets."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wixhttp.errors import InvalidJSON
from wixhttp.head import Headers, PlainHead
from wixhttp.jsontext import decode_json
from wixhttp.request import Request, decode_text, set_body

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=1)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_headers_are_joined_in_order_under_lower_case_keys(fields: list[tuple[str, str]]) -> None:
    expected: dict[str, str] = {}
    for name, value in fields:
        glue = "; " if name.lower() == "cookie" else ", "
        expected[name.lower()] = glue.join([expected[name.lower()], value]) if name.lower() in expected else value
    headers = Headers.of(fields)
    assert headers == expected
    assert all(headers[name.upper()] == headers.get(name) == expected[name.lower()] for name, _ in fields)
    assert all(name.swapcase() in headers for name, _ in fields)


def test_cookies_are_joined_by_semicolons() -> None:
    assert Headers.of([("Cookie", "a=1"), ("cookie", "b=2")])["COOKIE"] == "a=1; b=2"


@given(JSON)
@settings(max_examples=60)
def test_decode_json_reads_what_the_standard_library_prints(value: Any) -> None:
    assert decode_json(json.dumps(value).encode()) == value
    assert decode_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.integers(-(10**400), 10**400))
def test_whole_numbers_stay_whole(value: int) -> None:
    assert decode_json(b'{"a": [%d]}' % value) == {"a": [value]}


@given(st.binary())
def test_any_bytes_are_json_or_invalid_json(data: bytes) -> None:
    try:
        json.loads(data.decode("utf-8-sig"), parse_constant=int)  # int("NaN") is a ValueError
    except ValueError:
        with pytest.raises(InvalidJSON):
            decode_json(data)
    else:
        assert decode_json(data) == json.loads(data.decode("utf-8-sig"))


@pytest.mark.parametrize("part", ["path", "query", "headers"])
def test_a_request_is_read_only(part: str) -> None:
    request = Request(PlainHead("GET", "/_functions/x/a", "q=1", [("X-A", "b")]), "", "/_functions", "x", "a")
    value = getattr(request, part)
    before = copy.deepcopy(value)
    with pytest.raises(TypeError, match="read-only"):
        value.pop()
    with pytest.raises(TypeError, match="read-only"):
        value[0] = "c"
    assert value == before == copy.copy(value)
    assert type(before) is type(value)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 5_000_000])
def test_nesting_past_the_parsers_depth_is_invalid_json(data: bytes) -> None:
    with pytest.raises(InvalidJSON):
        decode_json(data)


@given(st.binary(), st.text(st.characters(min_codepoint=32, max_codepoint=255)))
def test_any_charset_gives_text(data: bytes, charset: str) -> None:
    assert isinstance(decode_text(data, f"text/plain; charset={charset}"), str)


@pytest.mark.parametrize(
    "charset", ["utf-8", "UTF8", "utf-16", "utf-32", "utf-7", "cp1252", "shift_jis", "koi8-r", "gb18030"]
)
def test_charsets_that_exist(charset: str) -> None:
    assert decode_text("text".encode(charset), f'text/plain; charset="{charset}"') == "text"


def test_a_request_shows_its_method_and_name() -> None:
    request = Request(PlainHead("GET", "/_functions/a/b"), "", "/_functions", "a", "b")
    set_body(request, b"x")
    assert repr(request) == "<Request GET 'a' path='b'>"
    assert request.body.buffer() == b"x"
