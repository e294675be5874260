"""The exit codes of the command ``wixhttp``.

0 is success, and 2 a wrong usage, which click reports.
"""

from __future__ import annotations

FAILED = 1
"""It failed at run time."""

NOT_LOADED = 3
"""The project cannot be loaded, or a setting is wrong."""

INTERRUPTED = 130
"""Ctrl-C."""
