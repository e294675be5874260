"""The body of a request while it arrives: in memory, or, where it is long and may be, in a file without a name.
And the error for one that is too large (413)."""

from __future__ import annotations

import tempfile
import threading
from contextlib import suppress
from typing import BinaryIO

from wixhttp.errors import HTTPError
from wixhttp.measurements import counted

SPOOL_SIZE = 1_048_576
"""Bytes of a body that are kept in memory before it is put into a file."""

LINGER = 2.0
"""Seconds in which what follows a refused request is read and dropped, so that its sender reads the answer."""

LEAST_RATE = 240
"""Bytes per second that a body comes with at least, on average, once `RATE_GRACE` is over: as Kestrel's
``MinRequestBodyDataRate`` has it by default."""

RATE_GRACE = 5.0
"""Seconds in which a body may come as slowly as it will (Kestrel, ``MinDataRate.GracePeriod``)."""

_MOST_PARTS = 512  # that are kept apart: each takes some 40 bytes beside its own, and a client may send single bytes


def too_large(max_body: int) -> HTTPError:
    """The error for a body of more than ``max_body`` bytes: 413."""
    counted("limit_hit", limit="body")
    return HTTPError(413, f"The body is larger than {max_body} bytes.")


def body_due(started: float, size: int) -> float:
    """The time by which a body that began at ``started`` has to be longer than ``size`` bytes, or it is too slow.

    >>> body_due(100.0, 0), body_due(100.0, 2400)
    (105.0, 110.0)
    """
    return started + max(RATE_GRACE, size / LEAST_RATE)


class SpooledBody:
    """A long body in a file: ``file``, at its beginning, of ``size`` bytes. The caller closes the file."""

    __slots__ = ("file", "size")

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size

    def __len__(self) -> int:
        return self.size


class BodyBuffer:
    """The parts of a body as they arrive: ``size`` bytes so far. With ``spools`` it may be put into a file.

    ``close`` may be called while another thread is in ``spool``; all else is called by one at a time.
    """

    __slots__ = ("_closed", "_file", "_joined", "_parts", "_spooled", "_writing", "size", "spools")

    def __init__(self, *, spools: bool) -> None:
        self.spools = spools
        self.size = 0
        self._spooled = 0
        self._parts: list[bytes] = []
        self._joined = bytearray()  # what came before them
        self._file: BinaryIO | None = None
        self._writing = threading.Lock()
        self._closed = False

    def add(self, part: bytes) -> bool:
        """Add a part. Return whether so much is in memory that it is time for `spool`."""
        parts = self._parts
        parts.append(part)
        self.size += len(part)
        if len(parts) == _MOST_PARTS:
            self._joined += b"".join(parts)
            parts.clear()
        return self.spools and self.size - self._spooled >= SPOOL_SIZE

    def spool(self) -> None:
        """Write what is in memory to the file. Blocks on the disk. Does nothing once the buffer is closed.

        Raises:
            HTTPError: 507 where the disk is full or cannot be written.
        """
        data = self._take()
        try:
            with self._writing:
                self._write(data)
        except OSError as error:
            if self._closed:
                return
            self.close()
            reason = f"the body of a request cannot be put into a file in {tempfile.gettempdir()}: {error}"
            raise HTTPError(507, "The body is too large for this server now.", reason=reason) from error
        finally:
            if self._closed:
                self.close()

    def _write(self, data: bytes) -> None:
        if self._closed:
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`, or by the caller of `end`
        self._file.write(data)

    def end(self) -> bytes | SpooledBody:
        """Return the whole body; the caller owns the file of a spooled one."""
        if self._file is None:
            return self._take()
        self.spool()
        file, self._file = self._file, None
        file.seek(0)
        return SpooledBody(file, self.size)

    def _take(self) -> bytes:
        """Return what is in memory, and forget it."""
        parts, joined = self._parts, self._joined
        self._parts, self._joined, self._spooled = [], bytearray(), self.size
        if joined:
            return b"".join((joined, *parts))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file, unless `end` has handed it on. Never blocks: a `spool` under way closes it when it ends."""
        self._closed = True
        if not self._writing.acquire(blocking=False):
            return
        try:
            file, self._file = self._file, None
            if file is not None:
                with suppress(OSError):  # closing flushes, which a full disk refuses once more
                    file.close()
        finally:
            self._writing.release()
