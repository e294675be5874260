"""``backend/jobs.config`` as Velo writes it: JSON with comments, which names functions and the times to run them at.

Source: https://dev.wix.com/docs/develop-websites/articles/workspace-tools/developer-tools/recurring-jobs/jobs-json-object
Velo's limits of a plan (3 to 30 jobs, intervals of an hour or five minutes) do not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wixhttp.errors import ProjectError
from wixhttp.messages import brief, nearest
from wixhttp.project.findings import Finding
from wixhttp.project.inbox_files import JOBS_CONFIG as FILE
from wixhttp.project.loader import PACKAGE, backend_file

from .commented_json import LocatedValue, read_commented
from .schedule import Schedule

_JOB = ("functionLocation", "functionName", "description", "executionConfig")
_EXECUTION = ("cronExpression", "time", "dayOfWeek", "dateInMonth")
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_ENDINGS = (".web.js", ".web.ts", ".jsw", ".js", ".ts", ".py")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class ConfiguredJob:
    """One job of the file: ``place`` is its file and line, ``module`` the dotted name below ``backend``, ``file`` the
    one that it stands in, ``function_line`` the line of the function's name."""

    place: str
    module: str
    file: Path
    function: str
    function_place: str
    description: str
    schedule: Schedule


def read_jobs_config(
    root: Path, problems: list[ProjectError] | None = None, warnings: list[Finding] | None = None
) -> list[ConfiguredJob]:
    """The jobs of a project's file, in its order; none where there is none. With ``problems``, jobs that are wrong are
    left out, and their errors are there; ``warnings`` take what has no effect.

    Raises:
        ProjectError: the file cannot be read, or a job is wrong; names file and line.
    """
    try:
        return _Jobs(root, problems, [] if warnings is None else warnings).read()
    except ProjectError as error:
        if problems is None:
            raise
        problems.append(error)
        return []


def _wrong(value: LocatedValue | int, message: str) -> ProjectError:
    return ProjectError(f"{FILE}:{value if isinstance(value, int) else value.line}: {message}")


