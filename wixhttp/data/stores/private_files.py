"""Files that hold users' data: made for their owner alone (mode 0600), whatever the umask."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600


def new_private_file(path: Path) -> BinaryIO:
    """A new file, opened to be written.

    Raises:
        FileExistsError: it is there.
        OSError: it cannot be made.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE), "wb")


def create_private(path: Path) -> None:
    """Make an empty file; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        new_private_file(path).close()


def is_readable_by_all(path: Path) -> bool:
    """Return whether every user of the machine may read or write a file; false where there is none."""
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & (stat.S_IROTH | stat.S_IWOTH))
    except OSError:
        return False
