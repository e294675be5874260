"""The handlers of a site that verify their senders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wixhttp.dispatch.site import Site

from .sender_guard import SenderGuard


class VerifiedHandler(NamedTuple):
    """A handler with ``@verified``: its name, as in the log, its file, and the guard that verifies."""

    name: str
    file: str
    guard: SenderGuard


def verified_handlers(site: Site) -> Iterator[VerifiedHandler]:
    """The handlers of a site that verify their senders: functions, then endpoints."""
    for handler in site.handlers():
        for guard in handler.policy.guards:
            if isinstance(guard, SenderGuard):
                yield VerifiedHandler(handler.exported_name, handler.file, guard)


def problems_of_senders(site: Site) -> list[str]:
    """The secrets that ``@verified`` names and that are missing or cannot be used, each with the way out."""
    return [
        f"{handler.file}: @verified of {handler.name}: {problem}"
        for handler in verified_handlers(site)
        for problem in handler.guard.problems()
    ]
