"""Counters by key, each for its window of time, in memory that a process shares with all that it forks.

The table has a fixed size: a bucket of places is chosen by a keyed hash of the counter's key. Where a bucket is full,
the counter whose window ends first makes room, so that many clients cost no memory, and only ever count too low.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import struct
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from typing import TypeVar

BUCKETS = 16_384
PLACES = 16
"""Counters in one bucket."""
MOST = 2**32 - 1
"""The number at which a counter stops."""

_BUCKET = struct.Struct(f"={PLACES}Q{PLACES}d{PLACES}I")  # fingerprints, ends of windows, numbers
_FINGERPRINT, _END, _NUMBER = struct.Struct("=Q"), struct.Struct("=d"), struct.Struct("=I")
_ENDS_AT = PLACES * _FINGERPRINT.size
_NUMBERS_AT = _ENDS_AT + PLACES * _END.size
_HASHED = struct.Struct("=QQ")
_Result = TypeVar("_Result")
_LONGEST_WAIT = 1.0  # seconds for a lock: whoever holds it longer was stopped while it counted
_TRIES, _PAUSE = 50, 0.0005  # tries to take a lock that only let others run, and seconds between those after them


class CounterTable:
    """The table. With ``is_shared`` processes that were forked since it was made count in it together; a process that
    is killed while it counts leaves no lock behind.

    Windows end by the monotonic clock of the machine, so that no change of the time lengthens one.
    """

    def __init__(self, buckets: int = BUCKETS, *, is_shared: bool = True) -> None:
        self._buckets = buckets
        self._memory = mmap.mmap(-1, buckets * _BUCKET.size)
        self._file = _lock_file() if is_shared else None
        if self._file is not None:
            weakref.finalize(self, os.close, self._file).atexit = False
        self._threads = threading.Lock()  # locks of a file are the process's: its threads share them
        self._secret = os.urandom(16)  # nobody can aim at the bucket of another client

    def hit(self, key: str, seconds: float, amount: int = 1) -> tuple[int, float]:
        """Add ``amount`` to the counter of a key, whose window of so many ``seconds`` begins with the first hit. Its
        number, and the seconds until the window ends."""
        fingerprint, bucket = self._place_of(key)
        return self._locked(bucket, lambda offset: self._hit(offset, fingerprint, seconds, amount))

    def get(self, key: str) -> tuple[int, float]:
        """The number of a counter, and the seconds until its window ends: 0 and 0 for none."""
        fingerprint, bucket = self._place_of(key)
        return self._locked(bucket, lambda offset: self._get(offset, fingerprint))

    # --- one bucket, locked ---

    def _hit(self, offset: int, fingerprint: int, seconds: float, amount: int) -> tuple[int, float]:
        now = time.monotonic()
        values = _BUCKET.unpack_from(self._memory, offset)
        place = _find(values, fingerprint)
        if place >= 0 and values[PLACES + place] > now:
            number: int = min(values[2 * PLACES + place] + amount, MOST)
            _NUMBER.pack_into(self._memory, offset + _NUMBERS_AT + place * _NUMBER.size, number)
            return number, values[PLACES + place] - now
        if place < 0:
            place = values.index(min(values[PLACES : 2 * PLACES]), PLACES, 2 * PLACES) - PLACES
        self._write(offset, place, fingerprint, now + seconds, amount)
        return amount, seconds

    def _get(self, offset: int, fingerprint: int) -> tuple[int, float]:
        values = _BUCKET.unpack_from(self._memory, offset)
        place = _find(values, fingerprint)
        left = values[PLACES + place] - time.monotonic() if place >= 0 else 0.0
        return (values[2 * PLACES + place], left) if left > 0 else (0, 0.0)

    def _write(self, offset: int, place: int, fingerprint: int, end: float, number: int) -> None:
        _FINGERPRINT.pack_into(self._memory, offset + place * _FINGERPRINT.size, fingerprint)
        _END.pack_into(self._memory, offset + _ENDS_AT + place * _END.size, end)
        _NUMBER.pack_into(self._memory, offset + _NUMBERS_AT + place * _NUMBER.size, number)

    # --- places and locks ---

    def _place_of(self, key: str) -> tuple[int, int]:
        """The fingerprint of a key, never 0, and its bucket."""
        hashed = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16, key=self._secret).digest()
        fingerprint: int
        number: int
        fingerprint, number = _HASHED.unpack(hashed)
        return fingerprint or 1, number % self._buckets

    def _locked(self, bucket: int, work: Callable[[int], _Result]) -> _Result:
        """Do ``work`` on a bucket, which no other thread or process works on meanwhile.

        The lock of threads is held for moments in which nothing waits, so that greenlets cannot block each other.
        """
        offset = bucket * _BUCKET.size
        if self._file is None:
            with self._threads:
                return work(offset)
        deadline = 0.0
        tries = 0
        while True:
            with self._threads:
                if _take(self._file, bucket):
                    try:
                        return work(offset)
                    finally:
                        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, bucket)
                if deadline and time.monotonic() > deadline:
                    return work(offset)
            deadline = deadline or time.monotonic() + _LONGEST_WAIT
            time.sleep(0 if tries < _TRIES else _PAUSE)
            tries += 1


def _find(values: tuple[float, ...], fingerprint: int) -> int:
    try:
        return values.index(fingerprint, 0, PLACES)
    except ValueError:
        return -1


def _take(file: int, bucket: int) -> bool:
    """Take the lock of a bucket, unless another process has it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, bucket)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        return False
    return True


def _lock_file() -> int:
    """A file that has no name, for locks of ranges of its bytes: in memory where the system can, so that nothing has to
    be writable."""
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create("wixhttp-counters")
        except OSError:  # a sandbox forbids it
            pass
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


_shared: CounterTable | None = None


def share() -> None:
    """Let this process and all that it forks count together."""
    global _shared  # noqa: PLW0603  # memory that forks share is the process's, as they are
    _shared = CounterTable()


def shared() -> CounterTable | None:
    """The table that `share` made, in this process or in the one that it was forked from."""
    return _shared
