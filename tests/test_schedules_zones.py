"""Schedules against a scan of every minute of a year, in zones of every kind, on the nights when clocks are set too."""

from __future__ import annotations

import functools
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wixhttp.inbox.schedules.schedule import Schedule

MINUTE = timedelta(minutes=1)
BEGIN, END = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2027, 1, 1, tzinfo=timezone.utc)
# Clocks are set in the night, by half an hour, and at midnight.
ZONES = ("Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo")


class Year(NamedTuple):
    """Every minute of the year in a zone, by hour and minute on the clock: ``passing`` has those that really pass,
    ``shown`` the times of day, each at the first moment that the clock shows it, or has skipped it."""

    passing: dict[tuple[int, int], list[tuple[datetime, datetime]]]
    shown: dict[tuple[int, int], list[tuple[datetime, datetime]]]


@functools.cache
def year_in(zone: str) -> Year:
    """The year in a zone, by a scan of its minutes; each is a moment in UTC and a time of day."""
    info, year = ZoneInfo(zone), Year(defaultdict(list), defaultdict(list))
    at, reached = BEGIN, BEGIN.astimezone(info).replace(tzinfo=None) - MINUTE
    while at < END:
        local = at.astimezone(info).replace(tzinfo=None, fold=0)
        year.passing[local.hour, local.minute].append((at, local))
        while reached < local:
            reached += MINUTE
            year.shown[reached.hour, reached.minute].append((at, reached))
        at += MINUTE
    return year


class Fields:
    """Fields of an expression as sets of numbers, and as text."""

    def __init__(self, minute: str, hour: str, day: str, month: str, weekday: str) -> None:
        self.text = f"{minute} {hour} {day} {month} {weekday}"
        self.minutes, self.hours = numbers(minute, 60), numbers(hour, 24)
        self.days, self.months, self.weekdays = numbers(day, 32), numbers(month, 13), numbers(weekday, 7)
        self.goes_by_passing_time = minute.startswith("*") or hour.startswith("*")
        self.needs_both_days = day.startswith("*") or weekday.startswith("*")

    def has_day(self, day: datetime) -> bool:
        """Return whether it is due on a day."""
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        is_day = by_date and by_weekday if self.needs_both_days else by_date or by_weekday
        return is_day and day.month in self.months

    def __repr__(self) -> str:
        return self.text


def numbers(field: str, end: int) -> frozenset[int]:
    """The numbers of a field: of ``*``, steps of it, and lists."""
    if field.startswith("*"):
        first = 1 if end in (32, 13) else 0
        return frozenset(range(first, end, int(field[2:] or 1)))
    return frozenset(int(each) % (7 if end == 7 else 60) for each in field.split(","))


def scanned(fields: Fields, zone: str) -> list[datetime]:
    """The moments of the year at which it is due: by the time that passes, or by the clock on the wall."""
    year = year_in(zone)
    by_time = year.passing if fields.goes_by_passing_time else year.shown
    times = [(hour, minute) for hour in fields.hours for minute in fields.minutes]
    return sorted({at for time in times for at, local in by_time[time] if fields.has_day(local)})


def clock_changes(zone: str) -> list[datetime]:
    """The days of the year on which clocks are set."""
    days = [BEGIN + timedelta(days=each) for each in range(365)]
    offsets = [day.astimezone(ZoneInfo(zone)).utcoffset() for day in days]
    return [day for day, before, after in zip(days[1:], offsets, offsets[1:], strict=False) if before != after]


def lists_of(low: int, high: int) -> st.SearchStrategy[str]:
    """Fields of one to three numbers."""
    return st.sets(st.integers(low, high), min_size=1, max_size=3).map(lambda found: ",".join(map(str, sorted(found))))


EXPRESSIONS = st.builds(
    Fields,
    lists_of(0, 59) | st.sampled_from(["*/15", "*/7"]),
    lists_of(0, 4) | lists_of(0, 23) | st.sampled_from(["*", "*/2"]),
    st.just("*") | lists_of(1, 28),
    st.just("*") | lists_of(1, 12),
    st.just("*") | lists_of(0, 7),
)


@settings(max_examples=10, deadline=None)
@given(fields=EXPRESSIONS, zone=st.sampled_from(ZONES))
@example(Fields("30", "2", "*", "*", "*"), "Europe/Berlin")
@example(Fields("0,30", "2,3", "*", "*", "*"), "Europe/Berlin")
@example(Fields("30", "*", "*", "*", "*"), "Europe/Berlin")
@example(Fields("*/15", "2", "*", "*", "*"), "Europe/Berlin")
@example(Fields("45", "1", "*", "*", "*"), "Australia/Lord_Howe")
@example(Fields("0", "0", "*", "*", "*"), "Africa/Cairo")
@example(Fields("30", "23", "*", "*", "*"), "Africa/Cairo")
@example(Fields("0", "0", "1,15", "*", "5"), "Europe/Berlin")
def test_occurrences_are_those_of_a_scan_of_every_minute(fields: Fields, zone: str) -> None:
    assert Schedule(fields.text, zone).between(BEGIN - MINUTE, END - MINUTE) == scanned(fields, zone)


@settings(max_examples=40, deadline=None)
@given(fields=EXPRESSIONS, zone=st.sampled_from(ZONES), data=st.data())
def test_a_year_in_pieces_has_the_occurrences_of_the_whole(fields: Fields, zone: str, data: st.DataObject) -> None:
    """Wherever processes looked last, even within the hour that comes twice, nothing is lost and nothing twice."""
    begin = data.draw(st.sampled_from(clock_changes(zone))) - timedelta(days=1)
    end = begin + timedelta(days=2)
    schedule = Schedule(fields.text, zone)
    whole = schedule.between(begin, end)
    seconds = data.draw(st.lists(st.integers(1, 2 * 86400 - 1), max_size=30, unique=True))
    borders = [begin, *sorted(begin + timedelta(seconds=each) for each in seconds), end]
    pieces = [due for start, stop in pairwise(borders) for due in schedule.between(start, stop)]
    assert pieces == whole


@pytest.mark.parametrize(
    ("day", "due"),
    [
        ("2026-03-28", "2026-03-28T02:30:00+01:00"),
        ("2026-03-29", "2026-03-29T03:00:00+02:00"),  # 02:30 does not exist
        ("2026-10-25", "2026-10-25T02:30:00+02:00"),  # 02:30 comes twice
        ("2026-10-26", "2026-10-26T02:30:00+01:00"),
    ],
)
def test_half_past_two_in_berlin_is_due_once_each_night(day: str, due: str) -> None:
    schedule = Schedule("30 2 * * *", "Europe/Berlin")
    midnight = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo("Europe/Berlin"))
    [moment] = schedule.between(midnight, midnight + timedelta(days=1))  # wall time: 23 or 25 hours
    assert moment.astimezone(ZoneInfo("Europe/Berlin")).isoformat() == due
