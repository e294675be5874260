"""Streamed bodies, as far as it is the same for both kinds of execution (`blocking_stream`, `async_stream`)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from wixhttp.errors import WixHTTPError
from wixhttp.http.encoding import chunk_bytes
from wixhttp.misuse import warn_misuse_at

from .call import Call

logger = logging.getLogger("wixhttp")


class StreamBroken(WixHTTPError):
    """A streamed body ended in an error after its first bytes were sent. It is in the log; the connection must end."""


def draw_chunk(stream: Any) -> bytes | None:
    """The next chunk of an iterator that is not empty; ``None`` at the end."""
    while True:
        try:
            chunk = next(stream)
        except StopIteration as end:
            if end.value is not None:
                _warn_of_returned(stream, end.value)
            return None
        if data := chunk_bytes(chunk):
            return data


def _warn_of_returned(stream: Any, value: object) -> None:
    """Warn of the value that a generator returns, where that is a user's."""
    code = getattr(stream, "gi_code", None)
    if code is not None:
        kind = type(value).__name__
        warn_misuse_at(
            code.co_filename,
            code.co_firstlineno,
            f"{code.co_name} streams what it yields, and returns a value of type {kind}, which is not sent; yield it, "
            "or answer with it before the stream begins",
        )


async def next_chunk(stream: AsyncIterator[Any]) -> bytes | None:
    """The next chunk of an asynchronous iterator that is not empty; ``None`` at the end."""
    while True:
        try:
            chunk = await stream.__anext__()
        except StopAsyncIteration:
            return None
        if data := chunk_bytes(chunk):
            return data


def broken_off(call: Call, error: BaseException) -> StreamBroken:
    """Log the error that ended a stream after its first bytes, and return the one to raise from it."""
    report_broken(call, error)
    return StreamBroken(f"the stream of {call.head.function} broke off")


def report_broken(call: Call, error: BaseException) -> None:
    """Log the error that ended a stream."""
    logger.error("the stream of %s broke off: %s", call.head.function, type(error).__name__, exc_info=error)
