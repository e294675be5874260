"""The ids of jobs: the number in the order of acceptance, and a random part that nobody guesses."""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

_ID = re.compile(r"([0-9]{1,18})-([0-9a-f]{16})")


class JobId(NamedTuple):
    """The parts of an id."""

    seq: int
    token: str

    def __str__(self) -> str:
        return f"{self.seq}-{self.token}"


def new_token() -> str:
    """The random part of a new id."""
    return secrets.token_hex(8)


def parse_ids(ids: object) -> list[JobId]:
    """The parts of ids, each once, in the order of acceptance; what is none is left out, as no job has it.

    Raises:
        TypeError: ``ids`` is one text, where a list of them is meant.
    """
    if isinstance(ids, str) or not hasattr(ids, "__iter__"):
        raise TypeError(f"ids is a list of ids of jobs, not {ids!r}")
    found = (_ID.fullmatch(each) if isinstance(each, str) else None for each in ids)
    return sorted({JobId(int(each[1]), each[2]) for each in found if each is not None})
