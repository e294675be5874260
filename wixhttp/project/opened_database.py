"""The files of the embedded database that the processes of a server have opened.

A worker that is started later, or opens the database later than others, knows by it whether the file was replaced, or
is gone. The master makes a page of memory for it before it forks; a process without one remembers for itself.
"""

from __future__ import annotations

import mmap
import struct

FileId = tuple[int, int]
"""The device and the inode of a file."""

_FORM = struct.Struct("=?5Q")

_shared: OpenedDatabase | None = None


class OpenedDatabase:
    """The ids of a database and of its write-ahead log, as they were last opened, in memory that forks share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def get(self) -> tuple[FileId, FileId | None] | None:
        """The ids of the database and of its log; ``None`` before one is opened."""
        is_opened, *numbers = _FORM.unpack_from(self._memory)
        if not is_opened:
            return None
        device, inode, has_log, log_device, log_inode = numbers
        return (device, inode), (log_device, log_inode) if has_log else None

    def set(self, database: FileId, log: FileId | None) -> None:
        """Note what was opened. One process at a time calls it."""
        _FORM.pack_into(self._memory, 0, True, *database, log is not None, *(log or (0, 0)))


def share() -> None:
    """Let this process and all that it forks know together what they opened; nothing was opened yet."""
    global _shared  # noqa: PLW0603  # memory that forks share is the process's, as they are
    _shared = OpenedDatabase()


def shared() -> OpenedDatabase | None:
    """The memory that `share` made, in this process or in the one that it was forked from."""
    return _shared
