"""Streamed bodies, as far as it is the same for both kinds of execution (`blocking_stream`, `async_stream`)."""

from __future__ import annotations

import logging
from typing import Any

from wixhttp.errors import WixHTTPError

from .call import Call

logger = logging.getLogger("wixhttp")

END: Any = object()
"""Stands behind the last chunk of a stream; not ``None``, which a generator may yield by mistake."""


class StreamBroken(WixHTTPError):
    """A streamed body ended in an error after its first bytes were sent. It is in the log; the connection must end."""


def draw(stream: Any) -> Any:
    """The next chunk of an iterator; ``END`` at the end."""
    return next(stream, END)


def broken_off(call: Call, error: BaseException) -> StreamBroken:
    """Log the error that ended a stream after its first bytes, and return the one to raise from it."""
    report_broken(call, error)
    return StreamBroken(f"the stream of {call.head.function} broke off")


def report_broken(call: Call, error: BaseException) -> None:
    """Log the error that ended a stream."""
    logger.error("the stream of %s broke off: %s", call.head.function, type(error).__name__, exc_info=error)
