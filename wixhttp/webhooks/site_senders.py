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
    tables = [site.functions] if site.test_functions is site.functions else [site.functions, site.test_functions]
    for function in (each for table in tables for each in table):
        for guard in function.policy.guards:
            if isinstance(guard, SenderGuard):
                yield VerifiedHandler(function.exported_name, function.file, guard)
    for route in site.endpoints.routes if site.endpoints is not None else ():
        for handler in dict.fromkeys(route.methods.values()):
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
