"""Inboxes for tests: with a clock that is set by hand, owners that die when they are told to, and worker processes.

As a program: URL ROLE LEASE LOG, a process that claims jobs and writes a line for each event of theirs to a file.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

from wixhttp.data.stores.contract import Store
from wixhttp.data.stores.factory import open_store
from wixhttp.data.stores.postgres import PostgresStore
from wixhttp.inbox.stores.contract import Again, Done, Inbox, Job
from wixhttp.inbox.stores.factory import make_inbox
from wixhttp.inbox.stores.sqlite import SQLiteInbox

NAMES = ("a", "b")


class HandClock:
    """A clock of a machine that stands until it is moved."""

    def __init__(self) -> None:
        self.boot = "first"
        self._now = 1_800_000_000.0
        self._elapsed = 1000.0

    def now(self) -> float:
        return self._now

    def elapsed(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._elapsed += seconds

    def set_by(self, seconds: float) -> None:
        """Set the clock, as an administrator does."""
        self._now += seconds

    def restart(self, seconds: float) -> None:
        """Start the machine anew, with a clock that was set meanwhile."""
        self.boot += "+"
        self._elapsed = 1.0
        self._now += seconds


class NamedOwner:
    """An owner of claims of which the test says whether it lives."""

    dead: Collection[str] = ()

    def __init__(self, name: str) -> None:
        self.id = name

    def dead_owners(self, ids: Collection[str]) -> set[str]:
        return set(ids) & set(self.dead)

    def renew_with(self, callback: Callable[[], object]) -> Callable[[], None]:
        return lambda: None


def change(store: Store, inbox: Inbox, statement: str) -> None:
    """Run a statement on the tables, in place of what time, another version or another machine does."""
    if isinstance(inbox, SQLiteInbox):
        inbox._database.transact(lambda connection: connection.execute(statement))
    elif isinstance(store, PostgresStore):
        store.transact(lambda transaction: transaction.connection.execute(statement))


def kill(store: Store, inbox: Inbox, owner: NamedOwner, *observers: NamedOwner) -> None:
    """Let an owner be dead for the others; in PostgreSQL the lease alone says it."""
    for observer in observers:
        observer.dead = {*observer.dead, owner.id}
    if isinstance(store, PostgresStore):
        where = f"WHERE owner = '{owner.id}'"
        change(store, inbox, f"UPDATE wixhttp_inbox_owners SET lease_until = 'epoch' {where}")  # noqa: S608


# --- the program -----------------------------------------------------------------------------------------------------


class EventLog:
    """A file to which processes append lines, each at once."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, *words: object) -> None:
        """Append a line."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


def work(inbox: Inbox, log: EventLog) -> None:
    """Run jobs until killed; some fail the first time."""
    pid = os.getpid()
    while True:
        inbox.free_dead()
        jobs = inbox.claim(NAMES, 3)
        for job in jobs:
            log.write("start", pid, job.name, job.key or f"-{job.id}", int(job.payload))
            time.sleep(random.uniform(0, 0.004))  # noqa: S311
            is_bad = job.attempt == 1 and int(job.payload) % 7 == 0
            log.write("fail" if is_bad else "end", pid, job.name, job.key or f"-{job.id}", int(job.payload))
            inbox.finish(job, Again(0.0, "on purpose") if is_bad else Done())
        if not jobs:
            time.sleep(0.05)


def stand(inbox: Inbox, log: EventLog) -> None:
    """Claim one job, say so, and end it when a line comes; say whether the result was taken."""
    [job] = claimed(inbox)
    print("claimed", flush=True)  # noqa: T201  # to the test
    sys.stdin.readline()
    print(inbox.finish(job, Done()), flush=True)  # noqa: T201  # to the test


def claimed(inbox: Inbox, *, seconds: float = 60.0) -> list[Job]:
    """The next jobs, as soon as there are some."""
    deadline = time.monotonic() + seconds
    while not (jobs := inbox.claim(NAMES, 1)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return jobs


def main() -> None:
    url, role, lease, log = sys.argv[1:]
    inbox = make_inbox(open_store(url, Path()), lease=float(lease))
    {"work": work, "stand": stand}[role](inbox, EventLog(log))


if __name__ == "__main__":
    main()
