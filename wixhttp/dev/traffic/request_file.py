"""The SQLite file of kept requests: opened, checked, set aside where it is damaged, and kept small."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sqlite3
from pathlib import Path

from wixhttp.data.stores.private_files import create_private

from .request_rows import CREATE, READ, VERSION

NAME = "requests.sqlite3"
_SPARE = 4_000_000  # bytes of free pages that the file may have
_LOG_SIZE = 4_000_000  # bytes that the database's log keeps when it is empty
_PATIENCE = 5.0  # seconds for another process that writes

logger = logging.getLogger("wixhttp")


class Damaged(Exception):
    """A file that is not one of kept requests, or not one of this version."""


class RequestFile:
    """Connections to the file at ``path``, one that writes and one that reads; one for both in memory, where ``path``
    is ``None``."""

    def __init__(self, path: Path | None, writing: sqlite3.Connection, reading: sqlite3.Connection) -> None:
        self.path = path
        self.writing = writing
        self.reading = reading

    @classmethod
    def open(cls, folder: Path, *, suspect: bool = False) -> RequestFile:
        """The file of a folder; both are made where they are missing. One that is damaged is set aside: every page of
        it is looked at where it is ``suspect``.

        Raises:
            OSError, sqlite3.DatabaseError: it can be neither opened nor made.
        """
        folder.mkdir(exist_ok=True)  # without its parents: a project that was moved is not made again
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")
        path = folder / NAME
        try:
            return cls._opened(path, suspect)
        except Damaged as error:
            reason: object = error
        except sqlite3.OperationalError:
            if path.is_file():
                raise
            reason = "it is no file"
        except sqlite3.DatabaseError as error:
            reason = error
        aside = _set_aside(path)
        logger.warning("the kept requests in %s cannot be read (%s); they are now in %s", path, reason, aside)
        return cls._opened(path, suspect=False)

    @classmethod
    def _opened(cls, path: Path, suspect: bool) -> RequestFile:
        create_private(path)
        writing = _connect(str(path))
        try:
            _prepare(writing, suspect)
            reading = _connect(str(path))
        except BaseException:
            writing.close()
            raise
        return cls(path, writing, reading)

    @classmethod
    def in_memory(cls) -> RequestFile:
        """A new one in memory."""
        connection = _connect(":memory:")
        _prepare(connection, suspect=False)
        return cls(None, connection, connection)

    def copy(self, other: RequestFile) -> None:
        """Take over what another one holds."""
        other.reading.backup(self.writing)

    def give_back(self, at_least: int = _SPARE) -> None:
        """Make the file smaller where more than so many bytes of it are free."""
        connection = self.writing
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        if free * 4096 > at_least:
            connection.executescript("PRAGMA incremental_vacuum")  # `execute` would give back one page
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the connections."""
        for connection in (self.reading, self.writing):
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _connect(name: str) -> sqlite3.Connection:
    """A connection for any thread: whoever uses it holds the lock of the store."""
    return sqlite3.connect(name, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, suspect: bool) -> None:
    """Set a connection up, and make the tables of a new file.

    Raises:
        Damaged, sqlite3.DatabaseError: it is another file.
    """
    execute = connection.execute
    execute("PRAGMA page_size = 4096")
    execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
    execute("PRAGMA journal_mode = WAL").fetchall()
    execute("PRAGMA synchronous = OFF")  # what a power cut damages is set aside
    execute(f"PRAGMA journal_size_limit = {_LOG_SIZE}").fetchall()
    execute("BEGIN IMMEDIATE")
    try:
        (version,) = execute("PRAGMA user_version").fetchone()
        if version == 0 and execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            execute(CREATE)
            execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise Damaged(f"version {version} of its tables, not {VERSION}")
        execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            execute("ROLLBACK")
        raise
    try:
        execute(f"{READ} ORDER BY id DESC LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        raise Damaged(str(error)) from None
    if suspect and (told := execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise Damaged(told)


def _set_aside(path: Path) -> Path:
    """Rename a file, or whatever stands in its place, and return its new name.

    Raises:
        OSError: it cannot be renamed.
    """
    names = (path.with_name(f"requests.damaged-{number}.sqlite3") for number in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    for ending in ("-wal", "-shm"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + ending).unlink()
    return aside
