"""Events that metrics count: told here by whatever meets them, to whoever counts them in this process."""

from __future__ import annotations

from collections.abc import Callable

_counter: Callable[[str, dict[str, str]], None] | None = None


def counted(event: str, **labels: str) -> None:
    """Tell that an event has happened once. ``labels`` are few by nature: never a client's own text."""
    if _counter is not None:
        _counter(event, labels)


def count_with(counter: Callable[[str, dict[str, str]], None] | None) -> None:
    """Have ``counter`` called with each event and its labels; ``None``: nobody counts."""
    global _counter  # noqa: PLW0603  # like the loggers of a process: told from everywhere, read in one place
    _counter = counter
