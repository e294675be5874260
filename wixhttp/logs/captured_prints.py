"""Captured standard output: each line that a handler prints becomes a log line, at once, with its request's id."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from typing import Any

from wixhttp.context import current_request
from wixhttp.http.request_head import Head

_captured: list[PrintedLines] = []


class PrintedLines(io.TextIOBase):
    """The replacement of ``sys.stdout`` or ``sys.stderr``; it keeps their file ``descriptor`` for subprocesses.

    A line that logging itself prints, by a handler of the user's, goes to that descriptor as it is: logged, it would be
    printed again, without end.
    """

    encoding = "utf-8"

    def __init__(self, name: str, level: int, descriptor: int) -> None:
        self._logger = logging.getLogger(name)
        self._level = level
        self._descriptor = descriptor
        self._rest = _Rest()
        self.buffer = _Bytes(self)

    def writable(self) -> bool:
        """True: it is written to."""
        return True

    def fileno(self) -> int:
        """The file descriptor that it stands for, 1 or 2."""
        return self._descriptor

    def write(self, text: str) -> int:
        """Log each line that ``text`` ends, and keep the rest for the next call; returns the number of characters."""
        rest, head = self._rest, current_request.get()
        if rest.is_logging:
            os.write(self._descriptor, text.encode("utf-8", "backslashreplace"))
            return len(text)
        if rest.head is not head:
            self.flush()
            rest.head = head
        *lines, rest.text = (rest.text + text).split("\n")
        for line in lines:
            if line:
                self._log(line)
        return len(text)

    def flush(self) -> None:
        """Log the line that this thread has begun, as one of the request that it was printed for."""
        rest = self._rest
        if rest.text and not rest.is_logging:
            line, rest.text = rest.text, ""
            token = current_request.set(rest.head)
            self._log(line)
            current_request.reset(token)

    def _log(self, line: str) -> None:
        self._rest.is_logging = True
        try:
            self._logger.log(self._level, "%s", line)
        finally:
            self._rest.is_logging = False


class _Rest(threading.local):
    """The text that a thread has printed since its last line ended, its request, and whether a line is being logged."""

    text = ""
    head: Head | None = None
    is_logging = False


class _Bytes(io.RawIOBase):
    """The ``buffer`` of printed lines: bytes that are written to it are printed as UTF-8."""

    def __init__(self, lines: PrintedLines) -> None:
        self._lines = lines

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._lines.fileno()

    def write(self, data: Any) -> int:
        self._lines.write(bytes(data).decode("utf-8", "replace"))
        return len(data)


def capture_prints() -> None:
    """Replace standard output and error: each line that is printed is logged."""
    sys.stdout = PrintedLines("print", logging.INFO, 1)
    sys.stderr = PrintedLines("stderr", logging.WARNING, 2)
    _captured[:] = [sys.stdout, sys.stderr]


def flush_prints() -> None:
    """Log the line that this thread has begun and not ended: a request ends here."""
    for lines in _captured:
        if lines._rest.text:
            lines.flush()
