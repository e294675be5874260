"""Options of deferred functions and jobs: attempts, back-off, what follows a dead one."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from .outcomes import seconds_of
from .stores.contract import OnDead

ATTEMPTS = 10
BACKOFF = (2.0, 3600.0)
TIMEOUT = 600.0
"""Seconds that a run has, where ``@limits(timeout=...)`` does not say."""
MOST_ATTEMPTS = 1000
_PRIORITIES = range(-100, 101)


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options of a deferred function or job. ``attempts`` is how often it is begun at most. ``backoff`` are the
    base and the cap in seconds. ``on_dead``: whether the next of its key may ``go`` once one is dead, or is ``hold``.
    Of those that are due the highest ``priority`` goes first."""

    attempts: int = ATTEMPTS
    backoff: tuple[float, float] = BACKOFF
    on_dead: OnDead = "go"
    priority: int = 0

    def pause(self, attempt: int) -> float:
        """Seconds until the next attempt, after that many: with full jitter, so that what failed together does not
        come again together."""
        base, cap = self.backoff
        doubled = min(attempt - 1, 60)
        return random.uniform(0, min(cap, base * 2.0**doubled))  # noqa: S311  # no secret


def parse_options(name: str, attempts: Any, backoff: Any, on_dead: Any, priority: Any) -> JobOptions:
    """The options that a decorator is given. ``name`` begins the message.

    Raises:
        ValueError: one is out of range.
    """
    if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= MOST_ATTEMPTS:
        raise ValueError(f"{name}: attempts is a whole number from 1 to {MOST_ATTEMPTS}, not {attempts!r}")
    if on_dead not in ("go", "hold"):
        raise ValueError(
            f'{name}: on_dead is "go" (the next of its key is run) or "hold" (it waits for wixhttp inbox retry or '
            f"cancel), not {on_dead!r}"
        )
    return JobOptions(attempts, _parse_backoff(name, backoff), on_dead, parse_priority(name, priority))


def parse_priority(name: str, priority: Any) -> int:
    """A priority.

    Raises:
        ValueError: it is no whole number from -100 to 100.
    """
    if isinstance(priority, bool) or not isinstance(priority, int) or priority not in _PRIORITIES:
        raise ValueError(f"{name}: priority is a whole number from -100 to 100 (first), not {priority!r}")
    return priority


def _parse_backoff(name: str, backoff: Any) -> tuple[float, float]:
    rule = f"{name}: backoff is a pair of seconds (base, cap), such as (2, 3600), not {backoff!r}"
    if not isinstance(backoff, tuple | list) or len(backoff) != 2:
        raise ValueError(rule)
    base, cap = (seconds_of(each, f"{name}: each of backoff") for each in backoff)
    if base > cap:
        raise ValueError(f"{rule}; the cap is at least the base")
    return base, cap
