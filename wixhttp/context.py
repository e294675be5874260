"""The context variables of this package: what users' functions reach without an object in hand."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

current_request: ContextVar[Any] = ContextVar("wixhttp_current_request", default=None)
"""The `Head` of the request that runs here, for the lines that are logged meanwhile; set by the server interfaces."""
