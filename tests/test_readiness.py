"""wixhttp.server.readiness: what does not answer is noticed, and nobody waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.interfaces import TIMEOUT, Interface, Served, write_project
from wixhttp.dispatch.app import App
from wixhttp.dispatch.site import load_site
from wixhttp.project.config import load_config
from wixhttp.server.readiness import Readiness


class Database:
    """A database to be pinged: it answers, fails, or hangs until it is let go."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.pings = 0
        self.lets_go = threading.Event()
        self.lets_go.set()
        self.ended = threading.Semaphore(0)

    def ping(self) -> None:
        self.pings += 1
        try:
            assert self.lets_go.wait(TIMEOUT)
            if self.error is not None:
                raise self.error
        finally:
            self.ended.release()


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database()
    yield made
    made.lets_go.set()


def until(ready: Readiness, expected: bool) -> None:
    end = time.monotonic() + TIMEOUT
    while ready() is not expected:
        assert time.monotonic() < end


def test_it_says_what_the_database_says(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wixhttp")
    ready = Readiness(database.ping)
    until(ready, True)
    assert caplog.messages == []
    database.error = RuntimeError("connection refused")
    until(ready, False)
    until(ready, False)
    database.error = None
    until(ready, True)
    assert caplog.messages == [
        "the database does not answer; this process is not ready: connection refused",
        "the database answers again; this process is ready",
    ]


def test_a_database_that_hangs_is_asked_once_and_is_gone_after_a_while(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    ready = Readiness(database.ping, ping_timeout=1)
    until(ready, True)
    database.lets_go.clear()
    pings = database.pings
    started = time.monotonic()
    assert ready()  # it did answer a moment ago
    assert time.monotonic() - started < 15
    until(ready, False)
    assert database.pings == pings + 1
    assert "no answer within 1 seconds" in caplog.text
    database.lets_go.set()
    until(ready, True)


def test_before_it_ever_answered_it_is_not_ready(database: Database) -> None:
    database.lets_go.clear()
    assert not Readiness(database.ping)()


def test_what_is_not_needed_is_not_asked(database: Database) -> None:
    assert Readiness(database.ping, lambda: False)()
    assert database.pings == 0


def test_the_page_says_whether_the_site_is_ready(interface: type[Interface], tmp_path: Path) -> None:
    site = load_site(load_config(write_project(tmp_path, "def get_x(request): return ok()"), environ={}))
    is_ready = True
    with closing(interface(App(site, is_ready=lambda: is_ready))) as opened:
        served = Served(opened)
        assert served("/_wixhttp/health/ready").json() == {"status": "ok"}
        is_ready = False
        answer = served("/_wixhttp/health/ready")
        assert answer.status == 503
        assert (answer.header("cache-control"), answer.header("retry-after")) == ("no-store", "1")
        assert answer.json()["detail"] == "The database does not answer."
        assert served("/_wixhttp/health/live").status == 200
        assert served("/_wixhttp/health/ready", client="8.8.8.8").status == 403
        assert served("x").status == 200
