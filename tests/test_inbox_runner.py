"""The runner in real processes: every server and worker class, signals, dying and stopped processes, stores that are
away or full, and `wixhttp work`; and in this one, with functions of the test."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.databases import postgres_server
from tests.dev_servers import developing
from tests.inboxes import NamedOwner, kill
from tests.servers import TIMEOUT, Server, missing, project, serving
from wixhttp import Response
from wixhttp.data.stores.factory import open_store
from wixhttp.inbox.job_table import JobEntry, JobTable
from wixhttp.inbox.options import JobOptions
from wixhttp.inbox.outcomes import Retry
from wixhttp.inbox.runner import JobRunner
from wixhttp.inbox.stores.contract import Done, Inbox, Job, NewJob, Outcome
from wixhttp.inbox.stores.factory import make_inbox, open_inbox
from wixhttp.server.work import NOTHING

SOURCE = """
import asyncio, os, signal, time
from wixhttp import ok
from wixhttp.inbox import deferred, enqueue

FOLDER = os.environ["TMPDIR"]

def note(what, request):
    line = f"{what} {request.attempt} {os.getpid()}\\n"
    with open(FOLDER + "/log", "a") as file:
        file.write(line)

@deferred()
def post_quick(request): note("quick", request)

@deferred()
async def post_awaited(request):
    await asyncio.sleep(0)
    note("awaited", request)

@deferred()
def post_slow(request):
    note("slow", request)
    while not os.path.exists(FOLDER + "/release"): time.sleep(0.01)
    note("ended", request)

@deferred(attempts=1)
async def post_endless(request):
    note("endless", request)
    while True: await asyncio.to_thread(time.sleep, 0.01)

@deferred(attempts=3)
def post_deadly(request):
    note("deadly", request)
    os.kill(os.getpid(), signal.SIGKILL)

def post_future(request): return ok(body=[enqueue("future", 7)])
def get_kill(request): os.unlink(FOLDER + "/ballast")
"""
SHORT_LEASES = """
from wixhttp.leases import owners
owners.LEASE, owners.RENEWED = 1.0, 0.2
"""
FUTURE = """
import os
from wixhttp.inbox import job
@job("future")
async def future(number):
    with open(os.environ["TMPDIR"] + "/log", "a") as file: file.write(f"future {number} 0\\n")
