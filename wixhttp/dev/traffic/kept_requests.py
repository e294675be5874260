"""A kept request: both sides of one exchange with the development server, as its pages, tests and replays need it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST_BODY = 1_048_576  # bytes that are kept of each body
CLIENT_LEFT = 499  # the status of a request whose client hung up before an answer, as in the access log


class LogLine(NamedTuple):
    """A line that was logged or printed during a request; ``time`` is in seconds since the epoch."""

    time: float
    level: str
    logger: str
    message: str


@dataclass
class KeptRequest:
    """One request and its answer.

    ``id`` is the store's, 0 until it is written. ``target`` is the raw path with the query. Of each body at most
    `MOST_BODY` bytes are here, the sizes are true. ``function`` is the exported name, "" for none; ``status`` is 499
    where the client left before an answer. ``duration`` and ``timings`` ("body", "handler", "send") are milliseconds.
    ``failure`` is the report of an exception. ``replay_of`` is the id of the request that this one repeats.
    """

    id: int
    request_id: str
    time: float
    method: str
    target: str
    http_version: str
    scheme: str
    host: str
    client: str
    request_headers: list[tuple[str, str]]
    request_body: bytes
    request_size: int
    function: str
    status: int
    response_headers: list[tuple[str, str]]
    response_body: bytes
    response_size: int
    duration: float
    timings: dict[str, float] = field(default_factory=dict)
    logs: list[LogLine] = field(default_factory=list)
    failure: dict[str, Any] | None = None
    replay_of: int | None = None

    def kept(self) -> KeptRequest:
        """Itself: what a store takes says what is to be kept when it is written."""
        return self

    @property
    def weight(self) -> int:
        """About the bytes of memory and of the file that it takes."""
        return len(self.request_body) + len(self.response_body) + 1_000

    @property
    def content_type(self) -> str:
        """The Content-Type of the answer, "" for none."""
        return header(self.response_headers, "content-type") or ""

    @property
    def is_cut(self) -> bool:
        """Return whether the body of the request is not here as a whole, so that it cannot be sent again."""
        return self.request_size > len(self.request_body)


class KeptSummary(NamedTuple):
    """The row of a kept request in a list."""

    id: int
    request_id: str
    time: float
    method: str
    target: str
    function: str
    status: int
    duration: float
    request_size: int
    response_size: int
    content_type: str
    has_failure: bool
    replay_of: int | None


class RequestFilters(NamedTuple):
    """Conditions on kept requests, each "" for none.

    ``status`` is a code or a class such as ``4xx``. ``text`` is looked for in the URL and in both bodies, as a plain
    substring; ASCII letters match in either case.
    """

    function: str = ""
    status: str = ""
    method: str = ""
    text: str = ""


def utf8_text(body: bytes) -> str | None:
    """A body as text; ``None`` where it is no UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def header(fields: list[tuple[str, str]], name: str) -> str | None:
    """The value of the first header of that name, which is given in lower case."""
    return next((value for key, value in fields if key.lower() == name), None)
