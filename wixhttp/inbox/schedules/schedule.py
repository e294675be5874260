"""A schedule: a cron expression in a time zone, and the moments at which it is due."""

from __future__ import annotations

import contextlib
import difflib
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cached_property
from heapq import heappop, heappush

from cronsim import CronSim, CronSimError

from wixhttp.messages import brief, nearest

MISSED = ("last", "all", "skip")
"""What is done about occurrences that were missed: the last one is run, all are, none is."""

_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7 (0 and 7 are Sunday), or SUN to SAT"),
)
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SOME_DAY = datetime(2024, 1, 1, tzinfo=timezone.utc)
_MINUTE = timedelta(minutes=1)
_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Schedule:
    """A cron expression of five fields, the time zone that it is read in, and what is done about missed occurrences.

    At night, when clocks are set forward, an occurrence at a time of day that does not exist is due right behind the
    gap; when they are set back, one at a time of day that comes twice is due the first time. Expressions whose minute
    or hour begins with ``*`` go by the time that really passes (as Debian's cron does).

    Raises:
        ValueError: the expression is wrong or never due, there is no such zone, or ``missed`` is none of `MISSED`.
    """

    expression: str
    zone: str = "UTC"
    missed: str = "last"

    def __post_init__(self) -> None:
        _check_expression(self.expression)
        _ = self.timezone
        if self.missed not in MISSED:
            known = ", ".join(f'"{each}"' for each in MISSED)
            near = f"; {nearest(self.missed, MISSED)}" if isinstance(self.missed, str) else ""
            raise ValueError(f"missed is one of {known}, not {brief(self.missed)}{near}")

    @cached_property
    def timezone(self) -> tzinfo:
        """The zone."""
        return timezone.utc if self.zone == "UTC" else _zone(self.zone)

    @property
    def explanation(self) -> str:
        """The expression in English: ``At 02:30 every day``."""
        return CronSim(self.expression, _SOME_DAY).explain()

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The moments behind ``moment`` at which it is due, in UTC, in order, without end."""
        moment = moment.astimezone(timezone.utc)
        last, found = moment, list[datetime]()  # a heap: in the hour that comes twice, times of day are out of order
        for local in CronSim(self.expression, self._begin(moment)):
            moments = self._moments(local)
            for each in moments:
                heappush(found, each)
            while found and moments and found[0] <= moments[0]:
                due = heappop(found)
                if due > last:
                    last = due
                    yield due

    def _begin(self, moment: datetime) -> datetime:
        """The time of day at ``moment``; within an hour that comes once more, that at its beginning."""
        local = moment.astimezone(self.timezone)
        again = _offset(local.replace(fold=0)) - _offset(local.replace(fold=1))
        return local.replace(tzinfo=None, fold=0) - max(again, timedelta())

    def _moments(self, local: datetime) -> list[datetime]:
        """The moments at which it is due for a time of day, in UTC, in order."""
        first, second = (local.replace(tzinfo=self.timezone, fold=fold) for fold in (0, 1))
        moments = [each.astimezone(timezone.utc) for each in (first, second)]
        if _offset(first) == _offset(second):
            return moments[:1]
        if moments[0].astimezone(self.timezone).replace(tzinfo=None) == local:  # it comes twice
            return moments if self._goes_by_passing_time else moments[:1]
        if self._goes_by_passing_time:  # it does not exist
            return []
        while moments[0].astimezone(self.timezone).replace(tzinfo=None, fold=0) != local:
            local += _MINUTE
            moments[0] = local.replace(tzinfo=self.timezone).astimezone(timezone.utc)
        return moments[:1]

    @cached_property
    def _goes_by_passing_time(self) -> bool:
        return any(field.startswith("*") for field in self.expression.split()[:2])

    def next(self, moment: datetime) -> datetime | None:
        """The first moment behind ``moment``; ``None``: there is none in fifty years."""
        return next(self.after(moment), None)

    def between(self, moment: datetime, end: datetime) -> list[datetime]:
        """The moments behind ``moment``, up to and with ``end``."""
        found: list[datetime] = []
        for due in self.after(moment):
            if due > end:
                break
            found.append(due)
        return found

    def is_due(self, moment: datetime) -> bool:
        """Return whether it is due at ``moment``."""
        return self.next(moment - timedelta(seconds=1)) == moment


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()


def _check_expression(expression: object) -> None:
    if not isinstance(expression, str):
        raise ValueError(f'a cron expression is text, such as "30 2 * * *", not {brief(expression)}')
    fields = expression.split()
    shown = brief(expression)
    if expression.strip().lower() in _MACROS:
        raise ValueError(f'the cron expression {shown} is not taken; write "{_MACROS[expression.strip().lower()]}"')
    if len(fields) != 5 or len(expression) > _MOST_CHARACTERS:
        more = "; it has no seconds" if len(fields) == 6 else ""
        raise ValueError(
            "a cron expression has five fields (minute, hour, day of the month, month, day of the week), such as "
            f'"30 2 * * *", not {shown}{more}'
        )
    for place, (field, (name, values)) in enumerate(zip(fields, _FIELDS, strict=True)):
        if not _is_known(" ".join(field if each == place else "*" for each in range(5))):
            raise ValueError(f"the {name} {field!r} of the cron expression {shown} is wrong; it is {values}")
    if not _is_known(expression) or next(CronSim(expression, _SOME_DAY), None) is None:
        raise ValueError(f"the cron expression {shown} is never due: there is no such day")


def _is_known(expression: str) -> bool:
    try:
        CronSim(expression, _SOME_DAY)
    except (CronSimError, ValueError):
        return False
    return True


def _zone(name: object) -> tzinfo:
    if not isinstance(name, str):
        raise ValueError(f'tz is the name of a time zone, such as "Europe/Berlin", not {brief(name)}')
    if len(name) <= _MOST_CHARACTERS:
        with contextlib.suppress(zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder's name
            return zoneinfo.ZoneInfo(name)
    known = zoneinfo.available_timezones()
    if not known:
        raise ValueError(
            f"the time zone {brief(name)} cannot be read: this machine has no time zones; run: pip install tzdata"
        )
    by_lower = {each.lower(): each for each in sorted(known)}
    wanted = name.strip().lower().replace(" ", "_")[:80]
    near = [each for lower, each in by_lower.items() if lower.rpartition("/")[2] == wanted]
    near += [by_lower[lower] for lower in difflib.get_close_matches(wanted, by_lower, 1, cutoff=0.6)]
    way_out = f"did you mean {near[0]!r}?" if near else 'zones are named as in the tz database: "Europe/Berlin"'
    raise ValueError(f"there is no time zone {brief(name)}; {way_out}")
