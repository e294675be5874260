"""The matcher of one route against one path: quadratic time at worst, since it never backtracks (no ReDoS)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .paths import RESERVED, comparable


class Part(NamedTuple):
    """A piece of a segment: static text, or a parameter, which may be a rest. Of the two ``name`` and ``text`` one is
    empty."""

    text: str = ""
    name: str = ""
    rest: bool = False


def is_rest(segment: Sequence[Part]) -> bool:
    """Return whether a segment is a rest and nothing else."""
    return len(segment) == 1 and segment[0].rest


_TEXT, _ONE, _SOME, _WHOLE = range(4)  # kinds of steps: static text, [name], [...name], and that with its slash


class _Step:
    """One step of a match. ``closes``: its segment ends with it."""

    __slots__ = ("closes", "kind", "name", "spellings", "text")

    def __init__(self, kind: int, text: str = "", name: str = "", closes: bool = False) -> None:
        self.kind = kind
        self.text = text
        self.name = name
        self.closes = closes
        self.spellings = _spellings(text) if kind == _TEXT else None

    def after(self, path: str, start: int) -> int:
        """The end of the text that begins at ``start``, or -1."""
        if self.spellings is None:
            return start + len(self.text) if path.startswith(self.text, start) else -1
        found = self.spellings.match(path, start)
        return found.end() if found else -1

    def first(self, path: str, start: int, stop: int) -> int:
        """The place where the text first begins, or -1."""
        if self.spellings is None:
            return path.find(self.text, start, stop)
        found = self.spellings.search(path, start, stop)
        return found.start() if found else -1

    def before(self, path: str, start: int, stop: int) -> int:
        """The beginning of the text that ends at ``stop``, or -1."""
        if self.spellings is None:
            begin = stop - len(self.text)
            return begin if begin >= start and path.startswith(self.text, begin) else -1
        begin = self.first(path, start, stop)
        while begin >= 0 and self.after(path, begin) != stop:
            begin = self.first(path, begin + 1, stop)
        return begin


def _spellings(text: str) -> re.Pattern[str] | None:
    """The spellings of static text in a path string, or ``None`` where it has one. Each character is one step to the
    right, so this takes linear time."""
    tokens = re.split(f"(%2F|[{re.escape(RESERVED)}])", text)
    if len(tokens) == 1 or text == "/":
        return None
    escaped = [re.escape(token) for token in tokens]
    for index in range(1, len(tokens), 2):
        escaped[index] = "%2[Ff]" if tokens[index] == "%2F" else f"(?:{escaped[index]}|(?i:%{ord(tokens[index]):02X}))"
    return re.compile("".join(escaped))


def steps_of(segments: Iterable[tuple[Part, ...]]) -> Iterator[_Step]:
    """The steps of a whole path."""
    for segment in segments:
        if is_rest(segment):
            yield _Step(_WHOLE, name=segment[0].name, closes=True)
        else:
            yield _Step(_TEXT, "/")
            yield from steps_of_segment(segment)


def steps_of_segment(segment: Sequence[Part]) -> Iterator[_Step]:
    """The steps of one segment, without its slash."""
    for part in segment:
        kind = _TEXT if part.text else _SOME if part.rest else _ONE
        yield _Step(kind, comparable(part.text), part.name, closes=part is segment[-1])


_Failed = dict[tuple[int, int], int]  # a parameter and how far it reaches -> the first place at which it failed


class Matcher:
    """Matches steps as a regular expression with groups that are not greedy would, in quadratic time at worst.

    The reason: a parameter that fails at one place, with all that follows, fails at every later place
    (``[name]``: of its segment), because from the earlier place it could have taken in what lies between. For the same
    reason ``[name]`` need only try the first place at which the text behind it stands.
    """

    __slots__ = ("_names", "_steps", "ending")

    def __init__(self, steps: Iterable[_Step], names: tuple[str, ...]) -> None:
        self._steps = tuple(steps)
        self._names = names
        last = self._steps[-1] if self._steps else None
        self.ending = last.text if last and last.spellings is None else ""  # what every path ends with that matches

    def match(self, path: str) -> dict[str, str | None] | None:
        """The values of the parameters in the whole of ``path``, or ``None``."""
        values: dict[str, str | None] = dict.fromkeys(self._names)
        return values if path.endswith(self.ending) and self._follow(0, 0, path, values, {}) else None

    def _follow(self, index: int, start: int, path: str, values: dict[str, str | None], failed: _Failed) -> bool:
        """Match the steps from ``index`` on with ``path`` from ``start`` to its end, and fill ``values``."""
        for step in self._steps[index:]:
            index += 1
            if step.kind == _TEXT:
                start = step.after(path, start)
                if start < 0:
                    return False
            elif step.kind == _ONE:
                return self._one(index, step, start, path, values, failed)
            elif step.kind == _SOME:
                return self._some(index, step, start, path, values, failed)
            elif path.startswith("/", start) and self._some(index, step, start + 1, path, values, failed):
                return True
            else:
                values[step.name] = None
        return start == len(path)

    def _one(
        self, index: int, step: _Step, start: int, path: str, values: dict[str, str | None], failed: _Failed
    ) -> bool:
        """`_follow` for a ``[name]``."""
        stop = path.find("/", start)
        stop = len(path) if stop < 0 else stop
        if start >= failed.get((index, stop), stop):
            return False
        end = stop
        if not step.closes:
            text = self._steps[index]
            end = (text.before if text.closes else text.first)(path, start + 1, stop)
        if end >= 0 and self._follow(index, end, path, values, failed):
            values[step.name] = path[start:end]
            return True
        failed[index, stop] = start
        return False

    def _some(
        self, index: int, step: _Step, start: int, path: str, values: dict[str, str | None], failed: _Failed
    ) -> bool:
        """`_follow` for a rest."""
        limit = failed.get((index, len(path)), len(path) + 1)
        if start >= limit:
            return False
        for end in self._ends(index, path, start):
            if end >= limit:
                break
            if self._follow(index, end, path, values, failed):
                values[step.name] = path[start:end] or None
                return True
        failed[index, len(path)] = start
        return False

    def _ends(self, index: int, path: str, start: int) -> Iterator[int]:
        """The places from ``start`` on at which the step ``index`` may begin, in order."""
        step = self._steps[index] if index < len(self._steps) else None
        if step is None:
            yield len(path)
        elif step.kind == _TEXT:
            end = step.first(path, start, len(path))
            while end >= 0:
                yield end
                end = step.first(path, end + 1, len(path))
        else:
            end = path.find("/", start)
            while end >= 0:
                yield end
                end = path.find("/", end + 1)
            yield len(path)
