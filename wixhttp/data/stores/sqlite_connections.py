"""The connections of a process to an embedded database, and the care that its files are still those that are open.

Before a write begins, before it is acknowledged, and before a read that comes `_TRUST` seconds after the last look, the
names of the files are compared with what is open: a file that was deleted or replaced is noticed, and nothing counts as
written that went into one. That costs a write six calls of the system, and a read next to nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from wixhttp.errors import StoreUnavailable
from wixhttp.project.opened_database import OpenedDatabase

from .faults import Faults
from .private_files import create_private, is_readable_by_all
from .sqlite_dialect import add_functions
from .sqlite_errors import LASTING, SPOILING, Meaning, damaged, meaning_of, store_error
from .sqlite_file import LOG_BEGINNINGS, DatabaseFiles, NamedFiles, file_id, saves_log

_IDLE = 8  # connections that are kept for reading
_PATIENCE = 5000  # milliseconds for a lock that somebody else's program holds
_PAUSE = 0.002  # seconds between two tries to have a lock that SQLite does not wait for
_TRUST = 0.1  # seconds for which readers take it that the files are those that they have open
_EXAMINED = 60.0  # seconds between two checks of all pages
_EXAMINATION = 0.5  # seconds that such a check takes at most; in a larger database it sees the first pages only
_STEPS = 1000  # instructions of SQLite between two looks at the time

_TABLES = """
CREATE TABLE IF NOT EXISTS wixhttp_collections (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS wixhttp_indexes (
    number INTEGER PRIMARY KEY, collection INTEGER NOT NULL, fields TEXT NOT NULL, is_unique INTEGER NOT NULL,
    UNIQUE (collection, fields, is_unique));
CREATE TABLE IF NOT EXISTS wixhttp_fields (
    number INTEGER PRIMARY KEY, collection INTEGER NOT NULL, path TEXT NOT NULL, UNIQUE (collection, path));
CREATE TABLE IF NOT EXISTS wixhttp_links (
    number INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL, field TEXT NOT NULL,
    referring TEXT NOT NULL, referenced TEXT NOT NULL, UNIQUE (collection, field, referring, referenced));
CREATE INDEX IF NOT EXISTS wixhttp_links_there ON wixhttp_links (collection, field, referring, number);
CREATE INDEX IF NOT EXISTS wixhttp_links_back ON wixhttp_links (collection, field, referenced, number);
"""

logger = logging.getLogger("wixhttp")


class SQLiteConnections:
    """The connections of one process to the database at ``path``: some that read, and one that writes.

    ``opened`` is what the server's processes know of the files together, if there is a server. ``reopened`` is called
    when other files are opened than before.
    """

    def __init__(self, path: Path, opened: OpenedDatabase | None, reopened: Callable[[], None]) -> None:
        self.path = path
        self.faults = Faults()
        self._reopened = reopened
        self._names = NamedFiles(path)
        self._shared = opened
        self._opened = opened or OpenedDatabase()
        self._files: DatabaseFiles | None = None  # those that the connections have open
        self._files_seen = -_TRUST
        self._reopening = threading.Lock()
        self._writing_thread = 0
        self._trouble = ""  # with the files, as it was logged
        self._examine_at = 0.0
        self._open: set[apsw.Connection] = set()
        self._readers: list[apsw.Connection] = []
        self._writer: apsw.Connection | None = None
        self._writer_files: DatabaseFiles | None = None
        self._lock_files: list[int] = []
        self._locks_seen = -_TRUST
        self._log_file: int | None = None  # of the connection that writes
        self._is_closed = False

    # --- the files ---

    def _see_files(self) -> None:
        """See to it that the names of the files are those of the files that are open: open what took their place.

        Raises:
            StoreUnavailable: the database is gone, or what took its place cannot be used.
        """
        now = time.monotonic()
        if now - self._files_seen < _TRUST or self._writing_thread == threading.get_ident():
            return
        try:
            if self._files is None or self._names.now() != self._files:
                with self._reopening:
                    self._reopen()
        except StoreUnavailable as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                logger.error("%s", error)
            raise
        except (apsw.Error, OSError) as error:
            raise self.failure(error) from error
        if self._trouble:
            self._trouble = ""
            logger.warning("the database %r is in use again", str(self.path))
        self._files_seen = now

    def _still(self, files: DatabaseFiles | None) -> None:
        """Raises StoreUnavailable where the names are no longer those of ``files``."""
        if files is not self._files or self._names.now() != files:
            self._files_seen = -_TRUST
            raise self._names.moved()

    def _reopen(self) -> None:
        there, mine, known = self._names.now(), self._files, self._opened.get()
        if mine is not None and there == mine:
            return
        if there is None:
            if known is not None:
                raise self._names.gone()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            create_private(self.path)
        if mine is None and (there is None or known is None or there.database == known[0]):
            self._use(there)
            if known is None and is_readable_by_all(self.path):
                logger.warning("every user of this machine may read the database; run: chmod o-rwx %s*", self.path)
            return
        with self._alone():
            there, known = self._names.now(), self._opened.get()
            if there is None:
                raise self._names.gone()
            if known is not None and there.database != known[0]:
                self._names.check_replacement()
                kept = self._names.put_log_aside() if there.log is not None and there.log == known[1] else ""
                log = f"; the log of the former one, with its last writes, is kept as {kept!r}" if kept else ""
                self.faults.forget()
                logger.warning("the database %r was replaced: the new file is in use%s", str(self.path), log)
            elif mine is not None and there.database == mine.database:
                self._let_go(mine, there)
            self._use(there)

    def _use(self, there: DatabaseFiles | None) -> None:
        """Open the files that are at the names, which were these a moment ago, and let go of those that were open."""
        made = self._connect()
        files = self._names.now()
        if files is None or (there is not None and files.database != there.database):
            self._discard(made)
            raise self._names.moved()
        left, self._readers, self._files = self._readers, [made], files
        self._opened.set(files.database, files.log)
        self._reopened()
        for each in left:
            self._discard(each)

    def _let_go(self, mine: DatabaseFiles, there: DatabaseFiles) -> None:
        """Close all connections to a database whose log, or index, was taken away: one that stayed open would share
        what is gone with those that are opened next.

        Raises:
            StoreUnavailable: some are in use.
        """
        idle = []
        while self._readers:
            idle.append(self._readers.pop())
        writer = [] if self._writer is None else [self._writer]
        is_in_use = len(self._open) > len(idle) + len(writer)
        is_whole = there.log is not None or (not is_in_use and any(saves_log(each) for each in (*idle, *writer)[:1]))
        if is_in_use or not is_whole:
            self._readers.extend(idle)
            raise StoreUnavailable(
                f"The log {f'{self.path}-wal'!r}, or its index, was deleted while it was in use; the database is opened"
                " again when the calls that read it have ended."
            )
        self._writer = None
        for each in (*idle, *writer):
            self._discard(each)
        if there.log is None:
            self._names.remove_index()
            fate = "was deleted while it was in use: its writes were saved, and a new one is made"
        elif there.log != mine.log:
            fate = "was replaced while it was in use: the one that is there now is in use"
        else:
            fate = "lost its index: it is made anew"
        logger.warning("the log %r %s", f"{self.path}-wal", fate)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the one process that opens or writes, by a lock file of one's own."""
        [lock_file] = self._open_lock_files("writer")
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock_file)

    def _open_lock_files(self, *names: str) -> list[int]:
        for name in names:
            create_private(Path(f"{self.path}-{name}"))
        return [os.open(f"{self.path}-{name}", os.O_RDWR | os.O_CLOEXEC) for name in names]

    def _locks_are_gone(self) -> bool:
        """Return whether others, who open the lock files now, would not share those of this process."""
        now = time.monotonic()
        if now - self._locks_seen < _TRUST:
            return False
        self._locks_seen = now
        here = os.fstat(self._lock_files[-1])
        return file_id(f"{self.path}-writer") != (here.st_dev, here.st_ino)

    # --- connections ---

    def _connect(self) -> apsw.Connection:
        try:
            connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                connection.set_busy_timeout(_PATIENCE)
                _write_ahead(connection)
                connection.pragma("synchronous", "full")
                connection.pragma("mmap_size", 0)
                connection.execute("SELECT 1 FROM sqlite_schema").fetchall()  # which opens the log
                add_functions(connection)
            except BaseException:
                connection.close()
                raise
        except apsw.Error as error:
            raise self.failure(error) from error
        self._open.add(connection)
        return connection

    def _connect_to(self, files: DatabaseFiles | None) -> apsw.Connection:
        """One more connection to ``files``. Raises StoreUnavailable where they are no longer there."""
        connection = self._connect()
        try:
            self._still(files)
        except OSError as error:
            self._discard(connection)
            raise self.failure(error) from error
        except BaseException:
            self._discard(connection)
            raise
        return connection

    def _discard(self, connection: apsw.Connection) -> None:
        self._open.discard(connection)
        connection.close()
        if not self._open:  # with the last connection of all processes the log goes, too
            self._files, self._files_seen = None, -_TRUST

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection to read with. Errors that are no mistake of a statement are raised as they mean."""
        self._see_files()
        readers, files = self._readers, self._files
        try:
            connection = readers.pop()
        except IndexError:
            connection = self._connect_to(files)
        is_sound = True
        try:
            yield connection
            if time.monotonic() - self._files_seen > _TRUST:  # it took long
                self._still(files)
        except (apsw.Error, UnicodeDecodeError, OSError) as error:
            is_sound = meaning_of(error) not in SPOILING
            failure = self.failure(error)
            if failure is error:
                raise
            raise failure from error
        finally:
            if is_sound and readers is self._readers and len(readers) < _IDLE and not self._is_closed:
                readers.append(connection)
            else:
                self._discard(connection)

    def failure(self, error: Exception) -> Exception:
        """The exception of an error for the caller; a fault that lasts is remembered. A mistake is itself."""
        if isinstance(error, StoreUnavailable):
            return error
        made = store_error(error, self.path)
        meaning = meaning_of(error)
        if isinstance(made, StoreUnavailable) and meaning in LASTING:
            self.faults.note(made, stops_writes=meaning is Meaning.DAMAGED)
        return error if made is None else made

    # --- writing ---

    @contextlib.contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """The connection that writes, while no other process does. Once the block has ended, what it committed is in
        the files that are there."""
        self.faults.refuse_writes()
        try:
            files = self._begin_writing()
            try:
                yield self._writer_of(files)
                if files.database != file_id(str(self.path)) or files.log != file_id(f"{self.path}-wal"):
                    self._files_seen = -_TRUST
                    raise self._names.moved()
                self._check_log()
            finally:
                self._unlock()
        except (apsw.Error, OSError) as error:
            if self._writer is not None and meaning_of(error) in SPOILING:
                writer, self._writer = self._writer, None
                self._discard(writer)
            raise
        self.faults.note_success()

    def _begin_writing(self) -> DatabaseFiles:
        """Open what writes where that is to be done, take the locks, and return the files that will be written."""
        for attempt in (1, 2):  # files that went away since the last look are noticed under the lock
            self._see_files()
            files = self._files
            if self._writer is None or self._writer_files is not files or self._locks_are_gone():
                self._open_writer(files)
            self._lock()
            try:
                self._still(files)
            except BaseException as error:
                self._unlock()
                if attempt == 2 or not isinstance(error, StoreUnavailable):
                    raise
                continue
            if files is not None:
                return files
            self._unlock()
        raise self._names.moved()

    def _writer_of(self, files: DatabaseFiles) -> apsw.Connection:
        if self._writer is None or self._writer_files is not files:  # another thread has closed it, with the files
            raise self._names.moved()
        return self._writer

    def _check_log(self) -> None:
        """See that the log begins as one: without its head all that it holds is lost.

        Raises:
            StoreUnavailable: it does not.
        """
        if self._log_file is not None and os.pread(self._log_file, 4, 0) not in LOG_BEGINNINGS:
            fault = damaged(self.path, "the log does not begin as one")
            self.faults.note(fault, stops_writes=True)
            raise fault

    def _open_writer(self, files: DatabaseFiles | None) -> None:
        """Open the connection that writes, and the lock files beside ``files``: what was open is of others."""
        self._close_writer()
        self._lock_files = self._open_lock_files("queue", "writer")
        writer = self._connect()
        try:
            self._lock()
            try:
                self._still(files)
                writer.execute(f"BEGIN IMMEDIATE; {_TABLES} COMMIT")
                if files is not None and files.log is not None:
                    self._log_file = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            finally:
                self._unlock()
        except BaseException:
            self._discard(writer)
            raise
        self._writer, self._writer_files = writer, files

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._discard(self._writer)
            self._writer = None
        if self._log_file is not None:
            os.close(self._log_file)
            self._log_file = None
        while self._lock_files:
            os.close(self._lock_files.pop())

    def _lock(self) -> None:
        """Be the one process that writes. Who is next holds the queue: nobody writes twice while others wait."""
        queue, writer = self._lock_files
        fcntl.flock(queue, fcntl.LOCK_EX)
        try:
            fcntl.flock(writer, fcntl.LOCK_EX)
        finally:
            fcntl.flock(queue, fcntl.LOCK_UN)
        self._writing_thread = threading.get_ident()

    def _unlock(self) -> None:
        self._writing_thread = 0
        fcntl.flock(self._lock_files[1], fcntl.LOCK_UN)

    # --- care ---

    def examine(self, write: Callable[[], object]) -> None:
        """See whether the database answers, and at times whether its pages are sound; ``write`` tries to write.

        Raises:
            StoreUnavailable: it does not; or a fault lasts that was met.
        """

        def look() -> None:
            if self.faults.stops_writes:
                self._check_pages(None)
            else:
                write()

        self._files_seen = -_TRUST
        self.faults.look(look)
        now = time.monotonic()
        if now < self._examine_at:
            with self.reading() as connection:
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return
        self._examine_at = now + _EXAMINED
        self._check_pages(now + _EXAMINATION)

    def _check_pages(self, deadline: float | None) -> None:
        """Read pages from the disk, all of them or until ``deadline``.

        Raises:
            StoreUnavailable: one is damaged.
        """
        self._see_files()
        connection = self._connect_to(self._files)  # with no pages in memory
        try:
            if deadline is None:
                found = connection.execute("PRAGMA integrity_check(1)").get
            else:
                connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
                found = connection.execute("PRAGMA quick_check(1)").get
        except apsw.InterruptError:  # time is up
            return
        except apsw.Error as error:
            raise self.failure(error) from error
        finally:
            self._discard(connection)
        if found != "ok":
            fault = damaged(self.path, " ".join(str(found).split()))
            self.faults.note(fault, stops_writes=True)
            raise fault

    def close(self) -> None:
        """Close everything; it may be used again."""
        self._is_closed = True
        while self._readers:
            self._discard(self._readers.pop())
        self._close_writer()
        self._files, self._files_seen = None, -_TRUST
        self._opened = self._shared or OpenedDatabase()
        self._is_closed = False

    def leave_locks(self) -> None:
        """Close the lock files in a forked process; the locks stay with the parent's."""
        for each in (*self._lock_files, *([] if self._log_file is None else [self._log_file])):
            os.close(each)


def _write_ahead(connection: apsw.Connection) -> None:
    """Have a database use a write-ahead log. SQLite's own waiting leaves this out: of processes that do so at once with
    a new database all but one are refused at once."""
    end = time.monotonic() + _PATIENCE / 1000
    while True:
        try:
            connection.pragma("journal_mode", "wal")
            return
        except apsw.BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
