"""Clocks that tests set."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


class DateClock:
    """A clock of dates that stands until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **spans: float) -> None:
        """Let time pass, or set it back."""
        self.now += timedelta(**spans)
