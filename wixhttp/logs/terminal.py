"""Lines for a person at a terminal: local time, the end of the request's id, and the message, in colours.

16:05:00 1d4c3a-7 GET /_functions/hello 200 27B 0.4ms
16:05:02 1d4c3a-8 error: get_hello raised KeyError
"""

from __future__ import annotations

import logging
import os
import textwrap
import time
from pathlib import Path

from wixhttp.context import current_request
from wixhttp.http.request_head import Head

from .formats import exception_of
from .masking import escaped, masked

_COLOURS = {"dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold red": "1;31"}
_LEVELS = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
_ID = 8  # characters of a request's id, its last: those of ours end in a number
_INDENT = 9 + _ID + 1  # columns of the beginning of a line
_LOCAL = ("127.0.0.1", "::1")


class Style:
    """The look of a terminal: ``width`` in columns, and colours, unless ``NO_COLOR`` is set (https://no-color.org) or
    it has none."""

    def __init__(self, width: int, *, has_colours: bool) -> None:
        self.width = width
        self.has_colours = has_colours
        self._folder = str(Path.cwd()) + os.sep

    @classmethod
    def of(cls, descriptor: int) -> Style | None:
        """The style of the terminal behind a file descriptor, ``None`` where there is none."""
        try:
            width = os.get_terminal_size(descriptor).columns
        except OSError:
            return None
        environ = os.environ
        return cls(width or 80, has_colours=not environ.get("NO_COLOR") and environ.get("TERM") != "dumb")

    def paint(self, colour: str, text: str) -> str:
        """The text in a colour."""
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self.has_colours and colour else text

    def start(self, at: float, head: Head | None) -> str:
        """The beginning of each line: the time, and the end of the request's id."""
        request = "" if head is None else escaped(head.request_id[-_ID:])
        return self.paint("dim", f"{time.strftime('%H:%M:%S', time.localtime(at))} {request:<{_ID}}") + " "

    def access(self, head: Head, path: str, status: int, duration: float, bytes_out: int) -> str:
        """The access line of a request; ``duration`` is in milliseconds."""
        colour = ("green", "cyan", "yellow", "red")[min(max(status // 100, 2), 5) - 2]
        client = "" if head.client in _LOCAL else f" {head.client}"
        asked = f"{escaped(head.method)} {escaped(path)}"
        detail = self.paint("dim", f"{bytes_out}B {duration:.1f}ms{client}")
        return f"{self.start(time.time(), head)}{asked} {self.paint(colour, str(status))} {detail}"

    def lines(self, text: str, taken: int = 0, indent: int = 0) -> list[str]:
        """A text that may be long, wrapped: the first line has ``taken`` columns less, further ones an ``indent``."""
        text = escaped(self.shortened(text))
        if len(text) + taken <= self.width:
            return [text]
        first, *rest = textwrap.wrap(
            text, self.width, initial_indent=" " * taken, subsequent_indent=" " * indent, break_long_words=False,
            break_on_hyphens=False,
        ) or [" " * taken]  # fmt: skip  # of spaces nothing is left
        return [first[taken:], *rest]

    def shortened(self, text: str) -> str:
        """A text with the files of the folder that the command was started in named from there."""
        return text.replace(self._folder, "")


class TerminalFormatter(logging.Formatter):
    """A record as lines for a terminal of a ``style``; ``own`` are the loggers whose names say nothing to users."""

    def __init__(self, style: Style, own: tuple[str, ...]) -> None:
        super().__init__()
        self.style = style
        self.own = own

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record: what it is about, then a traceback, indented."""
        style, level = self.style, record.levelname
        named = "" if level == "INFO" else f"{level.lower()}: "
        if record.name not in self.own:
            named += f"{record.name}: "
        start = style.start(record.created, current_request.get()) + style.paint(_LEVELS.get(level, ""), named)
        message = masked(record.getMessage()).rstrip("\n")
        if record.name == "py.warnings":  # file, line and text; the line of source behind them is the user's own
            message = message.partition("\n")[0].replace(": MisuseWarning: ", ": ")
        first, *more = message.split("\n")
        lines = style.lines(first, _INDENT + len(named), _INDENT)
        lines[0] = start + lines[0]
        for text in more:
            head, *rest = style.lines(text, _INDENT, _INDENT)
            lines += [" " * _INDENT + head, *rest]
        if exception := exception_of(record):
            lines += self._traceback(exception)
        return "\n".join(lines)

    def _traceback(self, exception: str) -> list[str]:
        """The lines of a traceback; those that say what happened stand out."""
        style = self.style
        lines = []
        for text in exception.split("\n"):
            if text.startswith("  ") and not text.startswith("  ..."):
                lines.append("  " + escaped(style.shortened(text)))
                continue
            colour = "dim" if text.startswith((" ", "Traceback")) else "cyan" if text.startswith("Hint: ") else "red"
            first, *rest = style.lines(text, 2, 4)
            lines += ["  " + style.paint(colour, first), *(style.paint(colour, line) for line in rest)]
        return lines
