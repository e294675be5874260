"""The inbox of a served site, in each of its processes: what is started, woken and stopped with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from wixhttp.dispatch.site import Site
from wixhttp.project.config import Config

from .job_table import JobTable
from .opened import current_inbox
from .process_jobs import ProcessJobs, note_jobs
from .runner import JobRunner
from .stores.contract import Inbox

if TYPE_CHECKING:  # a site without scheduled functions does not load it
    from .schedules.scheduler import Scheduler


def jobs_of(site: Site) -> InboxService | None:
    """The inbox of a site that `wixhttp.services` has loaded; ``None`` where it has no deferred functions and jobs."""
    return next((work for work in site.background if isinstance(work, InboxService)), None)


class InboxService:
    """Deferred functions and jobs of a site as work beside requests (`wixhttp.dispatch.background_work`).

    ``places`` is how many run at once, the setting ``inbox_concurrency``; 0 runs none. ``make_scheduler`` makes that
    of the scheduled functions for an inbox; ``None`` where there are none.
    """

    def __init__(self, config: Config, table: JobTable) -> None:
        self.config = config
        self.table = table
        self.places = config.inbox_concurrency
        self.make_scheduler: Callable[[Inbox], Scheduler] | None = None
        self._runner: JobRunner | None = None
        self._pid = 0
        for guard in table.guards:
            guard.wake = self.wake
        note_jobs(ProcessJobs(table, config.inbox_limit, self.wake))

    @property
    def is_used(self) -> bool:
        """Return whether there is something that a process could run."""
        return len(self.table) > 0

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin to run work in this process. A fork of it begins anew."""
        if self._pid == os.getpid() or not (self.places and self.is_used):
            return
        self._pid = os.getpid()
        self._runner = JobRunner(self.table, current_inbox, self.places, make_scheduler=self.make_scheduler, loop=loop)
        self._runner.start()

    def wake(self) -> None:
        """Have the runner of this process look for work at once."""
        if self._runner is not None and self._pid == os.getpid():
            self._runner.wake()

    def begin_stop(self) -> None:
        """Begin nothing new from here on."""
        if self._runner is not None and self._pid == os.getpid():
            self._runner.begin_stop()

    def stop(self, grace: float) -> None:
        """Wait until all has ended, or the time is over; see `JobRunner.stop`."""
        if self._runner is not None and self._pid == os.getpid():
            self._runner.stop(grace)
