"""wixhttp.endpoints.web.request: a body that is read once, by def and async def."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import pytest

from wixhttp.endpoints.web.request import AsyncRequest, Request, SharedBody
from wixhttp.endpoints.web.url import URL
from wixhttp.errors import BodyAlreadyUsed, HTTPError, InvalidForm, InvalidJSON
from wixhttp.http.forms import AsyncFormFile, FormFile
from wixhttp.http.request_head import PlainHead

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n'


def on_disk(data: bytes) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by whoever it is given to
    file.write(data)
    return cast(BinaryIO, file)


def in_memory(data: bytes) -> bytes:
    return data


SOURCES = pytest.mark.parametrize("source", [in_memory, on_disk])
Source = Callable[[bytes], "bytes | BinaryIO"]


def request(source: bytes | BinaryIO, content_type: str | None = None) -> Request:
    head = PlainHead("POST", "/a", fields=[("Content-Type", content_type or ""), ("X", "1"), ("x", "2")])
    return Request.of(head, URL.of("http://h", "/ü", "q=1"), SharedBody(source, content_type))


def as_async(given: Request) -> AsyncRequest:
    return AsyncRequest.of(cast(Any, given)._head, URL(given.url), cast(Any, given)._content)


@SOURCES
@pytest.mark.parametrize(
    ("data", "content_type", "reader", "expected"),
    [
        (b"\xff\0", None, "bytes", b"\xff\0"),
        (b"\xff\0", None, "arrayBuffer", b"\xff\0"),
        ("ü".encode(), None, "text", "ü"),
        (b"\xfc", "text/plain; charset=latin-1", "text", "ü"),
        (b'{"a":1}', None, "json", {"a": 1}),
        (b"", None, "bytes", b""),
        (b"", None, "text", ""),
    ],
)
def test_readers(source: Source, data: bytes, content_type: str | None, reader: str, expected: Any) -> None:
    plain = request(source(data), content_type)
    assert not plain.bodyUsed
    assert getattr(plain, reader)() == expected
    assert plain.bodyUsed
    awaited = as_async(request(source(data), content_type))
    assert asyncio.run(getattr(awaited, reader)()) == expected
    assert awaited.bodyUsed


@SOURCES
@pytest.mark.parametrize("first", ["bytes", "text", "json", "formData"])
@pytest.mark.parametrize("second", ["bytes", "arrayBuffer", "text", "json", "formData", "clone"])
def test_a_body_is_read_once(source: Source, first: str, second: str) -> None:
    given = request(source(b"1"), URLENCODED)
    given_async = as_async(given)
    getattr(given, first)()
    with pytest.raises(BodyAlreadyUsed, match=r"clone\(\)"):
        getattr(given, second)()
    if second != "clone":
        with pytest.raises(BodyAlreadyUsed):
            asyncio.run(getattr(given_async, second)())
    assert given_async.bodyUsed


@SOURCES
@pytest.mark.parametrize("data", [b"", b"{", b"nan", b"NaN", b"\xff", b'{"a":1}x', b"[" * 200_000])
def test_what_is_no_json_is_400(source: Source, data: bytes) -> None:
    reads: tuple[Callable[[], Any], ...] = (
        request(source(data)).json,
        lambda: asyncio.run(as_async(request(source(data))).json()),
    )
    for read in reads:
        with pytest.raises(InvalidJSON) as caught:
            read()
        assert caught.value.status == 400


@SOURCES
def test_clones_do_not_disturb_one_another(source: Source) -> None:
    data = b"0123456789" * 50_000
    first = request(source(data), URLENCODED)
    second, third = first.clone(), first.clone()
    assert first.bytes() == data
    with pytest.raises(BodyAlreadyUsed):
        first.clone()
    fourth = second.clone()
    read: list[bytes] = []
    threads = [threading.Thread(target=lambda each=each: read.append(each.bytes())) for each in (second, third, fourth)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [data] * 3
    assert (second.url, second.method, second.headers["x"]) == (first.url, "POST", "1, 2")


def test_a_file_is_closed_with_its_last_owner() -> None:
    file = on_disk(b"hello")
    given = request(file)
    clone = given.clone()
    assert given.text() == "hello"
    del given
    gc.collect()
    assert not file.closed
    assert clone.text() == "hello"
    gc.collect()
    assert file.closed
    unread = on_disk(b"x")
    content = SharedBody(unread)
    del content
    gc.collect()
    assert unread.closed


@SOURCES
def test_forms(source: Source) -> None:
    assert list(request(source(b"a=1&a=2&b=%C3%BC"), URLENCODED).formData()) == [("a", "1"), ("a", "2"), ("b", "ü")]
    file = request(source(MULTIPART), "multipart/form-data; boundary=b").formData()["f"]
    assert isinstance(file, FormFile)
    assert (file.name, file.text()) == ("a.txt", "hello")

    async def read() -> Any:
        form = await as_async(request(source(MULTIPART), "multipart/form-data; boundary=b")).formData()
        file = form["f"]
        assert isinstance(file, AsyncFormFile)
        return [await file.text(), await file.bytes(), [piece async for piece in file.stream()]]

    assert asyncio.run(read()) == ["hello", b"hello", [b"hello"]]
    for content_type in (None, "application/json"):
        bads: tuple[Callable[[], Any], ...] = (
            request(source(b"x"), content_type).formData,
            lambda: asyncio.run(as_async(request(b"x")).formData()),
        )
        for bad in bads:
            with pytest.raises(InvalidForm) as caught:
                bad()
            assert isinstance(caught.value, HTTPError)
            assert caught.value.status == 400


class Slow:
    """A file that is read when the loop has shown that it still turns."""

    def __init__(self) -> None:
        self.turned = threading.Event()
        self.file = on_disk(b"body")

    def seek(self, position: int) -> int:
        return self.file.seek(position)

    def read(self, size: int) -> bytes:
        assert self.turned.wait(10)
        return self.file.read(size)

    def close(self) -> None:
        self.file.close()


def test_the_loop_turns_while_a_file_is_read() -> None:
    async def read() -> str:
        slow = Slow()
        asyncio.get_running_loop().call_soon(slow.turned.set)
        return await as_async(request(cast(BinaryIO, slow))).text()

    assert asyncio.run(read()) == "body"


def test_a_request_is_read_only() -> None:
    given = request(b"")
    assert (given.method, given.url, given.headers["X"]) == ("POST", "http://h/%C3%BC?q=1", "1, 2")
    assert given.headers is given.headers
    assert repr(given) == "<Request POST http://h/%C3%BC?q=1>"
    with pytest.raises(TypeError, match="read-only"):
        given.headers.set("X", "3")
    for name in ("method", "url", "headers", "bodyUsed"):
        with pytest.raises(AttributeError):
            setattr(given, name, "x")


def test_a_request_of_ones_own() -> None:
    made = Request(URL("http://h/a"), "post", {"X": "1"}, "ü")
    assert (made.method, made.url, made.text()) == ("POST", "http://h/a", "ü")
    assert list(made.headers.items()) == [("X", "1"), ("Content-Type", "text/plain;charset=UTF-8")]
    with pytest.raises(TypeError, match="read-only"):
        made.headers.set("X", "3")
    assert Request("http://h", "PUT", {"content-type": "text/css"}, "x").headers["content-type"] == "text/css"
    assert Request("http://h", "PUT", None, b"x").headers.get("content-type") is None
    assert Request("http://h").bytes() == b""
    assert list(Request("http://h", "POST", {"Content-Type": URLENCODED}, "a=1").formData()) == [("a", "1")]
    assert asyncio.run(AsyncRequest("http://h", "POST", None, b"[1]").clone().json()) == [1]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("/a",), ValueError),
        (("http://h", "A B"), ValueError),
        (("http://h", "POST", {"X": "a\nb"}), ValueError),
        (("http://h", "GET", None, "x"), TypeError),
        (("http://h", "head", None, b""), TypeError),
        (("http://h", "POST", None, {"a": 1}), TypeError),
    ],
)
def test_what_is_no_request(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    for kind in (Request, AsyncRequest):
        with pytest.raises(error):
            kind(*arguments)
