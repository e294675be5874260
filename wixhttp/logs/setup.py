"""The set-up of standard ``logging``: one handler at the root, in the format that the settings name."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from .formats import JSONFormatter, TextFormatter
from .line_writer import LineWriter


class _LineHandler(logging.Handler):
    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # a message whose arguments do not fit: say so, never fail the request
            self.handleError(record)
            return
        self.writer.write(line)


def configure(log_format: str, level: str, writer: LineWriter, terminal: TextIO | None = None) -> None:
    """Set up the standard logging of this process: one handler at the root, in ``log_format`` (auto, text, json)."""
    handler = _LineHandler(writer)
    handler.setFormatter(JSONFormatter() if is_json(log_format, terminal) else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)


def is_json(log_format: str, terminal: TextIO | None = None) -> bool:
    """Return whether lines are JSON: ``auto`` is text on a terminal, JSON elsewhere."""
    return log_format == "json" or (log_format == "auto" and not (terminal or sys.__stdout__ or sys.stdout).isatty())
