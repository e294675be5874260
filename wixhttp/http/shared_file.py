"""A file with several readers, each of which has its own place in it: the body of a request, the files of a form."""

from __future__ import annotations

import threading
import weakref
from typing import BinaryIO

Bytes = bytes
"""``bytes`` under another name, for classes that have a reader ``bytes()``."""


class SharedFile:
    """A file that several readers read, each from its own place; closed when the last of them goes."""

    __slots__ = ("__weakref__", "_lock", "file")

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._lock = threading.Lock()
        weakref.finalize(self, file.close)  # a __del__ could come after the file's own, which warns

    def read_at(self, position: int, size: int) -> bytes:
        """At most ``size`` bytes from ``position`` on; all of them for -1."""
        with self._lock:
            self.file.seek(position)
            return self.file.read(size)


class Window:
    """A reader of the bytes of a shared file from ``start`` on; ``size`` of them, or all for -1."""

    __slots__ = ("_end", "_file", "_position")

    def __init__(self, file: SharedFile, start: int = 0, size: int = -1) -> None:
        self._file = file
        self._position = start
        self._end = -1 if size < 0 else start + size

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, all that are left for -1; ``b""`` at the end."""
        if self._end >= 0:
            left = self._end - self._position
            size = left if size < 0 else min(size, left)
        data = self._file.read_at(self._position, size)
        self._position += len(data)
        return data
