"""The measuring of requests, as the dispatcher sees it, and the page that shows the numbers. A site has a meter where
the setting ``metrics`` asks for one; without it nothing of this is called."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from wixhttp.http.encoding import Encoded
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response


class AccessLines(Protocol):
    """Somebody who is told of each request that was answered."""

    def line(self, head: Head, status: int, started: float, bytes_out: int) -> None:
        """Note an answered request; ``started`` is a time of ``time.perf_counter``."""


class Meter(Protocol):
    """The numbers of a process."""

    def slots(self, count: int, kind: str) -> deque[None]:
        """So many slots, whose use is counted under ``kind``."""

    def watching(self, access: AccessLines | None) -> AccessLines:
        """Access lines that count each answered request, and tell ``access`` of it, too."""

    def page(self, accept: str) -> Response:
        """The numbers of all processes of the server, in the format that the ``Accept`` header asks for. It reads
        files, and may ask a database."""


class SlowAnswer(Encoded):
    """An answer that takes a while to be made, by `make`: away from the event loop, and beside the threads of handlers,
    so that a busy process gives it, too."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Encoded]) -> None:
        super().__init__(200, [], b"")
        self.make = make
