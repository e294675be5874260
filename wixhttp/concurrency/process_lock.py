"""A lock that no fork leaves held: a thread of the parent that holds it does not exist in the child."""

from __future__ import annotations

import os
import threading


class ProcessLock:
    """A lock for the threads of one process, reentrant. A process that is forked from it has one of its own, which is
    free, whoever holds the parent's. What it guards must bear to be found as a change has left it."""

    def __init__(self) -> None:
        self._locks = {os.getpid(): threading.RLock()}  # of this process, and of those that it comes from

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock; ``False`` where another thread has it, and nobody is to wait."""
        pid = os.getpid()
        lock = self._locks.get(pid) or self._locks.setdefault(pid, threading.RLock())
        return lock.acquire(blocking)

    def release(self) -> None:
        """Give the lock back."""
        self._locks[os.getpid()].release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *raised: object) -> None:
        self.release()
