"""The connection pool of PostgreSQL, one for each process, and the meaning of its errors for the caller."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import conninfo, errors
from psycopg.pq import TransactionStatus
from psycopg.types.string import TextLoader
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from wixhttp.errors import ConfigError, StoreUnavailable, WixDataError

from .faults import Faults

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT = 5.0  # seconds for a connection
MOST = 10  # connections of a process
_DOWN = 0.2  # seconds that a call waits for a server that was not there a moment ago
_TRY_AGAIN = 0.5  # seconds between two attempts to connect

# A server that is gone without a word is noticed after about ten seconds. What the URL says stands over it.
_DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "fallback_application_name": "wixhttp",
    "client_encoding": "UTF8",
}

# What is asked often is prepared: to plan these statements takes longer than to run them.
_OPTIONS = {"autocommit": True, "prepare_threshold": 5, "cursor_factory": psycopg.RawCursor}

# What else than a lost connection says that the database does not do its work: no right, no schema, a standby.
_READ_ONLY = "25006"
_NOT_NOW = ("42501", "3F000", _READ_ONLY)
_DAMAGED = ("XX001", "XX002")  # a file, or an index
_LASTING = (
    "53100",
    "58030",
    "58P01",
    *_NOT_NOW,
    *_DAMAGED,
)  # a full disk, one that cannot be read, a file that is gone
_INTERNAL = ("XX000", "25P03", "25P04")  # such as a row that cannot be put together; the server's own time-outs

_left_behind: list[object] = []  # pools of the process that this one was forked from: never to be closed here


class PostgresConnections:
    """The connections of a store: `MOST` at most, opened when they are needed, none shared over a fork."""

    def __init__(self, url: str) -> None:
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:  # its text may hold the password
            raise ConfigError(
                "database_url is no URL of PostgreSQL; write postgresql://user:password@host:5432/database, "
                "with what is neither letter nor digit in the password percent-encoded"
            ) from None
        self._conninfo = conninfo.make_conninfo("", **{**_DEFAULTS, **given})
        self._password = str(given.get("password") or "")
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._pool: ConnectionPool[Connection] | None = None
        self._failed = ""  # what the last attempt to connect met
        self.timeout = CONNECT_TIMEOUT
        self.faults = Faults()
        self._is_down = False  # the last attempt to connect failed for the whole time-out

    def _open(self) -> ConnectionPool[Connection]:
        if self._pid != os.getpid():
            _left_behind.append(self._pool)
            self._pid, self._pool, self._lock = os.getpid(), None, threading.Lock()
        with self._lock:
            if self._pool is None:
                log = logging.getLogger("psycopg.pool")
                if log.level == logging.NOTSET:
                    log.setLevel(logging.ERROR)  # each call that fails says so itself
                self._pool = ConnectionPool(
                    self._conninfo,
                    connection_class=_PooledConnection,
                    kwargs={**_OPTIONS, "store": self},
                    configure=_configure,
                    min_size=0,
                    max_size=MOST,
                    reconnect_timeout=0,  # who waits asks again
                    num_workers=1,
                    open=True,
                )
            return self._pool

    def note_failure(self, error: Exception) -> None:
        """Keep what an attempt to connect met, for who waits for it."""
        self._failed = str(error)

    @contextlib.contextmanager
    def use(self, timeout: float | None = None) -> Iterator[Connection]:
        """A connection in autocommit, which goes back with what was left open undone.

        Raises:
            StoreUnavailable: there is none within ``timeout`` seconds, or the database fails meanwhile. Its cause is a
                PoolTimeout in the first case.
            WixDataError: an item is too large for an index.
        """
        if timeout is None:
            timeout = min(self.timeout, _DOWN) if self._is_down else self.timeout
        try:
            pool = self._open()
            connection = self._take(pool, time.monotonic() + timeout)
            try:
                yield connection
            finally:
                _clean(connection)
                pool.putconn(connection)
        except (psycopg.Error, PoolClosed) as error:
            meaning = self._meaning(error)
            if meaning is None:
                raise
            if isinstance(meaning, StoreUnavailable) and getattr(error, "sqlstate", None) in _LASTING:
                self.faults.note(meaning)
            raise meaning from error

    def _take(self, pool: ConnectionPool[Connection], deadline: float) -> Connection:
        self._failed = ""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                self._is_down = bool(self._failed)
                reason = self._failed or f"all {MOST} connections of this process are in use"
                raise PoolTimeout(reason)
            try:
                connection = pool.getconn(min(left, _TRY_AGAIN))
            except PoolTimeout:
                continue
            if _is_alive(connection):
                self._is_down = False
                return connection
            connection.close()
            pool.putconn(connection)

    def _meaning(self, error: Exception) -> WixDataError | StoreUnavailable | None:
        """The exception that a database error becomes; ``None``: a mistake in a statement, or one to be handled."""
        if isinstance(error, errors.SerializationFailure | errors.DeadlockDetected):
            return None
        text = " ".join(str(error).split())
        if self._password:
            text = text.replace(self._password, "***")
        if isinstance(error, errors.DiskFull):
            return StoreUnavailable(f"The storage is full: nothing was written ({text}).", code="WDE0091")
        if isinstance(error, errors.ProgramLimitExceeded) and "index row" in text:
            return WixDataError(
                "WDE0109", f"The indexed fields of an item and its _id are too long: {text}.", status=413
            )
        if isinstance(error, errors.ProgramLimitExceeded):
            return WixDataError("WDE0112", f"PostgreSQL has a limit that this meets: {text}.")
        state = getattr(error, "sqlstate", None)
        if state in _DAMAGED:
            return StoreUnavailable(
                f"The database is damaged: {text}. Make a damaged index anew with REINDEX; else restore a backup."
            )
        if state in _INTERNAL and "concurrently" not in text:  # two that make the same tables at once do it again
            return StoreUnavailable(f"The database did not do it: {text}.")
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | PoolClosed) or state in _NOT_NOW:
            return StoreUnavailable(f"The database did not do it: {text}.")
        return None

    def close(self) -> None:
        """Close what is open; the next use opens anew."""
        if self._pid == os.getpid() and self._pool is not None:
            self._pool.close()
            self._pool = None


class _PooledConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that tells its store why it could not be made: the pool tells nobody but the log."""

    @classmethod
    def connect(cls, conninfo: str = "", *, store: PostgresConnections, **options: Any) -> Any:  # type: ignore[override]
        try:
            return super().connect(conninfo, **options)
        except psycopg.Error as error:
            store.note_failure(error)
            raise


