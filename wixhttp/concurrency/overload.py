"""The error for a request that finds the process busy (503), whether it is refused at once or has waited in vain."""

from __future__ import annotations

from wixhttp.errors import HTTPError
from wixhttp.measurements import counted

RETRY_AFTER = "1"  # seconds, with every 503


class Busy(HTTPError):
    """More requests at once than can be served: 503. Nothing was begun for this one. ``reason`` goes to the log."""

    def __init__(self, reason: str) -> None:
        counted("limit_hit", limit="concurrency")
        super().__init__(
            503, "Too many requests at once; try again.", headers={"Retry-After": RETRY_AFTER}, reason=reason
        )
