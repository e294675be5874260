"""Programs at a terminal, for the tests: keys are pressed, and what comes is awaited."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from select import select
from types import TracebackType

from tests.servers import TIMEOUT


class Terminal:
    """A program at a terminal of its own, until the block ends. ``output`` is all that came."""

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.output = ""
        self._unread = ""
        self._status: int | None = None
        self._pid, self._file = pty.fork()
        if not self._pid:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # which the tests may have been started without
            os.chdir(folder)
            os.execvpe(command[0], list(command), environ)  # noqa: S606  # a program of the test's own choice

    def press(self, keys: str) -> None:
        """Press keys: ``"\\t"`` is TAB, ``"\\x03"`` Ctrl-C, ``"\\x04"`` Ctrl-D, ``"\\x15"`` empties the line."""
        os.write(self._file, keys.encode())

    def await_text(self, text: str) -> str:
        """Everything that comes until ``text`` does."""
        while text not in self._unread:
            assert select([self._file], [], [], TIMEOUT)[0], f"{text!r} did not come: {self.output!r}"
            read = self._read()
            assert read, f"it ended before {text!r} came: {self.output!r}"
        before, _, self._unread = self._unread.partition(text)
        return before

    def interrupt(self, text: str) -> None:
        """Press Ctrl-C, again each second, until ``text`` comes: CPython's prompt is deaf to a signal that comes just
        before it waits for keys, until a line is done.
        """
        end = time.monotonic() + TIMEOUT
        while text not in self._unread:
            assert time.monotonic() < end, f"{text!r} did not come: {self.output!r}"
            self.press("\x03")
            while text not in self._unread and select([self._file], [], [], 1)[0]:
                assert self._read(), f"it ended before {text!r} came: {self.output!r}"
        self.await_text(text)

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        while self._read():
            pass
        self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status

    def _read(self) -> str:
        read = ""
        with contextlib.suppress(OSError):  # the program has ended
            read = os.read(self._file, 65_536).decode("utf-8", "replace")
        self.output += read
        self._unread += read
        return read

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._file)
