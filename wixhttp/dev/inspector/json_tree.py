"""JSON as a tree for a page, of bounded depth and size: the rows of a nested list, in the order of the text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .visible_text import cut_and_counted

DEEPEST = 40
"""Levels that are shown; what is deeper is in the text."""

MOST_ROWS = 2_000
"""Values that are shown of one tree."""

_LONGEST = 2_000  # characters of one value
_OPEN_DEPTH = 4  # levels that are open at first
_OPEN_SIZE = 60  # members of an object or an array that is open at first


class TreeRow(NamedTuple):
    """A row: ``kind`` is ``open`` and ``close`` for an object or an array, ``value``, or ``cut`` for what is left out.

    ``key`` is the name or index in what is around it, ``None`` at the top; ``text`` is the value, or the number of
    members; ``type`` is that of JSON; ``is_open`` of an object or array says whether its members are seen at first.
    """

    kind: str
    key: str | None
    text: str
    type: str = ""
    is_open: bool = False


def tree_rows(value: Any, shown: Callable[[str], str]) -> list[TreeRow]:
    """The rows of a decoded JSON value. ``shown`` masks the secrets in each text."""
    return list(_Tree(shown).rows(None, value, 0))


class _Tree:
    def __init__(self, shown: Callable[[str], str]) -> None:
        self._shown = shown
        self._left = MOST_ROWS

    def rows(self, key: str | None, value: Any, depth: int) -> Iterator[TreeRow]:
        """The rows of one value, and of what is in it."""
        self._left -= 1
        if not isinstance(value, dict | list):
            yield self._leaf(key, value)
            return
        kind = "object" if isinstance(value, dict) else "array"
        if not value:
            yield TreeRow("value", key, "{}" if kind == "object" else "[]", kind)
            return
        name = "member" if kind == "object" else "item"
        count = f"{len(value):,} {name}{'s' * (len(value) != 1)}".replace(",", " ")
        if depth >= DEEPEST:
            yield TreeRow("cut", key, f"{count} on a deeper level: see the text", kind)
            return
        is_open = not depth or (depth < _OPEN_DEPTH and len(value) <= _OPEN_SIZE)
        yield TreeRow("open", key, count, kind, is_open)
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for done, (name, member) in enumerate(members):
            if self._left <= 0:
                left = f"{len(value) - done:,}".replace(",", " ")
                yield TreeRow("cut", None, f"{left} more: see the text")
                break
            yield from self.rows(cut_and_counted(self._shown(str(name)), _LONGEST), member, depth + 1)
        yield TreeRow("close", None, "")

    def _leaf(self, key: str | None, value: Any) -> TreeRow:
        if isinstance(value, str):
            return TreeRow(
                "value", key, json.dumps(cut_and_counted(self._shown(value), _LONGEST), ensure_ascii=False), "string"
            )
        kind = "null" if value is None else "boolean" if isinstance(value, bool) else "number"
        return TreeRow("value", key, cut_and_counted(self._shown(json.dumps(value)), _LONGEST), kind)
