"""Owners of claims: alive as long as their process, and no longer."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import postgres_url
from tests.servers import TIMEOUT
from wixhttp.data.stores.factory import open_store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.errors import StoreUnavailable
from wixhttp.leases import owners
from wixhttp.leases.owners import Owner, owner_of

OWN = """
import os, subprocess, sys, time
from pathlib import Path
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.leases.owners import owner_of

owner = owner_of(SQLiteStore(Path(sys.argv[1])))
print(owner.id, flush=True)
"""
WAIT = "sys.stdin.read()\n"
FORK = """
if os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(600)
"""
RUN = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
print(child.pid, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    return SQLiteStore(tmp_path / "site.sqlite3")


class Other:
    """Another process that owns claims in a store."""

    def __init__(self, store: SQLiteStore, then: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN + then + WAIT, str(store.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.id = self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Other:
        return self

    def __exit__(self, *raised: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def test_an_owner_lives_as_long_as_its_process_also_while_that_is_stopped(store: SQLiteStore) -> None:
    owner = owner_of(store)
    with Other(store) as other:
        assert owner.dead_owners([other.id, owner.id]) == set()
        other.process.send_signal(signal.SIGSTOP)
        assert owner.dead_owners([other.id]) == set()
        other.kill()
        assert owner.dead_owners([other.id, owner.id]) == {other.id}


def test_an_owner_that_is_dead_is_so_for_all_who_look_at_once(store: SQLiteStore) -> None:
    with Other(store) as other:
        other.kill()
        owner, dead = owner_of(store), []

        def look() -> None:
            dead.extend([owner.dead_owners([other.id]) for _ in range(100)])

        threads = [threading.Thread(target=look) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert dead == [{other.id}] * 400


@pytest.mark.parametrize("then", [FORK, RUN], ids=["forked", "executed"])
def test_a_child_does_not_keep_the_lock_of_a_dead_owner(store: SQLiteStore, then: str) -> None:
    with Other(store, then) as other:
        child = int(other.line())
        try:
            assert owner_of(store).dead_owners([other.id]) == set()
            other.kill()
            os.kill(child, 0)  # it lives on
            assert owner_of(store).dead_owners([other.id]) == {other.id}
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_forked_process_is_another_owner(kind: str, store: SQLiteStore) -> None:
    owner = owner_of(MemoryStore() if kind == "memory" else store)
    own = owner.id
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(writer, f"{owner.id} {own in owner.dead_owners([own])}".encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    made, is_dead = os.read(reader, 100).decode().split()
    os.close(reader)
    os.close(writer)
    assert made != own == owner.id
    assert is_dead == str(kind == "memory")  # the child has a copy, in which nobody else will ever release a claim
    assert owner.dead_owners([made]) == {made}


def test_lock_files_of_dead_owners_are_removed_by_the_next(store: SQLiteStore, tmp_path: Path) -> None:
    folder = tmp_path / "site.sqlite3-owners"
    with Other(store) as living:
        for _ in range(2):
            with Other(store):
                pass
        (folder / "notes.txt").touch()
        own = owner_of(store).id
        assert sorted(os.listdir(folder)) == sorted([living.id, own, "notes.txt"])


def test_ids_that_no_owner_has_are_dead(store: SQLiteStore) -> None:
    ids = ["0" * 32, "", "..", "/etc/passwd", "a\0b", "F" * 32]
    assert owner_of(store).dead_owners(ids) == set(ids)


def test_a_lock_file_that_was_removed_is_put_back_so_that_its_owner_lives(
    store: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(owners, "_LOOK", 0.0)
    owner = owner_of(store)
    own = owner.id
    folder = tmp_path / "site.sqlite3-owners"
    others = Owner(folder, is_alone=False)
    for path in (folder / own, folder):
        path.unlink() if path.is_file() else shutil.rmtree(path)
        assert others.dead_owners([own]) == {own}
        assert owner.id == own
        assert others.dead_owners([own]) == set()
        assert "was removed, and is put back" in caplog.text


def test_names_of_one_database_have_one_owner(store: SQLiteStore, tmp_path: Path) -> None:
    (tmp_path / "link.sqlite3").symlink_to(store.path)
    assert owner_of(SQLiteStore(tmp_path / "link.sqlite3")) is owner_of(store)


def test_a_folder_that_cannot_be_written_is_told(store: SQLiteStore, tmp_path: Path) -> None:
    (tmp_path / "site.sqlite3-owners").write_text("a file")
    with pytest.raises(
        StoreUnavailable, match=r"The lock file of this process cannot be made in .*-owners': File exists"
    ):
        _ = owner_of(store).id
    with pytest.raises(StoreUnavailable, match=r"The lock files in .* cannot be read: Not a directory"):
        owner_of(store).dead_owners(["0" * 32])


def test_on_a_server_the_lease_alone_says_who_is_dead(tmp_path: Path) -> None:
    with postgres_url() as url:
        owner = owner_of(open_store(url, tmp_path))
    assert owner.dead_owners(["0" * 32, owner.id]) == set()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "RENEWED", 0.001)


def counting(calls: threading.Semaphore) -> Callable[[], object]:
    return lambda: calls.release(1)


@pytest.mark.usefixtures("often")
def test_claims_are_renewed_until_their_holder_ends_it() -> None:
    before = threading.enumerate()  # other tests' owners
    owner = Owner(None, is_alone=True)
    first, second = threading.Semaphore(0), threading.Semaphore(0)
    end_first, end_second = owner.renew_with(counting(first)), owner.renew_with(counting(second))
    assert first.acquire(timeout=60)
    end_first()
    end_first()
    for _ in range(10):
        assert second.acquire(timeout=60)
    end_second()
    end = owner.renew_with(counting(first))  # after all had ended
    for _ in range(10):
        assert first.acquire(timeout=60)
    own = [each for each in threading.enumerate() if each.name == "wixhttp-leases" and each not in before]
    end()
    for thread in own:
        thread.join(TIMEOUT)
    assert own
    assert not [each for each in own if each.is_alive()]


@pytest.mark.usefixtures("often")
def test_a_renewal_that_fails_is_told_once_and_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    owner = Owner(None, is_alone=True)
    calls = threading.Semaphore(0)

    def fail() -> None:
        raise StoreUnavailable("The database is away.")

    with caplog.at_level(logging.WARNING):
        ends = [owner.renew_with(fail), owner.renew_with(counting(calls))]
        for _ in range(10):
            assert calls.acquire(timeout=60)
        for end in ends:
            end()
    assert [each.getMessage() for each in caplog.records] == [
        "claims could not be renewed, and others may take them over: WDE0053: The database is away."
    ]


def test_the_clock_of_a_store_runs_forward(tmp_path: Path) -> None:
    with postgres_url() as url:
        for store in (MemoryStore(), SQLiteStore(tmp_path / "site.sqlite3"), open_store(url, tmp_path)):
            first, second = store.clock(), store.clock()
            assert isinstance(first, float)
            assert 0 < first <= second
            store.close()
