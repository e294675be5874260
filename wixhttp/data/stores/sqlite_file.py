"""The files of an embedded database, and the ways in which they go away under a process that has them open.

SQLite looks at the names of its files when it opens them, and never again: what is written to a file that was deleted
or replaced is lost. Nothing here opens the database file but through SQLite: to close it would drop the locks of the
process's connections (https://sqlite.org/howtocorrupt.html).
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import apsw

from wixhttp.errors import StoreUnavailable
from wixhttp.project.opened_database import FileId

LOG_BEGINNINGS = (b"", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""The first bytes of a write-ahead log, which may be empty (https://sqlite.org/fileformat2.html#walformat)."""


class DatabaseFiles(NamedTuple):
    """The ids of a database, of its write-ahead log and of the log's shared index; ``None`` for one that is absent."""

    database: FileId
    log: FileId | None
    shared_index: FileId | None


def file_id(path: str) -> FileId | None:
    """The id of the file that ``path`` names now."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class NamedFiles:
    """The files that stand at the names of a database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database, self._log, self._index = str(path), f"{path}-wal", f"{path}-shm"

    def now(self) -> DatabaseFiles | None:
        """The files that are there now; ``None`` where the database is not.

        Raises:
            OSError: nobody can tell: a folder may not be read.
        """
        database = file_id(self._database)
        return None if database is None else DatabaseFiles(database, file_id(self._log), file_id(self._index))

    def gone(self) -> StoreUnavailable:
        """The error for a database that is not there any more."""
        return StoreUnavailable(
            f"The database {self._database!r} is gone: it was deleted or moved while it was in use. Nothing is read or"
            " written until it is back, or a backup of it is in its place; a restart of the server begins an empty one."
        )

    def moved(self) -> StoreUnavailable:
        """The error for a call during which the files changed."""
        return StoreUnavailable(
            f"A file of the database {self._database!r} was deleted or replaced during this call; nothing that it wrote"
            " counts as written."
        )

    def check_replacement(self) -> None:
        """See that the file is a whole database of collections, without its log and without locks.

        Raises:
            StoreUnavailable: it is none: another file, an empty one, or a copy that is under way.
        """
        fault = "it has no collections"
        try:
            uri = f"file:{quote(self._database)}?immutable=1"
            connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            try:
                size = connection.pragma("page_count") * connection.pragma("page_size")
                if os.stat(self._database).st_size < size:
                    fault = f"it is shorter than the {size} bytes that its header says"
                elif connection.table_exists(None, "wixhttp_collections"):
                    return
            finally:
                connection.close()
        except (apsw.Error, OSError) as error:
            fault = str(error)
        raise StoreUnavailable(
            f"The database {self._database!r} was replaced, while it was in use, by a file that is no whole database of"
            f" collections: {fault}. Nothing is read or written until a whole one is in its place."
        )

    def remove_index(self) -> None:
        """Remove the index of a log that nobody is to use any more; it holds nothing of its own, and is made anew."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._index)

    def put_log_aside(self) -> str:
        """Rename the log of a database that is not there any more, which would be read into the one that is; the name
        that it has then."""
        kept = f"{self._log}.{time.strftime('%Y%m%dT%H%M%S')}"
        os.replace(self._log, kept)
        self.remove_index()
        return kept


def saves_log(connection: apsw.Connection) -> bool:
    """Write the log of a connection into its database; false where that fails: others still read an earlier state, or
    the disk is full."""
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error:
        return False
    return True
