"""What is written while it runs: the standard ``logging``, one line per event, as text or as JSON.

A value from outside never breaks a line: control characters are escaped, and the lines of a traceback are marked. JSON
keys: timestamp (RFC 3339, UTC), severity, message, logger, request_id, trace_id, function, method, path (no query),
status, duration_ms, bytes_in, bytes_out, client_ip, exception.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from select import PIPE_BUF
from types import TracebackType
from typing import Any, TextIO

import orjson

from .head import Head

# The request that runs here, for the lines that are logged meanwhile. Set by the edges.
current: ContextVar[Head | None] = ContextVar("wixhttp_current_request", default=None)

_access = logging.getLogger("wixhttp.access")
_masks: list[Callable[[str], str]] = []
_OWN_FOLDER = str(Path(__file__).parent) + os.sep
_IMPORTLIB = importlib.__file__
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029",
}  # fmt: skip
_JSON_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}  # those that JSON lets pass


def mask_with(mask: Callable[[str], str]) -> None:
    """Have every line pass through ``mask`` before it is written. For the room of the secrets."""
    if mask not in _masks:
        _masks.append(mask)


def masked(text: str) -> str:
    """``text`` without the secrets that are known."""
    for mask in _masks:
        text = mask(text)
    return text


def escaped(text: str) -> str:
    """``text`` with its control and line-breaking characters written out.

    >>> escaped("a\\r\\nb")
    'a\\\\r\\\\nb'
    """
    return text if text.isprintable() else text.translate(_CONTROLS)


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


def _timestamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


def _request_keys(head: Head | None) -> dict[str, Any]:
    if head is None:
        return {}
    keys = {"request_id": head.request_id, "trace_id": trace_id(head), "function": head.function}
    return {key: value for key, value in keys.items() if value}


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "timestamp": _timestamp(record.created),
            "severity": record.levelname,
            "message": masked(record.getMessage()),
            "logger": record.name,
            **_request_keys(current.get()),
            **(keys if isinstance(keys := getattr(record, "keys", None), dict) else {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = masked(format_exception(record.exc_info[1]))
        return _json_line(entry).decode()


class TextFormatter(logging.Formatter):
    """A record as a line for a person; a traceback follows on lines of its own, each marked with ``|``."""

    def format(self, record: logging.LogRecord) -> str:
        head = current.get()
        request = f" [{head.request_id}]" if head is not None else ""
        message = escaped(masked(record.getMessage()))
        line = f"{_timestamp(record.created)} {record.levelname:<7} {record.name}{request}: {message}"
        if record.exc_info and record.exc_info[1] is not None:
            for text in masked(format_exception(record.exc_info[1])).split("\n"):
                line += "\n  | " + escaped(text)
        return line


def _json_line(entry: dict[str, Any]) -> bytes:
    try:
        line = orjson.dumps(entry, str)
    except TypeError:  # a lone surrogate somewhere
        texts = {key: str(value).encode("utf-8", "backslashreplace").decode() for key, value in entry.items()}
        line = orjson.dumps(texts)
    if line.isascii() and b"\x7f" not in line:
        return line
    return line.decode().translate(_JSON_CONTROLS).encode()


# --- set-up ----------------------------------------------------------------------------------------------------------


class LineWriter:
    """Whole lines to a file descriptor, each by one write, so that the lines of several processes do not mix.

    (POSIX promises that of a pipe for PIPE_BUF bytes; beyond them, Linux keeps it while the pipe has room.)
    ``later`` may be set to a scheduler (an event loop's ``call_soon``): then the lines of one turn are written at once.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self.descriptor = descriptor
        self.later: Callable[[Callable[[], None]], object] | None = None
        self._lines: list[bytes] = []

    def write(self, line: str) -> None:
        """Write a line now."""
        self._send(line.encode("utf-8", "backslashreplace") + b"\n")

    def write_soon(self, line: bytes) -> None:
        """Write a line with the others of this turn of the event loop; now, where there is none."""
        if self.later is None:
            self._send(line + b"\n")
            return
        self._lines.append(line)
        if len(self._lines) == 1:
            self.later(self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._lines:
            lines, self._lines = self._lines, []
            batch = b""
            for line in lines:
                if batch and len(batch) + len(line) >= PIPE_BUF:
                    self._send(batch)
                    batch = b""
                batch += line + b"\n"
            self._send(batch)

    def _send(self, line: bytes) -> None:
        data = memoryview(line)
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError:  # nobody reads standard output any more: no reason to fail a request
            pass


class _Handler(logging.Handler):
    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # a message whose arguments do not fit: say so, never fail the request
            self.handleError(record)
            return
        self.writer.write(line)


def configure(log_format: str, level: str, writer: LineWriter, terminal: TextIO | None = None) -> None:
    """Set up the standard logging of this process: one handler at the root, in ``log_format`` (auto, text, json)."""
    handler = _Handler(writer)
    handler.setFormatter(JSONFormatter() if is_json(log_format, terminal) else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)


def is_json(log_format: str, terminal: TextIO | None = None) -> bool:
    """Whether lines are JSON: ``auto`` is text on a terminal, JSON elsewhere."""
    return log_format == "json" or (log_format == "auto" and not (terminal or sys.__stdout__ or sys.stdout).isatty())


# --- access lines ----------------------------------------------------------------------------------------------------


class AccessLog:
    """One line per request. Built beside ``logging``'s records, which cost more than the rest of a small request."""

    def __init__(self, writer: LineWriter, json: bool) -> None:
        self.writer = writer
        self.json = json
        self._second = 0
        self._prefix = ""

    def line(self, head: Head, status: int, started: float, bytes_out: int) -> None:
        """Write the line of an answered request; ``started`` is a time of ``time.perf_counter``."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second, self._prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        stamp = f"{self._prefix}.{int((now - second) * 1000):03d}Z"
        duration = round((time.perf_counter() - started) * 1000, 3)
        path = masked(head.path)
        if self.json:
            entry = {
                "timestamp": stamp, "severity": "INFO", "message": f"{head.method} {path} {status}",
                "logger": "wixhttp.access", **access_keys(head, path, status, duration, bytes_out),
            }  # fmt: skip
            self.writer.write_soon(_json_line(entry))
        else:
            line = (
                f"{stamp} INFO    wixhttp.access [{head.request_id}]: {head.client} {escaped(head.method)} "
                f"{escaped(path)} {status} {bytes_out}B {duration:.1f}ms"
            )
            self.writer.write_soon(line.encode("utf-8", "backslashreplace"))


class StandardAccessLog:
    """The access line by the logger ``wixhttp.access``, for servers that set up logging themselves."""

    def line(self, head: Head, status: int, started: float, bytes_out: int) -> None:
        """See ``AccessLog.line``."""
        if _access.isEnabledFor(logging.INFO):
            duration = round((time.perf_counter() - started) * 1000, 3)
            path = masked(head.path)
            _access.info(
                "%s %s %s", escaped(head.method), escaped(path), status,
                extra={"keys": access_keys(head, path, status, duration, bytes_out)},
            )  # fmt: skip


def access_keys(head: Head, path: str, status: int, duration: float, bytes_out: int) -> dict[str, Any]:
    """What an access line says of a request."""
    keys = {
        "request_id": head.request_id, "function": head.function, "method": head.method, "path": path,
        "status": status, "duration_ms": duration, "bytes_in": max(head.length, 0), "bytes_out": bytes_out,
        "client_ip": head.client,
    }  # fmt: skip
    if trace := trace_id(head):
        keys["trace_id"] = trace
    return keys
