"""Log records as text or as JSON, one line per event.

A value from outside never breaks a line: control characters are escaped, and the lines of a traceback are marked. JSON
keys: timestamp (RFC 3339, UTC), severity, message, logger, request_id, trace_id, function, job_id, method, path (no
query), status, duration_ms, bytes_in, bytes_out, client_ip, exception.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import orjson

from wixhttp.context import current_request
from wixhttp.http.request_head import Head

from .masking import escaped, masked
from .tracebacks import format_exception

_JSON_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}  # those that JSON lets pass


def trace_id(head: Head) -> str | None:
    """The trace id of a W3C ``traceparent`` header, 32 hexadecimal digits; ``None`` where there is no valid one."""
    given = head.header("traceparent")
    if not given:
        return None
    parts = given.strip().split("-")
    if len(parts) < 4 or len(parts[0]) != 2 or parts[0] == "ff" or len(parts[2]) != 16:
        return None
    found = parts[1]
    if len(found) != 32 or set(found) == {"0"} or not set(found) <= set("0123456789abcdef"):
        return None
    return found


# --- formats ---------------------------------------------------------------------------------------------------------


def timestamp(at: float) -> str:
    """A time in seconds since the epoch as RFC 3339 in UTC, with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


def _request_keys(head: Head | None) -> dict[str, Any]:
    if head is None:
        return {}
    notes = getattr(head, "notes", None)
    job_id = None if notes is None else notes.deferred_id
    keys = {"request_id": head.request_id, "trace_id": trace_id(head), "function": head.function, "job_id": job_id}
    return {key: value for key, value in keys.items() if value}


def exception_of(record: logging.LogRecord) -> str | None:
    """The traceback of a record: of its exception, or a text among its ``keys``, of an exception in another process."""
    if record.exc_info and record.exc_info[1] is not None:
        return masked(format_exception(record.exc_info[1]))
    keys = getattr(record, "keys", None)
    return keys.get("exception") if isinstance(keys, dict) else None


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record: an object with the keys that this module lists."""
        entry: dict[str, Any] = {
            "timestamp": timestamp(record.created),
            "severity": record.levelname,
            "message": masked(record.getMessage()),
            "logger": record.name,
            **_request_keys(current_request.get()),
            **(keys if isinstance(keys := getattr(record, "keys", None), dict) else {}),
        }
        if exception := exception_of(record):
            entry["exception"] = exception
        return json_line(entry).decode()


class TextFormatter(logging.Formatter):
    """A record as a line for a person; a traceback follows on lines of its own, each marked with ``|``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record: time, level, logger, request id, message."""
        head = current_request.get()
        request = f" [{head.request_id}]" if head is not None else ""
        message = escaped(masked(record.getMessage()))
        line = f"{timestamp(record.created)} {record.levelname:<7} {record.name}{request}: {message}"
        if exception := exception_of(record):
            for text in exception.split("\n"):
                line += "\n  | " + escaped(text)
        return line


def json_line(entry: dict[str, Any]) -> bytes:
    """An entry as one line of JSON, in ASCII control characters escaped."""
    try:
        line = orjson.dumps(entry, str)
    except TypeError:  # a lone surrogate somewhere
        texts = {key: str(value).encode("utf-8", "backslashreplace").decode() for key, value in entry.items()}
        line = orjson.dumps(texts)
    if line.isascii() and 0x7F not in line:
        return line
    return line.decode().translate(_JSON_CONTROLS).encode()
