"""The report of an exception, as plain values that JSON can hold: for the error page, for programs, and to be kept.

It is bounded in size and in time, holds text and numbers only, so that no frame outlives its request, and is made of
whatever an exception may be.
"""

from __future__ import annotations

import builtins
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wixhttp.errors import ProjectError, WixHTTPError, WrongAnswer
from wixhttp.logs.tracebacks import advice_on

from .frames import FrameReader
from .source_lines import SourceReader, Span
from .user_calls import Untold, UserCalls
from .values import ValuePrinter, clean, type_name

SECONDS, MOST_SECONDS = 1.0, 0.25  # for the code of users in a report, and for one call of it
MOST_CAUSES = 10
MOST_MEMBERS = 10  # of an exception group
MOST_EXCEPTIONS = 40  # of a report in all
_DEPTH = 4  # groups within groups

_GROUP: Any = getattr(builtins, "BaseExceptionGroup", None)  # of Python 3.11
_PLACE = re.compile(r"""(?<![^\s:'"()])(?P<file>[^\s:'"()]+):(?P<line>\d{1,7})(?=[:,;) ]|$)""")

logger = logging.getLogger("wixhttp")


def report_of(
    error: BaseException,
    root: Path,
    *,
    others: Sequence[Path] = (),
    handler: tuple[str, int, str] | None = None,
    loaded_at: float | None = None,
    secrets_file: Path | None = None,
) -> dict[str, Any]:
    """The report of an exception in the project at ``root``; never raises.

    ``others`` are further folders of the user's files. ``handler`` is the file, line and name of the function that
    answered, shown where no frame is the user's. ``loaded_at`` is when the files were loaded, in seconds since the
    epoch. Of ``secrets_file`` no line is shown.

    Its keys: ``exception`` (the type), ``message``, ``intro`` (what could not be done because of it, or ""),
    ``advice`` ("" for none), ``place`` (``file:line`` of the user's innermost frame, or ""), ``notes``, ``frames`` (the
    outermost first), ``omitted`` (frames), ``causes`` (the same without advice and causes, each with its ``relation``:
    ``cause`` or ``context``), ``members`` (of a group: reports), ``omitted_members``.
    """
    calls = UserCalls(SECONDS, MOST_SECONDS)
    try:
        return _Reporter(calls, (root, *others), handler, SourceReader(loaded_at, secrets_file)).report(error)
    except Exception as failure:  # noqa: BLE001  # a report that fails must not take the place of what it is about
        logger.warning("no report could be made of %s: %r", type(error).__name__, failure)
        return {
            **_empty(),
            "exception": type_name(type(error)),
            "message": "No report could be made of this exception.",
        }
    finally:
        calls.close()


def _empty() -> dict[str, Any]:
    return {
        "exception": "", "message": "", "intro": "", "advice": "", "place": "", "notes": [], "frames": [], "omitted": 0,
        "causes": [], "members": [], "omitted_members": 0,
    }  # fmt: skip


