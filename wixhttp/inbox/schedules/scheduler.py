"""The scheduler: stores the occurrences that are due as jobs. It runs in every process of a site; the watermark of each
schedule in the store, and the ``dedup`` of each job, let every occurrence be stored once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

from wixhttp.errors import StoreUnavailable
from wixhttp.inbox.stores.contract import Inbox, Job, NewJob

from .loading import ScheduledFunction
from .schedule import Schedule

logger = logging.getLogger("wixhttp")

KEY = "cron"
"""The key of all jobs of schedules: those of one name run one after the other."""

CAUGHT_UP = timedelta(days=1)
"""How far back missed occurrences are caught up."""
ON_TIME = timedelta(minutes=5)
"""How late an occurrence is still none that was missed, for ``missed="skip"``; and how far clocks may be apart."""
_LONGEST_WAIT = 30.0  # seconds; so that a clock that was set is noticed
_LOOKED_AT = 20  # jobs of a function among which its last run is looked for
_RETRY = 5.0  # seconds after the store was away


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(timezone.utc)


class Scheduler:
    """Stores what is due of scheduled functions in an inbox. ``clock`` tells the time; for one thread. Without
    ``catches_up``, as in development, nothing is run that was missed."""

    def __init__(
        self,
        functions: Iterable[ScheduledFunction],
        inbox: Inbox,
        clock: Callable[[], datetime] = utc_now,
        *,
        catches_up: bool = True,
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._watches = [
            _Watch(function, schedule, catches_up=catches_up)
            for function in functions
            for schedule in function.schedules
        ]
        self._last: datetime | None = None
        self._is_away = False

    def tick(self) -> float:
        """Store the occurrences that are due, and return the seconds until this is to be called again."""
        now = self._clock().astimezone(timezone.utc)
        if self._last is not None and now < self._last:  # the clock was set back
            for watch in self._watches:
                watch.next = None
        self._last = now
        try:
            for watch in self._watches:
                self._tick(watch, now)
        except StoreUnavailable as error:
            if not self._is_away:
                logger.warning("scheduled functions wait for the store: %s", error)
            self._is_away = True
            return _RETRY
        self._is_away = False
        waits = [(watch.next - now).total_seconds() for watch in self._watches if watch.next is not None]
        return max(0.0, min((*waits, _LONGEST_WAIT)))

    def _tick(self, watch: _Watch, now: datetime) -> None:
        try:
            watch.tick(self._inbox, now)
        except StoreUnavailable:
            raise
        except Exception:  # whatever it is, it is not to keep the others from being run
            logger.exception("%s cannot be scheduled now, and is tried again", watch.function.name)
            watch.next = now + timedelta(seconds=_LONGEST_WAIT)


class _Watch:
    """One schedule of a function. ``next`` is the first moment at which something may be to do; ``None``: look now."""

    def __init__(self, function: ScheduledFunction, schedule: Schedule, *, catches_up: bool) -> None:
        self.function = function
        self.catches_up = catches_up
        self.schedule = schedule
        self.next: datetime | None = None
        # A schedule that is changed is another one: what it would have run before the change was not missed.
        self.watermark = watermark_name(function, schedule)

    def tick(self, inbox: Inbox, now: datetime) -> None:
        """Store what is due."""
        if self.next is not None and now < self.next:
            return
        since = inbox.watermark(self.watermark)
        if since is None:  # it is new: nothing of the past is run
            inbox.advance(self.watermark, (), now)
        elif since > now + ON_TIME:
            # What was stored by that clock has its `dedup` in the inbox, and so does not run again.
            logger.warning(
                "the clock is at %s, and %s was scheduled up to %s by a clock that was wrong; it goes on from now",
                now.isoformat(timespec="seconds"), self.function.name, since.isoformat(timespec="seconds"),
            )  # fmt: skip
            inbox.rewind(self.watermark, now)
        else:
            self._store(inbox, since, now)
        self.next = self.schedule.next(now)

    def _store(self, inbox: Inbox, since: datetime, now: datetime) -> None:
        due = self.schedule.between(max(since, now - CAUGHT_UP), now)
        if not due:
            return
        chosen = self._chosen(inbox, due, now)
        jobs = [occurrence_job(self.function, moment) for moment in chosen]
        is_first = inbox.advance(self.watermark, jobs, due[-1])
        if is_first and len(chosen) < len(due):
            left = len(due) - len(chosen)
            logger.info("%s: %d occurrence%s left out", self.function.name, left, " is" if left == 1 else "s are")

    def _chosen(self, inbox: Inbox, due: list[datetime], now: datetime) -> list[datetime]:
        """Those of the occurrences that are due that are run."""
        if self.schedule.missed == "skip" or not self.catches_up:
            due = [moment for moment in due if now - moment <= ON_TIME]
        if self.schedule.missed == "all":
            return due
        # One that still waits for its turn runs as soon as it can: another would only run right behind it.
        return [] if _one_waits(inbox, self.function.name) else due[-1:]


def _one_waits(inbox: Inbox, name: str) -> bool:
    return any(
        job.attempt == 0
        for job in (*inbox.list(state="blocked", name=name, limit=1), *inbox.list(state="waiting", name=name, limit=10))
    )


def watermark_name(function: ScheduledFunction, schedule: Schedule) -> str:
    """The name under which the store keeps how far a schedule was stored."""
    return f"{function.name} {' '.join(schedule.expression.upper().split())} {schedule.zone}"


def occurrence_job(function: ScheduledFunction, moment: datetime) -> NewJob:
    """The job of one occurrence. It is due at once: one that a clock that is wrong has stored holds up none."""
    text = moment.astimezone(timezone.utc).isoformat()
    return NewJob(
        function.name,
        payload=json.dumps({"arguments": [text]}).encode(),
        key=KEY,
        dedup=f"cron:{function.name}:{text}",
        max_attempts=function.attempts,
    )


def last_run(inbox: Inbox, function: ScheduledFunction) -> Job | None:
    """The last occurrence of a function that was begun; ``None``: none was, of the last 20."""
    jobs = inbox.list(name=function.name, limit=_LOOKED_AT)
    return next((job for job in jobs if job.started_at is not None), None)
