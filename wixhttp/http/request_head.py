"""The head of a request, all before its body: method, raw target, header fields, the client's address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from wixhttp.messages import no_attribute

from .url import DICT_CHANGES, read_only

UNKNOWN, MALFORMED = -1, -2  # lengths of a body: not announced (chunked), and announced in a way that is refused
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # that change nothing, so that pages of other sites may send them


@read_only(*DICT_CHANGES)
class RequestHeaders(dict[str, str]):
    """The headers of a request to an HTTP function; those of endpoints are `wixhttp.endpoints.web.headers.Headers`.

    Keys are lower case, any spelling looks up, and a missing one reads ``None``.

    >>> headers = RequestHeaders.of([("Accept", "a"), ("ACCEPT", "b")])
    >>> headers["aCCept"], headers["x-none"], "Accept" in headers, list(headers)
    ('a, b', None, True, ['accept'])
    """

    __slots__ = ()

    @classmethod
    def of(cls, fields: Iterable[tuple[str, str]]) -> RequestHeaders:
        """Headers from pairs in any case. Repeated ones are joined by ``", "``, cookies by ``"; "`` (RFC 9110, 5.3)."""
        headers = cls()
        for name, value in fields:
            key = name.lower()
            if dict.__contains__(headers, key):
                value = dict.__getitem__(headers, key) + ("; " if key == "cookie" else ", ") + value
            dict.__setitem__(headers, key, value)
        return headers

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    if TYPE_CHECKING:  # what Velo reads as undefined reads as None here

        def __getitem__(self, key: str, /) -> str | None: ...  # type: ignore[override]

    else:  # to type checkers there is no such attribute

        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute(self, name, f"request.headers[{name!r}]")

    def __missing__(self, key: str) -> str | None:
        return dict.get(self, key.lower())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and dict.__contains__(self, key.lower())

    def get(self, key: str, default: Any = None, /) -> Any:
        """The value under ``key`` in any spelling, else ``default``."""
        return dict.get(self, key.lower(), default)


class Notes:
    """The notes of guards on a request, for its handler. ``webhook`` is what a verified sender says of its delivery,
    ``api_key`` whose key the client has shown, each ``None`` where nobody asked. ``attempt`` counts the runs of
    deferred work, from 1, and ``deferred_id`` is its id, ``None`` in a request that is answered at once.

    ``error_fields`` are header fields of an answer that is an error: a handler may raise one object for many requests.
    """

    __slots__ = ("api_key", "attempt", "deferred_id", "error_fields", "webhook")

    def __init__(self) -> None:
        self.webhook: Any = None
        self.api_key: Any = None
        self.attempt = 1
        self.deferred_id: str | None = None
        self.error_fields: Mapping[str, str] = {}


NO_NOTES = Notes()
"""Those of a request without guards."""


class Head:
    """The head of a request. Each server interface has its own kind, with its own look-up of header fields.

    ``path`` and ``query`` are raw; ``base`` is the raw path of the mount point, without trailing slash.
    ``length`` is the announced size of the body in bytes, 0 for none, or UNKNOWN (chunked) or MALFORMED; of a body that
    was read it becomes the true size. ``request_id`` and ``function`` (as exported, "" for none) are the dispatcher's.
    ``deadline`` is the time by ``time.monotonic`` at which its handler's ``timeout`` is over, 0 for none; set while
    that runs.
    ``token_info`` is set by `wixhttp.auth`, when a function first asks for its caller; ``notes`` by guards, where there
    are some.
    """

    __slots__ = (
        "base", "client", "deadline", "function", "host", "length", "method", "notes", "path", "port", "query",
        "request_id", "scheme", "token_info",
    )  # fmt: skip

    method: str
    path: str
    query: str
    base: str
    scheme: str
    host: str | None
    client: str
    port: int | None
    length: int
    request_id: str
    function: str
    deadline: float
    token_info: Any
    notes: Notes

    def header(self, name: str) -> str | None:
        """The value of one header, named in lower case."""
        raise NotImplementedError

    def fields(self) -> Iterable[tuple[str, str]]:
        """All headers in the order in which they arrived."""
        raise NotImplementedError


class NotedRequest:
    """The members by which requests of all kinds tell their handler what guards have noted."""

    __slots__ = ()

    _head: Head | None

    @property
    def webhook(self) -> Any:
        """The delivery as its verified sender names it: ``id``, ``timestamp``, ``event``; ``None`` where the function
        verifies none (``@verified``)."""
        return self._notes.webhook

    @property
    def api_key(self) -> Any:
        """The API key that the client has shown: ``name``, ``scopes``; ``None`` where the function asks for none
        (``@require_key``)."""
        return self._notes.api_key

    @property
    def attempt(self) -> int:
        """The number of this run: 1, and more where deferred work is run again (``@deferred``)."""
        return self._notes.attempt

    @property
    def deferredId(self) -> str | None:  # noqa: N802 - spelled as Wix spells the members of a request
        """The id of deferred work, the same in each of its runs; ``None`` in a request that is answered at once."""
        return self._notes.deferred_id

    @property
    def _notes(self) -> Notes:
        return getattr(self._head, "notes", NO_NOTES)


class PlainHead(Head):
    """A head made from plain values, for the test kit and ``wixhttp call``."""

    __slots__ = ("_fields",)

    def __init__(
        self,
        method: str,
        path: str,
        query: str = "",
        fields: Iterable[tuple[str, str]] = (),
        *,
        scheme: str = "http",
        host: str | None = "localhost",
        client: str = "127.0.0.1",
        length: int = 0,
    ) -> None:
        self.method, self.path, self.query, self.base = method, path, query, ""
        self.scheme, self.host, self.client, self.port = scheme, host, client, None
        self.length = length
        self.request_id = self.function = ""
        self._fields = list(fields)

    def header(self, name: str) -> str | None:
        value: str | None = self.headers().get(name)
        return value

    def headers(self) -> RequestHeaders:
        """The headers, joined where they repeat."""
        return RequestHeaders.of(self._fields)

    def fields(self) -> Iterable[tuple[str, str]]:
        return self._fields
