"""The access log: one line per request, as text or as JSON."""

from __future__ import annotations

import logging
import time
from typing import Any

from wixhttp.http.request_head import Head

from .formats import json_line, trace_id
from .line_writer import LineWriter
from .masking import escaped, masked
from .terminal import Style

_access = logging.getLogger("wixhttp.access")


class AccessLog:
    """One line per request. Built beside ``logging``'s records, which cost more than the rest of a small request."""

    def __init__(self, writer: LineWriter, json: bool) -> None:
        self.writer = writer
        self.json = json
        self.style = None if json else Style.of(writer.descriptor)
        self._second = 0
        self._prefix = ""

    def line(self, head: Head, status: int, started: float, bytes_out: int) -> None:
        """Write the line of an answered request; ``started`` is a time of ``time.perf_counter``."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second, self._prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        stamp = f"{self._prefix}{str(int(now * 1000))[-3:]}Z"
        duration = _milliseconds_since(started)
        path = masked(head.path)
        if self.json:
            entry = {
                "timestamp": stamp, "severity": "INFO", "message": f"{head.method} {path} {status}",
                "logger": "wixhttp.access", **access_keys(head, path, status, duration, bytes_out),
            }  # fmt: skip
            self.writer.write_soon(json_line(entry))
        elif self.style is not None:
            line = self.style.access(head, path, status, duration, bytes_out)
            self.writer.write_soon(line.encode("utf-8", "backslashreplace"))
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
            duration = _milliseconds_since(started)
            path = masked(head.path)
            _access.info(
                "%s %s %s", escaped(head.method), escaped(path), status,
                extra={"keys": access_keys(head, path, status, duration, bytes_out)},
            )  # fmt: skip


def access_keys(head: Head, path: str, status: int, duration: float, bytes_out: int) -> dict[str, Any]:
    """The fields of an access line, by their JSON keys."""
    keys = {
        "request_id": head.request_id, "function": head.function, "method": head.method, "path": path,
        "status": status, "duration_ms": duration, "bytes_in": length if (length := head.length) > 0 else 0,
        "bytes_out": bytes_out,
        "client_ip": head.client,
    }  # fmt: skip
    if head.header("traceparent") and (trace := trace_id(head)):
        keys["trace_id"] = trace
    return keys


def _milliseconds_since(started: float) -> float:
    """The time since ``started``, cut to whole microseconds, which costs a quarter of rounding it."""
    return int((time.perf_counter() - started) * 1e6) / 1000