"""


class Site:
    """A project whose functions write lines into a file, and its inbox."""

    def __init__(self, folder: Path, source: str = SOURCE) -> None:
        self.root = project(folder / "site", source)
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.environ: dict[str, Any] = {"TMPDIR": str(self.notes)}

    def lines(self, what: str) -> list[list[str]]:
        log = self.notes / "log"
        return (
            [line.split()[1:] for line in log.read_text().splitlines() if line.startswith(f"{what} ")]
            if log.exists()
            else []
        )

    def wait_for(self, what: str, count: int = 1) -> list[list[str]]:
        """The lines of a kind, attempt and process, once there are so many."""
        until(lambda: len(self.lines(what)) >= count, f"{count} x {what}")
        return self.lines(what)

    def release(self) -> None:
        (self.notes / "release").touch()

    @contextlib.contextmanager
    def inbox(self) -> Iterator[Inbox]:
        store = open_store(f"sqlite:///{self.root}/data/wixhttp.sqlite3", self.root)
        try:
            yield open_inbox(store)
        finally:
            store.close()

    def jobs(self) -> dict[str, Job]:
        """The jobs by name."""
        with self.inbox() as inbox:
            return {job.name: job for job in inbox.list()}


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def post(server: Server, name: str, body: bytes = b"") -> requests.Response:
    return requests.post(f"{server.url}/_functions/{name}", data=body, timeout=TIMEOUT)


def defer(server: Server, *names: str) -> None:
    for name in names:
        assert post(server, name).status_code == 202


SERVERS = {
    "asgi": None,
    "gthread": None,
    "gevent": None,
    "sync": None,
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "wixhttp.asgi:application"],
    "uvicorn without lifespan": ["-m", "uvicorn", "--port", "{port}", "--lifespan", "off", "wixhttp.asgi:application"],
    "gunicorn with preload": ["-m", "gunicorn", "--preload", "-b", "127.0.0.1:{port}", "wixhttp.wsgi:application"],
}


@pytest.mark.parametrize("kind", SERVERS)
def test_each_server_runs_what_it_accepts_and_gives_back_what_does_not_end(kind: str, site: Site) -> None:
    command = SERVERS[kind]
    if kind == "gevent" and importlib.util.find_spec("gevent") is None:
        missing("gevent is not installed: pip install 'wixhttp[gevent]'")
    flags = () if command else ("--worker-class", kind, "--workers", "1")
    whole = [sys.executable, *command] if command else None
    environ = {**site.environ, "WIXHTTP_PROJECT": str(site.root), "WIXHTTP_GRACEFUL_TIMEOUT": "0.2"}
    with serving(site.root, *flags, command=whole, **environ) as server:
        defer(server, "endless", "quick", "awaited")
        site.wait_for("endless")
        assert [attempt for attempt, _ in site.wait_for("quick")] == ["1"]
        assert [attempt for attempt, _ in site.wait_for("awaited")] == ["1"]
        code = server.stop()
        assert code in ((0, -signal.SIGTERM) if command else (0,))
    jobs = site.jobs()
    endless = jobs.pop("post_endless")
    if kind != "uvicorn without lifespan":  # which says nothing of its end: the next process finds that it died
        assert (endless.state, endless.attempt) == ("waiting", 0), endless.error
    assert {job.state for job in jobs.values()} == {"done"}


def test_dev_runs_deferred_functions_and_takes_them_along_over_a_reload(site: Site) -> None:
    with developing(site.root, **site.environ) as development:
        defer(development.server, "slow")
        ((_, first),) = site.wait_for("slow")
        (site.root / "backend" / "jobs.py").write_text(FUTURE)
        development.server.wait_for_message("reloaded")
        site.release()
        site.wait_for("ended")
        defer(development.server, "quick")
        ((_, second),) = site.wait_for("quick")
        assert first != second
        assert post(development.server, "future").status_code == 200
        assert site.wait_for("future") == [["7", "0"]]


def test_at_sigterm_what_has_not_ended_in_time_is_given_back_uncounted_and_nothing_is_begun(site: Site) -> None:
    environ = {**site.environ, "WIXHTTP_INBOX_CONCURRENCY": "2", "WIXHTTP_GRACEFUL_TIMEOUT": "0.2"}
    with serving(site.root, "--workers", "1", **environ) as server:
        defer(server, "endless", "slow")
        site.wait_for("endless")
        site.wait_for("slow")
        defer(server, "quick")
        assert server.stop() == 0
    jobs = site.jobs()
    assert {name: (job.state, job.attempt) for name, job in jobs.items()} == dict.fromkeys(
        ("post_endless", "post_slow", "post_quick"), ("waiting", 0)
    )
    server.wait_for_message("runs on as its process stops, and was given back", function=None)


def test_at_sigterm_what_ends_in_time_is_done(site: Site) -> None:
    with serving(site.root, "--workers", "1", **site.environ) as server:
        defer(server, "slow")
        site.wait_for("slow")
        server.terminate()
        site.release()
        assert server.wait_exit() == 0
    assert site.jobs()["post_slow"].state == "done"


def test_at_sighup_the_next_worker_runs_what_the_last_one_gave_back(site: Site) -> None:
    with serving(site.root, "--workers", "1", WIXHTTP_GRACEFUL_TIMEOUT="0.2", **site.environ) as server:
        defer(server, "endless")
        site.wait_for("endless")
        server.process.send_signal(signal.SIGHUP)
        (one, first), (two, second) = site.wait_for("endless", 2)
    assert (one, two) == ("1", "1")
    assert first != second


def test_a_job_that_kills_its_process_each_time_ends_dead(site: Site) -> None:
    with serving(site.root, "--workers", "1", **site.environ) as server:
        with contextlib.suppress(requests.ConnectionError):  # the process may be dead before it has answered
            defer(server, "deadly")
        site.wait_for("deadly", 3)
        until(lambda: site.jobs()["post_deadly"].state == "dead", "the job is dead")
        defer(server, "quick")
        site.wait_for("quick")
    assert [attempt for attempt, _ in site.lines("deadly")] == ["1", "2", "3"]


def test_what_a_stopped_process_had_is_run_by_another_and_its_late_result_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path, SHORT_LEASES + SOURCE)
    with serving(site.root, "--workers", "2", **site.environ) as server:
        defer(server, "slow")
        ((_, first),) = site.wait_for("slow")
        os.kill(int(first), signal.SIGSTOP)
        _, (attempt, second) = site.wait_for("slow", 2)
        assert attempt == "2"
        assert second != first
        os.kill(int(first), signal.SIGCONT)
        site.release()
        server.wait_for_message("its result is refused")
        until(lambda: site.jobs()["post_slow"].state == "done", "the second run is done")
        assert site.jobs()["post_slow"].attempt == 2


def test_while_postgres_is_away_senders_are_asked_to_come_again_and_what_runs_is_noted_later(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with (
        postgres_server() as postgres,
        serving(site.root, "--workers", "1", WIXHTTP_DATABASE_URL=postgres.url, **site.environ) as server,
    ):
        defer(server, "slow")
        site.wait_for("slow")
        postgres.stop("immediate")
        site.release()
        site.wait_for("ended")
        answer = post(server, "quick")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        postgres.start()
        until(lambda: post(server, "quick").status_code == 202, "it accepts again")
        site.wait_for("quick")
        store = open_store(postgres.url, tmp_path)
        inbox = open_inbox(store)
        until(lambda: {job.state for job in inbox.list()} == {"done"}, "all is done")
        store.close()
        assert len(site.lines("slow")) == 1


def test_on_a_full_disk_senders_are_asked_to_come_again_and_nothing_is_lost(tmp_path: Path) -> None:
    site = Site(tmp_path)
    data = site.root / "data"
    data.mkdir()
    mount = f'mount -t tmpfs -o size=3m none "{data}" && exec "$@"'
    prefix = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"]
    probe = [*prefix[:4], "-c", f'mount -t tmpfs none "{data}"']
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here: that takes a kernel that lets users have namespaces")
    source = SOURCE.replace('os.unlink(FOLDER + "/ballast")', f'os.unlink("{data}/ballast"); return ok()') + f"""
