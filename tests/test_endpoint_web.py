"""wixhttp.endpoints: headers, URLs and responses as the web has them."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wixhttp.endpoints.routing.paths import normalize
from wixhttp.endpoints.web.headers import Headers
from wixhttp.endpoints.web.response import Response, web_response
from wixhttp.endpoints.web.url import URL, URLSearchParams
from wixhttp.errors import EncodeError, InvalidInput
from wixhttp.http.encoding import encode
from wixhttp.http.response import Response as CoreResponse

NAMES = st.text("abcXYZ-09", min_size=1, max_size=4)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)


# --- headers ---------------------------------------------------------------------------------------------------------


def test_headers_know_any_case_and_keep_the_first_spelling_and_order() -> None:
    headers = Headers([("X-One", "1"), ("Accept", "a"), ("x-one", "2")])
    headers.set("ACCEPT", "b")
    assert list(headers.items()) == [("X-One", "1, 2"), ("Accept", "b")]
    assert (headers["x-ONE"], headers.get("nothing"), headers["nothing"], headers.get("x", "d")) == (
        "1, 2", None, None, "d",
    )  # fmt: skip
    assert list(headers) == ["X-One", "Accept"] == list(headers.keys())
    assert list(headers.values()) == ["1, 2", "b"]
    assert "accept" in headers
    assert 1 not in headers
    assert headers.has("aCCept")
    headers.delete("x-one")
    del headers["missing"]
    headers["Accept"] = ["c", "d"]
    assert headers == Headers({"accept": "c, d"})
    assert headers != Headers({"accept": "c"})
    assert headers != {"accept": "c, d"}
    assert repr(headers) == "Headers([('Accept', 'c, d')])"
    headers["Accept"] = []
    headers.append("Accept", [])
    assert len(headers) == 0
    assert not headers


def test_each_cookie_is_a_header_of_its_own() -> None:
    headers = Headers({"Set-Cookie": ["a=1", "b=2"], "X": 5})
    headers.append("set-cookie", "c=3")
    assert headers.getSetCookie() == ["a=1", "b=2", "c=3"]
    assert len(headers) == len(list(headers)) == len(list(headers.values())) == 4
    assert list(headers.items()) == [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Set-Cookie", "c=3"), ("X", "5")]
    assert Headers().getSetCookie() == []


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ü", "a\r\n", 5, None])
def test_a_name_that_is_no_token_is_refused(name: Any) -> None:
    for change in (Headers().set, Headers().append):
        with pytest.raises(ValueError, match="header's name"):
            change(name, "x")


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "a\nb", "\0", "\x7f", "漢", None, {}, ["ok", "a\rb"]])
def test_a_value_that_cannot_be_sent_is_refused_when_it_is_set(value: Any) -> None:
    headers = Headers({"X": "before"})
    for change in (headers.set, headers.append, headers.__setitem__):
        with pytest.raises(ValueError, match="header 'X'"):
            change("X", value)
    assert headers["x"] == "before"


@pytest.mark.parametrize("init", ["a=b", 5, ["ab"], [("a", "b", "c")]])
def test_what_headers_are_not_made_of(init: Any) -> None:
    with pytest.raises(TypeError, match="headers are"):
        Headers(init)


def test_headers_of_a_request_are_read_only_and_their_copy_is_not() -> None:
    headers = Headers.of([("Cookie", "a=1"), ("cookie", "b=2"), ("Accept", "a"), ("accept", "b")])
    assert (headers["COOKIE"], headers["accept"]) == ("a=1; b=2", "a, b")
    changes: list[Callable[[], object]] = [
        lambda: headers.set("a", "b"), lambda: headers.append("a", "b"), lambda: headers.delete("accept"),
        lambda: headers.__setitem__("a", "b"), lambda: headers.__delitem__("accept"),
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(TypeError, match=r"read-only.*Headers\(request.headers\)"):
            change()
    copy = Headers(headers)
    copy.set("Accept", "c")
    assert (copy["accept"], headers["accept"]) == ("c", "a, b")


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_headers_hold_what_was_appended(pairs: list[tuple[str, str]]) -> None:
    headers = Headers(pairs)
    for name, _ in pairs:
        assert headers[name.swapcase()] == ", ".join(v for key, v in pairs if key.lower() == name.lower())
    assert Headers(headers.items()) == headers == Headers(headers)


# --- URLs ------------------------------------------------------------------------------------------------------------

URLS = [
    ("HTTP://Example.COM:80", "http://example.com/", "http://example.com", "example.com", "", "/"),
    ("https://h:0443/", "https://h/", "https://h", "h", "", "/"),
    ("http://h:443/a/../b/./c/..", "http://h:443/b/", "http://h:443", "h:443", "443", "/b/"),
    ("http://h//a//%2e%2E/b", "http://h//a/b", "http://h", "h", "", "//a/b"),
    (" http://h/a b\n/ü?q=ü 1#ö", "http://h/a%20b/%C3%BC?q=%C3%BC%201#%C3%B6", "http://h", "h", "", "/a%20b/%C3%BC"),
    ("http:\\\\h\\a?b\\c", "http://h/a?b\\c", "http://h", "h", "", "/a"),
    ("http://[2001:DB8::1]:8080/x", "http://[2001:db8::1]:8080/x", "http://[2001:db8::1]:8080", "[2001:db8::1]:8080",
     "8080", "/x"),
    ("http://münchen.de/", "http://xn--mnchen-3ya.de/", "http://xn--mnchen-3ya.de", "xn--mnchen-3ya.de", "", "/"),
    ("mailto:a@b", "mailto:a@b", "null", "", "", "a@b"),
    ("file:///a/../b", "file:///b", "null", "", "", "/b"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "href", "origin", "host", "port", "pathname"), URLS)
def test_url_in_its_parts(text: str, href: str, origin: str, host: str, port: str, pathname: str) -> None:
    url = URL(text)
    assert (url.href, url.origin, url.host, url.port, url.pathname) == (href, origin, host, port, pathname)
    assert url.hostname == host.removesuffix(f":{port}")
    assert str(url) == href
    assert url == URL(href)
    assert hash(url) == hash(URL(url))
    assert repr(url) == f"URL({href!r})"
    assert url != href


def test_url_with_credentials_query_and_fragment() -> None:
    url = URL("https://me:p%40@h:1/a?q=1&q=2#top")
    assert (url.username, url.password, url.host, url.origin) == ("me", "p%40", "h:1", "https://h:1")
    assert (url.protocol, url.search, url.hash) == ("https:", "?q=1&q=2", "#top")
    assert url.searchParams.getAll("q") == ["1", "2"]
    assert url.searchParams is url.searchParams
    assert URL("http://h?#").search == URL("http://h?#").hash == ""


@pytest.mark.parametrize(
    ("href", "base", "expected"),
    [
        ("/b?c", "http://h/a", "http://h/b?c"),
        ("b", "http://h/a/x", "http://h/a/b"),
        ("", "http://h/a?q", "http://h/a?q"),
        ("?q=1", "http://h/a", "http://h/a?q=1"),
        ("//other/x", "https://h/a", "https://other/x"),
        ("\\\\other\\x", "https://h/a", "https://other/x"),
        ("http://other/", "https://h/a", "http://other/"),
        ("../../../b", "http://h/a/x", "http://h/b"),
    ],
)
def test_url_is_resolved_against_a_base(href: str, base: str, expected: str) -> None:
    assert URL(href, base).href == URL(href, URL(base)).href == expected


@pytest.mark.parametrize(
    ("href", "base"),
    [("", None), ("/a", None), ("h/a", None), ("//h/a", None), ("http://", None), ("http:///", None), ("https:", None),
     ("http://h:99999/", None), ("http://h:x/", None), ("http://a b/", None), ("http://[::1", None),
     ("http://a<b/", None), ("/a", "b"), ("http://ü\ud800/", None)],
)  # fmt: skip
def test_what_is_no_absolute_url(href: str, base: str | None) -> None:
    with pytest.raises(ValueError, match="is no absolute URL"):
        URL(href, base)


@given(st.text(), st.sampled_from([None, "http://h/a/b?c#d"]))
def test_any_text_is_a_url_or_a_value_error(text: str, base: str | None) -> None:
    try:
        url = URL(text, base)
    except ValueError:
        return
    assert url.href.isascii()
    assert URL(url.href).href == url.href


def test_url_of_a_request_shows_the_routers_path() -> None:
    url = URL.of("https://h:8", "/ü a/b%2Fc", "q=%20&r")
    assert (url.pathname, url.search, url.hash, url.origin, url.host) == (
        "/ü a/b%2Fc", "?q=%20&r", "", "https://h:8", "h:8",
    )  # fmt: skip
    assert url.href == "https://h:8/%C3%BC%20a/b%2Fc?q=%20&r"
    assert list(url.searchParams) == [("q", " "), ("r", "")]
    assert url == URL(url.href)
    assert normalize(URL(url.href).pathname) == url.pathname
    assert URL.of("http://h", "/", "").href == "http://h/"


def test_url_cannot_be_changed() -> None:
    url = URL("http://h/")
    for name in ("href", "pathname", "search", "searchParams"):
        with pytest.raises(AttributeError):
            setattr(url, name, "x")


def test_search_params() -> None:
    params = URLSearchParams("?a=1+2&b&a=%C3%BC~*&=x")
    assert (params.get("a"), params.get("z"), params.get("z", "d"), params.getAll("a")) == (
        "1 2",
        None,
        "d",
        ["1 2", "ü~*"],
    )
    assert params.has("b")
    assert params.has("a", "ü~*")
    assert not params.has("a", "x")
    assert not params.has("z")
    assert "b" in params
    assert 5 not in params
    assert list(params.keys()) == ["a", "b", "a", ""]
    assert list(params.values()) == ["1 2", "", "ü~*", "x"]
    assert list(params) == list(params.entries())
    assert params.size == len(params) == 4
    assert str(params) == params.toString() == "a=1+2&b=&a=%C3%BC%7E*&=x"
    assert URLSearchParams({"a": "1"}) == URLSearchParams([("a", "1")]) != URLSearchParams("a=2")
    assert hash(URLSearchParams("a")) == hash(URLSearchParams("a="))
    assert URLSearchParams("a") != "a="
    assert repr(URLSearchParams("a=1")) == "URLSearchParams([('a', '1')])"


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))))
def test_search_params_survive_their_text(pairs: list[tuple[str, str]]) -> None:
    assert list(URLSearchParams(str(URLSearchParams(pairs)))) == pairs


# --- responses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "kind", "data"),
    [
        (Response("ü"), "text/plain;charset=UTF-8", "ü".encode()),
        (Response('{"a":1}'), "text/plain;charset=UTF-8", b'{"a":1}'),
        (Response("<p>", headers={"content-type": "text/html"}), "text/html", b"<p>"),
        (Response(b"x"), None, b"x"),
        (Response(bytearray(b"x")), None, b"x"),
        (Response(memoryview(b"x")), None, b"x"),
        (Response(), None, b""),
        (Response(""), "text/plain;charset=UTF-8", b""),
        (Response.json({"a": [1, None]}), "application/json", b'{"a":[1,null]}'),
        (Response.json(None, 201, {"Content-Type": "application/ld+json"}), "application/ld+json", b"null"),
    ],
)
def test_a_response_on_the_wire(response: Response, kind: str | None, data: bytes) -> None:
    encoded = encode(response, "GET")
    types = [value for name, value in encoded.fields if name.lower() == "content-type"]
    assert (types, encoded.data) == ([] if kind is None else [kind], data)
    assert ("Content-Length", str(len(data))) in encoded.fields


def test_cookies_are_sent_one_by_one_and_other_headers_joined() -> None:
    response = Response(status=HTTPStatus.CREATED, headers=[("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    response.headers.append("Vary", "A")
    response.headers.append("vary", "B")
    assert encode(response, "GET").fields == [
        ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Vary", "A, B"), ("Content-Length", "0"),
    ]  # fmt: skip


@pytest.mark.parametrize("body", [{}, [], 5, 1.5, True, object(), ("a",), {"a"}])
def test_data_as_a_body_is_told_to_be_json(body: Any) -> None:
    with pytest.raises(TypeError, match=r"Response\.json\(data\)"):
        Response(body)
    response = Response("kept")
    with pytest.raises(TypeError):
        response.body = body
    assert response.text() == "kept"


@pytest.mark.parametrize("status", [204, 205, 304])
def test_some_statuses_have_no_body(status: int) -> None:
    for body in ("x", b"", iter([b"x"])):
        with pytest.raises(ValueError, match="no body"):
            Response(body, status)
    assert encode(Response(None, status), "GET").data == b""
    response = Response("x")
    with pytest.raises(ValueError, match="no body"):
        response.status = status
    assert response.status == 200
    response.body = None
    response.status = status
    with pytest.raises(ValueError, match="no body"):
        response.body = "x"
    with pytest.raises(ValueError, match="no body"):
        Response.json({}, status)


@pytest.mark.parametrize("status", [0, 199, 600, -1, "200", 200.0, None, True])
def test_a_status_that_is_none(status: Any) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        Response("x", status)
    response = Response("x")
    with pytest.raises(ValueError, match="200 to 599"):
        response.status = status


def test_parts_of_a_response() -> None:
    response = Response("x", 404, "Nope", {"A": "b"})
    assert (response.status, response.statusText, response.ok, response.headers["a"]) == (404, "Nope", False, "b")
    assert Response(status=299).ok
    assert not Response(status=300).ok
    response.headers = {"C": "d"}
    response.headers["E"] = "f"
    assert list(response.headers) == ["C", "E"]
    given = Headers.of([("A", "b")])
    response.headers = given
    response.headers.set("A", "c")
    assert given["a"] == "b"
    assert "404 Not Found" in repr(response)
    assert "Unknown" in repr(Response(status=299))
    for value, error in (("a\r\nb", ValueError), (5, TypeError)):
        with pytest.raises(error):
            response.statusText = value  # type: ignore[assignment]


def test_a_response_is_read_any_number_of_times() -> None:
    response = Response.json({"a": 1})
    assert (response.json(), response.text(), response.bytes(), response.arrayBuffer()) == (
        {"a": 1}, '{"a":1}', b'{"a":1}', b'{"a":1}',
    )  # fmt: skip
    assert Response().text() == ""
    assert Response("é", headers={"Content-Type": "text/plain"}).text() == "é"
    assert Response(b"\xe9", headers={"Content-Type": "text/plain; charset=latin-1"}).text() == "é"


@pytest.mark.parametrize("body", [None, "", "{", b"\xff"])
def test_what_is_no_json_is_the_sites_own_fault(body: Any) -> None:
    with pytest.raises(ValueError, match="is not JSON") as caught:
        Response(body).json()
    assert not hasattr(caught.value, "status")
    with pytest.raises(EncodeError):
        Response.json(object())


class Closing(Iterator[bytes]):
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = iter(chunks)
        self.closed = False
        self.thread = 0

    def __next__(self) -> bytes:
        self.thread = threading.get_ident()
        return next(self.chunks)

    def close(self) -> None:
        self.closed = True


def test_a_streamed_body_is_drawn_once_and_can_still_be_sent() -> None:
    stream = Closing(b"a", b"b")
    response = Response(stream)
    assert encode(response, "GET").stream is stream
    assert (response.text(), response.text(), stream.closed) == ("ab", "ab", True)
    assert encode(response, "GET").data == b"ab"
    file = io.BytesIO(b"file")
    assert Response(file).bytes() == b"file"
    assert file.closed


class Letters(AsyncIterator[str]):
    """An asynchronous stream that cannot be closed."""

    def __init__(self) -> None:
        self.left = ["b", "a"]

    async def __anext__(self) -> str:
        if self.left:
            return self.left.pop()
        raise StopAsyncIteration


async def letters() -> AsyncIterator[str]:
    yield "a"
    yield "b"


def test_reading_is_awaited_where_a_loop_runs() -> None:
    async def read() -> list[Any]:
        stream = Closing(b"[1]")
        response = Response(stream)
        values = [await response.json(), await response.text(), stream.closed, stream.thread != threading.get_ident()]
        drawn = Response(letters())
        texts = [await drawn.text(), await Response(Letters()).text()]
        return [*values, *texts, await drawn.bytes(), await Response("x").arrayBuffer()]

    assert asyncio.run(read()) == [[1], "[1]", True, True, "ab", "ab", b"ab", b"x"]
    with pytest.raises(TypeError, match="async def"):
        Response(letters()).text()


def test_a_def_loads_no_asyncio() -> None:
    program = (
        "import sys; from wixhttp.endpoints.web.response import Response\n"
        "from wixhttp.endpoints.web.request import Request\n"
        "assert Response('x').text() + Request('http://h', 'POST', None, 'y').text() == 'xy'\n"
        "assert not {'asyncio', 'werkzeug'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_type_of_a_text_can_be_changed_and_taken_away() -> None:
    response = Response("x")
    assert response.headers["content-type"] == "text/plain;charset=UTF-8"
    response.headers.delete("Content-Type")
    assert encode(response, "GET").fields == [("Content-Length", "1")]
    made = Response.json({}, headers={"content-type": "a/b"})
    assert list(made.headers.items()) == [("content-type", "a/b")]
    assert made.clone().headers == made.headers
    assert Response("x").clone().headers["content-type"] == "text/plain;charset=UTF-8"


def test_clone() -> None:
    response = Response("x", 201, "Made", {"A": "b"})
    clone = response.clone()
    clone.headers["A"] = "c"
    assert (clone.status, clone.statusText, clone.text(), response.headers["a"]) == (201, "Made", "x", "b")
    with pytest.raises(TypeError, match="streamed"):
        Response(iter([b"x"])).clone()


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/a", "/a"),
        ("/ü b?q=ö#%20", "/%C3%BC%20b?q=%C3%B6#%20"),
        ("../x", "../x"),
        ("?page=2", "?page=2"),
        ("https://other.example/a?b=//c", "https://other.example/a?b=//c"),
        ("/a//b", "/a//b"),
        (" /a ", "/a"),
        ('/"<>', "/%22%3C%3E"),
        (URL("http://h/ü"), "http://h/%C3%BC"),
        ("myapp://callback", "myapp://callback"),
        ("HTTPS://ada@other.example:8443", "HTTPS://ada@other.example:8443"),
        ("http://[::1]:8000/", "http://[::1]:8000/"),
        ("/a:b", "/a:b"),
        ("./a:b", "./a:b"),
        ("a/b?x=http://y", "a/b?x=http://y"),
        ("?next=https:/x", "?next=https:/x"),
        ("#a:b", "#a:b"),
    ],
)
def test_redirect(url: str | URL, location: str) -> None:
    response = Response.redirect(url)
    assert (response.status, response.headers["location"], response.body) == (302, location, None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_have_five_statuses(status: int) -> None:
    assert Response.redirect("/", status).status == status


@pytest.mark.parametrize("status", [200, 300, 304, 399, "302", None])
def test_other_statuses_do_not_redirect(status: Any) -> None:
    with pytest.raises(ValueError, match="301, 302, 303, 307, 308"):
        Response.redirect("/", status)


@pytest.mark.parametrize(
    "url",
    ["", " ", "//evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example", " //evil.example",
     "\t//evil.example", "\0//evil.example", "\r\n", "\x1f\\/evil.example\0"],
)  # fmt: skip
def test_locations_that_break_out_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"leads nowhere|leaves the site") as caught:
        Response.redirect(url)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("url", "location"),
    [("/\t/evil.example", "/%09/evil.example"), ("/a\r\nSet-Cookie: x=1", "/a%0D%0ASet-Cookie:%20x=1"),
     ("/\n/evil.example", "/%0A/evil.example"), ("/a\0b", "/a%00b"), ("/\x7f", "/%7F"),
     ("/a\x85\u2028", "/a%C2%85%E2%80%A8"),
     ("\r\n /a\0\t", "/a"), ("/\ud800?q=\udfff", "/%EF%BF%BD?q=%EF%BF%BD"), ("/\ud83d\ude00", "/%F0%9F%98%80"),
     ("ht\ttps://evil.example", "ht%09tps://evil.example"), ("https://h/\x01a", "https://h/%01a"), ("/a:b", "/a:b"),
     ("?a:b", "?a:b"), ("1:b", "1:b"), ("/100%", "/100%"), ("é:x", "%C3%A9:x")],
)  # fmt: skip
def test_what_a_url_may_not_hold_is_percent_encoded(url: str, location: str) -> None:
    assert Response.redirect(url).headers["location"] == location


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "javascript://host/%0aalert(1)",
     "data:text/html,x", "data://h/,x", "vbscript://h/x", "https:evil.example", "http:/evil.example",
     "https:///evil.example",
     "https:\\\\evil.example", "https:/\\evil.example", "https://\\evil.example", "https://", "https://?a", "https://#a",
     "https://@/a", "https://:80/", "https://a@/evil.example", "mailto:ada@example.com", "localhost:8000/a", "a:b",
     URL("mailto:ada@example.com")],
)  # fmt: skip
def test_locations_with_a_scheme_have_a_host(url: str | URL) -> None:
    with pytest.raises(ValueError, match=r'path of the site or a whole URL; write "https://host/\.\.\."'):
        Response.redirect(url)


def test_a_redirect_to_what_is_no_text() -> None:
    with pytest.raises(TypeError, match="redirect leads"):
        Response.redirect(None)  # type: ignore[arg-type]


@given(st.text())
def test_any_location_stays_one_header(text: str) -> None:
    try:
        location = Response.redirect(text).headers["location"]
    except InvalidInput:
        return
    assert location.isascii()
    assert location.isprintable()
    assert " " not in location
    assert not location.replace("\\", "/").startswith("//")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_length_of_a_stream_is_sent_where_it_is_known(method: str) -> None:
    response = Response(iter([b"abc"]))
    assert "Content-Length" not in dict(encode(response, method).fields)
    response.length = 3
    assert dict(encode(response, method).fields)["Content-Length"] == "3"
    response.body = iter([b"other"])
    assert "Content-Length" not in dict(encode(response, method).fields)


def test_a_response_of_functions_becomes_one_of_the_web() -> None:
    made = web_response(CoreResponse(418, {"a": 1}, {"X": ["1", "2"]}))
    assert (made.status, made.json(), made.headers["content-type"], made.headers["x"]) == (
        418, {"a": 1}, "application/json", "1, 2",
    )  # fmt: skip
    assert web_response(made) is made
    assert web_response(CoreResponse(204)).body is None
    assert web_response(CoreResponse(200, iter([b"x"]))).text() == "x"
