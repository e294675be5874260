"""The Response of endpoints, as the Fetch standard has it (https://fetch.spec.whatwg.org/#response-class).

That of HTTP functions, which it extends, is `wixhttp.http.response.Response`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from http import HTTPStatus
from typing import Any, overload
from urllib.parse import quote

from wixhttp.errors import HeadersSent, InvalidInput, InvalidJSON
from wixhttp.http.charsets import decode_text
from wixhttp.http.encoding import as_stream, chunk_bytes, close_stream, encode, is_async_stream
from wixhttp.http.json_codec import decode_json, encode_json
from wixhttp.http.response import Response as CoreResponse
from wixhttp.http.response import field_value
from wixhttp.http.shared_file import Bytes
from wixhttp.http.url import scalar_text
from wixhttp.messages import brief
from wixhttp.promises import Promise, Reading

from .headers import Headers
from .url import URL

HeadersInit = Headers | Mapping[str, Any] | Iterable[tuple[str, Any]]

TEXT_TYPE = "text/plain;charset=UTF-8"
JSON_TYPE = "application/json"
_NO_BODY = frozenset({204, 205, 304})
_REDIRECTS = (301, 302, 303, 307, 308)
_SCRIPTS = ("javascript", "vbscript", "data")
_ENDS = "".join(map(chr, range(33)))  # stripped from both ends of a URL (WHATWG URL, 4.4)
_KEPT_IN_LOCATION = "%/?#[]!$&'()*+,;=:@-._~|^\\{}"


class _JSON:
    """``Response.json`` on the class makes a response, on an instance it reads one."""

    @overload
    def __get__(self, response: None, owner: type[Response]) -> Callable[..., Response]: ...
    @overload
    def __get__(self, response: Response, owner: type[Response]) -> Callable[[], Any]: ...
    def __get__(self, response: Response | None, owner: type[Response]) -> Callable[..., Any]:
        return owner._of_json if response is None else response._read_json


class Response(CoreResponse):
    """The answer of an endpoint: ``Response("text")``, ``Response.json(data)``, ``Response.redirect("/path")``.

    ``body``: a str (sent as ``text/plain;charset=UTF-8``, unless ``headers`` say another type), bytes (with the type
    that ``headers`` say, else none), ``None``, or what is streamed: an iterator or asynchronous iterator of bytes or
    str, a file. ``statusText`` is kept as an attribute; servers send the standard phrase of the status.

    The readers ``text()``, ``json()``, ``bytes()`` and ``arrayBuffer()`` return the value in a ``def`` and are awaited
    in an ``async def``. A body may be read any number of times and sent after; a streamed one is drawn to its end.

    ``Response.json(data, status=200, headers=None)`` makes a response of ``data`` as JSON; ``response.json()`` of an
    instance reads its body as JSON, and raises ValueError where it is none.

    Raises:
        ValueError: for a status outside 200 to 599, a body with 204, 205 or 304, a header that cannot be sent.
        TypeError: for a body of another type.
    """

    __slots__ = ("_body", "_status_text", "implied_type", "length")

    _body: Any
    _headers: Headers | None  # type: ignore[assignment]  # made when they are read; has all that encoding asks of a dict
    implied_type: str
    length: int | None

    json = _JSON()

    def __init__(
        self, body: Any = None, status: int = 200, statusText: str = "", headers: HeadersInit | None = None
    ) -> None:
        self._body = self.length = None
        self.implied_type = self._status_text = ""
        self._headers = None if headers is None else Headers(headers)
        if status.__class__ is int and 200 <= status <= 599:
            self._status = status
        else:
            self._status = 200
            self.status = status
        if statusText != "":
            self.statusText = statusText
        if body is not None:
            self.body = body

    # --- parts --------------------------------------------------------------------------------------------------------

    @property
    def status(self) -> int:
        """The status code, a whole number from 200 to 599."""
        return self._status

    @status.setter
    def status(self, value: int) -> None:
        before = self._status
        CoreResponse.status.__set__(self, value)  # type: ignore[attr-defined]  # the property itself
        if self._body is not None and self._status in _NO_BODY:
            self._status = before
            raise ValueError(f"a response {value!r} has no body; set response.body = None first")

    @property
    def statusText(self) -> str:
        """The text of the status, as it was given. Not sent: servers write the standard phrase."""
        return self._status_text

    @statusText.setter
    def statusText(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"statusText is a str, not {value!r}")
        self._status_text = field_value("statusText", value)

    @property
    def ok(self) -> bool:
        """True for a status of success, 200 to 299."""
        return self._status < 300

    @property  # type: ignore[override]  # Headers, not a dict
    def headers(self) -> Headers:
        """The headers. May be assigned what Headers are made of."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers()
        if self.implied_type:
            if not headers.has("content-type"):
                headers.set("Content-Type", self.implied_type)
            self.implied_type = ""
        return headers

    @headers.setter
    def headers(self, value: HeadersInit) -> None:
        self._check_sent("headers")
        self._headers = Headers(value)
        self.implied_type = ""

    @property
    def body(self) -> Any:
        """The body: a str, bytes, ``None``, or what is streamed. A str that is set says its type if no header does."""
        return self._body

    @body.setter
    def body(self, value: Any) -> None:
        self._check_sent("body")
        if isinstance(value, str):
            if self._headers is None or not self._headers.has("content-type"):
                self.implied_type = self.implied_type or TEXT_TYPE
        elif isinstance(value, bytes | bytearray | memoryview):
            value = bytes(value)
        elif value is not None and as_stream(value) is None:
            remedy = "to send data as JSON write Response.json(data)"
            kind = type(value).__name__
            if isinstance(value, Promise):
                kind, remedy = "a Promise", value.taken_for_its_value()
            elif isinstance(value, Coroutine):
                value.close()  # or it is warned of, too
                remedy = "write await in front of the call that gave it"
            raise TypeError(f"a body is str, bytes, None, an iterator or a file to stream, not {kind}; {remedy}")
        if value is not None and self._status in _NO_BODY:
            raise ValueError(f"a response {self._status} has no body; write Response(status={self._status})")
        self._body, self.length = value, None

    def close_headers(self) -> None:
        self.headers.close()

    def _check_sent(self, changed: str) -> None:
        if self._headers is not None and self._headers.is_sent:
            raise HeadersSent(f"the {changed} of the response cannot be changed")

    # --- other ways to make one ---------------------------------------------------------------------------------------

    @classmethod
    def _of_json(cls, data: Any, status: int = 200, headers: HeadersInit | None = None) -> Response:
        """A response of ``data`` as JSON, with ``Content-Type: application/json`` unless ``headers`` say another.

        Raises:
            EncodeError: ``data`` has no form in JSON; names the place.
        """
        response = cls(None, status, "", headers)
        if response._status in _NO_BODY:
            raise ValueError(f"a response {status} has no body; write Response(status={status})")
        response._body = encode_json(data)
        response.implied_type = JSON_TYPE
        return response

    @classmethod
    def redirect(cls, url: str | URL, status: int = 302) -> Response:
        """A redirect to ``url``, a path or a whole URL; percent-encoded where it has to be, escapes are kept.

        Raises:
            ValueError: for a status that is no redirect.
            InvalidInput: 400, the location is empty, begins with two slashes of any kind, or with a scheme and no
                ``//host``: browsers would leave the site.
        """
        if status not in _REDIRECTS:
            raise ValueError(f"a redirect has one of the statuses 301, 302, 303, 307, 308, not {status!r}")
        return cls(None, status, "", {"Location": _location(url)})

    def clone(self) -> Response:
        """Another response with the same status, headers and body.

        Raises:
            TypeError: the body is streamed; read it first.
        """
        if as_stream(self._body) is not None:
            raise TypeError("a streamed body has no copy; read it with bytes() first, it can still be sent after")
        return type(self)(self._body, self._status, self._status_text, self.headers)

    # --- readers ------------------------------------------------------------------------------------------------------

    def bytes(self) -> Any:
        """The body's bytes, awaited in ``async def``."""
        return self._read("bytes()", lambda data: data)

    arrayBuffer = bytes  # the reader

    def text(self) -> Any:
        """The body's text by the ``charset`` of its type, else as UTF-8; awaited in ``async def``."""
        return self._read("text()", lambda data: decode_text(data, self.headers.get("content-type")))

    def _read_json(self) -> Any:
        """The value that the body holds as JSON, awaited in ``async def``.

        Raises:
            ValueError: it is no JSON.
        """
        return self._read("json()", self._decode_json)

    def _decode_json(self, data: Bytes) -> Any:
        try:
            return decode_json(data)
        except InvalidJSON as error:  # an InvalidJSON would be answered 400, and this is not the client's fault
            raise ValueError(f"the body of {self!r} is not JSON: {error}") from None

    def _read(self, said: str, decode: Callable[[Bytes], Any]) -> Any:
        if _on_loop():
            return Reading(f"response.{said}", lambda: self._read_on_loop(decode), depth=3)
        if is_async_stream(self._body):
            raise TypeError("the body is streamed by an asynchronous iterator; read it in an async def")
        return decode(self._draw())

    async def _read_on_loop(self, decode: Callable[[Bytes], Any]) -> Any:
        if is_async_stream(self._body):
            await self._draw_async()
        elif as_stream(self._body) is not None:
            import asyncio

            await asyncio.to_thread(self._draw)
        return decode(self._draw())

    def _draw(self) -> Bytes:
        """The body in bytes; a stream is replaced by them."""
        body = self._body
        stream = as_stream(body)
        if stream is None:
            return b"" if body is None else chunk_bytes(body)
        try:
            data = self._body = b"".join(map(chunk_bytes, stream))  # type: ignore[arg-type]  # no asynchronous one
        finally:
            close_stream(stream)
        return data

    async def _draw_async(self) -> None:
        stream = self._body
        try:
            self._body = b"".join([chunk_bytes(chunk) async for chunk in stream])
        finally:
            closing = close_stream(stream)
            if closing is not None:
                await closing

    def __repr__(self) -> str:
        try:
            phrase = HTTPStatus(self._status).phrase
        except ValueError:
            phrase = "Unknown"
        return f"<Response {self._status} {phrase} headers={self.headers!r} body={type(self._body).__name__}>"


