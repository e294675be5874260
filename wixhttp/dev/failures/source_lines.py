"""The lines of source around a place, from the file as it is now."""

from __future__ import annotations

import codecs
import io
import os
import tokenize
from pathlib import Path
from typing import Any, NamedTuple

from wixhttp.dev.traffic.masks import shown_text
from wixhttp.logs.masking import masked_url

from .values import fitting

AROUND = 3  # lines before and after
_MOST_FILE = 5_000_000  # bytes of a file that is read
_MOST_LINE = 400  # characters of a line that are shown


class Span(NamedTuple):
    """A part of a line: its columns in bytes of UTF-8, as the compiler counts them."""

    start: int
    end: int


class SourceReader:
    """Reads the files of one report, each once. ``loaded_at`` is the time, in seconds since the epoch, since which a
    changed file is no longer the one that runs; ``None``: it is not known. Of ``secrets_file`` no line is shown."""

    def __init__(self, loaded_at: float | None = None, secrets_file: Path | None = None) -> None:
        self._loaded_at = loaded_at
        self._secrets_file = secrets_file
        self._lines: dict[str, list[str]] = {}
        self._notes: dict[str, str] = {}

    def around(self, file: str, line: int, span: Span | None = None) -> dict[str, Any]:
        """The lines around one: ``lines``, each with ``number``, ``text`` and ``is_current``; ``mark``, the columns of
        the current one that are meant, or ``None``; ``note``, on what is missing."""
        lines = self._of(file)
        first = max(line - AROUND, 1)
        shown = [
            {"number": number, "text": _cut(text), "is_current": number == line}
            for number, text in enumerate(lines[first - 1 : line + AROUND], first)
        ]
        current = lines[line - 1] if 0 < line <= len(lines) else ""
        note = self._notes.get(file, "")
        if lines and not current and line > len(lines):
            note = "The file has fewer lines now."
        return {"lines": shown, "mark": _columns(current, span), "note": note}

    def line(self, file: str, line: int) -> str:
        """One line, without white space around it; "" for none."""
        lines = self._of(file)
        return _cut(lines[line - 1].strip()) if 0 < line <= len(lines) else ""

    def _of(self, file: str) -> list[str]:
        if file not in self._lines:
            self._lines[file] = self._read(file)
        return self._lines[file]

    def _read(self, file: str) -> list[str]:
        if file.startswith("<") or not file:
            return []
        path = Path(file)
        if self._holds_secrets(path):
            self._notes[file] = "Its lines are not shown, since they hold secrets."
            return []
        try:
            changed = path.stat().st_mtime
            with path.open("rb") as stream:
                data = stream.read(_MOST_FILE)
        except (OSError, ValueError):
            self._notes[file] = "The file cannot be read any more."
            return []
        if self._loaded_at is not None and changed > self._loaded_at:
            self._notes[file] = "The file has changed since it was loaded; its lines may be others."
        return _decoded(data).splitlines()

    def _holds_secrets(self, path: Path) -> bool:
        if path.name.startswith(".env") or path.suffix == ".env":
            return True
        return self._secrets_file is not None and os.path.realpath(path) == os.path.realpath(self._secrets_file)


def _decoded(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError:  # it says one that there is not, or is not what it says
        encoding = "utf-8"
    try:
        codecs.lookup(encoding)
        return data.decode(encoding, "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "replace")


def _cut(line: str) -> str:
    return fitting(shown_text(masked_url(line[: _MOST_LINE + 1])), _MOST_LINE).expandtabs(4)


def _columns(line: str, span: Span | None) -> list[int] | None:
    """The columns of a span in the line as it is shown, in characters."""
    if span is None or not line or _cut(line) != line:  # what was masked, cut or expanded has other columns
        return None
    data = line.encode("utf-8", "replace")
    start, end = (len(data[:column].decode("utf-8", "replace")) for column in span)
    stripped = len(line) - len(line.lstrip())
    if not stripped <= start < end <= len(line) or (start, end) == (stripped, len(line.rstrip())):
        return None  # a mark of the whole line says nothing
    return [start, end]
