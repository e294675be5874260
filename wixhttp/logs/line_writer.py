"""Log lines on a file descriptor, each written whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from select import PIPE_BUF


class LineWriter:
    """Whole lines to a file descriptor, each by one write, so that the lines of several processes do not mix.

    (POSIX promises that of a pipe for PIPE_BUF bytes; beyond them, Linux keeps it while the pipe is not full.)
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
        """Write the lines that wait."""
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
        try:
            while (written := os.write(self.descriptor, line)) < len(line):
                line = line[written:]
        except OSError:  # nobody reads standard output any more: no reason to fail a request
            pass
