"""The inbox with several processes: kills, stops past a lease, a server that is started anew."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import commands
from tests.databases import postgres_server, postgres_url
from tests.inboxes import EventLog, claimed
from wixhttp.data.stores.factory import open_store
from wixhttp.data.stores.postgres import PostgresStore
from wixhttp.errors import StoreUnavailable
from wixhttp.inbox.stores.clock import MachineClock
from wixhttp.inbox.stores.contract import Done, Inbox, NewJob
from wixhttp.inbox.stores.factory import make_inbox
from wixhttp.inbox.stores.figures import Figures
from wixhttp.inbox.stores.owner import LeaseRenewal
from wixhttp.inbox.stores.room import Room

PATIENCE = 120.0  # seconds until a wait is a failure
JOBS = 300
WORKERS = 3
KILLS = {"sqlite": 6, "postgres": 3}
LEASE = 4.0  # seconds; far longer than a job takes


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'site.sqlite3'}"
    else:
        with postgres_url() as made:
            yield made


def start(url: str, role: str, log: Path, lease: float = LEASE) -> commands.Process:
    return commands.start_program("tests.inboxes", url, role, str(lease), str(log))


@contextlib.contextmanager
def opened(url: str, lease: float = LEASE) -> Iterator[Inbox]:
    with contextlib.closing(open_store(url, Path())) as store:
        yield make_inbox(store, lease=lease)


def wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end(process: commands.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


# --- kills -----------------------------------------------------------------------------------------------------------


def test_while_processes_are_killed_nothing_is_lost_or_run_twice_at_once_and_keys_keep_their_order(
    url: str, tmp_path: Path
) -> None:
    log = tmp_path / "events"
    events = EventLog(str(log))
    shuffled = random.Random(1)  # noqa: S311  # the same jobs each time
    jobs = [
        NewJob(shuffled.choice("ab"), payload=b"%d" % number, key=shuffled.choice([None, "x", "y", "z"]))
        for number in range(JOBS)
    ]
    with opened(url) as inbox:
        for first in range(0, JOBS, 50):
            inbox.accept(jobs[first : first + 50])
        workers = [start(url, "work", log) for _ in range(WORKERS)]
        try:
            for kill in range(KILLS["sqlite" if url.startswith("sqlite") else "postgres"]):
                before = len(log.read_bytes()) if log.exists() else 0
                wait(lambda before=before: log.exists() and len(log.read_bytes()) > before + 200)  # type: ignore[misc]
                victim = workers.pop(kill % len(workers))
                events.write("killed", victim.pid)  # what it does until it dies is that of a dead one
                end(victim)
                workers.append(start(url, "work", log))
            wait(lambda: inbox.stats().by_state["done"] == JOBS)
        finally:
            for worker in workers:
                end(worker)
        assert inbox.stats().by_state == {
            "waiting": 0, "blocked": 0, "running": 0, "done": JOBS, "dead": 0, "cancelled": 0,
        }  # fmt: skip
    check_events([line.split() for line in log.read_text().splitlines()], jobs)


def check_events(events: list[list[str]], jobs: list[NewJob]) -> None:
    """See that each job was brought to its end, that of a key never two ran at once, and that each key went forward."""
    running: dict[tuple[str, str], tuple[str, int]] = {}
    last: dict[tuple[str, str], int] = {}
    dead: set[str] = set()
    brought_to_end = set()
    for kind, pid, *rest in events:
        if kind == "killed":
            dead.add(pid)
            running = {key: by for key, by in running.items() if by[0] != pid}
            continue
        if pid in dead:
            continue
        key, number = (rest[0], rest[1]), int(rest[2])
        if kind == "start":
            assert key not in running, "two of one key, or one job twice, at once"
            assert last.get(key, -1) <= number, "a later one of the key was started before"
            running[key], last[key] = (pid, number), number
        else:
            assert running.pop(key) == (pid, number)
            brought_to_end |= {number} if kind == "end" else set()
    assert running == {}
    # Those whose end a process wrote down when it was as good as dead.
    assert len(brought_to_end) >= len(jobs) - 3 * len(dead)


# --- leases ----------------------------------------------------------------------------------------------------------


def test_a_process_that_stood_past_its_lease_has_its_result_refused(url: str, tmp_path: Path) -> None:
    with opened(url, lease=0.5) as inbox:
        [made] = inbox.accept([NewJob("a")])
        process = start(url, "stand", tmp_path / "events", lease=0.5)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"claimed\n"
            os.kill(process.pid, signal.SIGSTOP)
            wait(inbox.free_dead)
            [job] = claimed(inbox, seconds=PATIENCE)
            assert (job.id, job.attempt) == (made.id, 2)
            os.kill(process.pid, signal.SIGCONT)
            process.stdin.write(b"\n")
            assert process.stdout.readline() == b"False\n"
            assert inbox.finish(job, Done(b"1"))
        finally:
            end(process)
        stored = inbox.get(made.id)
        assert stored is not None
        assert (stored.state, stored.result) == ("done", b"1")


def test_the_jobs_of_a_process_that_died_are_free_at_once_where_the_store_is_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site.sqlite3'}"
    with opened(url, lease=1e6) as inbox:
        inbox.accept([NewJob("a")])
        process = start(url, "stand", tmp_path / "events", lease=1e6)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"claimed\n"
            assert inbox.free_dead() == 0
        finally:
            end(process)
        assert inbox.free_dead() == 1
        assert [job.attempt for job in inbox.claim(["a"], 1)] == [2]


# --- a server that is away -------------------------------------------------------------------------------------------


def test_an_inbox_works_on_when_its_server_is_there_again() -> None:
    with postgres_server() as server, contextlib.closing(PostgresStore(server.url)) as store:
        inbox = make_inbox(store)
        inbox.accept([NewJob("a", payload=b"1"), NewJob("a", payload=b"2", key="k")])
        [first] = inbox.claim(["a"], 1)
        server.stop("immediate")
        calls: list[Callable[[], Any]] = [
            lambda: inbox.accept([NewJob("a", payload=b"3")]),
            lambda: inbox.claim(["a"], 1),
            lambda: inbox.finish(first, Done()),
            inbox.free_dead,
            inbox.stats,
        ]
        store._connections.timeout = 0.2
        for call in calls:
            with pytest.raises(StoreUnavailable) as caught:
                call()
            assert caught.value.status == 503
        store._connections.timeout = 30
        server.start()
        assert inbox.accept([NewJob("a", payload=b"4")])[0].is_new
        assert inbox.finish(first, Done())
        assert [job.payload for job in inbox.claim(["a"], 9)] == [b"2", b"4"]


class BusyOwner:
    """An owner that waits while it begins to renew its lease, once, until it is let go."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.begun, self.ends = threading.Event(), threading.Event()

    def dead_owners(self, ids: Collection[str]) -> set[str]:
        return set()

    def renew_with(self, callback: Callable[[], object]) -> Callable[[], None]:
        self.wait()
        return lambda: None

    def wait(self) -> None:
        if not self.begun.is_set():
            self.begun.set()
            assert self.ends.wait(PATIENCE)


@pytest.mark.parametrize("what", ["room", "figures", "renewal"])
def test_a_process_that_is_forked_while_another_thread_holds_a_lock_of_the_inbox_goes_on(what: str) -> None:
    owner = BusyOwner()
    room, figures = Room(), Figures()
    renewal = LeaseRenewal(owner, owner.wait, LEASE, MachineClock())

    def count(most: int = 0) -> int:
        owner.wait()
        return 0

    uses: dict[str, Callable[[], object]] = {
        "room": lambda: room.take(1, 10, count),
        "figures": lambda: figures.of(lambda: [("a", "waiting", count())]),
        "renewal": renewal.id,
    }
    other = threading.Thread(target=uses[what])
    other.start()
    assert owner.begun.wait(PATIENCE)
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        uses[what]()
        os._exit(0)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        owner.ends.set()
        other.join(PATIENCE)
