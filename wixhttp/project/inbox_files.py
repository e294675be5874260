"""Files of a project that may have deferred work, jobs or schedules: found by their text, before any is imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .loader import PACKAGE

JOBS_CONFIG = f"{PACKAGE}/jobs.config"
"""The file in which Velo schedules functions."""


def uses_inbox(root: Path) -> bool:
    """Return whether a project may have deferred work, jobs or schedules in ``backend``."""
    return (root / JOBS_CONFIG).exists() or next(files_using_inbox(root), None) is not None


def files_using_inbox(root: Path) -> Iterator[Path]:
    """The modules below ``backend`` whose text names the package and the inbox, in order."""
    for file in sorted((root / PACKAGE).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        is_module = file.name != "__main__.py" and "node_modules" not in parts and all(map(str.isidentifier, parts))
        if is_module and file.is_file():
            text = file.read_bytes()
            if b"wixhttp" in text and b"inbox" in text:
                yield file
