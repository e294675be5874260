"""Scheduled functions in the table of jobs: their occurrences are run as jobs are."""

from __future__ import annotations

import logging
from typing import Any

from wixhttp.http.policy import policy_of
from wixhttp.project.config import Config
from wixhttp.project.findings import Finding

from .arguments import read_payload
from .job_table import JobEntry, JobTable
from .options import TIMEOUT, JobOptions
from .schedules.loading import ScheduledFunction, load_schedules
from .stores.contract import Job

logger = logging.getLogger("wixhttp")


def add_schedules(table: JobTable, config: Config) -> tuple[ScheduledFunction, ...]:
    """The scheduled functions of a project, added to the table of its jobs.

    Raises:
        ProjectError: as `load_schedules`, or a job has the name of one.
    """
    warnings: list[Finding] = []
    functions = load_schedules(config.root, config.import_timeout, warnings=warnings)
    for warning in warnings:
        logger.warning("%s", warning)
    for function in functions:
        table.add(schedule_entry(function))
    return functions


def schedule_entry(function: ScheduledFunction) -> JobEntry:
    """The entry of a scheduled function."""

    def start(job: Job, head: Any) -> Any:
        return function.call(*read_payload(job.payload)["arguments"])

    timeout = policy_of(function.function).timeout
    file, _, line = function.place.rpartition(":")
    return JobEntry(
        function.name, "scheduled", start, function.is_async, JobOptions(attempts=function.attempts),
        TIMEOUT if timeout is None else timeout, file, int(line),
    )  # fmt: skip
