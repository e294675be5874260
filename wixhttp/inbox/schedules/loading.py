"""The scheduled functions of a project: those that ``backend/jobs.config`` names, and those with ``@scheduled``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from wixhttp.auth import elevate
from wixhttp.errors import ProjectError
from wixhttp.messages import brief, nearest
from wixhttp.project.findings import Finding, below
from wixhttp.project.inbox_files import files_using_inbox
from wixhttp.project.loader import PACKAGE, load_module
from wixhttp.project.signatures import accepting, is_async_callable, place_of

from .decorator import ATTEMPTS, declaration_of
from .jobs_config import ConfiguredJob, read_jobs_config
from .schedule import Schedule

_RULE = "a scheduled function takes the moment that it is due at, or nothing"


@dataclass(frozen=True)
class ScheduledFunction:
    """A function and its schedules: ``name`` is that of its jobs, ``place`` the file and line that schedule it,
    ``attempts`` the most starts of one occurrence."""

    name: str
    function: Callable[..., Any]
    schedules: tuple[Schedule, ...]
    place: str
    description: str = ""
    attempts: int = ATTEMPTS

    @property
    def is_async(self) -> bool:
        """True where `call` returns an awaitable."""
        return is_async_callable(self.function)

    def call(self, occurrence: str | None = None) -> Any:
        """Call the function with the rights of the site's owner, as Wix does. ``occurrence`` is the moment that it is
        due at (ISO 8601; ``None``: now), which it is given in the time zone of its schedule."""
        now = datetime.now(timezone.utc).replace(second=0, microsecond=0)
        moment = now if occurrence is None else datetime.fromisoformat(occurrence)
        due = next((each for each in self.schedules if each.is_due(moment)), self.schedules[0])
        return elevate(self._taking_moment)(moment.astimezone(due.timezone))

    @property
    def _taking_moment(self) -> Callable[[datetime], Any]:
        """The function as one that takes the moment, whether it does or takes nothing.

        Raises:
            ProjectError: it takes something else.
        """
        return accepting(self.name, self.function, 1, _RULE)


def import_modules_using_inbox(root: Path, timeout: float) -> None:
    """Import the modules below ``backend`` whose text names ``wixhttp.inbox``: their jobs and scheduled functions are
    the site's, whether others import them or not.

    Raises:
        ProjectError: one cannot be imported.
    """
    for file in files_using_inbox(root):
        _imported(file, root, timeout)


def _imported(file: Path, root: Path, timeout: float) -> ModuleType:
    return load_module(root, ".".join((PACKAGE, *_parts(file, root))), file, timeout)


def load_schedules(
    root: Path,
    timeout: float,
    problems: list[ProjectError] | None = None,
    warnings: list[Finding] | None = None,
) -> tuple[ScheduledFunction, ...]:
    """The scheduled functions of a project, by name. With ``problems``, what is wrong is left out, and its errors are
    there; ``warnings`` take what has no effect.

    Raises:
        ProjectError: ``jobs.config`` is wrong, a module cannot be imported, a function is not there or takes what it
            will not be given, or two have one name.
    """
    loading = _Loading(root, timeout, problems)
    for job in read_jobs_config(root, problems, warnings):
        loading.attempt(partial(loading.add_configured, job))
    for file in files_using_inbox(root):
        loading.attempt(partial(loading.add_decorated, file))
    return tuple(loading.found[name] for name in sorted(loading.found))


class _Loading:
    """The scheduled functions that were found, by name, and where."""

    def __init__(self, root: Path, timeout: float, problems: list[ProjectError] | None) -> None:
        self.root = root
        self.timeout = timeout
        self.problems = problems
        self.found: dict[str, ScheduledFunction] = {}

    def attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except ProjectError as error:
            if self.problems is None:
                raise
            if str(error) not in map(str, self.problems):
                self.problems.append(error)

    def add_configured(self, job: ConfiguredJob) -> None:
        """Add a job of jobs.config. One function may have several."""
        module = load_module(self.root, f"{PACKAGE}.{job.module}", job.file, self.timeout)
        function = getattr(module, job.function, None)
        name = f"{job.module}.{job.function}"
        if not callable(function) or isinstance(function, type):
            file = below(job.file, self.root)
            raise ProjectError(f"{job.function_place}: {_no_function(file, job.function, module)}")
        if declaration_of(function) is not None:
            raise ProjectError(f"{job.place}: {name} has @scheduled, too; keep one of them")
        before = self.found.get(name)
        if before is None:
            self._add(ScheduledFunction(name, function, (job.schedule,), job.place, job.description))
        elif job.schedule in before.schedules:
            raise ProjectError(f"{job.place}: {name} has the same times in {before.place}; leave one out")
        else:
            schedules = (*before.schedules, job.schedule)
            self.found[name] = ScheduledFunction(name, before.function, schedules, before.place, before.description)

    def add_decorated(self, module_file: Path) -> None:
        """Add the functions with ``@scheduled`` that a module defines."""
        module = _imported(module_file, self.root, self.timeout)
        dotted = ".".join(_parts(module_file, self.root))
        for bound, value in list(vars(module).items()):
            declaration = declaration_of(value)
            if declaration is None or getattr(value, "__module__", None) != module.__name__:
                continue  # an imported one is found where it is defined
            file, line = place_of(value)
            place = f"{below(Path(file), self.root)}:{line}"
            name = declaration.name or f"{dotted}.{bound}"
            summary = (value.__doc__ or "").strip().partition("\n")[0]
            attempts = declaration.attempts or ATTEMPTS
            found = ScheduledFunction(name, value, declaration.schedules, place, summary, attempts)
            self.attempt(partial(self._add, found))

    def _add(self, scheduled: ScheduledFunction) -> None:
        name, place = scheduled.name, scheduled.place
        before = self.found.get(name)
        if before is not None:
            raise ProjectError(
                f"{place}: two functions are scheduled as {name!r}, here and in {before.place}; say name="
            )
        accepting(name, scheduled.function, 1, _RULE)
        self.found[name] = scheduled


def _no_function(file: str, name: str, module: ModuleType) -> str:
    known = [
        each for each, value in vars(module).items()
        if callable(value) and not isinstance(value, type) and not each.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]  # fmt: skip
    if hasattr(module, name):
        return f"{brief(name)} of {file} is no function"
    return f"{file} has no function {brief(name)}" + (f"; {nearest(name, known)}" if known else "")


def _parts(file: Path, root: Path) -> tuple[str, ...]:
    """The parts of a module's name below ``backend``."""
    parts = file.relative_to(root / PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts
