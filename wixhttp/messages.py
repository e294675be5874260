"""Parts of error messages: the known name nearest to a wrong one, and a value in few characters.

Private: public import paths are listed in ``docs/architecture.md``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(key: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown ``key``: the known key most like it, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(key, names, 1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"


def brief(value: object) -> str:
    """The ``repr`` of a value in at most 80 characters; of a longer one the beginning and ``...``."""
    if type(value) is str:
        value = value[:80]  # its repr is longer still, so the end tells
    made = repr(value)
    return made if len(made) <= 80 else made[:77] + "..."
