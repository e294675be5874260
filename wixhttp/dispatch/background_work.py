"""Work that a process of a site does beside requests: deferred functions, jobs, schedules.

What serves the site starts it in each process, after the fork, and stops it with the requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a site without async def does not load it
    import asyncio


class BackgroundWork(Protocol):
    """Work beside requests. Each method may be called again, and then does nothing."""

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin, on threads of its own, and for what is awaited on ``loop``; ``None``: on the process's own."""

    def begin_stop(self) -> None:
        """Begin nothing new from here on. Safe in a signal handler; the time to stop runs from here."""

    def stop(self, grace: float) -> None:
        """Wait until all has ended, at most until ``grace`` seconds after `begin_stop`; then leave what still runs to
        other processes. Blocks."""
