"""Folders of a project, walked: links are followed, and round in circles nobody is led."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator


def files_below(
    root: str, *, is_hidden: Callable[[str], bool], is_followed: Callable[[str], bool] = lambda _: True
) -> Iterator[str]:
    """The paths of all files below a folder, relative to it, with ``/`` between names, sorted within each folder. Names
    that are hidden are left out. What is a link to nothing, or to a folder that is not followed there (``is_followed``
    is given its real path), is taken for a file.

    Raises:
        OSError: a folder cannot be read, or is linked from below itself (``ELOOP``).
    """
    yield from _below(root, "", (os.path.realpath(root),), is_hidden, is_followed)


def _below(
    folder: str,
    prefix: str,
    above: tuple[str, ...],
    is_hidden: Callable[[str], bool],
    is_followed: Callable[[str], bool],
) -> Iterator[str]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if not os.path.isdir(entry.path):  # of a link to itself the entry's own method raises
            yield prefix + entry.name
            continue
        real = os.path.realpath(entry.path)
        if real in above:
            raise OSError(errno.ELOOP, "the folder is linked from below itself; remove the link", entry.path)
        if not is_followed(real):
            yield prefix + entry.name
            continue
        yield from _below(entry.path, f"{prefix}{entry.name}/", (*above, real), is_hidden, is_followed)
