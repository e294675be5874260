"""Tracebacks of users' code: the frames of the runtime in between are one line, and advice stands below.

Traceback (most recent call last):
  File "backend/http_functions.py", line 7, in get_hello
    return ok(body=wix_data.get("books", "1"))
  ... 9 frames of wixhttp
wixhttp.errors.WixDataError: WDE0025: ...
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException
from typing import Any

from wixhttp.errors import WixHTTPError
from wixhttp.messages import cut

_OWN_FOLDER = str(Path(__file__).parents[1]) + os.sep
_LIBRARY = os.path.dirname(traceback.__file__) + os.sep
_GLUE = ("<frozen importlib", "<string>", *(
    _LIBRARY + name for name in (
        "asyncio" + os.sep, "concurrent" + os.sep, "importlib" + os.sep, "threading.py", "contextlib.py", "functools.py"
    )
))  # fmt: skip
_MOST = 40  # frames that are shown in a row, half of them at its beginning
_LONGEST = 10_000  # characters of a message or a note
_LONGEST_SUMMARY = 2_000

_advisers: list[Callable[[BaseException], str | None]] = []


def advise_with(adviser: Callable[[BaseException], str | None]) -> None:
    """Have ``adviser`` say what to write below the traceback of each error. Called by
    `wixhttp.project.javascript_habits`."""
    if adviser not in _advisers:
        _advisers.append(adviser)


def advice_on(error: BaseException) -> str | None:
    """The text of what to write in place of what raised an error, where that is known."""
    for adviser in _advisers:
        try:
            if text := adviser(error):
                return text
        except Exception:  # of a user's error, which may do anything
            return None
    return None


def format_exception(error: BaseException) -> str:
    """The traceback of an error as users see it: their frames, those of wixhttp and of what calls it folded, with the
    errors that led to it; then a line of advice, where there is some."""
    told = TracebackException(type(error), error, error.__traceback__, compact=True)
    says_all = isinstance(error, SyntaxError | WixHTTPError) and all(map(_is_folded, told.stack))
    if says_all:  # the first names its place itself, and of the others the message is the user's
        told.stack.clear()
        told.__cause__ = told.__context__ = None
    waiting = [told]
    while waiting:
        each = waiting.pop()
        each.stack = _Folded(each.stack)
        waiting += [inner for inner in (each.__cause__, each.__context__) if inner is not None]
        waiting += getattr(each, "exceptions", None) or ()  # of a group, Python 3.11
    text = "".join(map(_bounded, told.format())).rstrip()
    advice = advice_on(error)
    return f"{text}\nHint: {advice}" if advice else text


def summary_of(error: BaseException) -> str:
    """The name and the message of an error, without its notes, in at most about 2 000 characters."""
    lines = traceback.format_exception_only(type(error), error)
    named = next((line for line in lines if not line.startswith(" ")), lines[-1])  # before it a SyntaxError's place
    return cut(named.strip(), _LONGEST_SUMMARY)


def _bounded(part: str) -> str:
    return part if len(part) <= _LONGEST else cut(part, _LONGEST) + "\n"


class _Folded(StackSummary):
    """The frames of a traceback. Where none is the user's, all are shown: it is wixhttp's own code that is wrong."""

    def __init__(self, frames: StackSummary) -> None:
        super().__init__(frames)
        if all(map(_is_folded, frames)):
            self.parts = [(False, list(frames))] if frames else []
            return
        self.parts = [(is_folded, list(part)) for is_folded, part in groupby(frames, _is_folded)]
        if self.parts[0][0]:  # the way to the user's code
            del self.parts[0]
        is_folded, last = self.parts[-1]
        if is_folded and not (last[-1].line or "").startswith("raise "):  # it fails where nobody has thought of it
            self.parts[-1:] = [(True, last[:-1]), (False, last[-1:])]

    def format(self, **options: Any) -> list[str]:
        """The lines."""
        return list(self._lines(options))

    def _lines(self, options: dict[str, Any]) -> Iterator[str]:
        for is_folded, part in self.parts:
            if not is_folded:
                yield from _cut(StackSummary.from_list(part).format(**options))
            elif part:
                yield f"  ... {len(part)} frame{'s' * (len(part) > 1)} of wixhttp\n"


def is_runtime(file: str) -> bool:
    """Return whether a file is wixhttp's, or what calls users' code on its way: asyncio, threads, imports."""
    return file.startswith((_OWN_FOLDER, *_GLUE))


def _is_folded(frame: FrameSummary) -> bool:
    return is_runtime(frame.filename)


def _cut(lines: list[str]) -> list[str]:
    """The lines of frames, one for each, but for those in the middle of many."""
    if len(lines) <= _MOST:
        return lines
    half = _MOST // 2
    return [*lines[:half], f"  ... {len(lines) - _MOST} frames\n", *lines[-half:]]
