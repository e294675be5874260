"""Velo's request, for HTTP functions: read-only, its members made lazily. That of endpoints: `endpoints.web.request`.

A server interface (WSGI, ASGI) describes the request with a ``Head``; ``Request`` and ``AsyncRequest`` differ in their
body alone. Names are those of Velo's ``WixHttpFunctionRequest``: https://dev.wix.com/docs/velo/apis/wix-http-functions/wix-http-function-request
"""

from __future__ import annotations

import encodings
from encodings.aliases import aliases
from typing import Any

from .json_codec import decode_json
from .request_head import Head, RequestHeaders
from .url import PathSegments, QueryParams, query_pairs, segments

# Python codecs that call themselves text encodings and are none that a client could mean.
_NOT_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"})
_WITHOUT_ALIAS = (
    "cp720", "cp737", "cp856", "cp874", "cp875", "cp1006", "koi8_t", "koi8_u", "mac_arabic", "mac_croatian",
    "mac_farsi", "mac_romanian", "palmos", "utf_8_sig",
)  # fmt: skip
# From a charset's name, as Python normalises it, to its codec. Python remembers each name and each spelling that it is
# asked for, as long as the process lives: it is asked for none but these.
_CODECS = {
    name: codec
    for name, codec in {**aliases, **{each: each for each in (*aliases.values(), *_WITHOUT_ALIAS)}}.items()
    if codec not in _NOT_CHARSETS
}


class Body:
    """The body of a request, as it was sent. Any reader may be called any number of times, in any order."""

    __slots__ = ("_content_type", "_data")

    def __init__(self, data: bytes = b"", content_type: str | None = None) -> None:
        self._data = data
        self._content_type = content_type

    def buffer(self) -> bytes:
        """The exact bytes that were sent: what signatures are computed over."""
        return self._data

    def text(self) -> str:
        """The body decoded by the ``charset`` of its content type, else as UTF-8; U+FFFD for what does not decode."""
        return decode_text(self._data, self._content_type)

    def json(self) -> Any:
        """The value that the body holds as JSON (RFC 8259).

        Raises:
            InvalidJSON: for anything that is not JSON (empty, cut, not UTF-8, ``NaN``, nested too deep). Not caught by
                the handler, it is answered 400.
        """
        return decode_json(self._data)


class AsyncBody:
    """The body of a request to an ``async def`` handler: that of ``Body``, awaited."""

    __slots__ = ("_body",)

    def __init__(self, body: Body) -> None:
        self._body = body

    async def buffer(self) -> bytes:
        """See ``Body.buffer``."""
        return self._body.buffer()

    async def text(self) -> str:
        """See ``Body.text``."""
        return self._body.text()

    async def json(self) -> Any:
        """See ``Body.json``."""
        return self._body.json()


class _VeloRequest:
    """The members that both kinds of request share: all but the body."""

    __slots__ = ("_body", "_head", "_headers", "_mount", "_name", "_origin", "_path", "_query", "_query_all", "_rest")

    _body: Body

    def __init__(self, head: Head, origin: str, mount: str, name: str, rest: str) -> None:
        self._head = head
        self._origin = origin
        self._mount = mount
        self._name = name
        self._rest = rest
        self._path: PathSegments | None = None
        self._query: QueryParams | None = None
        self._query_all: dict[str, list[str]] | None = None
        self._headers: RequestHeaders | None = None

    @property
    def method(self) -> str:
        """The method in upper case: ``"GET"``."""
        return self._head.method

    @property
    def url(self) -> str:
        """The full URL as it was called, query included."""
        head = self._head
        return self._public_origin + head.base + head.path + ("?" + head.query if head.query else "")

    @property
    def baseUrl(self) -> str:
        """The URL up to and including ``/_functions``, without a trailing slash.

        Scheme and host are those of the setting ``public_url`` where it is set, else of the request.
        """
        return self._public_origin + self._head.base + self._mount

    @property
    def _public_origin(self) -> str:
        head = self._head
        return self._origin or f"{head.scheme}://{head.host or 'localhost'}"

    @property
    def functionName(self) -> str:
        """The name in the URL, without a method's prefix: ``"product"`` for ``get_product``."""
        return self._name

    @property
    def path(self) -> PathSegments:
        """The decoded segments behind the name; an index out of range reads ``None``."""
        path = self._path
        if path is None:
            path = self._path = segments(self._rest) if self._rest else PathSegments()
        return path

    @property
    def query(self) -> QueryParams:
        """The query's parameters; a missing one reads ``None``, of a repeated one the last wins."""
        query = self._query
        if query is None:
            raw = self._head.query
            query = self._query = QueryParams(query_pairs(raw)) if raw else QueryParams()
        return query

    @property
    def query_all(self) -> dict[str, list[str]]:
        """The query's parameters with every value, in the order in which they were sent."""
        values = self._query_all
        if values is None:
            values = self._query_all = {}
            for key, value in query_pairs(self._head.query):
                values.setdefault(key, []).append(value)
        return values

    @property
    def headers(self) -> RequestHeaders:
        """The headers: lower-case keys, any spelling looks up, a missing one reads ``None``."""
        headers = self._headers
        if headers is None:
            headers = self._headers = RequestHeaders.of(self._head.fields())
        return headers

    @property
    def ip(self) -> str:
        """The client's address; behind configured proxies the one that they vouch for."""
        return self._head.client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self._name!r} path={self._rest!r}>"


class Request(_VeloRequest):
    """The request of a ``def`` handler: its body's readers return the value."""

    __slots__ = ()

    @property
    def body(self) -> Body:
        """The body: ``text()``, ``json()``, ``buffer()``."""
        return self._body


class AsyncRequest(_VeloRequest):
    """The request of an ``async def`` handler: its body's readers are awaited."""

    __slots__ = ()

    @property
    def body(self) -> AsyncBody:
        """The body: ``await text()``, ``await json()``, ``await buffer()``."""
        return AsyncBody(self._body)


def set_body(request: _VeloRequest, data: bytes) -> None:
    """Give a request its body, once, before its handler runs. For the dispatcher."""
    request._body = Body(data, request._head.header("content-type") if data else None)


def decode_text(data: bytes, content_type: str | None) -> str:
    """The text of a body by the ``charset`` parameter of its content type; UTF-8 where that is none that exists."""
    charset = _charset(content_type) if content_type and "charset" in content_type.lower() else "utf-8"
    try:
        return data.decode(charset, "replace")
    except (LookupError, UnicodeError):  # LookupError: of a codec that turns bytes into bytes
        return data.decode("utf-8", "replace")


def _charset(content_type: str) -> str:
    for parameter in content_type.split(";")[1:]:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset":
            name = value.strip().strip("\"'")[:40]
            known = name.isascii() and _CODECS.get(encodings.normalize_encoding(name).lower())
            return known or "utf-8"
    return "utf-8"
