"""The table of a site's deferred functions and jobs: how each is run, by its name.

It is closed once the site is loaded. A process claims work of its names only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wixhttp.auth import elevate
from wixhttp.dispatch.site import Site
from wixhttp.errors import ProjectError
from wixhttp.guards import SENDER
from wixhttp.http.policy import Policy, policy_of
from wixhttp.project.config import Config
from wixhttp.project.findings import below
from wixhttp.project.function_table import Function
from wixhttp.project.loader import backend_file, load_module
from wixhttp.project.signatures import is_async_callable, place_of

from .acceptance import DeferredGuard, check_event
from .arguments import check_taken, read_payload
from .declarations import JOB, JobDeclaration
from .options import TIMEOUT, JobOptions
from .stored_request import stored_request, stored_state
from .stores.contract import Job

_SKIPPED = ("site-packages", "dist-packages")

Start = Callable[[Job, Any], Any]
"""Calls the user's function for a job and the head of its run: the value that it returns, or an awaitable of one."""


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A deferred function or job. ``kind`` is ``"deferred"``, ``"job"`` or ``"scheduled"``; ``start`` calls the
    function; ``timeout`` is in seconds, 0 for none; ``file`` and ``line`` are its place. ``target`` is the function of
    a job, which takes the arguments of `enqueue`."""

    name: str
    kind: str
    start: Start
    is_async: bool
    options: JobOptions
    timeout: float = TIMEOUT
    file: str = ""
    line: int = 0
    target: Callable[..., Any] | None = None

    @property
    def place(self) -> str:
        """Its place, as messages name it."""
        return f"{self.file}:{self.line}"


class JobTable:
    """The deferred functions, jobs and scheduled functions of a site by name. ``guards`` are those that accept."""

    def __init__(self) -> None:
        self._by_name: dict[str, JobEntry] = {}
        self.guards: list[DeferredGuard] = []

    def add(self, entry: JobEntry) -> None:
        """Add an entry.

        Raises:
            ProjectError: there is one of that name.
        """
        other = self._by_name.setdefault(entry.name, entry)
        if other is not entry:
            raise ProjectError(
                f"{entry.place}: there is a {other.kind} function named {entry.name!r} already, at {other.place}; "
                "give one of them another name"
            )

    def get(self, name: str) -> JobEntry | None:
        """The entry of a name, or ``None``."""
        return self._by_name.get(name)

    @property
    def names(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._by_name)

    def __iter__(self) -> Iterator[JobEntry]:
        return iter(self._by_name[name] for name in self.names)

    def __len__(self) -> int:
        return len(self._by_name)


def jobs_file(config: Config) -> Path | None:
    """The file of the project's jobs, ``backend/jobs.py``, which is always imported; ``None`` without one.

    Raises:
        ProjectError: there is a package of that name, too.
    """
    return backend_file(config.root, "jobs")


def load_jobs(site: Site, config: Config) -> JobTable:
    """Import the project's jobs, and make the table of a site's deferred functions and jobs.

    Raises:
        ProjectError: a file cannot be imported, two have one name, or a decorator asks for what is not there.
    """
    file = jobs_file(config)
    if file is not None:
        load_module(config.root, "backend.jobs", file, config.import_timeout)
    table = JobTable()
    for function in site.functions:
        _add_function(table, function, config)
    if site.test_functions is not site.functions:
        for function in site.test_functions:
            _add_function(table, function, config)
    if site.endpoints is not None:
        for route in site.endpoints.routes:
            for handler in dict.fromkeys(route.methods.values()):
                _add_handler(table, handler, site.endpoints, config)
    for target in declared(config.root, JOB):
        entry = job_entry(getattr(target, JOB), target)
        table.add(replace(entry, file=below(Path(entry.file), config.root)))
    return table


def _place(handler: Any, config: Config) -> tuple[str, int]:
    return below(Path(handler.file), config.root), handler.line


def _prepare(table: JobTable, handler: Any, config: Config) -> DeferredGuard | None:
    """The guard of a deferred function, given what it is to know of the site; ``None`` of any other."""
    guards = handler.policy.guards
    guard = next((each for each in guards if isinstance(each, DeferredGuard)), None)
    if guard is not None:
        table.guards.append(guard)
        file, line = _place(handler, config)
        name = f"{file}:{line}: {handler.exported_name}"
        check_event(guard, name, [each for each in guards if each.place == SENDER])
        guard.limit = config.inbox_limit
    return guard


def _timeout(policy: Policy) -> float:
    return TIMEOUT if policy.timeout is None else policy.timeout


def _add_function(table: JobTable, function: Function, config: Config) -> None:
    guard = _prepare(table, function, config)
    if guard is None:
        return
    origin = config.public_url or ""

    def start(job: Job, head: Any) -> Any:
        document = read_payload(job.payload)
        return function.call(stored_request(head, document, job.body, origin, is_async=function.is_async))

    name, options = function.unique_name, guard.rules.options
    place = _place(function, config)
    table.add(JobEntry(name, "deferred", start, function.is_async, options, _timeout(function.policy), *place))


def _add_handler(table: JobTable, handler: Any, endpoints: Any, config: Config) -> None:
    guard = _prepare(table, handler, config)
    if guard is None:
        return
    origin, timeout = config.public_url or "", _timeout(handler.policy)

    def start(job: Job, head: Any) -> Any:
        return handler.answer_deferred(stored_state(head, endpoints, job.body, origin, timeout))

    options, place = guard.rules.options, _place(handler, config)
    table.add(JobEntry(handler.exported_name, "deferred", start, handler.runs_async, options, timeout, *place))


def job_entry(declaration: JobDeclaration, target: Callable[..., Any], kind: str = "job") -> JobEntry:
    """The entry of a function that takes the arguments of its job. It acts on collections with the rights of the site's
    owner, as scheduled functions do: no client calls it, but the site's own code."""
    call = elevate(target)

    def start(job: Job, head: Any) -> Any:
        arguments = read_payload(job.payload)["arguments"]
        check_taken(declaration.name, target, arguments)
        return call(*arguments)

    options, timeout = declaration.options, _timeout(policy_of(target))
    is_async = is_async_callable(target)
    return JobEntry(declaration.name, kind, start, is_async, options, timeout, *place_of(target), target)


def declared(root: Path, attribute: str) -> list[Callable[..., Any]]:
    """The functions at the top of the project's modules that have an attribute, in the order of their places. A module
    is the project's where its file is below ``root``; installed packages are not."""
    found: dict[int, Callable[..., Any]] = {}
    prefix = f"{root}/"
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(prefix) and not any(part in file for part in _SKIPPED):
            for value in list(vars(module).values()):
                if callable(value) and getattr(value, "__dict__", {}).get(attribute) is not None:
                    found[id(value)] = value
    return sorted(found.values(), key=place_of)
