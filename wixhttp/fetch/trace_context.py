"""The headers by which a request to another server belongs to the one that is handled here: its id, and the W3C's trace
context (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from wixhttp.context import current_request
from wixhttp.http.request_head import Head
from wixhttp.logs.formats import trace_id

_HEXADECIMAL = frozenset("0123456789abcdef")


def tracing_headers() -> Iterator[tuple[str, str]]:
    """Name and value of each: none outside of a request, no ``traceparent`` where the client sent no valid one."""
    head: Head | None = current_request.get()
    if head is None:
        return
    if head.request_id:
        yield "X-Request-Id", head.request_id
    trace = trace_id(head)
    if trace is not None:
        flags = (head.header("traceparent") or "").strip().split("-")[3]
        is_sampled = len(flags) == 2 and _HEXADECIMAL.issuperset(flags) and int(flags, 16) & 1
        yield "traceparent", f"00-{trace}-{_parent_id()}-{'01' if is_sampled else '00'}"
        state = head.header("tracestate")
        if state and state.isascii() and state.isprintable():
            yield "tracestate", state


def _parent_id() -> str:
    """16 random hexadecimal digits, not all of them zero."""
    return os.urandom(8).hex().replace("0" * 16, "0" * 15 + "1")
