"""PostgreSQL for tests: a schema of its own in a server that is there, or a server of a test's own.

The server is that of WIXHTTP_TEST_POSTGRES_URL, or one on this machine. Without one the tests skip; in CI they fail.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from wixhttp.data.calls.access import Collections
from wixhttp.data.collections import set_default
from wixhttp.data.stores.contract import Store
from wixhttp.data.stores.factory import open_store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.errors import StoreUnavailable

DEFAULT_URL = "postgresql://postgres@127.0.0.1:5432/postgres"


@contextlib.contextmanager
def opened_store(kind: str, folder: Path) -> Iterator[Store]:
    """An empty store, ``memory``, ``sqlite`` in a folder, or ``postgres``; whoever uses it closes it."""
    with contextlib.ExitStack() as stack:
        if kind == "postgres":
            yield open_store(stack.enter_context(postgres_url()), folder)
        else:
            yield MemoryStore() if kind == "memory" else SQLiteStore(folder / "site.sqlite3")


@contextlib.contextmanager
def in_use(store: Store) -> Iterator[Store]:
    """Have the calls of this process reach a store, which is closed at the end."""
    set_default(Collections(store))
    try:
        yield store
    finally:
        set_default(None)
        store.close()


class AwayStore(MemoryStore):
    """A store that can be away for writes."""

    is_away = False

    def write(self, work: Any, *, single: bool = False) -> Any:
        if self.is_away:
            raise StoreUnavailable("It is away.")
        return super().write(work, single=single)


def wait_until_sound(store: Store) -> None:
    """Wait until a store that met a fault finds it gone. It looks again ten times as long after a look as that took."""
    deadline = time.monotonic() + 60
    while True:
        try:
            store.ping()
            return
        except StoreUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def missing(reason: str) -> None:
    """End a test that needs PostgreSQL: skipped, but in CI failed."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def postgres_url() -> Iterator[str]:
    """The URL of an empty schema, dropped at the end."""
    import psycopg

    url = os.environ.get("WIXHTTP_TEST_POSTGRES_URL", DEFAULT_URL)
    name = f"wixhttp_test_{secrets.token_hex(8)}"
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=30) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
    except psycopg.OperationalError as error:
        missing(f"no PostgreSQL (WIXHTTP_TEST_POSTGRES_URL, or {DEFAULT_URL}): {error}")
    try:
        yield f"{url}{'&' if '?' in url else '?'}options={quote(f'-csearch_path={name}', safe='')}"
    finally:
        with psycopg.connect(url, autocommit=True, connect_timeout=30) as connection:
            # A collection has tables of its own: one by one they need no more locks than a server has.
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (name,)).fetchall()
            for (table,) in tables:
                connection.execute(f"DROP TABLE {name}.{table} CASCADE".encode())
            connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


class PostgresServer:
    """A server of a test's own, on a socket in a temporary folder, that may be stopped and started."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        program = shutil.which("pg_ctl") or (found[-1] / "pg_ctl" if found else None)
        if program is None:
            missing("no pg_ctl on PATH or in /usr/lib/postgresql: the programs of PostgreSQL's server are needed")
            raise AssertionError
        self.bin = Path(program).resolve().parent
        self.folder = folder
        self.url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}"
        self._user: int | None = None
        if os.geteuid() == 0:  # the server refuses to run as root
            try:
                self._user = pwd.getpwnam("postgres").pw_uid
            except KeyError:
                self._user = pwd.getpwnam("nobody").pw_uid
            os.chown(folder, self._user, -1)
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            user=self._user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        settings = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=on"
        self._run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-o", settings)

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "stop", "-w", "-D", "data", "-m", mode)


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server of one's own."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # the path of a socket has 107 characters
    try:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(AssertionError):
                server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
