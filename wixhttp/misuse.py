"""Warnings of code that runs and does not do what it seems to: of what would be lost in silence.

A warning stands at the line of the user's code, and is given once for each line and rule (under Python's default
filter), whatever values its text names: those may be a client's. The server captures it and logs it with the request's
id; pytest lists it, and fails by it under ``-W error``.

Private: public import paths are listed in ``docs/architecture.md``.
"""

from __future__ import annotations

import sys
import warnings
from types import CodeType, FrameType

from .errors import MisuseWarning

_OWN = __name__.partition(".")[0]

_Registry = dict[str | tuple[str, type[Warning], int], int]  # of the module `warnings`
_given: dict[tuple[str, int, CodeType, int], int] = {}
"""Those that were given, by the user's line and the place of the rule, with the version of Python's filters."""


def warn_misuse(message: str) -> None:
    """Warn of what the innermost caller outside of this package does. ``message`` says what is lost, and what to write
    instead."""
    _warn(*place_of_caller(), message, sys._getframe(1))


def place_of_caller() -> tuple[str, int]:
    """The file and the line of the innermost caller outside of this package."""
    frame: FrameType = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _OWN:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def warn_misuse_at(file: str, line: int, message: str) -> None:
    """As `warn_misuse`, of a line by its file and number."""
    _warn(file, line, message, sys._getframe(1))


def _warn(file: str, line: int, message: str, rule: FrameType) -> None:
    place = file, line, rule.f_code, rule.f_lineno
    version = _given.get(place)
    key = message, MisuseWarning, line
    registry: _Registry = {} if version is None else {"version": version, key: 1}
    warnings.warn_explicit(message, MisuseWarning, file, line, registry=registry)
    if key in registry:  # the filter says once; others note nothing
        _given[place] = registry.get("version", 0)
