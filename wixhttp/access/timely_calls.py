"""Calls that are made on threads of their own, so that nobody waits for one longer than he has time: a client of a
network may bound each step of a call, and not all of them together, and the resolution of a name not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

THREADS = 32
"""Calls at once; later ones wait."""

_Result = TypeVar("_Result")


class TimelyCalls(Generic[_Result]):
    """The threads: daemons, so that a call that never ends does not keep the process from ending. They are started
    lazily."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_TimelyCall[_Result]] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads = 0

    def result_of(self, work: Callable[[], _Result], seconds: float) -> _Result:
        """The result of ``work``, which raises what it raises.

        Raises:
            TimeoutError: it takes longer; it goes on, and nobody learns its result.
            RuntimeError: the system has no more threads.
        """
        call = _TimelyCall(work)
        if not self._idle.acquire(blocking=False):
            self._start()
        self._calls.put(call)
        if not call.ended.wait(max(seconds, 0)):
            call.is_late = True
            raise TimeoutError(f"no answer in {seconds:.1f} seconds")
        if call.error is not None:
            raise call.error
        return call.results[0]

    def _start(self) -> None:
        with self._lock:
            if self._threads < THREADS:
                threading.Thread(target=self._work, name="wixhttp-rate-limits", daemon=True).start()
                self._threads += 1

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            if not call.is_late:
                call.run()
            del call
            self._idle.release()


class _TimelyCall(Generic[_Result]):
    def __init__(self, work: Callable[[], _Result]) -> None:
        self._work = work
        self.ended = threading.Event()
        self.is_late = False
        self.results: list[_Result] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.results.append(self._work())
        except Exception as error:  # noqa: BLE001  # for whoever waits
            self.error = error
        finally:
            self.ended.set()