def web_response(response: CoreResponse) -> Response:
    """Any response as one of endpoints, with the status, headers and body that would be sent.

    Raises:
        EncodeError: its body has no form on the wire.
    """
    if isinstance(response, Response):
        return response
    encoded = encode(response, "GET")
    fields = [field for field in encoded.fields if field[0].lower() != "content-length"]
    body = encoded.stream or encoded.data or None
    if encoded.status in _NO_BODY and body is not None:
        if encoded.stream is not None:
            close_stream(encoded.stream)
        body = None
    made = Response(None, encoded.status)
    made._headers, made._body = Headers.of(fields, fixed=False), body  # encoded, so they can be sent
    made.length = response.length
    return made


def _on_loop() -> bool:
    """Return whether an event loop runs in this thread."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _location(url: str | URL) -> str:
    if not isinstance(url, str | URL):
        raise TypeError(f'a redirect leads to a str such as "/path" or a URL, not {url!r}')
    location = scalar_text(str(url).strip(_ENDS))
    if not location:
        raise _refused(location, 'it leads nowhere; write "/" for the root of the site')
    # Browsers drop some control characters, and might find two slashes behind them: encoded, they stay what they are.
    location = quote(location, safe=_KEPT_IN_LOCATION)
    if location[0] in "/\\" and location[1:2] in ("/", "\\"):
        raise _refused(
            location, 'one that begins with two slashes leaves the site; for another site write "https://host/..."'
        )
    scheme, colon, rest = location.partition(":")
    if colon and _is_scheme(scheme) and (scheme.lower() in _SCRIPTS or not _has_host(rest)):
        raise _refused(
            location,
            'it is no path of the site or a whole URL; write "https://host/...", or "./" before a relative path that '
            "has a colon",
        )
    return location


def _is_scheme(text: str) -> bool:
    """Return whether a text is the scheme of a URL (RFC 3986, 3.1)."""
    return text[:1].isalpha() and text.isascii() and text.replace("+", "").replace("-", "").replace(".", "").isalnum()


def _has_host(rest: str) -> bool:
    """Return whether what follows a scheme and its colon leads to a host: browsers also go to that of ``https:host``
    and ``https:///host``, which are refused."""
    if not rest.startswith("//"):
        return False
    end = min((at for at in (rest.find(mark, 2) for mark in "/\\?#") if at >= 0), default=len(rest))
    host = rest[2:end].rpartition("@")[2]
    return host[:1] not in ("", ":")


def _refused(location: str, rule: str) -> InvalidInput:
    return InvalidInput(
        "The request cannot be redirected there.", reason=f"the target of a redirect is {brief(location)}: {rule}"
    )
