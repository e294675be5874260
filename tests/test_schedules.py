"""The scheduler: each occurrence is stored once, missed ones are caught up, and a clock that is set does no harm.

The clock is the test's; the inboxes are real.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import commands
from tests.clocks import NOON, DateClock
from tests.databases import opened_store, postgres_url
from tests.schedule_processes import minutes_from
from wixhttp.data.stores.contract import Store
from wixhttp.data.stores.factory import open_store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.inbox.schedules.loading import ScheduledFunction
from wixhttp.inbox.schedules.schedule import Schedule
from wixhttp.inbox.schedules.scheduler import Scheduler, watermark_name
from wixhttp.inbox.stores.contract import Done, Inbox, Job
from wixhttp.inbox.stores.factory import make_inbox, open_inbox

HOURLY = "0 * * * *"


def function(
    *expressions: str, name: str = "reports.send", missed: str = "last", zone: str = "UTC"
) -> ScheduledFunction:
    """A scheduled function."""
    schedules = tuple(Schedule(each, zone, missed) for each in expressions)
    return ScheduledFunction(name, lambda: None, schedules, "backend/reports.py:1")


def stored(inbox: Inbox, name: str = "reports.send") -> list[str]:
    """The occurrences that are stored of a function, oldest first, as hours and minutes behind noon."""
    jobs = inbox.list(name=name, limit=10_000)[::-1]
    return [occurrence(job).strftime("%H:%M" if occurrence(job).date() == NOON.date() else "%d %H:%M") for job in jobs]


def occurrence(job: Job) -> datetime:
    """The moment that a job is due at, by its `dedup`."""
    return datetime.fromisoformat((job.dedup or "").removeprefix(f"cron:{job.name}:"))


def run_all(inbox: Inbox) -> None:
    """Run what waits."""
    while jobs := inbox.claim({"reports.send", "reports.clean"}, 100):
        for job in jobs:
            assert inbox.finish(job, Done())


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inbox]:
    """An empty inbox in each kind of store."""
    with opened_store(request.param, tmp_path) as store:
        yield open_inbox(store)
        store.close()


class Failing(Schedule):
    """A schedule of which nothing can be told, as of one that a later version of Python does not read."""

    def next(self, moment: datetime) -> datetime | None:
        raise OverflowError(moment)


def test_a_schedule_that_fails_keeps_no_other_from_being_run(caplog: pytest.LogCaptureFixture) -> None:
    inbox, clock = open_inbox(MemoryStore()), DateClock()
    failing = ScheduledFunction("reports.fail", lambda: None, (Failing(HOURLY),), "backend/reports.py:1")
    scheduler = Scheduler((failing, function(HOURLY)), inbox, clock)
    scheduler.tick()
    clock.move(hours=1)
    assert scheduler.tick() > 0
    assert stored(inbox) == ["13:00"]
    assert "reports.fail cannot be scheduled now" in caplog.text


@pytest.fixture
def memory() -> Inbox:
    """An empty inbox in memory."""
    return make_inbox(MemoryStore())


def test_the_first_start_runs_nothing_of_the_past_and_then_each_occurrence_once(inbox: Inbox) -> None:
    clock = DateClock()
    first, second = (Scheduler([function(HOURLY)], inbox, clock) for _ in range(2))
    for _ in range(5):
        for scheduler in (first, second):
            scheduler.tick()
        run_all(inbox)
        clock.move(minutes=30)
    assert stored(inbox) == ["13:00", "14:00"]  # not that of noon, at which it began
    [job, _] = inbox.list(name="reports.send")
    assert (job.payload, job.key, job.max_attempts) == (b'{"arguments": ["2026-06-01T14:00:00+00:00"]}', "cron", 3)


@pytest.mark.parametrize(
    ("missed", "hours", "found"),
    [
        ("last", 3.5, ["15:00"]),
        ("all", 3.5, ["13:00", "14:00", "15:00"]),
        ("skip", 3.5, []),
        ("skip", 3 + 4 / 60, ["15:00"]),  # it is on time still
        ("last", 100.5, ["05 16:00"]),
        ("skip", 100.5, []),
    ],
)
def test_what_was_missed_is_caught_up_as_it_says(missed: str, hours: float, found: list[str], memory: Inbox) -> None:
    clock = DateClock()
    Scheduler([function(HOURLY, missed=missed)], memory, clock).tick()
    clock.move(hours=hours)  # nothing runs
    restarted = Scheduler([function(HOURLY, missed=missed)], memory, clock)
    for _ in range(3):
        restarted.tick()
    assert stored(memory) == found
    run_all(memory)
    clock.move(hours=1)
    restarted.tick()
    assert len(stored(memory)) == len(found) + (missed != "skip" or clock.now.minute <= 5)


@pytest.mark.parametrize("missed", ["last", "all"])
def test_in_development_nothing_is_caught_up(missed: str, memory: Inbox) -> None:
    clock = DateClock()
    scheduler = Scheduler([function(HOURLY, missed=missed)], memory, clock, catches_up=False)
    scheduler.tick()
    clock.move(hours=8.5)
    scheduler.tick()
    assert stored(memory) == []
    clock.move(minutes=31)
    scheduler.tick()
    assert stored(memory) == ["21:00"]


def test_no_more_than_a_day_is_caught_up(memory: Inbox) -> None:
    clock = DateClock()
    functions = [function(HOURLY, missed="all"), function("0 12 * * 1", name="reports.weekly", missed="all")]
    Scheduler(functions, memory, clock).tick()
    clock.move(days=8, minutes=30)  # a Tuesday: the Monday is longer ago than a day
    Scheduler(functions, memory, clock).tick()
    assert stored(memory)[0] == "08 13:00"
    assert len(stored(memory)) == 24
    assert stored(memory, "reports.weekly") == []


def test_a_clock_that_is_set_back_runs_nothing_twice(inbox: Inbox) -> None:
    clock = DateClock()
    scheduler = Scheduler([function("*/10 * * * *", missed="all")], inbox, clock)
    for minutes in (0, 10, 10, -15, 5, 10, 10, -25, 5, 10, 10, 10, 10):
        clock.move(minutes=minutes)
        scheduler.tick()
        run_all(inbox)
    assert stored(inbox) == ["12:10", "12:20", "12:30", "12:40", "12:50"]


@pytest.mark.parametrize("days", [1 / 24, 2, 400])
def test_a_clock_that_was_wrong_stops_no_schedule(days: float, inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    clock = DateClock()
    scheduler = Scheduler([function(HOURLY)], inbox, clock)
    scheduler.tick()
    clock.move(days=days)
    scheduler.tick()  # it runs the last that would have been missed, as it is bound to think
    run_all(inbox)
    clock.move(days=-days)
    for _ in range(4):
        scheduler.tick()
        run_all(inbox)
        clock.move(hours=1)
    assert "by a clock that was wrong" in caplog.text
    found = stored(inbox)
    assert {"14:00", "15:00"} <= {*found}
    assert len(found) == len({*found})
    assert len(found) == (3 if days < 1 else 4)
    fresh = Scheduler([function(HOURLY)], inbox, clock)
    fresh.tick()
    assert stored(inbox)[-1] == "16:00"


def test_a_slow_function_does_not_pile_up(memory: Inbox) -> None:
    clock = DateClock()
    scheduler = Scheduler([function("* * * * *")], memory, clock)
    scheduler.tick()
    clock.move(minutes=1)
    scheduler.tick()
    [running] = memory.claim({"reports.send"}, 4)
    for _ in range(5):  # it takes five minutes, and one waits behind it
        clock.move(minutes=1)
        scheduler.tick()
        assert memory.claim({"reports.send"}, 4) == []
    memory.finish(running, Done())
    assert [occurrence(job).minute for job in memory.claim({"reports.send"}, 4)] == [2]
    clock.move(minutes=1)
    scheduler.tick()
    assert stored(memory) == ["12:01", "12:02", "12:07"]


def test_of_several_schedules_of_a_function_a_moment_of_both_is_run_once(memory: Inbox) -> None:
    clock = DateClock()
    scheduler = Scheduler([function("0 * * * *", "0,30 12-14 * * *")], memory, clock)
    for _ in range(6):
        scheduler.tick()
        run_all(memory)
        clock.move(minutes=30)
    assert stored(memory) == ["12:30", "13:00", "13:30", "14:00", "14:30"]


def test_a_schedule_that_is_changed_renamed_or_removed_runs_nothing_that_it_did_not_miss(memory: Inbox) -> None:
    clock = DateClock()
    Scheduler([function("0 11 * * *")], memory, clock).tick()
    clock.move(hours=2, minutes=5)  # 14:05
    Scheduler([function("0 14 * * *")], memory, clock).tick()  # at 14:00 it was another
    Scheduler([function("0 11 * * *", name="reports.clean")], memory, clock).tick()
    Scheduler([function("0 16 * * *", zone="Europe/Berlin")], memory, clock).tick()  # the same moment, in another zone
    Scheduler([], memory, clock).tick()
    assert memory.list() == []
    clock.move(days=1)
    Scheduler([function("0  14 * * *")], memory, clock).tick()  # of other blanks it is the same
    assert stored(memory) == ["02 14:00"]


@pytest.mark.parametrize(
    ("expression", "seconds"), [(HOURLY, 30.0), ("1 12 * * *", 30.0), ("0 0 29 2 *", 30.0), ("* * * * *", 12.5)]
)
def test_a_tick_says_when_the_next_is_due(expression: str, seconds: float, memory: Inbox) -> None:
    clock = DateClock(NOON + timedelta(seconds=47.5 if seconds < 30 else 0))
    assert Scheduler([function(expression)], memory, clock).tick() == seconds
    assert Scheduler([], memory, clock).tick() == 30.0


def test_a_tick_at_the_very_moment_is_not_too_early(memory: Inbox) -> None:
    clock = DateClock(NOON + timedelta(seconds=59, microseconds=999_999))
    scheduler = Scheduler([function("* * * * *")], memory, clock)
    assert scheduler.tick() == pytest.approx(1e-6)
    clock.move(microseconds=1)
    scheduler.tick()
    assert stored(memory) == ["12:01"]


def test_a_store_that_is_away_is_asked_again_in_five_seconds_and_told_of_once(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    clock, file = DateClock(), tmp_path / "site.sqlite3"
    file.mkdir()
    store = SQLiteStore(file)
    scheduler = Scheduler([function(HOURLY)], make_inbox(store), clock)
    assert [scheduler.tick() for _ in range(2)] == [5.0, 5.0]
    assert [text.startswith("scheduled functions wait for the store: ") for text in caplog.messages].count(True) == 1
    store.close()


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1, 20, 60, 61, 300, 3600, 20_000]), st.booleans()), max_size=40
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, expression=st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0,15 1-3 * * 0,1"]))
def test_processes_that_look_now_and_then_store_each_occurrence_once(
    steps: list[tuple[int, float, bool]], expression: str
) -> None:
    """Three processes, any of which may be new, look at any times: with ``all``, what is due since the first look is
    stored once, but for what is more than a day ago at once."""
    clock = DateClock(datetime(2026, 10, 24, 22, 0, 30, tzinfo=timezone.utc))
    scheduled = function(expression, zone="Europe/Berlin", missed="all")
    store = MemoryStore()
    inbox = make_inbox(store)
    begin = clock.now
    processes = [Scheduler([scheduled], inbox, clock) for _ in range(3)]
    processes[0].tick()
    for number, seconds, is_new in steps:
        clock.move(seconds=seconds)
        if is_new:
            processes[number] = Scheduler([scheduled], inbox, clock)
        processes[number].tick()
    due = scheduled.schedules[0].between(begin, clock.now)
    found = [occurrence(job) for job in inbox.list(name=scheduled.name, limit=100_000)][::-1]
    assert found == sorted(set(found))
    assert found == due


# --- several processes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_four_processes_of_two_groups_store_each_occurrence_once(kind: str, tmp_path: Path) -> None:
    first, minutes = datetime(2026, 10, 24, 23, 0, tzinfo=timezone.utc), 240  # the night on which clocks are set back
    if kind == "sqlite":
        _agree(f"sqlite:///{tmp_path}/site.sqlite3", tmp_path, first, minutes)
    else:
        with postgres_url() as url:
            _agree(url, tmp_path, first, minutes)


def _agree(url: str, folder: Path, first: datetime, minutes: int) -> None:
    store: Store = open_store(url, folder)
    inbox = open_inbox(store)
    arguments = (first.isoformat(), str(minutes))
    processes = [commands.start_program("tests.schedule_processes", url, str(n), *arguments) for n in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdout.close()
    assert len({os.getpgid(process.pid) for process in processes}) >= 2
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.close()
    for process in processes:
        assert process.wait(60) == 0
    try:
        expected = minutes_from(first, minutes)
        for name, due in expected.items():
            found = Counter(occurrence(job) for job in inbox.list(name=name, limit=10_000))
            # The minute of the beginning depends on who looks first.
            assert {at: count for at, count in found.items() if at > first + timedelta(minutes=1)} == dict.fromkeys(
                due, 1
            )
        assert expected["nightly"] == [datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc)]  # once, where it comes twice
    finally:
        store.close()


def test_the_watermark_is_that_of_a_name_an_expression_and_a_zone() -> None:
    names = {
        watermark_name(each, each.schedules[0])
        for each in (
            function(HOURLY), function(HOURLY, name="b"), function("1 * * * *"), function(HOURLY, zone="Asia/Tokyo"),
            function(" 0 *  * * *"), function(HOURLY, missed="all"),
        )
    }  # fmt: skip
    assert len(names) == 4
