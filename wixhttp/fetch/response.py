"""The response of `fetch` (https://fetch.spec.whatwg.org/#response-class; Wix: ``WixFetchResponse``)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NoReturn

from wixhttp.concurrency.service_threads import is_awaited
from wixhttp.errors import InvalidJSON, UnexpectedAnswer
from wixhttp.http.charsets import decode_text
from wixhttp.http.json_codec import decode_json
from wixhttp.http.request_head import RequestHeaders
from wixhttp.messages import brief
from wixhttp.promises import Reading


class AwaitableText(str):
    """A str that may be awaited, which gives itself."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, str]:
        yield from ()
        return str(self)


class AwaitableBytes(bytes):
    """Bytes that may be awaited, which gives themselves."""

    def __await__(self) -> Generator[Any, None, bytes]:
        yield from ()
        return bytes(self)


class FetchResponse:
    """The answer of another server, read to its end.

    ``ok`` is whether ``status`` is 200 to 299. ``headers`` is a dict with lower-case names: any spelling looks up, and
    a missing name reads ``None``. ``url`` is that of the last request, ``redirected`` whether there were others before.
    The readers return the value in a ``def`` and are awaited in an ``async def``; each may be called any number of
    times. ``bodyUsed`` is whether one was.
    """

    def __init__(
        self,
        status: int,
        statusText: str,
        headers: RequestHeaders,
        url: str,
        redirected: bool,
        body: bytes,
        source: str,
    ) -> None:
        self.status = status
        self.statusText = statusText
        self.headers = headers
        self.url = url
        self.redirected = redirected
        self.bodyUsed = False
        self._body = body
        self._source = source

    @property
    def ok(self) -> bool:
        """True for a status of success, 200 to 299."""
        return 200 <= self.status < 300

    def text(self) -> AwaitableText:
        """The body, decoded by the ``charset`` of its type, else as UTF-8."""
        self.bodyUsed = True
        return AwaitableText(decode_text(self._body, self.headers["content-type"]))

    def bytes(self) -> AwaitableBytes:
        """The body as bytes."""
        self.bodyUsed = True
        return AwaitableBytes(self._body)

    arrayBuffer = bytes
    buffer = bytes

    def json(self) -> Any:
        """The value of the body as JSON.

        Raises:
            UnexpectedAnswer: it is none. It is a ValueError, too.
        """
        self.bodyUsed = True
        if is_awaited():
            return Reading("response.json()", self.read_json)
        return self.read_json()

    def read_json(self) -> Any:
        """As `json`, the value at once wherever it is called."""
        try:
            return decode_json(self._body)
        except InvalidJSON as error:
            kind = self.headers["content-type"]
            raise UnexpectedAnswer(
                f"{self._source} answered {self.status} with what is no JSON ({error}), of type {kind}: "
                f"{brief(self._body[:80])}",
                response=self,
            ) from None

    def check_ok(self) -> None:
        """Raise UnexpectedAnswer unless the status is one of success."""
        if not self.ok:
            raise UnexpectedAnswer(f"{self._source} answered {self.status} {self.statusText}".rstrip(), response=self)

    def __await__(self) -> Generator[Any, None, FetchResponse]:
        yield from ()
        return self

    def __getattr__(self, name: str) -> NoReturn:
        writing = {"status_code": "status", "reason": "statusText", "content": "bytes()"}.get(name)
        hint = f"; write response.{writing}" if writing else ""
        raise AttributeError(f"the response of fetch has no {name!r}{hint}")

    def __repr__(self) -> str:
        return f"<FetchResponse {self.status} of {self._source}>"
