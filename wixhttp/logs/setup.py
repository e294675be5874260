"""The set-up of standard ``logging``: one handler, in the format that the settings name."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

from .formats import JSONFormatter, TextFormatter
from .line_writer import LineWriter
from .terminal import Style, TerminalFormatter

OWN_LOGGERS = (
    "wixhttp", "wixhttp.access", "wixhttp.endpoints", "print", "stderr", "py.warnings", "asyncio",
    "gunicorn.error", "uvicorn.error",
)  # fmt: skip


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


class _OwnLogger(logging.Logger):
    """A logger of the runtime's own, whose records go to one handler, once.

    User code that configures logging as a whole does not reach it: ``dictConfig`` and ``fileConfig`` disable every
    logger that they do not name, ``basicConfig(force=True)`` takes the root's handlers away, ``logging.disable``
    silences all. Nor do the root's handlers get its records, which are in the log already. A level or a handler that is
    given to the logger itself counts.
    """

    own_handler: logging.Handler
    is_elsewhere: bool

    @property
    def disabled(self) -> bool:
        return False  # in place of the attribute that those functions set

    @disabled.setter
    def disabled(self, value: bool) -> None:
        pass

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        return level >= self.getEffectiveLevel()

    def filter(self, record: logging.LogRecord) -> Any:
        try:
            return super().filter(record)
        except Exception:  # a filter of the user's that fails stops neither the line nor the request that it is about
            return True

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        if not self.is_elsewhere:
            self.own_handler.handle(record)
        for handler in self.handlers:
            if record.levelno >= handler.level:
                try:
                    handler.handle(record)
                except Exception:  # the user's, too
                    handler.handleError(record)


def configure(log_format: str, level: str, writer: LineWriter, terminal: TextIO | None = None) -> None:
    """Set up the standard logging of this process: one handler, in ``log_format`` (auto, text, json).

    It is the root's, until user code sets another, and that of `OWN_LOGGERS`, whatever user code does.
    """
    handler = _LineHandler(writer)
    style = Style.of(writer.descriptor)
    if is_json(log_format, terminal):
        handler.setFormatter(JSONFormatter())
    else:
        handler.setFormatter(TextFormatter() if style is None else TerminalFormatter(style, OWN_LOGGERS))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in OWN_LOGGERS:
        logger: Any = logging.getLogger(name)
        logger.__class__ = _OwnLogger  # modules have it already, so that it cannot be made anew
        logger.own_handler, logger.is_elsewhere = handler, False
        logger.setLevel(level.upper())
    logging.captureWarnings(True)


def write_elsewhere(logger: Any, is_elsewhere: bool) -> None:
    """Have one of `OWN_LOGGERS` write by handlers of its own only, or by that of `configure` again."""
    logger.is_elsewhere = is_elsewhere


def is_json(log_format: str, terminal: TextIO | None = None) -> bool:
    """Return whether lines are JSON: ``auto`` is text on a terminal, JSON elsewhere."""
    return log_format == "json" or (log_format == "auto" and not (terminal or sys.__stdout__ or sys.stdout).isatty())