def _configure(connection: Connection) -> None:
    connection.adapters.register_loader("jsonb", TextLoader)  # the text of an item is read by `values.decode`
    connection.server_cursor_factory = psycopg.RawServerCursor
    # Statements are made of many small expressions over few rows: to compile them took seconds, to run them less than
    # a millisecond.
    # A write that has returned is on disk, whatever the database or the role says: a 202 and an outcome rely on it.
    connection.execute(
        "SELECT set_config(name, CASE name WHEN 'jit' THEN 'off' ELSE 'on' END, FALSE) FROM pg_settings"
        " WHERE name = 'jit' OR (name = 'synchronous_commit' AND setting = 'off')"
    )


def _is_alive(connection: Connection) -> bool:
    """Return whether the server has not closed a connection that nobody uses: a look at the socket, no question.

    A server says nothing to who asks nothing, but that it ends.
    """
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return not poll.poll(0)
    except (psycopg.Error, OSError):
        return False


def _clean(connection: Connection) -> None:
    """Undo what was left open; a connection in the middle of something is of no use."""
    status = connection.info.transaction_status
    if status == TransactionStatus.IDLE or connection.closed:
        return
    try:
        if status == TransactionStatus.ACTIVE:
            connection.close()
        else:
            connection.rollback()
    except psycopg.Error:
        connection.close()
