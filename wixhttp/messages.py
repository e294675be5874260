"""Parts of error messages: the known name nearest to a wrong one, and a value in few characters.

Private: public import paths are listed in ``docs/architecture.md``.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Union

Place = Union[str, tuple["Place", "str | int"]]  # noqa: UP007  # it names itself
"""Where a part of a value stands: how the value is named, or a place and the key or index of the part in it. It becomes
text in an error alone: it may be as long as the value, and each part has one."""


def nearest(key: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown ``key``: the known key most like it, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(key, names, 1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"


def brief(value: object) -> str:
    """The ``repr`` of a value in at most 80 characters; of a longer or a deep one the beginning and ``...``."""
    if type(value) is str:
        value = value[:80]  # its repr is longer still, so the end tells
    made = _shorter.repr(value)
    return made if len(made) <= 80 else made[:77] + "..."


def cut(text: str, most: int) -> str:
    """A text, of one longer than ``most`` its beginning and its length.

    >>> cut("abc", 3), cut("abcd", 3)
    ('abc', 'abc... (4 characters)')
    """
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def no_attribute(owner: object, name: str, remedy: str) -> AttributeError:
    """The error for an attribute of an object whose parts are keys; ``remedy`` is what to write."""
    kind = type(owner).__name__
    return AttributeError(f"{kind} has no attribute {name!r}: its parts are keys, write {remedy}", name=name, obj=owner)


def place_text(place: Place) -> str:
    """A place as it is written in Python, ``cart.items[3]``, in at most 200 characters.

    >>> place_text((((("the cart"), "items"), 3), "id")), place_text(("", "id"))
    ('the cart.items[3].id', 'id')
    """
    steps: list[str] = []
    while not isinstance(place, str):
        place, step = place
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step[:80]}")
    text = place + "".join(reversed(steps[-100:]))
    text = text if place else text.removeprefix(".")
    return text if len(text) <= 200 else text[:200] + "..."


class _Shorter(reprlib.Repr):
    """``repr`` of a bounded depth: that of Python fails on what is deeper than its stack."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 10
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 40
        self.maxstring = self.maxlong = self.maxother = 100

    def repr_int(self, x: int, level: int) -> str:
        """The text of a whole number; of one with more digits than Python prints, its size."""
        return repr(x) if x.bit_length() < 1000 else f"a whole number of {x.bit_length()} bits"


_shorter = _Shorter()
