"""The Request of endpoints, as the Fetch standard has it (https://fetch.spec.whatwg.org/#request-class).

That of HTTP functions is `wixhttp.http.request.Request`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar, overload

from wixhttp.errors import BodyAlreadyUsed
from wixhttp.http.charsets import decode_text
from wixhttp.http.forms import AsyncFormFile, FormData, FormFile, read_form
from wixhttp.http.json_codec import decode_json
from wixhttp.http.request_head import Head, NotedRequest, PlainHead
from wixhttp.http.response import check_field_name
from wixhttp.http.shared_file import Bytes, SharedFile, Window
from wixhttp.promises import Promise, Reading

from .headers import Headers
from .response import TEXT_TYPE, HeadersInit
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

    @property
    def size(self) -> int:
        """The number of bytes of a body that is in memory and was not read; else 0."""
        return len(self._source) if isinstance(self._source, bytes) else 0

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


class _WebRequest(NotedRequest):
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
        self._head = None
        self._headers: Headers | None = Headers.of(given.items())
        self._content = SharedBody(data, given.get("content-type"))

    @classmethod
    def of(cls: type[_Own], head: Head, url: URL, content: SharedBody) -> _Own:
        """The request that ``head`` describes. Its headers are read when they are asked for."""
        request = cls.__new__(cls)
        request._head, request._headers, request._method = head, None, head.method
        request._url, request._content = url, content
        return request

    def as_received(self, head: Head) -> Head:
        """The head of this request, as if the client of ``head`` had sent it. That is ``head`` itself, unless the
        request was made by the handler."""
        if self._head is not None:
            return head
        fields = list(self.headers.items())
        made = PlainHead(
            self._method, head.path, head.query, fields, scheme=head.scheme, host=head.host, client=head.client,
            length=self._content.size,
        )  # fmt: skip
        made.request_id, made.base, made.function = head.request_id, head.base, head.function
        made.deadline = getattr(head, "deadline", 0.0)
        return made

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

    @overload
    def json(self, /) -> Any: ...
    @overload
    def json(self, model: type[_Value], /) -> _Value: ...
    def json(self, model: Any = None, /) -> Any:
        """The value that the body holds as JSON (RFC 8259); with a dataclass, TypedDict, NamedTuple or pydantic model
        as ``model`` the value of that type (the extra ``validation``).

        Raises:
            InvalidJSON: for anything that is not JSON; not caught by the handler, it is answered 400.
            ValidationError: it does not fit ``model``. Not caught, it is answered 422, with each error.
        """
        return _decoder(model)(_whole(self._content.take()))

    @overload
    def formData(self, /) -> FormData: ...
    @overload
    def formData(self, model: type[_Value], /) -> _Value: ...
    def formData(self, model: Any = None, /) -> Any:
        """The fields and files of a form, urlencoded or multipart; with a ``model`` its value, as in `json`.

        Raises:
            InvalidForm: the body is no form; uncaught it is answered 400, or 413 where it is too large.
            ValidationError: it does not fit ``model``: 422.
        """
        return read_form(self._content.take(), self._content.content_type, FormFile, model)


class AsyncRequest(_WebRequest):
    """The request of an ``async def`` handler: that of `Request`, its readers awaited."""

    __slots__ = ()

    def bytes(self) -> Promise[Bytes]:
        """See ``Request.bytes``."""
        return Reading("request.bytes()", lambda: self._read(lambda data: data))

    arrayBuffer = bytes

    def text(self) -> Promise[str]:
        """See ``Request.text``."""
        return Reading("request.text()", lambda: self._read(self._as_text))

    @overload
    def json(self, /) -> Promise[Any]: ...
    @overload
    def json(self, model: type[_Value], /) -> Promise[_Value]: ...
    def json(self, model: Any = None, /) -> Promise[Any]:
        """See ``Request.json``."""
        return Reading("request.json()", lambda: self._read(_decoder(model), loads=model is not None))

    @overload
    def formData(self, /) -> Promise[FormData]: ...
    @overload
    def formData(self, model: type[_Value], /) -> Promise[_Value]: ...
    def formData(self, model: Any = None, /) -> Promise[Any]:
        """See ``Request.formData``; the readers of its files are awaited."""
        return Reading("request.formData()", lambda: self._read_form(model))

    async def _read_form(self, model: Any) -> Any:
        import asyncio

        content = self._content
        return await asyncio.to_thread(read_form, content.take(), content.content_type, AsyncFormFile, model)

    async def _read(self, decode: Callable[[Bytes], _Value], *, loads: bool = False) -> _Value:
        """Read and decode; on a thread where the body is in a file, or where ``decode`` ``loads`` what validates."""
        source = self._content.take()
        if isinstance(source, Bytes) and not (loads and _is_cold()):
            return decode(source)
        import asyncio

        return await asyncio.to_thread(lambda: decode(_whole(source)))


def _decoder(model: Any) -> Callable[[bytes], Any]:
    if model is None:
        return decode_json
    from wixhttp.http.validation import validated_json

    return lambda data: validated_json(data, model)


def _is_cold() -> bool:
    from wixhttp.http.validation import is_cold

    return is_cold()


def _whole(source: bytes | Window) -> bytes:
    return source if isinstance(source, bytes) else source.read()
