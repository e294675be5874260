"""Files and folders that have another name until they are whole: errors name what they are to become."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def named_as(path: Path, unfinished: Path) -> Iterator[None]:
    """Let an OSError of this block that names ``unfinished``, a name that begins so, or a file in it, name ``path``."""
    try:
        yield
    except OSError as error:
        name = str(error.filename)
        if name.startswith(str(unfinished)):
            rest = name[len(str(unfinished)) :]
            error.filename = str(path) + (rest if rest.startswith(os.sep) else "")
            error.filename2 = None
        raise
