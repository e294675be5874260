"""Log records as text or as JSON, one line per event.

A value from outside never breaks a line: control characters are escaped, and the lines of a traceback are marked. JSON
keys: timestamp (RFC 3339, UTC), severity, message, logger, request_id, trace_id, function, method, path (no query),
status, duration_ms, bytes_in, bytes_out, client_ip, exception.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from wixhttp.context import current_request
from wixhttp.http.request_head import Head

from .masking import escaped, masked

_OWN_FOLDER = str(Path(__file__).parents[1]) + os.sep
_IMPORTLIB = importlib.__file__
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


def format_exception(error: BaseException) -> str:
    """The traceback of an error from the user's first frame on: without the runtime's own and importlib's."""
    frames = _user_frames(error.__traceback__)
    if frames is None and not isinstance(error, SyntaxError):  # that names its place itself
        frames = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


def _user_frames(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames


def _is_ours(file: str) -> bool:
    return file.startswith((_OWN_FOLDER, _IMPORTLIB, "<frozen importlib"))


# --- formats ---------------------------------------------------------------------------------------------------------


def timestamp(at: float) -> str:
    """A time in seconds since the epoch as RFC 3339 in UTC, with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


def _request_keys(head: Head | None) -> dict[str, Any]:
    if head is None:
        return {}
    keys = {"request_id": head.request_id, "trace_id": trace_id(head), "function": head.function}
    return {key: value for key, value in keys.items() if value}


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
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = masked(format_exception(record.exc_info[1]))
        return json_line(entry).decode()


class TextFormatter(logging.Formatter):
    """A record as a line for a person; a traceback follows on lines of its own, each marked with ``|``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record: time, level, logger, request id, message."""
        head = current_request.get()
        request = f" [{head.request_id}]" if head is not None else ""
        message = escaped(masked(record.getMessage()))
        line = f"{timestamp(record.created)} {record.levelname:<7} {record.name}{request}: {message}"
        if record.exc_info and record.exc_info[1] is not None:
            for text in masked(format_exception(record.exc_info[1])).split("\n"):
                line += "\n  | " + escaped(text)
        return line


def json_line(entry: dict[str, Any]) -> bytes:
    """An entry as one line of JSON, in ASCII control characters escaped."""
    try:
        line = orjson.dumps(entry, str)
    except TypeError:  # a lone surrogate somewhere
        texts = {key: str(value).encode("utf-8", "backslashreplace").decode() for key, value in entry.items()}
        line = orjson.dumps(texts)
    if line.isascii() and b"\x7f" not in line:
        return line
    return line.decode().translate(_JSON_CONTROLS).encode()
