"""wixhttp.endpoints.web.cookies: what a request says, and what a response sets."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.endpoints.web.cookies import Cookie, Cookies
from wixhttp.errors import InvalidJSON

TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
NAMES = st.text("abc!#$%&'*+-.^_`|~09", min_size=1, max_size=8)
NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


def value(cookies: Cookies, name: str) -> str | None:
    cookie = cookies.get(name)
    return None if cookie is None else cookie.value


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("a=1", "1"),
        ("b=2;a=1", "1"),
        ("b=2;  a = 1 ", "1"),
        ("a=1; a=2", "1"),
        ('a="1"', "1"),
        ('a="', '"'),
        ('a=""', ""),
        ("a=", ""),
        ("a", None),
        ("=1", None),
        ("A=1", None),
        ("a=b=c", "b=c"),
        ("a=%C3%BC%3B", "ü;"),
        ("a=100%", "100%"),
        ("a=%zz%20", "%zz%20"),
        ("a=%ff", "%ff"),
        ("a=1+2", "1+2"),
        (";;;a=1;;", "1"),
    ],
)
def test_what_a_request_says(header: str | None, expected: str | None) -> None:
    cookies = Cookies(header)
    assert value(cookies, "a") == expected
    assert cookies.has("a") == ("a" in cookies) == (expected is not None)
    assert cookies.headers() == []
    assert 5 not in cookies


def test_a_value_in_its_kinds() -> None:
    assert Cookie('{"a":[1]}').json() == {"a": [1]}
    assert [Cookie(text).number() for text in ("1", " -2 ", "1.5", "1e3")] == [1, -2, 1.5, 1000.0]
    assert [Cookie(text).boolean() for text in ("false", "0", "", "true", "no", "1")] == [False] * 3 + [True] * 3
    assert Cookie("a") == Cookie("a") != Cookie("b")
    assert Cookie("a") != "a"
    assert hash(Cookie("a")) == hash("a")
    assert (str(Cookie("a")), repr(Cookie("a"))) == ("a", "Cookie('a')")
    with pytest.raises(InvalidJSON):
        Cookie("{").json()


@pytest.mark.parametrize("text", ["", "a", "1_0", "nan", "inf", "1e999", "\u0661", "1 2"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="no number"):
        Cookie(text).number()


@pytest.mark.parametrize(
    ("given_value", "options", "expected"),
    [
        ("b", {}, "a=b"),
        ("", {}, "a="),
        ("ü; \r\n\"',", {}, "a=%C3%BC%3B%20%0D%0A%22'%2C"),
        ({"x": [1]}, {}, "a=%7B%22x%22%3A%5B1%5D%7D"),
        (5, {}, "a=5"),
        (True, {}, "a=true"),
        (None, {}, "a=null"),
        ("b", {"path": "/", "domain": ".h.de"}, "a=b; Path=/; Domain=.h.de"),
        ("b", {"maxAge": 60, "httpOnly": True, "secure": True}, "a=b; Max-Age=60; HttpOnly; Secure"),
        ("b", {"maxAge": -1.0, "httpOnly": False}, "a=b; Max-Age=-1"),
        ("b", {"expires": NOON}, "a=b; Expires=Wed, 01 May 2024 12:00:00 GMT"),
        ("b", {"expires": NOON.replace(tzinfo=None)}, "a=b; Expires=Wed, 01 May 2024 12:00:00 GMT"),
        ("b", {"expires": NOON.astimezone(timezone(timedelta(hours=9)))}, "a=b; Expires=Wed, 01 May 2024 12:00:00 GMT"),
        ("b", {"sameSite": True}, "a=b; SameSite=Strict"),
        ("b", {"sameSite": False}, "a=b"),
        ("b", {"sameSite": "LAX"}, "a=b; SameSite=Lax"),
        ("b", {"sameSite": "none", "secure": True}, "a=b; Secure; SameSite=None"),
        ("b", {"path": None, "maxAge": None}, "a=b"),
    ],
)
def test_what_a_response_sets(given_value: Any, options: dict[str, Any], expected: str) -> None:
    cookies, other = Cookies("a=old"), Cookies()
    cookies.set("a", given_value, **options)
    other.set("a", given_value, options)
    assert cookies.headers() == other.headers() == [expected]
    read = cookies.get("a")
    assert read is not None
    assert read.value == given_value if isinstance(given_value, str) else read.json() == given_value


@pytest.mark.parametrize(
    ("name", "options", "error", "match"),
    [
        ("", {}, ValueError, "cookie's name"),
        ("a b", {}, ValueError, "cookie's name"),
        ("a=b", {}, ValueError, "cookie's name"),
        ("a;b", {}, ValueError, "cookie's name"),
        ("a\r\nb", {}, ValueError, "cookie's name"),
        ("ü", {}, ValueError, "cookie's name"),
        (5, {}, ValueError, "cookie's name"),
        ("a", {"path": "/; Secure"}, ValueError, "path"),
        ("a", {"path": "/\r\nX: y"}, ValueError, "path"),
        ("a", {"path": "/\0"}, ValueError, "path"),
        ("a", {"path": "/ü"}, ValueError, "path"),
        ("a", {"path": "a"}, ValueError, "begins with '/'"),
        ("a", {"path": 5}, TypeError, "path"),
        ("a", {"domain": "h;x"}, ValueError, "domain"),
        ("a", {"domain": ""}, ValueError, "domain"),
        ("a", {"domain": "h\n"}, ValueError, "domain"),
        ("a", {"sameSite": "maybe"}, ValueError, "'strict', 'lax' or 'none'"),
        ("a", {"sameSite": 1}, ValueError, "'strict', 'lax' or 'none'"),
        ("a", {"sameSite": "None"}, ValueError, "secure=True"),
        ("a", {"maxAge": 1.5}, ValueError, "whole number"),
        ("a", {"maxAge": "60"}, ValueError, "whole number"),
        ("a", {"maxAge": True}, ValueError, "whole number"),
        ("a", {"maxAge": float("inf")}, ValueError, "whole number"),
        ("a", {"expires": 5}, TypeError, "maxAge="),
        ("a", {"expires": "tomorrow"}, TypeError, "datetime"),
        ("a", {"secure": "no"}, TypeError, "True or False"),
        ("a", {"partitioned": 1}, TypeError, "partitioned of a cookie is True or False"),
        ("a", {"partitioned": True}, ValueError, "is partitioned, so it needs secure=True"),
        ("a", {"partitioned": True, "secure": False}, ValueError, "is partitioned, so it needs secure=True"),
        ("a", {"Partitioned": True}, TypeError, "no option 'Partitioned'; did you mean 'partitioned'"),
        ("a", {"httponly": True}, TypeError, "no option 'httponly'; did you mean 'httpOnly'"),
        ("__Secure-a", {}, ValueError, "secure=True"),
        ("__Host-a", {"secure": True}, ValueError, "path='/'"),
        ("__host-a", {"path": "/"}, ValueError, "secure=True"),
        ("__Host-a", {"secure": True, "path": "/", "domain": "h"}, ValueError, "no domain"),
    ],
)
def test_what_browsers_would_refuse(name: Any, options: dict[str, Any], error: type[Exception], match: str) -> None:
    cookies = Cookies()
    with pytest.raises(error, match=match):
        cookies.set(name, "x", options)
    assert cookies.headers() == []
    assert not cookies.has(name)


def test_a_cookie_has_4096_bytes() -> None:
    cookies = Cookies()
    cookies.set("a", "x" * 4094)
    for text in ("x" * 4095, "ü" * 683):
        with pytest.raises(ValueError, match="4096"):
            cookies.set("a", text)
    assert value(cookies, "a") == "x" * 4094


def test_a_deleted_cookie_is_gone_at_once() -> None:
    cookies = Cookies("a=1; b=2")
    cookies.delete("a", path="/x", domain="h.de")
    cookies.delete("b", {"path": "/"})
    cookies.delete("__Host-c", path="/")
    past = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    assert cookies.headers() == [
        f"a=; Path=/x; Domain=h.de; {past}", f"b=; Path=/; {past}", f"__Host-c=; Path=/; Secure; {past}",
    ]  # fmt: skip
    assert cookies.get("a") is None
    assert not cookies.has("b")
    cookies.set("a", "new")
    assert value(cookies, "a") == "new"
    for options in ({"maxAge": 1}, {"expires": NOON}):
        with pytest.raises(TypeError, match="known are path, domain"):
            cookies.delete("a", options)
    with pytest.raises(ValueError, match="cookie's name"):
        cookies.delete("a;")


def test_a_partitioned_cookie_is_another_one() -> None:
    cookies = Cookies()
    options = {"path": "/", "secure": True, "sameSite": "none", "httpOnly": True}
    cookies.set("a", "1", options)
    cookies.set("a", "2", options, partitioned=True)
    cookies.set("a", "3", options, partitioned=True)
    rest = "Path=/; HttpOnly; Secure; Partitioned; SameSite=None"
    assert cookies.headers() == ["a=1; Path=/; HttpOnly; Secure; SameSite=None", f"a=3; {rest}"]
    cookies.delete("a", options, partitioned=True)
    cookies.delete("b", path="/", partitioned=True)
    past = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    assert cookies.headers()[1:] == [f"a=; {rest}; {past}", f"b=; Path=/; Secure; Partitioned; {past}"]


def test_the_last_of_one_name_path_and_domain_is_sent() -> None:
    cookies = Cookies()
    cookies.set("a", "1", path="/")
    cookies.set("a", "2", domain="H.de")
    cookies.set("b", "3")
    cookies.set("a", "4", path="/")
    cookies.delete("a", domain=".h.de")
    assert [field.split(";")[0] for field in cookies.headers()] == ["b=3", "a=4", "a="]
    assert "secret" not in repr(Cookies("a=secret"))


@given(NAMES.filter(lambda name: not name.startswith("__")), TEXT)
def test_what_is_set_is_read_by_the_next_request(name: str, text: str) -> None:
    cookies = Cookies()
    cookies.set(name, text)
    (field,) = cookies.headers()
    assert field.isascii()
    assert field.isprintable()
    assert ";" not in field
    assert value(Cookies(f"x=y; {field}"), name) == text == value(cookies, name)


@given(st.text())
def test_any_header_can_be_read(header: str) -> None:
    cookies = Cookies(header)
    for part in header.split(";"):
        cookies.get(part.partition("=")[0].strip(" \t"))
