"""wixhttp.http.request: headers, body readers, JSON and charsets."""

from __future__ import annotations

import copy
import encodings
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wixhttp.errors import InvalidJSON
from wixhttp.http.json_codec import decode_json
from wixhttp.http.request import Request, decode_text, set_body
from wixhttp.http.request_head import PlainHead, RequestHeaders

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
    headers = RequestHeaders.of(fields)
    assert headers == expected
    assert all(headers[name.upper()] == headers.get(name) == expected[name.lower()] for name, _ in fields)
    assert all(name.swapcase() in headers for name, _ in fields)


def test_cookies_are_joined_by_semicolons() -> None:
    assert RequestHeaders.of([("Cookie", "a=1"), ("cookie", "b=2")])["COOKIE"] == "a=1; b=2"


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


@pytest.mark.parametrize(
    ("codec", "spellings"),
    [
        ("utf-8", "UTF-8 utf8 Utf_8 U8 utf-8-sig"), ("latin-1", "ISO-8859-1 latin1 Latin-1 iso_8859-1 L1 IBM819 8859"),
        ("cp1252", "windows-1252 CP1252 Windows_1252"), ("shift_jis", "shift_jis Shift-JIS SJIS csShiftJIS"),
        ("euc-kr", "euc-kr EUC_KR ks_c_5601-1987"), ("gb18030", "GB18030"), ("gbk", "gbk MS936 CP936"),
        ("big5", "big5 Big5-TW csBig5"), ("koi8-r", "KOI8-R koi8_r"), ("koi8-u", "KOI8-U"), ("cp874", "cp874"),
        ("ascii", "us-ascii US_ASCII ascii ANSI_X3.4-1968"), ("utf-16", "UTF-16 utf16"),
        ("iso8859-15", "ISO-8859-15 latin9"),
    ],
)  # fmt: skip
def test_charsets_in_any_spelling(codec: str, spellings: str) -> None:
    text = {"latin-1": "é£", "cp1252": "€", "iso8859-15": "€", "koi8-r": "ж", "koi8-u": "ї", "cp874": "ก",
            "euc-kr": "한", "ascii": "a", "shift_jis": "日本"}.get(codec, "漢字")  # fmt: skip
    for spelling in spellings.split():
        for written in (spelling, spelling.upper(), f'"{spelling.lower()}"', spelling.replace("-", " ")):
            assert decode_text(text.encode(codec), f"text/plain; charset={written}") == text, written


@pytest.mark.parametrize(
    "charset",
    ["", "none", "utf-9", "base64", "hex", "zlib", "rot13", "idna", "punycode", "undefined", "unicode_escape", "mbcs",
     "raw-unicode-escape", "oem", "os", "..", "aliases", "utf\u20138", "cp1252" + "x" * 60],
)  # fmt: skip
def test_what_is_no_charset_is_utf8(charset: str) -> None:
    assert decode_text(r"é\n".encode(), f"text/plain; charset={charset}") == r"é\n"


def test_no_name_of_a_client_is_remembered() -> None:
    names = [f"made-up-{number}" for number in range(1000)]
    spellings = [f"utf{'-' * number}8" for number in range(1, 30)]
    decode_text(b"a", "text/plain; charset=utf-8")
    before = dict(encodings._cache)  # no public way to see it
    for name in (*names, *spellings):
        assert decode_text("é".encode(), f"text/plain; charset={name}") == "é"
    assert encodings._cache == before


def test_a_request_shows_its_method_and_name() -> None:
    request = Request(PlainHead("GET", "/_functions/a/b"), "", "/_functions", "a", "b")
    set_body(request, b"x")
    assert repr(request) == "<Request GET 'a' path='b'>"
    assert request.body.buffer() == b"x"
