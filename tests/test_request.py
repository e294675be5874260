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
from wixhttp.http.charsets import decode_text
from wixhttp.http.json_codec import decode_json, encode_json
from wixhttp.http.request import Request, set_body
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


BOUNDARIES = [
    sign * (base + step)
    for base in (2**53, 2**63, 2**64, *(10**power for power in (18, 19, 20, 21, 22, 308, 309, 4298)))
    for step in (-1, 0, 1)
    for sign in (1, -1)
]


@pytest.mark.parametrize("value", BOUNDARIES, ids=lambda each: f"{each:e}" if abs(each) < 10**300 else "long")
def test_every_digit_is_kept_at_every_boundary(value: int) -> None:
    for text, expected in ((b"%d", value), (b'["9", %d,1.5]', ["9", value, 1.5]), (b'{"a":%d}', {"a": value})):
        read = decode_json(text % value)
        assert read == expected
        assert decode_json(encode_json(read)) == expected
        assert encode_json([2**70, read]) == b"[%d,%s]" % (2**70, encode_json(read))


@given(st.sampled_from(BOUNDARIES), st.integers(-3, 3), st.integers(0, 900))
@settings(max_examples=60)
def test_every_digit_is_kept_around_the_boundaries(boundary: int, step: int, depth: int) -> None:
    value = boundary + step
    assert encode_json(decode_json(b"[" * depth + b"%d" % value + b"]" * depth)) == (
        b"[" * depth + b"%d" % value + b"]" * depth
    )


@pytest.mark.parametrize(
    "text", ["1e19", "-1E+19", "9007199254740993.0", "1e-400", "-0.0", "1e308", "18446744073709551616.5"]
)
def test_a_number_with_a_point_or_an_exponent_is_the_nearest_float(text: str) -> None:
    for data in (text, f"[{text}, 18446744073709551616]"):
        read = decode_json(data.encode())
        assert repr(read[0] if isinstance(read, list) else read) == repr(float(text))


@pytest.mark.parametrize("digits", [4301, 20_000, 400_000])
@pytest.mark.parametrize("text", ["%s", "-%s", '{"a":[%s]}'])
def test_more_digits_than_python_reads_are_invalid_json(digits: int, text: str) -> None:
    with pytest.raises(InvalidJSON):
        decode_json((text % ("1" * digits)).encode())


def test_a_number_that_cannot_be_kept_for_its_depth_is_refused_and_digits_of_a_text_are_not() -> None:
    for depth in (900, 1015, 1020, 1023):
        for number in ("18446744073709551616", "-9223372036854775809"):
            try:
                read = decode_json(("[" * depth + number + "]" * depth).encode())
            except InvalidJSON:
                assert depth > 900
            else:
                for _ in range(depth):
                    read = read[0]
                assert read == int(number)
            text = decode_json(("[" * depth + f'"{number}\\""' + "]" * depth).encode())
            for _ in range(depth):
                text = text[0]
            assert text == number + '"'


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


LABELS = {
    "utf-8": ("UTF-8 utf8 unicode-1-1-utf-8", "漢字"), "utf-16-le": ("utf-16 UTF-16LE ucs-2 unicode", "漢字"),
    "utf-16-be": ("utf-16be unicodeFFFE", "漢字"), "big5": ("big5 csBig5 cn-big5 Big5-HKSCS", "漢字"),
    "cp1252": ("ISO-8859-1 latin1 latin-1 l1 iso_8859-1 cp819 us-ascii ANSI_X3.4-1968 windows-1252 x-cp1252", "é£€“"),
    "iso8859-15": ("ISO-8859-15 l9 csISOLatin9", "€"), "cp1254": ("ISO-8859-9 latin5 windows-1254", "ş€"),
    "cp932": ("shift_jis Shift-JIS SJIS csShiftJIS windows-31j ms932", "日本①"), "euc_jp": ("euc-jp x-euc-jp", "日本"),
    "iso2022_jp": ("iso-2022-jp", "日本"), "cp949": ("euc-kr ks_c_5601-1987 KOREAN windows-949", "한똠"),
    "gb18030": ("GB18030 gbk GB2312 chinese x-gbk", "漢字€"), "koi8-r": ("KOI8-R koi8_r koi", "ж"),
    "koi8-u": ("KOI8-U koi8-ru", "ї"), "cp874": ("windows-874 tis-620 iso-8859-11", "ก€"), "cp866": ("ibm866 866", "ж"),
    "mac-roman": ("macintosh x-mac-roman", "é"), "iso8859-8": ("iso-8859-8-i logical visual", "א"),
}  # fmt: skip


@pytest.mark.parametrize("codec", LABELS)
def test_charsets_are_the_labels_of_the_encoding_standard(codec: str) -> None:
    labels, text = LABELS[codec]
    for label in labels.split():
        for written in (label, label.upper(), f'"{label.lower()}"', f" \t{label} ", f"{label};charset=utf-8"):
            assert decode_text(text.encode(codec), f"text/plain;charset={written}") == text, written


@pytest.mark.parametrize(
    "charset",
    ["", "none", "utf-9", "base64", "hex", "zlib", "rot13", "rot_13", "idna", "punycode", "undefined", "unicode_escape",
     "raw-unicode-escape", "mbcs", "oem", "os", "..", "aliases", "utf\u20138", "cp1252" + "x" * 60, "utf-7", "UTF_7",
     "u7", "unicode-1-1-utf-7", "utf-32", "utf_32_be", "cp037", "ebcdic-cp-us", "palmos", "hz", "hz-gb-2312",
     "iso-2022-kr", "replacement", "x-user-defined", "cp437", "ptcp154", "iso 8859 1", "latin_1", "\xa0latin1"],
)  # fmt: skip
def test_what_is_no_charset_of_the_web_is_utf8(charset: str) -> None:
    for text in (r"é\n", "+ADw-script+AD4-", "~{VPND~}"):
        assert decode_text(text.encode(), f"text/plain; charset={charset}") == text


@pytest.mark.parametrize("announced", ["", "; charset=latin1", "; charset=utf-16be", "; charset=koi8-r", "; charset=x"])
def test_a_byte_order_mark_goes_before_the_charset(announced: str) -> None:
    for codec, mark in (("utf-8", "utf-8-sig"), ("utf-16-le", "utf-16"), ("utf-16-be", "utf-16-be")):
        data = "é".encode(mark) if mark != "utf-16-be" else b"\xfe\xff" + "é".encode(codec)
        assert decode_text(data, f"text/plain{announced}") == "é"
    assert decode_text(b"\xef\xbb", None) == "\ufffd"
    assert decode_text(b"", f"text/plain{announced}") == ""


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
