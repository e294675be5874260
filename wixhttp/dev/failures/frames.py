"""The frames of a traceback as plain values: those of the project with their source and local variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any, NamedTuple

from wixhttp.logs.tracebacks import is_runtime

from .source_lines import SourceReader, Span
from .values import ValuePrinter, clean

MOST_FRAMES = 40  # of one exception, half of them its first and half its last
_MOST_LOCALS = 40  # variables of a frame
_MOST_CHARACTERS = 100_000  # of local variables of one report
_OWN = str(Path(__file__).parents[3]) + os.sep
_PYTHON = os.path.dirname(os.__file__) + os.sep
_LIBRARIES = frozenset((".venv", "venv", "node_modules", "site-packages", "dist-packages"))


class _TracebackStep(NamedTuple):
    """A frame of a traceback, and how often it is there in a row."""

    frame: FrameType
    line: int
    instruction: int
    times: int


class FrameReader:
    """Reads the frames of the exceptions of one report. ``roots`` are the folders of the project's own files."""

    def __init__(self, roots: tuple[Path, ...], printer: ValuePrinter, sources: SourceReader) -> None:
        self._roots = tuple(dict.fromkeys(str(each) + os.sep for root in roots for each in (root, root.resolve())))
        self._printer = printer
        self._sources = sources
        self._left = _MOST_CHARACTERS

    def frames(self, traceback: TracebackType | None) -> tuple[list[dict[str, Any]], int]:
        """The frames of a traceback, the outermost first; and how many in the middle are left out."""
        steps = list(_steps(traceback))
        half = MOST_FRAMES // 2
        omitted = max(len(steps) - MOST_FRAMES, 0)
        if omitted:
            steps[half:-half] = []
        found = [self._described(step) for step in reversed(steps)]  # the innermost first: their values matter most
        return found[::-1], omitted

    def place(self, file: str, line: int, function: str, span: Span | None = None) -> dict[str, Any]:
        """A place that no frame stands for, as a frame: of a syntax error, of a setting, of a handler."""
        return {
            "file": self.shown(file),
            "line": line,
            "function": clean(function, 200),
            "is_own": True,
            "times": 1,
            "source": self._sources.around(file, line, span),
            "locals": [],
        }

    def is_own(self, file: str) -> bool:
        """Return whether a file is one of the project's, not of a library that is installed in its folder."""
        if is_runtime(file) or not file.startswith(self._roots):
            return False
        return _LIBRARIES.isdisjoint(self.shown(file).split(os.sep))

    def shown(self, file: str) -> str:
        """The path of a file as it is shown: from the project's folder, or from that of the libraries."""
        for root in (*self._roots, _OWN, _PYTHON):
            if file.startswith(root) and (root != _PYTHON or "-packages" not in file):
                return file[len(root) :]
        for folder in ("site-packages", "dist-packages"):
            _, found, rest = file.rpartition(os.sep + folder + os.sep)
            if found:
                return rest
        return file

    def _described(self, step: _TracebackStep) -> dict[str, Any]:
        code = step.frame.f_code
        file = code.co_filename
        is_own = self.is_own(file)
        described = {
            "file": self.shown(file),
            "line": step.line,
            "function": clean(getattr(code, "co_qualname", code.co_name), 200),
            "is_own": is_own,
            "times": step.times,
            "source": None,
            "locals": [],
        }
        if is_own:
            described["source"] = self._sources.around(file, step.line, _span(code, step.instruction, step.line))
            described["locals"] = list(self._locals(step.frame))
        else:
            text = self._sources.line(file, step.line)
            line = {"number": step.line, "text": text, "is_current": True}
            described["source"] = {"lines": [line] if text else [], "mark": None, "note": ""}
        return described

    def _locals(self, frame: FrameType) -> Iterator[dict[str, str]]:
        values = frame.f_locals
        is_module = values is frame.f_globals
        variables = ((name, value) for name, value in list(values.items()) if _is_told(name, value, is_module))
        for name, value in islice(variables, _MOST_LOCALS):
            if self._left <= 0:
                return
            text = self._printer.shown(value, name)
            self._left -= len(text)
            yield {"name": clean(name, 100), "value": text}


def _steps(traceback: TracebackType | None) -> Iterator[_TracebackStep]:
    """The frames of a traceback; a recursion, the same line of the same code again and again, as one."""

    def key(part: TracebackType) -> tuple[int, int]:
        return id(part.tb_frame.f_code), part.tb_lineno

    for _, same in groupby(_parts(traceback), key):
        repeated = list(same)
        last = repeated[-1]
        yield _TracebackStep(last.tb_frame, last.tb_lineno or 0, last.tb_lasti, len(repeated))


def _parts(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _span(code: CodeType, instruction: int, line: int) -> Span | None:
    """The columns of the expression that failed, where Python knows them (3.11) and they are of one line."""
    if sys.version_info < (3, 11) or instruction < 0:
        return None
    first, last, start, end = next(islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    if first != line or last != line or start is None or end is None:
        return None
    return Span(start, end)


def _is_told(name: str, value: Any, is_module: bool) -> bool:
    """Return whether a variable says something: no module, and at the top of a file what is no function and class."""
    if name.startswith(("__", "@py_")) or type(value) is ModuleType:
        return False
    return not is_module or type(value) not in (FunctionType, type)
