"""The Request of endpoints, as the Fetch standard has it (https://fetch.spec.whatwg.org/#request-class).

That of HTTP functions is `wixhttp.http.request.Request`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

from wixhttp.errors import BodyAlreadyUsed
from wixhttp.http.json_codec import decode_json
from wixhttp.http.request import decode_text
from wixhttp.http.request_head import Head
from wixhttp.http.response import check_field_name

from .forms import AsyncFormFile, FormData, FormFile, parse_form
from .headers import Headers
from .response import TEXT_TYPE, HeadersInit
from .shared_file import Bytes, SharedFile, Window
from .url import URL

_Own = TypeVar("_Own", bound="_WebRequest")
_Value = TypeVar("_Value")


class SharedBody:
    """The body of one HTTP request, which is read once. All Request objects of that request share it.

    ``source`` is the body, or a file that holds it from its beginning to its end; the file is closed when nothing can
    read it any more. ``content_type`` is the request's, or ``None``.
    """

    __slots__ = ("_source", "content_type", "used")

    def __init__(self, source: bytes | BinaryIO, content_type: str | None = None) -> None:
        self._source: bytes | SharedFile | None = source if isinstance(source, bytes) else SharedFile(source)
        self.content_type = content_type
        self.used = False

    def take(self) -> bytes | Window:
        """The body: bytes, or a reader of its file.

        Raises:
            BodyAlreadyUsed: it was taken before.
        """
        source, self._source = self._unused(), None
        self.used = True
        return source if isinstance(source, bytes) else Window(source)

    def clone(self) -> SharedBody:
        """Another one of the same body, that is taken by itself.

        Raises:
            BodyAlreadyUsed: it was taken before.
        """
        clone = SharedBody(b"", self.content_type)
        clone._source = self._unused()
        return clone

    def _unused(self) -> bytes | SharedFile:
        if self._source is None:
            raise BodyAlreadyUsed
        return self._source


class _WebRequest:
    """The members that both kinds of request have: all but the readers of the body."""

    __slots__ = ("_content", "_head", "_headers", "_method", "_url")

    def __init__(
        self, url: str | URL, method: str = "GET", headers: HeadersInit | None = None, body: str | Bytes | None = None
    ) -> None:
        check_field_name(method)  # a method is a token, too
        self._method = method.upper()
        self._url = URL(url)
        given = Headers(headers)
        if body is None:
            data = b""
        elif self._method in ("GET", "HEAD"):
            raise TypeError(f"a {self._method} request has no body; use the query, or method='POST'")
        elif isinstance(body, str):
            data = body.encode("utf-8", "replace")
            if not given.has("content-type"):
                given.set("Content-Type", TEXT_TYPE)
        elif isinstance(body, Bytes | bytearray | memoryview):
            data = Bytes(body)
        else:
            raise TypeError(f"the body of a request is str, bytes or None, not {type(body).__name__}")
        self._head: Head | None = None
        self._headers: Headers | None = Headers.of(given.items())
        self._content = SharedBody(data, given.get("content-type"))

    @classmethod
    def of(cls: type[_Own], head: Head, url: URL, content: SharedBody) -> _Own:
        """The request that ``head`` describes. Its headers are read when they are asked for."""
        request = cls.__new__(cls)
        request._head, request._headers, request._method = head, None, head.method
        request._url, request._content = url, content
        return request

    @property
    def method(self) -> str:
        """The method in upper case: ``"GET"``."""
        return self._method

    @property
    def url(self) -> str:
        """The whole URL, percent-encoded. In its parts it is the context's ``url``."""
        return self._url.href

    @property
    def headers(self) -> Headers:
        """The headers, read-only: ``get()`` and ``[...]`` look up in any case and read ``None`` for a missing one."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers.of(self._head.fields() if self._head is not None else ())
        return headers

    @property
    def bodyUsed(self) -> bool:
        """True once the body was read: it can be read once."""
        return self._content.used

    def clone(self: _Own) -> _Own:
        """The same request with a body to be read by itself; to be made before this one is read.

        Raises:
            BodyAlreadyUsed: the body was read before.
        """
        request = self.__class__.__new__(self.__class__)
        request._head, request._headers, request._method = self._head, self._headers, self._method
        request._url, request._content = self._url, self._content.clone()
        return request

    def _as_text(self, data: Bytes) -> str:
        return decode_text(data, self._content.content_type)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._method} {self.url}>"


class Request(_WebRequest):
    """The request of a ``def`` handler: its readers return the value. The body is read once, by one of them.

    ``Request(url, method="GET", headers=None, body=None)`` makes one, to be handed to a function or a rewrite.

    Raises:
        ValueError: the URL is not absolute, a header cannot be sent.
        TypeError: a GET or HEAD with a body; a body that is neither str nor bytes.
    """

    __slots__ = ()

    def bytes(self) -> Bytes:
        """The exact bytes that were sent: what signatures are computed over.

        Raises:
            BodyAlreadyUsed: the body was read before; so do all readers.
        """
        return _whole(self._content.take())

    arrayBuffer = bytes

    def text(self) -> str:
        """The body decoded by the ``charset`` of its content type, else as UTF-8; U+FFFD for what does not decode."""
        return self._as_text(_whole(self._content.take()))

    def json(self) -> Any:
        """The value that the body holds as JSON (RFC 8259).

        Raises:
            InvalidJSON: for anything that is not JSON; not caught by the handler, it is answered 400.
        """
        return decode_json(_whole(self._content.take()))

    def formData(self) -> FormData:
        """The fields and files of a form, urlencoded or multipart.

        Raises:
            InvalidForm: the body is no form; uncaught it is answered 400, or 413 where it is too large.
        """
        return parse_form(self._content.take(), self._content.content_type, FormFile)


class AsyncRequest(_WebRequest):
    """The request of an ``async def`` handler: that of `Request`, its readers awaited."""

    __slots__ = ()

    async def bytes(self) -> Bytes:
        """See ``Request.bytes``."""
        return await self._read(lambda data: data)

    arrayBuffer = bytes

    async def text(self) -> str:
        """See ``Request.text``."""
        return await self._read(self._as_text)

    async def json(self) -> Any:
        """See ``Request.json``."""
        return await self._read(decode_json)

    async def formData(self) -> FormData:
        """See ``Request.formData``; the readers of its files are awaited."""
        import asyncio

        return await asyncio.to_thread(parse_form, self._content.take(), self._content.content_type, AsyncFormFile)

    async def _read(self, decode: Callable[[Bytes], _Value]) -> _Value:
        source = self._content.take()
        if isinstance(source, Bytes):
            return decode(source)
        import asyncio

        return await asyncio.to_thread(lambda: decode(source.read()))


def _whole(source: bytes | Window) -> bytes:
    return source if isinstance(source, bytes) else source.read()
