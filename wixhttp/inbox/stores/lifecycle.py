"""The life of a job, as both engines have it: what its outcome makes of it, and how long it is kept once it is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from wixhttp.messages import brief

from .contract import KEPT, Again, Done, Failed, GivenBack, Job, Outcome, State

BATCH = 500
"""Jobs that one transaction of a command changes, or removes."""

_TIDIED = 60.0  # seconds between two looks for old jobs


_DIED = "its process ended, or was away past its lease, while it ran"


def final_outcome(job: Job, outcome: Outcome) -> Outcome:
    """The outcome as it is stored: `Failed` for an `Again` where the attempts are used up. What is given back keeps
    that its process died (`is_last_after_death`)."""
    if isinstance(outcome, GivenBack) and _has_died(job):
        return GivenBack(delay=outcome.delay)
    return Failed(outcome.error) if isinstance(outcome, Again) and job.attempt >= job.max_attempts else outcome


def is_over_by(job: Job, outcome: Outcome) -> bool:
    """Return whether a job is over by its outcome, so that the next of its key may go; a dead one may hold the key."""
    return isinstance(outcome, Done) or (isinstance(outcome, Failed) and (job.on_dead == "go" or job.key is None))


def death(job: Job) -> Again:
    """The outcome of a job whose process died, or was away past its lease."""
    return Again(delay_after_death(job.attempt), f"{_DIED} (attempt {job.attempt})")


def _has_died(job: Job) -> bool:
    return job.error is not None and job.error.startswith(_DIED)


def is_last_after_death(job: Job) -> bool:
    """Return whether a job that was claimed is to run alone in its process: its last start ended with a process, which
    another job may have killed, and this start is the last that it has."""
    return job.attempt > 1 and job.attempt >= job.max_attempts and _has_died(job)


def delay_after_death(attempt: int) -> float:
    """Seconds for which a job is not started again whose process died in that attempt.

    The first may have died of anything; a job that kills its process each time is not to keep it busy.
    """
    return 0.0 if attempt <= 1 else min(0.5 * 2.0 ** (attempt - 2), 60.0)


def check_over(state: State) -> None:
    """Check that jobs of a state may be removed.

    Raises:
        ValueError: they are still to be done.
    """
    if state not in KEPT:
        raise ValueError(f"jobs that are done, dead or cancelled are removed, not {brief(state)}")


class Tidying:
    """The removal of jobs that are kept no longer, step by step."""

    def __init__(self) -> None:
        self._at = 0.0  # when the next step is due

    def step(self, remove: Callable[[State, float], int]) -> None:
        """Remove some, unless none was left a short while ago. ``remove`` removes at most `BATCH` of the jobs that have
        been in a state for that many seconds, and returns their number."""
        now = time.monotonic()
        if now < self._at:
            return
        removed = sum(remove(state, kept) for state, kept in KEPT.items())
        self._at = now if removed >= BATCH else now + _TIDIED
