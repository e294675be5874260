"""The meaning of every error of SQLite, for the caller and for readiness, in one table."""

from __future__ import annotations

import errno
from enum import Enum
from pathlib import Path

import apsw

from wixhttp.errors import StoreUnavailable, WixDataError


class Meaning(Enum):
    """The meaning of an error: whose it is, and whether the process can serve after it."""

    CLIENT = "the item is refused; a WixDataError"
    BUSY = "try again: 503, and ready"
    REFUSED = "the file or its disk refuses: 503, and not ready until a write succeeds"
    FULL = "the disk is full: 503 with WDE0091, and not ready until a write succeeds"
    DAMAGED = "the file is damaged: 503, no writes, and not ready until an integrity check passes"
    BUG = "a mistake of this package: raised as it is, 500"


# Every primary result code of https://sqlite.org/rescode.html that is an error.
MEANINGS: dict[type[Exception], Meaning] = {
    apsw.SQLError: Meaning.BUG,  # SQLITE_ERROR; once it is retried, as others may have changed the tables
    apsw.InternalError: Meaning.BUG,
    apsw.PermissionsError: Meaning.REFUSED,  # SQLITE_PERM
    apsw.AbortError: Meaning.BUSY,  # a statement whose transaction was rolled back
    apsw.BusyError: Meaning.BUSY,
    apsw.LockedError: Meaning.BUSY,
    apsw.NoMemError: Meaning.BUSY,
    apsw.ReadOnlyError: Meaning.REFUSED,
    apsw.InterruptError: Meaning.BUSY,
    apsw.IOError: Meaning.REFUSED,
    apsw.CorruptError: Meaning.DAMAGED,
    apsw.NotFoundError: Meaning.BUG,  # an unknown operation of a VFS
    apsw.FullError: Meaning.FULL,
    apsw.CantOpenError: Meaning.REFUSED,
    apsw.ProtocolError: Meaning.BUSY,  # the locks of the write-ahead log could not be had
    apsw.EmptyError: Meaning.BUG,  # not used by SQLite
    apsw.SchemaChangeError: Meaning.BUSY,  # others changed the tables too often meanwhile
    apsw.TooBigError: Meaning.CLIENT,
    apsw.ConstraintError: Meaning.BUG,  # the expected ones are handled where they arise
    apsw.MismatchError: Meaning.BUG,
    apsw.MisuseError: Meaning.BUG,
    apsw.NoLFSError: Meaning.REFUSED,  # a file of this size cannot be on this system
    apsw.AuthError: Meaning.BUG,
    apsw.FormatError: Meaning.BUG,  # not used by SQLite
    apsw.RangeError: Meaning.BUG,
    apsw.NotADBError: Meaning.DAMAGED,
}

# Extended result codes that mean something else than their primary code.
_EXTENDED: dict[int, Meaning] = {
    apsw.SQLITE_IOERR_SHORT_READ: Meaning.DAMAGED,  # the file ends before what it is to hold
    apsw.SQLITE_IOERR_CORRUPTFS: Meaning.DAMAGED,
    apsw.SQLITE_IOERR_DATA: Meaning.DAMAGED,
    apsw.SQLITE_IOERR_NOMEM: Meaning.BUSY,
}

LASTING = (Meaning.REFUSED, Meaning.FULL, Meaning.DAMAGED)
"""The meanings that make a process not ready."""

SPOILING = (Meaning.REFUSED, Meaning.DAMAGED)
"""The meanings after which a connection is not used again: its pages in memory may be wrong."""

UNDOING = tuple(kind for kind, meaning in MEANINGS.items() if meaning in (Meaning.BUSY, *LASTING))
"""The errors that undo a whole transaction, whoever met them."""


def meaning_of(error: BaseException) -> Meaning:
    """The meaning of an error that a call of the database, or of the system on its files, raised."""
    if isinstance(error, OSError):
        return Meaning.FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else Meaning.REFUSED
    extended = getattr(error, "extendedresult", None)  # of those that SQLite gave
    if extended in _EXTENDED:
        return _EXTENDED[extended]
    return next((meaning for kind, meaning in MEANINGS.items() if isinstance(error, kind)), Meaning.BUG)


def store_error(error: BaseException, path: Path) -> StoreUnavailable | WixDataError | None:
    """The exception of an error for the caller; ``None`` for a mistake of this package."""
    meaning = meaning_of(error)
    if isinstance(error, UnicodeDecodeError) or (isinstance(error, apsw.SQLError) and "malformed JSON" in str(error)):
        # Text and JSON are checked when they are written.
        return StoreUnavailable(f"An item in {str(path)!r} is damaged ({error}). List all faults: wixhttp data check")
    if meaning is Meaning.BUG:
        return None
    if meaning is Meaning.CLIENT:
        return WixDataError("WDE0109", f"The item is larger than the database takes: {error}.", status=413)
    if meaning is Meaning.FULL:
        return StoreUnavailable(
            f"The storage of {str(path)!r} is full: nothing was written ({error}). Make room on its disk.",
            code="WDE0091",
        )
    if meaning is Meaning.DAMAGED:
        return damaged(path, str(error))
    if meaning is Meaning.REFUSED:
        return StoreUnavailable(
            f"The database {str(path)!r} cannot be read or written: {error}."
            " Look at the rights of the file and its folder, and at its disk."
        )
    return StoreUnavailable(f"The database did not do it: {error}.")


def damaged(path: Path, fault: str) -> StoreUnavailable:
    """The error of a damaged database; it names the files and the way out."""
    return StoreUnavailable(
        f"The database {str(path)!r}, or its log {path.name}-wal, is damaged: {fault}. Stop the server, list the faults"
        " with 'wixhttp data check', and put a backup in the place of the database, without the log."
    )
