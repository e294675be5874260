"""The jobs of this process: the table of its site, and what is woken when one is stored.

Functions of users' enqueue without an object in hand, as they call collections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .job_table import JobTable


class ProcessJobs(NamedTuple):
    """The jobs of a process: ``table`` is that of its site, ``limit`` the setting ``inbox_limit``; ``wake`` is called
    when a job was stored."""

    table: JobTable
    limit: int
    wake: Callable[[], object]


_noted: ProcessJobs | None = None


def note_jobs(jobs: ProcessJobs | None) -> None:
    """Note the jobs of the site that this process has loaded; ``None`` forgets them."""
    global _noted  # noqa: PLW0603  # like the collections: functions of users' have no object in hand
    _noted = jobs


def noted_jobs() -> ProcessJobs | None:
    """The jobs of the site that this process has loaded; ``None`` where it has none, or has loaded no site."""
    return _noted
