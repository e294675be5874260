"""Exceptions by which deferred functions and jobs say what is to become of them."""

from __future__ import annotations

from wixhttp.errors import WixHTTPError
from wixhttp.public_calls import explained

MOST_SECONDS = 366 * 86_400.0
"""The longest time that work may be put off."""


class Retry(WixHTTPError):
    """Raised in a deferred function or job: run it again ``after`` so many seconds, ``None`` for its own back-off.

    It counts as an attempt, and is no error in the log. ``why`` is kept with it.

    Raises:
        ValueError: ``after`` is no number of seconds from 0 to those of a year.
    """

    @explained()
    def __init__(self, why: str = "", *, after: float | None = None) -> None:
        super().__init__(str(why) or "it asked to be run again")
        self.after = None if after is None else seconds_of(after, "Retry: after")


class Dead(WixHTTPError):
    """Raised in a deferred function or job: it can never succeed, and is not run again. ``why`` is kept with it."""

    def __init__(self, why: str = "") -> None:
        super().__init__(str(why) or "it gave up")


def seconds_of(value: object, name: str) -> float:
    """Number of seconds from 0 to those of a year.

    Raises:
        ValueError: anything else, ``True`` included. ``name`` begins the message.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST_SECONDS:
        return float(value)
    raise ValueError(f"{name} is a number of seconds from 0 to {MOST_SECONDS:.0f} (a year), not {value!r}")