with open("{data}/ballast", "wb") as file: file.write(bytes(500_000))
"""  # fmt: skip
    project(site.root, source)
    environ = {**site.environ, "WIXHTTP_INBOX_CONCURRENCY": "0"}
    with serving(site.root, "--workers", "1", prefix=prefix, **environ) as server:
        answers = [post(server, "quick", bytes(100_000))]
        while answers[-1].status_code == 202 and len(answers) < 100:
            answers.append(post(server, "quick", bytes(100_000)))
        assert (answers[-1].status_code, answers[-1].headers["retry-after"]) == (503, "5")
        assert len(answers) > 2
        assert requests.get(f"{server.url}/_functions/kill", timeout=TIMEOUT).status_code == 200
        until(lambda: post(server, "quick", bytes(1000)).status_code == 202, "it accepts again")


def test_what_no_process_knows_waits_for_one_that_does_and_work_runs_it_without_a_listener(site: Site) -> None:
    environ = {**site.environ, "WIXHTTP_INBOX_CONCURRENCY": "0"}
    with serving(site.root, "--workers", "1", **environ) as server:
        assert post(server, "future").status_code == 200
        server.wait_for_message("enqueue('future'): this process knows no such job")
        defer(server, "quick")
    assert {job.state for job in site.jobs().values()} == {"waiting"}
    command = [sys.executable, "-m", "wixhttp", "--project", str(site.root), "work", "--concurrency", "2"]
    with serving(site.root, command=command, wait=False, **environ) as worker:
        site.wait_for("quick")
        assert site.jobs()["future"].state == "waiting"
        (site.root / "backend" / "jobs.py").write_text(FUTURE)
        worker.process.send_signal(signal.SIGHUP)
        assert site.wait_for("future") == [["7", "0"]]
        assert worker.stop() == 0
    assert {job.state for job in site.jobs().values()} == {"done"}


def test_work_replaces_a_process_that_dies(site: Site) -> None:
    environ = {**site.environ, "WIXHTTP_INBOX_CONCURRENCY": "0"}
    with serving(site.root, "--workers", "1", **environ) as server:
        defer(server, "deadly", "quick")
    command = [sys.executable, "-m", "wixhttp", "--project", str(site.root), "work"]
    with serving(site.root, command=command, wait=False, **environ) as worker:  # the settings are those of all machines
        worker.wait_for_message("4 at once")
        worker.wait_for_message("has ended by signal 9, and is replaced")
        site.wait_for("deadly", 2)
        site.wait_for("quick")


def test_work_whose_processes_end_while_they_load_waits_longer_each_time(tmp_path: Path) -> None:
    site = Site(tmp_path, "import os\nos.abort()\n")
    command = [sys.executable, "-m", "wixhttp", "--project", str(site.root), "work"]
    with serving(site.root, command=command, wait=False, **site.environ) as worker:
        for pause in ("0.5", "1", "2"):
            worker.wait_for_message(f"has ended by signal 6, while it loaded the project, and is replaced in {pause} s")
        assert worker.stop() == 0


@pytest.mark.parametrize(
    ("source", "said"),
    [("def get_a(request): pass\n", NOTHING), ("nothing\n", "NameError: name 'nothing' is not defined")],
)
def test_work_that_cannot_begin_says_why_and_exits_with_3(source: str, said: str, tmp_path: Path) -> None:
    site = Site(tmp_path, source)
    command = [sys.executable, "-m", "wixhttp", "--project", str(site.root), "work"]
    with serving(site.root, command=command, wait=False, **site.environ) as worker:
        assert worker.wait_exit() == 3
        assert said in worker.errors


# --- in this process -------------------------------------------------------------------------------------------------


class Runs:
    """A runner of functions of the test, by their names, on an inbox in memory; and which of them run and ran."""

    def __init__(self, **functions: Callable[[], Any]) -> None:
        self.store = open_store("memory://", Path())
        self.owner = NamedOwner("this")
        self.inbox: Inbox = make_inbox(self.store, owner=self.owner)
        self.release = threading.Event()
        self.live: list[str] = []
        self.began: list[tuple[str, ...]] = []
        table = JobTable()
        for name, function in functions.items():
            is_async = asyncio.iscoroutinefunction(function)
            table.add(JobEntry(name, "job", self._noted(name, function), is_async, JobOptions()))
        self.runner = JobRunner(table, lambda: self.inbox, 4)

    def _noted(self, name: str, function: Callable[[], Any]) -> Callable[[Job, Any], Any]:
        def start(job: Job, head: Any) -> Any:
            self.live.append(name)
            self.began.append(tuple(self.live))
            try:
                return function()
            finally:
                self.live.remove(name)

        return start

    def accept(self, *names: str, **details: Any) -> list[str]:
        made = [each.id for each in self.inbox.accept([NewJob(name, **details) for name in names])]
        self.runner.wake()
        return made

    def job(self, job_id: str) -> Job:
        found = self.inbox.get(job_id)
        assert found is not None
        return found

    def free(self) -> int:
        """Free what this process runs, as others do once its lease has run out."""
        other = NamedOwner("other")
        others = make_inbox(self.store, owner=other)
        kill(self.store, self.inbox, self.owner, other)
        return others.free_dead()

    def die(self, name: str, count: int) -> None:
        """Have a process die that runs jobs of that name."""
        dead = NamedOwner("dead")
        assert len(make_inbox(self.store, owner=dead).claim([name], count)) == count
        kill(self.store, self.inbox, dead, self.owner)


@contextlib.contextmanager
def running(runs: Runs) -> Iterator[Runs]:
    runs.runner.start()
    try:
        yield runs
    finally:
        runs.release.set()
        runs.runner.stop(5.0)


class _Unreadable(Exception):
    def __str__(self) -> str:
        raise KeyError


def _retry_never() -> None:
    error = Retry()
    error.after = float("nan")
    raise error


def _raise_unsayable() -> None:
    class Unsayable(Retry):
        def __str__(self) -> str:
            raise SystemExit(3)

    raise Unsayable


def test_whatever_a_job_returns_or_raises_it_does_not_run_for_ever() -> None:
    def unreadable() -> None:
        raise _Unreadable

    with running(Runs(never=_retry_never, unreadable=unreadable, unsayable=_raise_unsayable)) as runs:
        made = runs.accept("never", "unreadable", "unsayable")
        until(lambda: all(runs.job(each).error for each in made), "each has an outcome")
        assert [runs.job(each).state for each in made] == ["waiting"] * 3
        assert "Retry: after is a number of seconds" in str(runs.job(made[0]).error)


def test_an_outcome_that_the_store_does_not_take_is_replaced_by_one_that_it_does() -> None:
    class Refusing:
        """An inbox that takes no result."""

        def __init__(self, inner: Inbox) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def finish(self, job: Job, outcome: Outcome) -> bool:
            if isinstance(outcome, Done):
                raise OverflowError
            return self.inner.finish(job, outcome)

    runs = Runs(a=lambda: 1)
    runs.inbox = Refusing(runs.inbox)  # it has all by __getattr__
    with running(runs):
        (made,) = runs.accept("a")
        until(lambda: runs.job(made).state == "waiting" and runs.job(made).error, "it is not running any more")
    assert runs.job(made).error == "its outcome could not be stored; the log says why"


def test_a_job_that_is_cancelled_as_its_process_ends_is_given_back_uncounted() -> None:
    begun, cancels = threading.Event(), threading.Event()

    async def cancelled() -> None:
        begun.set()
        await asyncio.to_thread(cancels.wait, TIMEOUT)
        raise asyncio.CancelledError

    runs = Runs(a=cancelled)
    with running(runs):
        (made,) = runs.accept("a", max_attempts=1)
        assert begun.wait(TIMEOUT)
        runs.runner.begin_stop()
        cancels.set()
        until(lambda: runs.job(made).state != "running", "it has ended")
    assert (runs.job(made).state, runs.job(made).attempt) == ("waiting", 0)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_without_end_is_closed_as_its_process_ends_and_its_run_given_back(is_async: bool) -> None:
    seen = set()

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                seen.add("drawn")
                yield b"a"
        finally:
            seen.add("closed")

    async def answer_later() -> Response:
        return Response(200, chunks())

    runs = Runs(a=answer_later if is_async else lambda: Response(200, chunks()))
    with running(runs):
        (made,) = runs.accept("a")
        until(lambda: seen, "it is drawn")
        runs.runner.stop(0.0)
    assert (runs.job(made).state, runs.job(made).attempt, seen) == ("waiting", 0, {"drawn", "closed"})


def test_the_last_start_of_what_died_with_its_process_is_alone_in_its_process() -> None:
    runs = Runs(first=lambda: runs.release.wait(TIMEOUT), poor=lambda: None, next=lambda: None)
    made = runs.accept("poor", "poor", "poor", max_attempts=2)
    runs.die("poor", 3)
    (first,) = runs.accept("first", priority=1)
    with running(runs):
        until(lambda: runs.job(first).state == "running", "the first runs")
        counted = {("waiting", 2, 1)}
        until(lambda: {(job.state, job.claims, job.attempt) for job in map(runs.job, made)} == counted, "all wait")
        made += runs.accept("next")
        runs.release.set()
        until(lambda: all(runs.job(each).state == "done" for each in made), "all are done")
    assert [began for began in runs.began if "poor" in began] == [("poor",)] * 3


def test_a_job_that_comes_back_to_its_process_while_it_runs_goes_on() -> None:
    runs = Runs(a=lambda: runs.release.wait(TIMEOUT))
    with running(runs):
        (made,) = runs.accept("a")
        until(lambda: runs.live, "it runs")
        until(runs.free, "it is freed")
        until(lambda: runs.job(made).claims == 2, "it was claimed again")
        runs.release.set()
        until(lambda: runs.job(made).state == "done", "it is done")
    assert (runs.began, runs.job(made).attempt) == ([("a",)], 2)


def test_where_no_thread_can_be_started_what_was_claimed_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    start, refuses = threading.Thread.start, threading.Event()
    refuses.set()

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "wixhttp-inbox-2" and refuses.is_set():
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    runs = Runs(a=lambda: runs.release.wait(TIMEOUT))
    made = runs.accept("a", "a", "a")
    with running(runs):
        facts = [("running", 1), ("waiting", 0), ("waiting", 0)]
        until(lambda: [(job.state, job.attempt) for job in map(runs.job, made)] == facts and runs.live, "two wait")
        refuses.clear()
        runs.release.set()
        until(lambda: all(runs.job(each).state == "done" for each in made), "all are done")
    assert [runs.job(each).attempt for each in made] == [1, 1, 1]
