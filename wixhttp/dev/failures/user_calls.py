"""Calls of users' code for a report: ``__repr__`` and ``__str__``, which may do anything, and may never end."""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

MOST_TEXT = 20_000  # characters that are taken of what such a call returns


class Untold(Exception):
    """A call of users' code gave no text; the message says why."""


class UserCalls:
    """Calls of users' code, one after the other, on a thread beside: each within ``most`` seconds, all together within
    ``seconds``. A thread that is still inside a call then gets a SystemExit, and the next call another thread.

    `close` ends the thread.
    """

    def __init__(self, seconds: float, most: float) -> None:
        self._ends = time.monotonic() + seconds
        self._most = most
        self._thread: threading.Thread | None = None
        self._asked: queue.SimpleQueue[tuple[Callable[[Any], Any], Any] | None] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[tuple[bool, str]] = queue.SimpleQueue()

    def text(self, function: Callable[[Any], Any], value: Any) -> str:
        """The text, at most `MOST_TEXT` characters of it, that ``function(value)`` gives.

        Raises:
            Untold: it raised, gave something else, did not end in time, or there is no time left.
        """
        left = min(self._ends - time.monotonic(), self._most)
        if left <= 0:
            raise Untold("there was no time left for it")
        if self._thread is None:
            self._begin()
        self._asked.put((function, value))
        try:
            is_text, text = self._told.get(timeout=left)
        except queue.Empty:
            self._abandon()
            raise Untold("it did not end in time") from None
        if not is_text:
            raise Untold(text)
        return text

    def close(self) -> None:
        """End the thread."""
        self._asked.put(None)
        self._thread = None

    def _begin(self) -> None:
        self._asked, self._told = queue.SimpleQueue(), queue.SimpleQueue()
        self._thread = threading.Thread(
            target=copy_context().run, args=(_answer, self._asked, self._told), name="wixhttp-report", daemon=True
        )
        self._thread.start()

    def _abandon(self) -> None:
        """Leave a thread that does not come back. Without the exception, for which there is no other way into it, it
        would take a processor until the next reload."""
        self._asked.put(None)
        thread, self._thread = self._thread, None
        if thread is not None and thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


def _answer(
    asked: queue.SimpleQueue[tuple[Callable[[Any], Any], Any] | None], told: queue.SimpleQueue[tuple[bool, str]]
) -> None:
    while (call := asked.get()) is not None:
        answer = _outcome(*call)
        del call  # nobody else is to keep the value
        told.put(answer)


def _outcome(function: Callable[[Any], Any], value: Any) -> tuple[bool, str]:
    try:
        text = function(value)
        if not isinstance(text, str):
            return False, "it gave no text"
        return True, str.__getitem__(text, slice(MOST_TEXT))
    except BaseException as error:  # noqa: BLE001  # SystemExit too: it is a user's __repr__ that raises it
        return False, f"it raised {type.__getattribute__(type(error), '__name__')}"
