"""Processes that the user's code forks in a worker: they keep nothing of the server, and end with the worker.

A program that is started (``subprocess``, ``os.system``) has none of the server's descriptors from the first. It is the
user's to end, and so is a process that has made itself a daemon by forking twice.
"""

from __future__ import annotations

import array
import contextlib
import os
import signal
from collections.abc import Callable, Iterable

_DEFAULT = (signal.SIGINT, signal.SIGTERM, signal.SIGIO)  # a process of the user's is not told to end by a supervisor


class ForkedProcesses:
    """The processes that are forked in this one from now on. In each the descriptors that ``held`` lists by then are
    replaced by ``/dev/null``: one that waits for something would keep the port, and clients' connections, open."""

    def __init__(self, held: Callable[[], Iterable[int]]) -> None:
        self._held = held
        self._begun, self._told = os.pipe()
        os.set_blocking(self._begun, False)
        os.set_blocking(self._told, False)
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """In a new process: tell of it, and let go of the server."""
        with contextlib.suppress(OSError):
            os.write(self._told, array.array("i", [os.getpid()]).tobytes())
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (*self._held(), self._begun, self._told):
            if descriptor >= 0:
                os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)
        signal.set_wakeup_fd(-1)
        for number in _DEFAULT:
            signal.signal(number, signal.SIG_DFL)

    def terminate(self) -> None:
        """Ask those to end that are children of this process and still run."""
        begun = array.array("i")
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._begun, 4096 * begun.itemsize):
                begun.frombytes(part)
        for pid in begun:
            with contextlib.suppress(ChildProcessError, ProcessLookupError):  # it has ended, or is no child
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    os.kill(pid, signal.SIGTERM)
