"""The values that the workers of a server count in files: those of prometheus-client's multiprocess mode, without what
could end a worker.

The library writes in memory that is mapped to its files, and makes these larger without asking for their blocks: where
the disk is full, the next write is a SIGBUS. Here the blocks are there before the library makes or grows a file.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.mmap_dict import mmap_key
from prometheus_client.values import MultiProcessValue

_FIRST = 1 << 16  # bytes of a new file, as the library makes it; it doubles them
_LONGEST = 1 << 15  # bytes of a value with its name and labels: one doubling has always room for it
_ROUNDING = 32  # bytes of a value beside its name and labels, at most
_HEAD = 8  # bytes before the values
_ZEROS = bytes(_FIRST)

logger = logging.getLogger("wixhttp")


class SharedValues:
    """The maker of the values of this process, in files of ``folder`` that have ``name()`` in their own.

    ``is_on``: they count. Else, and where there is no room for one, it counts nothing, for as long as the process
    lives: it is better to serve without numbers than not to serve.
    """

    def __init__(self, folder: Path, name: Callable[[], str]) -> None:
        self.is_on = True
        self.has_room = True
        self._folder = folder
        self._name = name
        self.begin_in_child()
        self.value_class = _value_class(self, MultiProcessValue(name))  # type: ignore[no-untyped-call]

    def begin_in_child(self) -> None:
        """Have no lock that a thread of the parent may hold."""
        self.lock = threading.Lock()

    def note_full(self, error: Exception) -> None:
        """Say that there is no room, once."""
        if self.has_room:
            self.has_room = False
            logger.warning(
                "metrics: there is no room in %s for more numbers (%s), and this process does not count what is new; "
                "make room there, or bound the labels of your own metrics, and restart the server",
                self._folder, getattr(error, "strerror", None) or error,
            )  # fmt: skip

    def reserve(self, kind: str, size: int) -> None:
        """Have room for so many bytes more in the file of a kind of values.

        Raises:
            OSError: there is none.
        """
        path = self._folder / f"{kind}_{self._name()}.db"
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            _make(path, size)
            return
        try:
            _extend(file, max(int.from_bytes(os.pread(file, 4, 0), sys.byteorder), _HEAD) + size)
        finally:
            os.close(file)

    def enter(self, before: str) -> None:
        """Count in files of another name from now on, with what was made in those of the name ``before``: the library
        makes it anew. Count nothing where there is no room for that."""
        try:
            for path in self._folder.glob(f"*_{before}.db"):
                self.reserve(path.name.removesuffix(f"_{before}.db"), path.stat().st_size)
        except OSError as error:
            self.is_on = False
            self.note_full(error)


def _value_class(shared: SharedValues, base: Any) -> Any:
    class SharedValue(base):  # type: ignore[misc]  # a class that the library makes at run time
        def __init__(
            self, typ: str, metric_name: str, name: str, labelnames: Any, labelvalues: Any, help_text: str,
            multiprocess_mode: str = "", **options: Any,
        ) -> None:  # fmt: skip
            self._is_counted = False
            if not shared.is_on:
                return
            size = len(mmap_key(metric_name, name, labelnames, labelvalues, help_text)) + _ROUNDING
            with shared.lock:
                try:
                    if size > _LONGEST:
                        raise OSError(
                            errno.EMSGSIZE, f"{metric_name} has a number with {size} bytes of name and labels"
                        )
                    shared.reserve(f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ, size)
                    super().__init__(
                        typ, metric_name, name, labelnames, labelvalues, help_text, multiprocess_mode, **options
                    )
                except Exception as error:  # noqa: BLE001  # whatever it is, requests are answered
                    shared.note_full(error)
                else:
                    self._is_counted = True

        def inc(self, amount: float) -> None:
            if self._is_counted and shared.is_on:
                super().inc(amount)

        def set(self, value: float, timestamp: float | None = None) -> None:
            if self._is_counted and shared.is_on:
                super().set(value, timestamp)

        def get(self) -> float:
            return super().get() if self._is_counted and shared.is_on else 0.0

    return SharedValue


def _make(path: Path, size: int) -> None:
    """Make a file of zeros, which is there with all of its blocks or not at all."""
    new = path.with_suffix(".new")
    file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _extend(file, size + _HEAD)
        os.rename(new, path)
    except OSError:
        os.unlink(new)
        raise
    finally:
        os.close(file)


def _extend(file: int, size: int) -> None:
    """Double the size of a file, with blocks, until it is as great; or leave it as it is."""
    before = end = os.fstat(file).st_size
    while end < max(size, _FIRST):
        end = 2 * end or _FIRST
    written = before
    try:
        while written < end:
            written += os.pwrite(file, _ZEROS[: end - written], written)
    except OSError:
        os.ftruncate(file, before)
        raise
