"""Progress bars, on terminals only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click


@contextlib.contextmanager
def progress(label: str, length: int, shown: Callable[[], object] | None = None) -> Iterator[Callable[[int], Any]]:
    """A bar on a terminal, and nothing elsewhere; the block calls what it is given with what more is done.

    ``length`` is the number of all that is to be done, ``label`` stands before the bar, ``shown`` is written behind it.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    bar: Any = click.progressbar(
        length=length,
        label=label,
        file=sys.stderr,
        show_pos=shown is None,
        item_show_func=None if shown is None else lambda _: str(shown()),
    )
    with bar:
        yield bar.update
