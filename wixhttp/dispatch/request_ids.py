"""Request ids (``X-Request-Id``): in every answer, every problem document and every line of the log."""

from __future__ import annotations

import itertools
import os

MOST_CHARACTERS = 128  # of an id that a client or proxy sends
_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-")


class RequestIds:
    """Ids for requests: the one that a request brings, or 16 random hexadecimal digits of this process and a number."""

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._prefix = os.urandom(8).hex() + "-"
        self._number = itertools.count(1)

    def choose(self, given: str | None) -> str:
        """The id of a request: ``given``, its header X-Request-Id, where that is well-formed (at most 128 letters,
        digits, dots, dashes and underscores), else a new one."""
        if given and len(given) <= MOST_CHARACTERS and _CHARACTERS.issuperset(given):
            return given
        return f"{self._prefix}{next(self._number)}"