class _Reporter:
    """Makes one report."""

    def __init__(
        self,
        calls: UserCalls,
        roots: tuple[Path, ...],
        handler: tuple[str, int, str] | None,
        sources: SourceReader,
    ) -> None:
        self._calls = calls
        self._printer = ValuePrinter(calls)
        self._reader = FrameReader(roots, self._printer, sources)
        self._root = roots[0]
        self._handler = handler
        self._left = MOST_EXCEPTIONS
        self._seen: set[int] = set()

    def report(self, error: BaseException) -> dict[str, Any]:
        """The report of an exception; of one that says only that a file cannot be imported, of its cause."""
        cause = _linked(error, "__cause__")
        intro = reason = ""
        if isinstance(error, ProjectError) and cause is not None:
            intro, _, reason = str(error).replace(f"{self._root}{os.sep}", "").partition(": ")
            error = cause
        report = self._whole(error, 0)
        report["intro"] = clean(intro, 1000)
        if reason and not reason.startswith(f"{type(error).__name__}:"):  # it says more than the exception does
            report["message"] = clean(reason, 2000)
        try:
            report["advice"] = clean(self._calls.text(lambda each: advice_on(each) or "", error), 2000)
        except Untold:
            report["advice"] = ""
        if not any(frame["is_own"] for frame in report["frames"]):
            report["frames"] += self._handler_place()
        own = [frame for frame in report["frames"] if frame["is_own"]]
        report["place"] = f"{own[-1]['file']}:{own[-1]['line']}" if own else ""
        return report

    def _handler_place(self) -> list[dict[str, Any]]:
        return [self._reader.place(*self._handler)] if self._handler is not None else []

    def _whole(self, error: BaseException, depth: int) -> dict[str, Any]:
        report = {**_empty(), **self._alone(error)}
        report["members"], report["omitted_members"] = self._members(error, depth)
        report["causes"] = self._causes(error)
        return report

    def _alone(self, error: BaseException) -> dict[str, Any]:
        """The part of a report that is about one exception, without those that led to it."""
        self._seen.add(id(error))
        self._left -= 1
        frames, omitted = self._reader.frames(BaseException.__dict__["__traceback__"].__get__(error))
        message = self._printer.message(error)
        if isinstance(error, SyntaxError):
            if (place := self._syntax_place(error)) is not None:
                frames.append(place)
                message = clean(str(error.msg), 2000) if isinstance(error.msg, str) else message
        elif isinstance(error, WrongAnswer):  # found after its function had returned
            frames += self._named_places(message) or self._handler_place()
        elif isinstance(error, WixHTTPError) and not any(frame["is_own"] for frame in frames):
            frames += self._named_places(message)
        return {
            "exception": type_name(type(error)),
            "message": message,
            "notes": self._notes(error),
            "frames": frames,
            "omitted": omitted,
        }

    def _notes(self, error: BaseException) -> list[str]:
        try:
            notes = object.__getattribute__(error, "__dict__").get("__notes__")
        except Exception:  # noqa: BLE001  # whatever a class of a user's does with it
            return []
        found = list(notes[:10]) if type(notes) is list else []
        return [clean(note, 1000) for note in found if type(note) is str]

    def _syntax_place(self, error: SyntaxError) -> dict[str, Any] | None:
        file, line = error.filename, error.lineno
        if not isinstance(file, str) or type(line) is not int or line < 1:
            return None
        span = None
        if type(error.offset) is int and error.offset > 0:
            text = error.text if isinstance(error.text, str) else ""
            end_offset, end_line = getattr(error, "end_offset", None), getattr(error, "end_lineno", None)
            end = end_offset if type(end_offset) is int and end_line == line else 0
            start = error.offset - 1
            span = Span(*(len(text[:at].encode("utf-8", "replace")) for at in (start, max(end - 1, start + 1))))
        return self._reader.place(file, line, "", span)

    def _named_places(self, message: str) -> list[dict[str, Any]]:
        """The place that a message of ours begins with or names, ``wixhttp.toml:3``, if there is such a file."""
        for found in _PLACE.finditer(message[:1000]):
            file = Path(os.path.normpath(self._root / found["file"]))
            if self._reader.is_own(str(file)) and file.is_file():
                return [self._reader.place(str(file), int(found["line"]), "")]
        return []

    def _causes(self, error: BaseException) -> list[dict[str, Any]]:
        causes: list[dict[str, Any]] = []
        current = error
        while len(causes) < MOST_CAUSES and self._left > 0:
            relation, cause = "cause", _linked(current, "__cause__")
            if cause is None and not _linked(current, "__suppress_context__"):
                relation, cause = "context", _linked(current, "__context__")
            if cause is None or id(cause) in self._seen:
                break
            causes.append({"relation": relation, **self._alone(cause)})
            causes[-1]["members"], causes[-1]["omitted_members"] = self._members(cause, 1)
            current = cause
        return causes

    def _members(self, error: BaseException, depth: int) -> tuple[list[dict[str, Any]], int]:
        if _GROUP is None or not isinstance(error, _GROUP):
            return [], 0
        members = _GROUP.exceptions.__get__(error)
        shown: list[dict[str, Any]] = []
        for member in members[:MOST_MEMBERS]:
            if self._left <= 0 or depth >= _DEPTH:
                break
            if id(member) not in self._seen:
                shown.append(self._whole(member, depth + 1))
        return shown, len(members) - len(shown)


def _linked(error: BaseException, name: str) -> Any:
    """An attribute of an exception, whatever its class says of it."""
    return BaseException.__dict__[name].__get__(error)
