"""Stand-ins for values that are others each time, in what a test expects of an answer."""

from __future__ import annotations

import re
from typing import Any

_SHAPES = {
    "uuid": "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
    "date": (
        r"(?:\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
        r"|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT)"
    ),
    "number": r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?",
    "text": "(?s:.+?)",
}
_SHAPE = re.compile(r"\{(" + "|".join(_SHAPES) + r")\}")


class Likeness:
    """A stand-in that is equal to every value that it matches. ``name`` is what a failing test shows."""

    __hash__ = None  # type: ignore[assignment]  # it is equal to many

    def __init__(self, name: str, pattern: str | None, template: str, *, numbers: bool = False) -> None:
        self._name = name
        self._template = template
        self._pattern = None if pattern is None else re.compile(pattern)
        self._takes_numbers = numbers

    def __eq__(self, value: object) -> bool:
        if isinstance(value, Likeness):
            return self._name == value._name
        if isinstance(value, str):
            return self._pattern is not None and self._pattern.fullmatch(value) is not None
        return self._takes_numbers and isinstance(value, int | float) and not isinstance(value, bool)

    def __repr__(self) -> str:
        return self._name

    @property
    def template(self) -> str:
        """The text for `like` that makes an equal one."""
        return self._template


ANY_UUID = Likeness("ANY_UUID", _SHAPES["uuid"], "{uuid}")
"""Equal to every text that is a UUID."""

ANY_DATE = Likeness("ANY_DATE", _SHAPES["date"], "{date}")
"""Equal to every text that is a date, with a time or without: ISO 8601, or as in the header ``Date``."""

ANY_NUMBER = Likeness("ANY_NUMBER", None, "{number}", numbers=True)
"""Equal to every number."""

ANY_TEXT = Likeness("ANY_TEXT", _SHAPES["text"], "{text}")
"""Equal to every text that is not empty."""


def like(template: Any) -> Any:
    """A stand-in that is equal to every text of the same shape; of a JSON value, one for each such text in it.

    ``{uuid}``, ``{date}``, ``{number}`` and ``{text}`` in a text stand for what changes; all else, other braces too, is
    compared as it is. A text that is ``{number}`` alone stands for a number, too, as `ANY_NUMBER` does.

    >>> like("Order {number} of {date}") == "Order 17 of 2026-11-29"
    True
    >>> like({"id": "{uuid}", "n": 1}) == {"id": "0b5f9a3e-6a0e-4a55-9d7b-0f2f6a8f3c11", "n": 1}
    True
    """
    if isinstance(template, dict):
        return {name: like(value) for name, value in template.items()}
    if isinstance(template, list):
        return [like(value) for value in template]
    if not isinstance(template, str) or not _SHAPE.search(template):
        return template
    pieces = _SHAPE.split(template)
    pattern = "".join(_SHAPES[piece] if place % 2 else re.escape(piece) for place, piece in enumerate(pieces))
    return Likeness(f"like({template!r})", pattern, template, numbers=template == "{number}")