class _Jobs:
    """Reads the file of one project."""

    def __init__(self, root: Path, problems: list[ProjectError] | None, warnings: list[Finding]) -> None:
        self.root = root
        self.problems = problems
        self.warnings = warnings

    def read(self) -> list[ConfiguredJob]:
        text = self._text()
        if text is None:
            return []
        whole = read_commented(text, FILE)
        jobs = self._object(whole, ("jobs",), 'the file has one object: {"jobs": [...]}').get("jobs")
        if jobs is None:
            raise _wrong(whole, 'the object has no "jobs"; write {"jobs": [...]}')
        if not isinstance(jobs.value, list):
            raise _wrong(jobs, f'"jobs" is a list [...], not {jobs.kind}')
        found: list[ConfiguredJob] = []
        for value in jobs.value:
            if _is_example(value):
                text = "the example of Wix's editor is not run, as on Wix; remove it"
                self.warnings.append(Finding(FILE, value.line, "schedule", text))
                continue
            try:
                found.append(self._job(value))
            except ProjectError as error:
                if self.problems is None:
                    raise
                self.problems.append(error)
        return found

    def _text(self) -> str | None:
        path = self.root / FILE
        if path.is_fifo():  # to read it would wait for its writer
            raise ProjectError(f"{FILE} is a named pipe; make it a file")
        try:
            return path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ProjectError(f"{FILE} cannot be read: {error}; make it a readable file in UTF-8") from None

    def _object(self, value: LocatedValue, known: Iterable[str], rule: str) -> Mapping[str, LocatedValue]:
        if not isinstance(value.value, dict):
            raise _wrong(value, f"{rule}, not {value.kind}")
        known = tuple(known)
        for key, inner in value.value.items():
            if key not in known:
                raise _wrong(inner, f"there is no key {brief(key)} here; {_instead_of(key, known)}")
        return value.value

    def _job(self, value: LocatedValue) -> ConfiguredJob:
        keys = self._object(value, _JOB, "a job is an object {...}")
        location = self._text_of(value, keys, "functionLocation", 'the file below backend, such as "/reports.js"')
        function = self._function(value, keys, location)
        module, file = self._module(location)
        execution = keys.get("executionConfig")
        if execution is None:
            raise _wrong(value, "the job has no executionConfig, which says when it runs")
        description = keys.get("description", LocatedValue("", value.line))
        if not isinstance(description.value, str):
            raise _wrong(description, f"description is text, not {description.kind}")
        schedule = self._schedule(execution)
        return ConfiguredJob(
            f"{FILE}:{value.line}", module, file, function.value, f"{FILE}:{function.line}", description.value, schedule
        )

    def _text_of(self, value: LocatedValue, keys: Mapping[str, LocatedValue], key: str, meaning: str) -> LocatedValue:
        found = keys.get(key)
        if found is None:
            raise _wrong(value, f"the job has no {key}: {meaning}")
        if not isinstance(found.value, str) or not found.value:
            shown = brief(found.value) if isinstance(found.value, str) else found.kind
            raise _wrong(found, f"{key} is {meaning}, not {shown}")
        return found

    # --- the function ---

    def _function(self, value: LocatedValue, keys: Mapping[str, LocatedValue], location: LocatedValue) -> LocatedValue:
        """The name of the function; files of 2019 have it behind the location."""
        file, dot, name = location.value.rpartition(".")
        if "functionName" not in keys and dot and name.isidentifier() and f".{name}" not in _ENDINGS:
            raise _wrong(
                location, f'write the name of the function apart: "functionLocation": "{file.removesuffix(".js")}.js", '
                f'"functionName": "{name}"'
            )  # fmt: skip
        return self._text_of(value, keys, "functionName", "the name of the function to run")

    def _module(self, location: LocatedValue) -> tuple[str, Path]:
        """The module of a location and its file."""
        path = location.value.strip().removeprefix("/")
        ending = next((each for each in _ENDINGS if path.endswith(each)), None)
        parts = [part.replace("-", "_") for part in path.removesuffix(ending or "").split("/")]
        if ending is None or not all(part.isidentifier() for part in parts):
            raise _wrong(
                location,
                f'functionLocation is a file below {PACKAGE}, such as "/reports.js" for {PACKAGE}/reports.py, not '
                f"{brief(location.value)}",
            )
        if len(parts) > 1 and parts[0] == PACKAGE and not (self.root / PACKAGE / PACKAGE).is_dir():
            parts = parts[1:]  # "backend/reports.js", which Velo's editor shows as the path
        file = backend_file(self.root, "/".join(parts))
        if file is not None:
            return ".".join(parts), file
        wanted = f"{PACKAGE}/{'/'.join(parts)}.py"
        script = self.root / PACKAGE / path.removeprefix(f"{PACKAGE}/")
        if ending != ".py" and script.is_file():
            raise _wrong(
                location, f"{PACKAGE}/{path.removeprefix(f'{PACKAGE}/')} is JavaScript; write {wanted} in Python"
            )
        raise _wrong(location, f"there is no {wanted} for {brief(location.value)}{self._near('/'.join(parts))}")

    def _near(self, name: str) -> str:
        folder = self.root / PACKAGE
        known = [file.relative_to(folder).with_suffix("").as_posix() for file in sorted(folder.rglob("*.py"))[:1000]]
        known = [each.removesuffix("/__init__") for each in known]
        return f"; {nearest(name, known)}" if 0 < len(known) <= 20 or name in known else "; make it"

    # --- its times ---

    def _schedule(self, execution: LocatedValue) -> Schedule:
        keys = self._object(execution, _EXECUTION, "executionConfig is an object {...}")
        cron = keys.get("cronExpression")
        if cron is None:
            expression, place = self._of_time(execution, keys), keys["time"]
        else:
            expression, place = cron.value, cron
            for key in _EXECUTION[1:]:
                if key in keys:
                    text = f"{key} has no effect beside cronExpression, here as on Wix; leave one of them out"
                    self.warnings.append(Finding(FILE, keys[key].line, "schedule", text))
        try:
            return Schedule(expression)
        except ValueError as error:
            raise _wrong(place, str(error)) from None

    def _of_time(self, execution: LocatedValue, keys: Mapping[str, LocatedValue]) -> str:
        """The cron expression of a time of day."""
        time = keys.get("time")
        if time is None:
            raise _wrong(execution, "executionConfig has a cronExpression, or a time")
        match = _TIME.fullmatch(time.value) if isinstance(time.value, str) else None
        if match is None:
            raise _wrong(time, f'time is text from "00:00" to "23:59", in UTC, not {_shown(time)}')
        day, date = keys.get("dayOfWeek"), keys.get("dateInMonth")
        if day is not None and date is not None:
            raise _wrong(date, "a job has dayOfWeek or dateInMonth, not both; leave one out")
        if day is not None and day.value not in _DAYS:
            near = f"; {nearest(day.value.capitalize(), _DAYS)}" if isinstance(day.value, str) else ""
            raise _wrong(day, f'dayOfWeek is a name such as "Monday", not {_shown(day)}{near}')
        if date is not None and (type(date.value) is not int or not 1 <= date.value <= 31):
            raise _wrong(date, f"dateInMonth is a number from 1 to 31, not {_shown(date)}")
        on = f"{date.value} * *" if date is not None else f"* * {_DAYS.index(day.value) if day is not None else '*'}"
        return f"{int(match[2])} {int(match[1])} {on}"


def _instead_of(key: str, known: Iterable[str]) -> str:
    """The way out of an unknown key."""
    if key.lower().replace("_", "") in ("timezone", "tz", "zone"):
        return 'all times are in UTC; for a time zone schedule the function by @scheduled("0 8 * * *", tz="...")'
    return nearest(key, known)


def _is_example(value: LocatedValue) -> bool:
    """Return whether a job is one of those with which Wix's editor begins the file."""
    location = value.value.get("functionLocation") if isinstance(value.value, dict) else None
    return location is not None and location.value in ("/module/filename.js(w)", "/module/filename.funcName")


def _shown(value: LocatedValue) -> Any:
    return value.kind if isinstance(value.value, dict | list) else brief(value.value)
