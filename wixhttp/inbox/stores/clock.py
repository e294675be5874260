"""The clock of a machine, and the steps by which somebody sets it: what waits is not to wait for that time again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple, Protocol

STEP = 1.0
"""Seconds of difference from which on the clock was set; less is how clocks are kept right."""


class Clock(Protocol):
    """The time of a machine."""

    @property
    def boot(self) -> str:
        """An id of the machine's start; empty where it has none."""

    def now(self) -> float:
        """Seconds since 1970, in UTC; somebody may set it."""

    def elapsed(self) -> float:
        """Seconds since the machine started, in which it may have slept; nobody can set it."""


class MachineClock:
    """The clock of this machine. On Linux ``elapsed`` counts sleep, too, and is the same in all processes."""

    def __init__(self) -> None:
        try:
            self.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            self.boot = ""
        self._kind = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.clock_gettime(self._kind)


class Moment(NamedTuple):
    """The time of a machine by both of its clocks."""

    boot: str
    elapsed: float
    now: float

    @classmethod
    def of(cls, clock: Clock) -> Moment:
        """The present one."""
        return cls(clock.boot, clock.elapsed(), clock.now())

    @classmethod
    def parse(cls, text: str) -> Moment:
        """The one that `format` wrote."""
        boot, elapsed, now = text.split(" ")
        return cls(boot, float(elapsed), float(now))

    def format(self) -> str:
        """The moment as text."""
        return f"{self.boot} {self.elapsed!r} {self.now!r}"

    def step_since(self, earlier: Moment) -> float:
        """Seconds by which the clock was set since ``earlier``; negative: back.

        Where the machine was started meanwhile, nobody knows how long it was off, and only a clock that shows less than
        before was set.
        """
        if self.boot and self.boot == earlier.boot:
            return self.now - earlier.now - (self.elapsed - earlier.elapsed)
        return min(0.0, self.now - earlier.now)
