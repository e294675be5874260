"""A process with a scheduler, as each process of a server does. As a program: URL NUMBER FIRST MINUTES.

It goes through so many minutes from FIRST on, some of which it passes over, and some it sees late.
"""

from __future__ import annotations

import os
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

from wixhttp.data.stores.factory import open_store
from wixhttp.inbox.schedules.loading import ScheduledFunction
from wixhttp.inbox.schedules.schedule import Schedule
from wixhttp.inbox.schedules.scheduler import Scheduler
from wixhttp.inbox.stores.factory import open_inbox


def send() -> None:
    """Stand for what would be run."""


FUNCTIONS = (
    ScheduledFunction("often", send, (Schedule("*/5 * * * *", missed="all"),), "backend/a.py:1"),
    ScheduledFunction("nightly", send, (Schedule("30 2 * * *", "Europe/Berlin", "all"),), "backend/a.py:2"),
)
"""The functions; of both, all occurrences are run."""


def main() -> None:
    """Call the scheduler, minute by minute."""
    url, number, first, minutes = sys.argv[1:]
    if int(number) % 2:
        os.setsid()  # the processes of two servers
    rng = random.Random(int(number))  # noqa: S311
    now = begin = datetime.fromisoformat(first)
    scheduler = Scheduler(FUNCTIONS, open_inbox(open_store(url, Path("/"))), lambda: now)
    os.write(1, b"ready\n")
    sys.stdin.buffer.read(1)
    for minute in range(int(minutes) + 1):
        if minute in (0, int(minutes)) or rng.random() < 0.7:
            now = begin + timedelta(minutes=minute, seconds=rng.randrange(0, 60))
            scheduler.tick()


def minutes_from(first: datetime, minutes: int) -> dict[str, list[datetime]]:
    """The occurrences of each function within such a run."""
    end = first + timedelta(minutes=minutes, seconds=59)
    return {each.name: each.schedules[0].between(first + timedelta(minutes=1), end) for each in FUNCTIONS}


if __name__ == "__main__":
    main()
