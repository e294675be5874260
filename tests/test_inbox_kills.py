"""Deliveries while workers are killed: none that was answered 202 is lost or run twice at once, and those of one key
run in the order of their acceptance; on SQLite with one server, on PostgreSQL with two that know nothing of each other.

WIXHTTP_TEST_DELIVERIES is the number of deliveries; `benchmarks/README.md` has the outcome of 10 000.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import postgres_url
from tests.servers import TIMEOUT, Server, project, serving

DELIVERIES = int(os.environ.get("WIXHTTP_TEST_DELIVERIES", "1200"))
PAUSE = 1.0 if DELIVERIES >= 10_000 else 0.4  # seconds between two that are killed
KEYS = 24
SENDERS = 6

# Leases of PostgreSQL that run out soon: the last one to be killed is waited for.
SHORT_LEASES = """
from wixhttp.leases import owners
owners.LEASE, owners.RENEWED = 4.0, 0.5
"""

SOURCE = """
import fcntl, os, random, time
from wixhttp.inbox import deferred

FOLDER = os.environ["TMPDIR"]
LOG = os.open(FOLDER + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(what, request):
    os.write(LOG, f"{what} {request.headers['x-key']} {request.headers['x-index']} {os.getpid()}\\n".encode())

@deferred(dedup="x-id", key=lambda request: request.headers["x-key"], attempts=1000, backoff=(0.01, 0.1))
def post_delivery(request):
    lock = os.open(f"{FOLDER}/lock-{request.headers['x-id']}", os.O_WRONLY | os.O_CREAT)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets it go where the process dies
        except BlockingIOError:
            note("twice", request)
        note("begin", request)
        time.sleep(random.random() * 0.004)
        if random.random() < 0.02:
            raise ValueError("a failure now and then")
        note("end", request)
    finally:
        os.close(lock)
"""


class Senders:
    """Senders that repeat a delivery until it is answered 202, one after the other for each key."""

    def __init__(self, ports: list[int], count: int) -> None:
        self.ports = ports
        self.accepted: list[tuple[str, int]] = []
        self.failures: list[BaseException] = []
        self.threads = [threading.Thread(target=self._run, args=(number, count)) for number in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def _run(self, number: int, count: int) -> None:
        connection: http.client.HTTPConnection | None = None
        try:
            for index in range(number, count, SENDERS):
                key = str(index % KEYS)
                deadline = time.monotonic() + 2 * TIMEOUT
                while True:
                    try:
                        if connection is None:
                            port = random.choice(self.ports)  # noqa: S311  # no secret
                            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                        headers = {"X-Id": str(index), "X-Key": key, "X-Index": str(index)}
                        connection.request("POST", "/_functions/delivery", b"{}", headers)
                        answer = connection.getresponse()
                        answer.read()
                        if answer.status == 202:
                            self.accepted.append((key, index))
                            break
                        assert answer.status == 503, answer.status
                    except (OSError, http.client.HTTPException):
                        if connection is not None:
                            connection.close()
                        connection = None
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
        except BaseException as error:  # noqa: BLE001  # the test raises it
            self.failures.append(error)
        finally:
            if connection is not None:
                connection.close()

    def wait(self) -> None:
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures


def serving_workers(server: Server) -> set[int]:
    """The workers that have begun to serve: the master waits longer and longer where they die before."""
    texts = [text for text in server.messages("uvicorn.error") if text.startswith("Started server process [")]
    return {int(text[24:-1]) for text in texts} & set(server.workers())


@contextlib.contextmanager
def killing(servers: list[Server]) -> Iterator[Callable[[], int]]:
    """Kill a random worker at each `PAUSE` until the block ends; the number of them so far."""
    ends, killed = threading.Event(), 0

    def run() -> None:
        nonlocal killed
        while not ends.wait(PAUSE):
            workers = [pid for server in servers for pid in serving_workers(server)]
            if workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random.choice(workers), signal.SIGKILL)  # noqa: S311  # no secret
                    killed += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: killed
    finally:
        ends.set()
        thread.join()


def lines_of(folder: Path) -> list[list[str]]:
    return [line.split() for line in (folder / "log").read_text().splitlines()]


def wait_until_done(folder: Path, accepted: set[tuple[str, int]]) -> list[list[str]]:
    """The lines of the log, once each delivery that was accepted has come to its end."""
    deadline = time.monotonic() + max(TIMEOUT, len(accepted) / 20)
    while True:
        lines = lines_of(folder)
        missing = accepted - {(key, int(index)) for what, key, index, _ in lines if what == "end"}
        if not missing:
            return lines
        assert time.monotonic() < deadline, f"{len(missing)} of {len(accepted)} were lost: {sorted(missing)[:10]}"
        time.sleep(0.1)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_delivery_is_lost_or_run_twice_at_once_while_workers_are_killed(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    is_short = kind == "postgres" and DELIVERIES < 10_000
    site = project(tmp_path / "site", (SHORT_LEASES if is_short else "") + SOURCE)
    with contextlib.ExitStack() as stack:
        environ: dict[str, Any] = {"TMPDIR": str(folder), "WIXHTTP_INBOX_CONCURRENCY": "4", "WIXHTTP_ACCESS_LOG": "no"}
        if kind == "postgres":
            environ["WIXHTTP_DATABASE_URL"] = stack.enter_context(postgres_url())
        count, workers = (2, "2") if kind == "postgres" else (1, "3")
        servers = [stack.enter_context(serving(site, "--workers", workers, **environ)) for _ in range(count)]
        with killing(servers) as killed:
            senders = Senders([server.port for server in servers], DELIVERIES)
            senders.wait()
            assert len(senders.accepted) == DELIVERIES
            deadline = time.monotonic() + TIMEOUT
            while killed() < 3:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        lines = wait_until_done(folder, set(senders.accepted))
        print(f"{kind}: {DELIVERIES} deliveries, {killed()} workers killed, {len(lines)} lines")  # noqa: T201  # with -s
    assert [line for line in lines if line[0] == "twice"] == []
    begun = defaultdict(list)
    for what, key, index, _ in lines:
        if what == "begin":
            begun[key].append(int(index))
    assert {key: order for key, order in begun.items() if order != sorted(order)} == {}
