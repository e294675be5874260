"""A shortage of file descriptors: each connection needs one, and a server without any can accept none."""

from __future__ import annotations

import errno
import logging
import os
import resource
import time
from collections.abc import Callable

AGAIN = 60.0  # seconds from one line about a shortage to the next
LOOK = 0.5  # seconds between two looks whether there are descriptors
QUIET = 2.0  # seconds without a shortage until it is over

_DESCRIPTORS = 65_536
_DESCRIPTORS_OF_MACOS = 10_240  # OPEN_MAX
_SERVERS = ("asyncio", "gunicorn.error")  # loggers of what accepts connections

logger = logging.getLogger("wixhttp")


def is_shortage(error: object) -> bool:
    """Return whether an error says that the process, or the whole system, has no file descriptor left."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


class DescriptorShortage:
    """Writes a line when file descriptors run out, the next not before `AGAIN` seconds, and one when it is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_look = 0.0
        self._next_line = 0.0
        self._noted_at = 0.0
        self._is_said = False

    def note(self, error: OSError) -> None:
        """Note that a connection could not be accepted, or a file not opened."""
        now = self._noted_at = self._clock()
        if now >= self._next_line:
            self._next_line, self._is_said = now + AGAIN, True
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            logger.error(
                "out of file descriptors (%s; this process may have %d): new connections wait, or are closed, until "
                "others end; raise the limit (ulimit -n, LimitNOFILE of systemd), or look for files that stay open",
                error.strerror, limit,
            )  # fmt: skip

    def look(self, descriptor: int) -> None:
        """See, once in `LOOK` seconds, whether there are file descriptors: uvloop closes connections without a word.

        ``descriptor`` is any open one, which is duplicated.
        """
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + LOOK
        try:
            os.close(os.dup(descriptor))
        except OSError as error:
            if not is_shortage(error):
                raise
            self.note(error)
        else:
            if self._is_said and now - self._noted_at >= QUIET:
                self._is_said = False
                logger.info("there are file descriptors again")


class ServerErrorFilter(logging.Filter):
    """Turns the records of servers that could not accept a connection, thousands a second, into a note of it.

    It is in place within a ``with`` block.
    """

    def __init__(self, shortage: DescriptorShortage) -> None:
        super().__init__()
        self.shortage = shortage

    def __enter__(self) -> None:
        for name in _SERVERS:
            logging.getLogger(name).addFilter(self)

    def __exit__(self, *raised: object) -> None:
        for name in _SERVERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be written: every one but those."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, OSError) or not is_shortage(error):
            return True
        if record.name == "asyncio" and not record.getMessage().startswith("socket.accept()"):
            return True  # of a task of the user's
        self.shortage.note(error)
        return False


def raise_descriptor_limit() -> None:
    """Let the process have as many connections as the system allows; the usual limit of 1024 is for select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft == resource.RLIM_INFINITY:
        return
    for limit in (wanted, _DESCRIPTORS_OF_MACOS):
        if soft < limit:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            except (ValueError, OSError):  # more than the system has for a process, whatever its hard limit says
                continue
        return
