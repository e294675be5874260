"""Velo's request, for HTTP functions: read-only, its members made lazily. That of endpoints: `endpoints.web.request`.

A server interface (WSGI, ASGI) describes the request with a ``Head``; ``Request`` and ``AsyncRequest`` differ in their
body alone. Names are those of Velo's ``WixHttpFunctionRequest``: https://dev.wix.com/docs/velo/apis/wix-http-functions/wix-http-function-request
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from wixhttp.promises import Promise, Reading

from .charsets import decode_text
from .json_codec import decode_json
from .request_head import Head, NotedRequest, RequestHeaders
from .url import PathSegments, QueryParams, query_pairs, segments

if TYPE_CHECKING:  # a site without forms does not load them
    from .forms import FormData

_Value = TypeVar("_Value")


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
        """The body decoded by the ``charset`` of its content type (a label of the WHATWG Encoding Standard), else as
        UTF-8; U+FFFD for what does not decode."""
        return decode_text(self._data, self._content_type)

    @overload
    def json(self, /) -> Any: ...
    @overload
    def json(self, model: type[_Value], /) -> _Value: ...
    def json(self, model: Any = None, /) -> Any:
        """The value that the body holds as JSON (RFC 8259); with a dataclass, TypedDict, NamedTuple or pydantic model
        as ``model`` the value of that type (the extra ``validation``).

        Raises:
            InvalidJSON: for anything that is not JSON (empty, cut, not UTF-8, ``NaN``, nested too deep). Not caught by
                the handler, it is answered 400.
            ValidationError: it does not fit ``model``. Not caught, it is answered 422, with each error.
        """
        if model is None:
            return decode_json(self._data)
        from .validation import validated_json

        return validated_json(self._data, model)

    @overload
    def form(self, /) -> FormData: ...
    @overload
    def form(self, model: type[_Value], /) -> _Value: ...
    def form(self, model: Any = None, /) -> Any:
        """The fields and files of a form, urlencoded or multipart; with a ``model`` its value, as in `json`.

        Raises:
            InvalidForm: the body is no form; uncaught it is answered 400, or 413 where it has too many fields.
            ValidationError: it does not fit ``model``: 422.
        """
        from .forms import FormFile, read_form

        return read_form(self._data, self._content_type, FormFile, model)


_NO_BODY = Body()


class AsyncBody:
    """The body of a request to an ``async def`` handler: that of ``Body``, awaited."""

    __slots__ = ("_body",)

    def __init__(self, body: Body) -> None:
        self._body = body

    def buffer(self) -> Promise[bytes]:
        """See ``Body.buffer``."""
        return Reading("request.body.buffer()", self._body.buffer)

    def text(self) -> Promise[str]:
        """See ``Body.text``."""
        return Reading("request.body.text()", self._body.text)

    @overload
    def json(self, /) -> Promise[Any]: ...
    @overload
    def json(self, model: type[_Value], /) -> Promise[_Value]: ...
    def json(self, model: Any = None, /) -> Promise[Any]:
        """See ``Body.json``."""
        return Reading("request.body.json()", lambda: self._body.json() if model is None else self._read_json(model))

    @overload
    def form(self, /) -> Promise[FormData]: ...
    @overload
    def form(self, model: type[_Value], /) -> Promise[_Value]: ...
    def form(self, model: Any = None, /) -> Promise[Any]:
        """See ``Body.form``; the readers of its files are awaited."""
        return Reading("request.body.form()", lambda: self._read_form(model))

    async def _read_json(self, model: Any) -> Any:
        from .validation import is_cold

        if not is_cold():
            return self._body.json(model)
        import asyncio

        return await asyncio.to_thread(self._body.json, model)

    async def _read_form(self, model: Any) -> Any:
        import asyncio

        from .forms import AsyncFormFile, read_form

        body = self._body
        return await asyncio.to_thread(read_form, body._data, body._content_type, AsyncFormFile, model)


class _VeloRequest(NotedRequest):
    """The members that both kinds of request share: all but the body."""

    __slots__ = ("_body", "_head", "_headers", "_mount", "_name", "_origin", "_path", "_query", "_query_all", "_rest")

    _head: Head
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
            pairs = query_pairs(self._head.query)
            query = self._query = QueryParams(pairs)
            query._pairs = pairs
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

    @classmethod
    def of(cls, request: _VeloRequest) -> Request:
        """The same request for a ``def``."""
        if isinstance(request, cls):
            return request
        made = cls(request._head, request._origin, request._mount, request._name, request._rest)
        made._body = request._body
        return made

    @property
    def body(self) -> Body:
        """The body: ``text()``, ``json()``, ``form()``, ``buffer()``."""
        return self._body


class AsyncRequest(_VeloRequest):
    """The request of an ``async def`` handler: its body's readers are awaited."""

    __slots__ = ()

    @property
    def body(self) -> AsyncBody:
        """The body: ``await text()``, ``await json()``, ``await form()``, ``await buffer()``."""
        return AsyncBody(self._body)


def set_body(request: _VeloRequest, data: bytes) -> None:
    """Give a request its body, once, before its handler runs. For the dispatcher."""
    request._body = Body(data, request._head.header("content-type")) if data else _NO_BODY
