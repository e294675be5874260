"""The contract of the inbox, one suite over its engines in memory, in SQLite and in PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.data_processes import row
from tests.databases import opened_store, postgres_url
from tests.inboxes import NAMES, HandClock, NamedOwner, change, kill
from wixhttp import data
from wixhttp.data import aio, aio_items, items
from wixhttp.data.calls import writes
from wixhttp.data.calls.access import Collections
from wixhttp.data.calls.options import parse_options
from wixhttp.data.collections import override
from wixhttp.data.stores.contract import Store, Transaction
from wixhttp.data.stores.postgres import PostgresStore
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.errors import StoreUnavailable, WixDataError
from wixhttp.inbox.stores import postgres_tables
from wixhttp.inbox.stores.contract import (
    KEPT_DEAD,
    KEPT_DONE,
    VERSION,
    Accepted,
    Again,
    Done,
    Failed,
    GivenBack,
    Inbox,
    InboxFull,
    InboxVersion,
    Job,
    NewJob,
    Outcome,
    stored_text,
)
from wixhttp.inbox.stores.factory import make_inbox, open_inbox
from wixhttp.inbox.stores.lifecycle import BATCH, delay_after_death
from wixhttp.inbox.stores.owner import LeaseGrace

FAR = 86400.0  # seconds after which no test ends


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened_store(request.param, tmp_path) as made, contextlib.closing(made):
        yield made


@pytest.fixture
def inbox(store: Store) -> Inbox:
    return make_inbox(store)


def payloads(jobs: list[Job]) -> list[str]:
    return [job.payload.decode() for job in jobs]


def new(payload: str, **details: Any) -> NewJob:
    return NewJob("a", payload=payload.encode(), **details)


def ended(inbox: Inbox, most: int = 1, outcome: Outcome | None = None) -> list[str]:
    """Claim jobs and end them; their payloads."""
    jobs = inbox.claim(NAMES, most)
    assert all(inbox.finish(job, outcome or Done()) for job in jobs)
    return payloads(jobs)


def states(inbox: Inbox) -> dict[str, str]:
    return {job.payload.decode(): job.state for job in inbox.list()}


# --- accepting -------------------------------------------------------------------------------------------------------


def test_what_is_accepted_is_claimed_once_and_kept(inbox: Inbox) -> None:
    [made] = inbox.accept([NewJob("a", "request", b'{"n":1}', b"\0\xff body", priority=3, max_attempts=4)])
    assert made.is_new
    stored = inbox.get(made.id)
    assert stored is not None
    assert (stored.state, stored.attempt, stored.owner, stored.result) == ("waiting", 0, None, None)
    [job] = inbox.claim(NAMES, 5)
    assert inbox.claim(NAMES, 5) == []
    assert (job.id, job.kind, job.payload, job.body) == (made.id, "request", b'{"n":1}', b"\0\xff body")
    assert (job.state, job.attempt, job.priority, job.max_attempts, job.on_dead) == ("running", 1, 3, 4, "go")
    assert inbox.get(made.id) == job
    assert inbox.finish(job, Done(b'{"ok":1}'))
    done = inbox.get(made.id)
    assert done is not None
    assert (done.state, done.result, done.error, done.owner) == ("done", b'{"ok":1}', None, None)
    dates = [done.accepted_at, done.run_at, done.started_at, done.ended_at]
    assert all(date is not None and abs(date - datetime.now(timezone.utc)) < timedelta(hours=1) for date in dates)
    assert done.accepted_at <= done.started_at <= done.ended_at  # type: ignore[operator]  # they are dates
    assert inbox.claim(NAMES, 5) == []


def test_an_inbox_of_which_nothing_was_stored_is_empty(inbox: Inbox) -> None:
    assert inbox.claim(NAMES, 1) == inbox.list() == []
    assert [inbox.get("1-0123456789abcdef"), inbox.next_due(), inbox.watermark("cron")] == [None, None, None]
    assert (inbox.free_dead(), inbox.retry(None), inbox.unknown_names([])) == (0, 0, {})
    assert inbox.stats().is_empty
    assert inbox.accept([]) == []


@pytest.mark.parametrize("job_id", ["", "1", "x", "1-", "1-0123456789abcdeF", "9" * 40 + "-0123456789abcdef", "1-\0"])
def test_no_job_has_what_is_no_id(job_id: str) -> None:
    with opened_store("memory", Path()) as store:
        inbox = make_inbox(store)
        [made] = inbox.accept([new("1")])
        assert inbox.get(job_id) is None
        assert inbox.get(made.id[:-1] + "g") is inbox.get(made.id + " ") is None
        assert inbox.cancel([job_id]) == inbox.retry([job_id]) == 0
        with pytest.raises(TypeError, match="a list of ids"):
            inbox.cancel(made.id)  # a forgotten list


def test_a_dedup_value_of_a_name_is_stored_once(inbox: Inbox) -> None:
    first, again, other = inbox.accept([new("1", dedup="d"), new("2", dedup="d"), NewJob("b", payload=b"3", dedup="d")])
    assert (first.is_new, again, other.is_new) == (True, Accepted(first.id, is_new=False), True)
    assert sorted(ended(inbox, 5)) == ["1", "3"]
    assert inbox.accept([new("4", dedup="d")]) == [Accepted(first.id, is_new=False)], "also once it is done"
    assert inbox.purge("done", 0) == 2
    assert inbox.accept([new("5", dedup="d")])[0].is_new, "and no longer once it is removed"


@pytest.mark.parametrize("value", ["", "k" * 5000, "nul\0", "\ud800", "\U0001f600" * 190, "\xe9"])
def test_keys_and_dedup_values_may_be_any_text(inbox: Inbox, value: str) -> None:
    other = value + "x"
    first, _, third = inbox.accept([new("1", key=value), new("2", key=value), new("3", key=other)])
    assert sorted(payloads(inbox.claim(NAMES, 5))) == ["1", "3"], "equal ones take turns, others do not"
    assert payloads(inbox.list(key=value)) == ["2", "1"]
    assert [each.is_new for each in inbox.accept([new("4", dedup=value), new("5", dedup=value)])] == [True, False]
    assert first.id != third.id
    assert stored_text(value) != stored_text(other)


def test_jobs_are_accepted_all_or_none(inbox: Inbox) -> None:
    bad = NewJob("a", payload=None)  # type: ignore[arg-type]  # what no database takes
    with pytest.raises(Exception, match=r"(?i)null"):
        inbox.accept([new("1"), bad])
    assert inbox.list() == []


def test_past_the_limit_nothing_is_stored_and_what_was_seen_is_told(inbox: Inbox) -> None:
    [first] = inbox.accept([new("1", dedup="d")], limit=3)
    inbox.accept([new("2", key="k"), new("3", key="k")], limit=3)
    for count in (1, 2):
        with pytest.raises(InboxFull) as caught:
            inbox.accept([new("4")] * count, limit=3)
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "30"})
        assert "inbox_limit" in caught.value.description
    assert inbox.accept([new("5", dedup="d")], limit=3) == [Accepted(first.id, is_new=False)]
    assert sorted(states(inbox)) == ["1", "2", "3"]
    assert ended(inbox) == ["1"]
    assert wait_for(lambda: inbox.accept([new("6")], limit=3), InboxFull)[0].is_new, "what is over makes room"
    assert inbox.accept([new("7")])[0].is_new, "without a limit"


def wait_for(call: Callable[[], list[Accepted]], until_not: type[Exception]) -> list[Accepted]:
    """The result of a call, once it does not raise this any more: counts are believed for a moment."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return call()
        except until_not:
            assert time.monotonic() < deadline
            time.sleep(0.01)


# --- claiming --------------------------------------------------------------------------------------------------------


def test_the_order_is_by_priority_then_by_when_it_is_due_then_by_acceptance(inbox: Inbox) -> None:
    past = datetime(2020, 1, 1, tzinfo=timezone.utc)
    inbox.accept([new("4"), new("5"), new("3", at=past), new("2", priority=1, at=past + timedelta(1))])
    inbox.accept([new("7", priority=-1), NewJob("b", payload=b"6"), new("1", priority=7), new("later", delay=FAR)])
    inbox.accept([new("never", at=datetime.max.replace(tzinfo=timezone.utc), priority=9)])
    assert payloads(inbox.claim(NAMES, 2)) == ["1", "2"]
    assert payloads(inbox.claim(NAMES, 9)) == ["3", "4", "5", "6", "7"]
    assert inbox.claim(NAMES, 9) == []


def test_only_jobs_of_known_names_are_claimed(inbox: Inbox) -> None:
    inbox.accept([new("1"), NewJob("gone", payload=b"2"), NewJob("gone", payload=b"3", key="k")])
    inbox.accept([NewJob("gone", payload=b"4", key="k")])
    assert ended(inbox, 9) == ["1"]
    assert inbox.claim([], 9) == []
    assert inbox.unknown_names(NAMES) == {"gone": 3}
    assert inbox.unknown_names(["gone"]) == {}
    assert inbox.next_due(NAMES) is None
    assert inbox.next_due() == inbox.next_due(["gone"]) == 0


def test_a_job_is_not_due_before_its_time(inbox: Inbox) -> None:
    soon = datetime.now(timezone.utc) + timedelta(hours=2)
    inbox.accept([new("1", delay=FAR), new("2", at=soon)])
    assert inbox.claim(NAMES, 9) == []
    due = inbox.next_due()
    assert due is not None
    assert 7000 < due <= 7200
    assert inbox.stats().oldest_age is None


def test_jobs_of_a_key_run_one_after_the_other_in_the_order_of_acceptance(inbox: Inbox) -> None:
    inbox.accept([new("1", key="k"), new("x", key="other"), new("2", key="k", priority=9), new("3", key="k")])
    inbox.accept([NewJob("b", payload=b"b1", key="k")])
    assert sorted(states(inbox).items()) == [
        ("1", "waiting"), ("2", "blocked"), ("3", "blocked"), ("b1", "waiting"), ("x", "waiting"),
    ]  # fmt: skip
    jobs = inbox.claim(NAMES, 9)
    assert payloads(jobs) == ["1", "x", "b1"], "another function's jobs do not wait for it"
    assert inbox.finish(jobs[0], Again(0, "once more"))
    assert ended(inbox, 9) == ["1"], "a retry stays in front"
    [second] = inbox.claim(NAMES, 9)
    assert inbox.finish(second, GivenBack())
    assert ended(inbox, 9) == ["2"]
    assert ended(inbox, 9) == ["3"]


def test_a_dead_job_lets_the_next_of_its_key_go_or_holds_it(inbox: Inbox) -> None:
    inbox.accept([new("1", key="k"), new("2", key="k", on_dead="hold"), new("3", key="k"), new("4", on_dead="hold")])
    assert ended(inbox, 2, Failed("bad")) == ["1", "4"]
    assert ended(inbox, 9, Failed("bad")) == ["2"]
    assert inbox.claim(NAMES, 9) == []
    assert inbox.accept([new("5", key="k")])[0].is_new
    assert states(inbox) == {"1": "dead", "2": "dead", "3": "blocked", "4": "dead", "5": "blocked"}
    assert inbox.retry([job.id for job in inbox.list(state="dead", key="k")]) == 2
    assert [ended(inbox, 9) for _ in range(4)] == [["1"], ["2"], ["3"], ["5"]]
    inbox.accept([new("6", key="k", on_dead="hold"), new("7", key="k")])
    assert ended(inbox, 1, Failed("bad")) == ["6"]
    assert inbox.cancel([job.id for job in inbox.list(state="dead", key="k")]) == 1
    assert ended(inbox, 9) == ["7"]


# --- ending ----------------------------------------------------------------------------------------------------------


def test_starts_are_counted_and_the_last_failure_is_the_end(inbox: Inbox) -> None:
    inbox.accept([new("1", max_attempts=3)])
    for attempt in (1, 2, 3):
        [job] = inbox.claim(NAMES, 1)
        assert job.attempt == attempt
        assert inbox.finish(job, Again(0, f"failure {attempt}\0"))
    assert inbox.claim(NAMES, 1) == []
    [dead] = inbox.list(state="dead")
    assert (dead.error, dead.attempt) == ("failure 3\ufffd", 3)
    assert dead.ended_at is not None
    assert inbox.retry([dead.id]) == 1
    [job] = inbox.claim(NAMES, 1)
    assert (job.attempt, job.claims, job.error) == (1, 4, "failure 3\ufffd")


def test_a_start_that_is_given_back_is_not_counted_and_keeps_its_place(inbox: Inbox) -> None:
    inbox.accept([new("1"), new("2")])
    [job] = inbox.claim(NAMES, 1)
    assert inbox.finish(job, GivenBack("the server stops"))
    [again, _] = inbox.claim(NAMES, 2)
    assert (again.id, again.attempt, again.error) == (job.id, 1, "the server stops")
    assert not inbox.finish(job, Done()), "the first claim was given back"
    assert inbox.finish(again, GivenBack(delay=FAR))
    assert inbox.claim(NAMES, 2) == []
    given = inbox.get(job.id)
    assert given is not None
    assert (given.state, given.attempt, given.error) == ("waiting", 0, "the server stops")


def test_a_retry_waits_for_its_delay(inbox: Inbox) -> None:
    inbox.accept([new("1")])
    assert ended(inbox, 1, Again(FAR, "later")) == ["1"]
    assert inbox.claim(NAMES, 1) == []
    due = inbox.next_due()
    assert due is not None
    assert FAR - 3600 < due <= FAR


def test_a_late_result_is_refused_and_logged(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first, second = NamedOwner("first"), NamedOwner("second")
    mine, other = make_inbox(store, owner=first), make_inbox(store, owner=second)
    mine.accept([new("1")])
    [job] = mine.claim(NAMES, 1)
    kill(store, mine, first, second)
    assert other.free_dead() == 1
    [taken] = other.claim(NAMES, 1)
    assert (taken.id, taken.attempt, taken.owner) == (job.id, 2, "second")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "wixhttp"):
        assert not mine.finish(job, Done(b"1"))
        assert not mine.finish(job, Failed("late"))
    assert [f"the job {job.id} (a) was not" in record.message for record in caplog.records] == [True, True]
    assert other.finish(taken, Done(b"2"))
    assert not other.finish(taken, Done(b"3")), "it is over"
    [stored] = other.list()
    assert stored.result == b"2"


def test_a_job_that_ends_its_process_each_time_ends_dead(store: Store) -> None:
    observer = NamedOwner("observer")
    watching = make_inbox(store, owner=observer)
    watching.accept([new("1", max_attempts=2, key="k"), new("2", key="k")])
    for attempt in (1, 2):
        owner = NamedOwner(f"owner {attempt}")
        inbox = make_inbox(store, owner=owner)
        assert [job.attempt for job in inbox.claim(NAMES, 5)] == [attempt]
        kill(store, inbox, owner, observer)
        assert watching.free_dead() == 1
        assert watching.free_dead() == 0
    dead, second = sorted(watching.list(), key=lambda job: job.seq)
    assert (dead.state, second.state) == ("dead", "waiting")
    assert dead.error == "its process ended, or was away past its lease, while it ran (attempt 2)"
    assert [delay_after_death(attempt) for attempt in (1, 2, 3, 4, 99)] == [0, 0.5, 1, 2, 60]


def test_a_claim_whose_answer_was_lost_is_given_back(store: Store) -> None:
    owner = NamedOwner("only")
    inbox = make_inbox(store, owner=owner)
    inbox.accept([new("1"), new("2")])
    [known] = inbox.claim(NAMES, 1)
    # As a commit does whose connection breaks before it is answered.
    change(store, inbox, "UPDATE wixhttp_inbox SET state='running', owner='only', attempt=1, claims=1 WHERE attempt=0")
    assert inbox.free_dead() == 1
    assert inbox.free_dead() == 0
    [lost] = inbox.claim(NAMES, 9)
    assert (lost.payload, lost.attempt, lost.claims) == (b"2", 1, 2)
    assert inbox.finish(known, Done())
    assert inbox.finish(lost, Done())


def test_jobs_that_end_while_lost_claims_are_looked_for_are_not_taken_for_such(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = make_inbox(store, owner=NamedOwner("only"))
    inbox.accept([new("1") for _ in range(300)])

    results: list[bool] = []

    def work() -> None:
        while len(results) < 300:
            results.extend([inbox.finish(job, Done()) for job in inbox.claim(NAMES, 1)])

    with ThreadPoolExecutor(2) as pool:
        workers = [pool.submit(work) for _ in range(2)]
        while not all(worker.done() for worker in workers):
            assert inbox.free_dead() == 0
    assert results == [True] * 300
    assert "refused" not in caplog.text


@pytest.mark.parametrize("outcome", [Done(b"1"), Failed("no"), Again(5.0, "later")])
def test_an_outcome_that_is_noted_again_as_its_answer_was_lost_is_not_refused(
    outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres_url() as url, contextlib.closing(PostgresStore(url)) as store:
        inbox = make_inbox(store)
        inbox.accept([new("1")])
        [job] = inbox.claim(NAMES, 1)
        assert inbox.finish(job, outcome)
        assert inbox.finish(job, outcome)
        assert caplog.text == ""
        assert not inbox.finish(job, Done(b"2"))


def test_what_is_accepted_is_on_disk_whatever_the_role_of_the_database_says() -> None:
    with postgres_url() as url, contextlib.closing(PostgresStore(f"{url}%20-csynchronous_commit%3Doff")) as store:
        assert store.ask(lambda connection: connection.execute("SHOW synchronous_commit").fetchone()) == ("on",)
    with postgres_url() as url, contextlib.closing(PostgresStore(f"{url}%20-csynchronous_commit%3Dlocal")) as store:
        assert store.ask(lambda connection: connection.execute("SHOW synchronous_commit").fetchone()) == ("local",)


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_what_is_cancelled_does_not_run(inbox: Inbox) -> None:
    inbox.accept([new("1", key="k"), new("2", key="k"), new("3", key="k"), new("4")])
    ids = {job.payload.decode(): job.id for job in inbox.list()}
    assert inbox.cancel([ids["1"], ids["1"], ids["3"]]) == 2
    [second, fourth] = inbox.claim(NAMES, 9)
    assert payloads([second, fourth]) == ["2", "4"]
    assert inbox.cancel([ids["2"]]) == 0, "what runs is left to run"
    assert inbox.finish(second, Done())
    assert inbox.retry([ids["3"], ids["2"]]) == 1
    assert ended(inbox, 9) == ["3"]


def test_all_that_are_dead_begin_anew_however_many_they_are(store: Store) -> None:
    inbox = make_inbox(store)
    inbox.accept([new(str(number), key=str(number % 7) if number % 2 else None) for number in range(2 * BATCH + 3)])
    change(store, inbox, "UPDATE wixhttp_inbox SET state = 'dead', attempt = 9, is_over = TRUE")
    cancelled = inbox.list(limit=1)[0]
    inbox.cancel([cancelled.id])
    assert inbox.retry(None) == 2 * BATCH + 2
    assert inbox.retry(None) == 0
    found = inbox.list(limit=2 * BATCH + 3)
    assert {job.attempt for job in found if job.id != cancelled.id} == {0}
    waiting = [job for job in found if job.state == "waiting"]
    assert sorted(job.key for job in waiting if job.key) == list("0123456"), "the first of each key"
    assert len(waiting) == 7 + sum(job.key is None for job in found if job.id != cancelled.id)


def test_a_retry_of_a_dead_job_waits_for_the_one_of_its_key_that_runs(inbox: Inbox) -> None:
    inbox.accept([new("1", key="k"), new("2", key="k"), new("3", key="k")])
    assert ended(inbox, 1, Failed("bad")) == ["1"]
    [second] = inbox.claim(NAMES, 1)
    assert inbox.retry(None) == 1
    assert inbox.claim(NAMES, 9) == []
    assert inbox.finish(second, Done())
    assert [ended(inbox, 9) for _ in range(3)] == [["1"], ["3"], []]


def test_lists_are_of_the_last_first_and_can_be_narrowed(inbox: Inbox) -> None:
    inbox.accept([new(str(number), key="k" if number % 2 else None) for number in range(6)])
    inbox.accept([NewJob("b", payload=b"6")])
    assert payloads(inbox.list(limit=2)) == ["6", "5"]
    last = inbox.list(limit=2)[-1]
    assert payloads(inbox.list(limit=2, before=last.seq)) == ["4", "3"]
    assert payloads(inbox.list(name="b")) == ["6"]
    assert payloads(inbox.list(key="k", state="blocked")) == ["5", "3"]
    assert payloads(inbox.list(state="waiting", name="a")) == ["4", "2", "1", "0"]
    assert inbox.list(name="' OR 1=1 --") == []
    assert inbox.list(name="\udcff") == inbox.list(name="a\0") == []


def test_statistics(inbox: Inbox) -> None:
    inbox.accept([new("1", key="k"), new("2", key="k"), NewJob("b"), NewJob("b", delay=FAR)])
    ended(inbox, 1, Failed("bad"))
    stats = inbox.stats()
    assert stats.by_state == {"waiting": 3, "blocked": 0, "running": 0, "done": 0, "dead": 1, "cancelled": 0}
    assert stats.by_name == {"a": {"waiting": 1, "dead": 1}, "b": {"waiting": 2}}
    assert (stats.dead, stats.is_empty) == (1, False)
    assert stats.oldest_age is not None
    assert 0 <= stats.oldest_age < 3600


@pytest.mark.parametrize("state", ["waiting", "blocked", "running", "gone"])
def test_only_what_is_over_is_purged(state: Any) -> None:
    with opened_store("memory", Path()) as store, pytest.raises(ValueError, match="done, dead or cancelled"):
        make_inbox(store).purge(state, 0)


def test_purging_removes_what_is_old_and_frees_a_key_that_was_held(inbox: Inbox) -> None:
    inbox.accept([new("1", key="k", on_dead="hold"), new("2", key="k"), new("3"), new("4")])
    assert sorted(ended(inbox, 2, Failed("bad"))) == ["1", "3"]
    assert ended(inbox, 1) == ["4"]
    assert inbox.purge("dead", FAR) == inbox.purge("cancelled", 0) == 0
    assert inbox.purge("dead", 0) == 2
    assert states(inbox) == {"2": "waiting", "4": "done"}


def test_old_jobs_are_removed_by_the_engine_itself(store: Store) -> None:
    inbox = make_inbox(store)
    inbox.accept([new("done"), new("new"), new("dead"), new("held", key="k", on_dead="hold"), new("next", key="k")])
    jobs = {job.payload.decode(): job for job in inbox.claim(NAMES, 9)}
    outcomes: dict[str, Outcome] = {"done": Done(), "new": Done(), "dead": Failed("bad"), "held": Failed("bad")}
    for name, outcome in outcomes.items():
        assert inbox.finish(jobs[name], outcome)
    for payload, age in (("done", KEPT_DONE), ("dead", KEPT_DEAD), ("held", KEPT_DEAD)):
        moment = f"now() - interval '{age + 9} seconds'" if isinstance(store, PostgresStore) else f"ended - {age + 9}"
        change(store, inbox, f"UPDATE wixhttp_inbox SET ended = {moment} WHERE seq = {jobs[payload].seq}")  # noqa: S608
    inbox.free_dead()
    assert states(inbox) == {"new": "done", "held": "dead", "next": "blocked"}


# --- schedules -------------------------------------------------------------------------------------------------------


def test_a_watermark_moves_forward_only_and_with_its_jobs(inbox: Inbox) -> None:
    noon = datetime(2026, 3, 29, 12, 0, 0, 123456, tzinfo=timezone.utc)
    assert inbox.watermark("cron") is None
    assert inbox.advance("cron", [new("1", dedup="cron:1")], noon)
    assert inbox.watermark("cron") == noon
    assert inbox.watermark("other") is None
    for to in (noon, noon - timedelta(hours=1)):
        assert not inbox.advance("cron", [new("2", dedup="cron:2")], to)
    later = noon.astimezone(timezone(timedelta(hours=2))) + timedelta(microseconds=1)
    assert inbox.advance("cron", [new("3", dedup="cron:1"), new("4", dedup="cron:4")], later)
    assert inbox.watermark("cron") == later
    assert sorted(states(inbox)) == ["1", "4"]


# --- with collections ------------------------------------------------------------------------------------------------


class Carried:
    """Jobs as an option of a write; ``fault`` is raised once they are stored."""

    def __init__(self, inbox: Inbox, *jobs: NewJob, limit: int | None = None, fault: Exception | None = None) -> None:
        self.accepting = inbox.accepting(jobs, limit=limit)
        self.fault = fault
        self.commits = 0
        self.order = ""

    def add_to(self, transaction: Transaction) -> None:
        self.accepting.add_to(transaction)
        if self.fault is not None:
            raise self.fault

    def after_commit(self) -> None:
        self.commits += 1


def insert(store: Store, item_id: str, *jobs: object) -> None:
    options = parse_options("insert", {"enqueue": list(jobs)})
    writes.insert(Collections(store), "c", {"_id": item_id}, options)


def test_a_row_and_a_job_are_in_one_commit_or_neither(store: Store) -> None:
    inbox = make_inbox(store)
    first, second = Carried(inbox, new("1")), Carried(inbox, new("2"), new("3", dedup="d"))
    insert(store, "x", first, second)
    assert (first.commits, second.commits) == (1, 1)
    assert [each.is_new for each in second.accepting.accepted] == [True, True]
    assert sorted(states(inbox)) == ["1", "2", "3"]
    for jobs, fault in (
        ((Carried(inbox, new("4")), Carried(inbox, new("5"), fault=LookupError("on purpose"))), LookupError),
        ((Carried(inbox, new("4")), Carried(inbox, new("5"), limit=4)), InboxFull),
    ):
        with pytest.raises(fault):
            insert(store, "y", *jobs)
        assert [job.commits for job in jobs] == [0, 0]
        assert set(store.get("c", ["x", "y"])) == {"x"}
        assert sorted(states(inbox)) == ["1", "2", "3"]
    with pytest.raises(Exception, match="WDE0074"):
        insert(store, "x", Carried(inbox, new("6")))
    assert sorted(states(inbox)) == ["1", "2", "3"]
    assert inbox.accept([new("7")])[0].is_new
    store.write(lambda changes: changes.insert("c", [row("z")]))


def test_where_a_write_writes_nothing_no_job_is_stored(store: Store) -> None:
    inbox = make_inbox(store)
    store.create("c")
    carried = Carried(inbox, new("1"))
    assert writes.remove(Collections(store), "c", "absent", parse_options("remove", {"enqueue": carried})) is None
    assert (carried.commits, inbox.list()) == (0, [])


WRITES: dict[str, tuple[Any, ...]] = {
    "insert": ({"_id": "new"},),
    "update": ({"_id": "there", "n": 2},),
    "save": ({"_id": "there", "n": 3},),
    "remove": ("there",),
    "bulkInsert": ([{"_id": "new"}, {"_id": "there"}],),
    "bulkUpdate": ([{"_id": "there"}, {"_id": "absent"}],),
    "bulkSave": ([{"_id": "there"}, {"_id": "new"}],),
    "bulkRemove": (["there", "absent"],),
    "patch": ("there", [{"fieldPath": "n", "action": "SET_FIELD", "setFieldOptions": {"value": 2}}]),
}


@pytest.mark.parametrize("function", WRITES)
@pytest.mark.parametrize("api", [data, items, aio, aio_items])
def test_every_write_takes_jobs_into_its_commit(function: str, api: Any) -> None:
    if not hasattr(api, function):
        assert function == "patch", "wix-data has none"
        return
    with opened_store("memory", Path()) as store, override(Collections(store)):
        inbox = make_inbox(store)
        data.insert("c", {"_id": "there", "n": 1})

        async def awaited(carried: Carried) -> None:
            await getattr(api, function)("c", *WRITES[function], enqueue=[carried])

        def call(carried: Carried) -> None:
            if api in (aio, aio_items):
                asyncio.run(awaited(carried))
            else:
                getattr(api, function)("c", *WRITES[function], enqueue=[carried])

        before = items.query("c").find().items
        with contextlib.suppress(WixDataError, StoreUnavailable):
            call(Carried(inbox, new("1"), fault=StoreUnavailable("on purpose")))
        assert (items.query("c").find().items, inbox.list()) == (before, [])
        carried = Carried(inbox, new("1"))
        call(carried)
        assert (carried.commits, states(inbox)) == (1, {"1": "waiting"})
        assert items.query("c").find().items != before


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("bulkUpdate", ([{"_id": "absent"}],)), ("bulkRemove", (["absent"],)), ("bulkInsert", ([{"_id": "there"}],))],
)
def test_a_call_of_many_items_that_writes_none_stores_no_job(function: str, arguments: tuple[Any, ...]) -> None:
    with opened_store("memory", Path()) as store, override(Collections(store)):
        data.insert("c", {"_id": "there"})
        carried = Carried(make_inbox(store), new("1"))
        getattr(data, function)("c", *arguments, enqueue=carried)
        assert (carried.commits, make_inbox(store).list()) == (0, [])


@pytest.mark.parametrize("value", ["note", 1, [None], {"name": "note"}, [["note"]]])
def test_what_is_no_job_is_no_option(value: Any) -> None:
    with pytest.raises(WixDataError, match=r"WDE0018: The option 'enqueue' of insert is a job"):
        parse_options("insert", {"enqueue": value})
    with pytest.raises(WixDataError, match="'enqueue' is no option of get"):
        parse_options("get", {"enqueue": value})


# --- the tables ------------------------------------------------------------------------------------------------------


def test_tables_of_another_version_are_refused_with_both_versions_and_the_way_out(store: Store) -> None:
    inbox = make_inbox(store)
    inbox.accept([new("1")])
    change(store, inbox, "UPDATE wixhttp_inbox_facts SET value = 99 WHERE name = 'version'")
    other = make_inbox(store)
    for call in (
        lambda: other.accept([new("2")]),
        lambda: other.claim(NAMES, 1),
        other.list,
        other.stats,
        other.free_dead,
    ):
        with pytest.raises(InboxVersion, match=rf"version 99, and this wixhttp reads and writes version {VERSION}"):
            call()
    change(store, inbox, f"UPDATE wixhttp_inbox_facts SET value = {VERSION} WHERE name = 'version'")  # noqa: S608
    assert ended(other) == ["1"]


def test_tables_that_were_dropped_are_made_anew(store: Store) -> None:
    inbox = make_inbox(store)
    inbox.accept([new("1")])
    for name in ("", "_owners", "_watermarks", "_facts"):
        change(store, inbox, f"DROP TABLE wixhttp_inbox{name}")
    assert inbox.list() == []
    insert(store, "x", Carried(inbox, new("2")))
    assert ended(inbox, 2) == ["2"]


def test_a_store_has_one_inbox(store: Store) -> None:
    assert open_inbox(store) is open_inbox(store)


def test_a_full_disk_stores_nothing_and_is_told(tmp_path: Path) -> None:
    with contextlib.closing(SQLiteStore(tmp_path / "site.sqlite3")) as store:
        inbox = make_inbox(store)
        inbox.accept([new("1")])
        writer = store._connections._writer
        assert writer is not None
        writer.pragma("max_page_count", writer.pragma("page_count") + 20)
        with pytest.raises(StoreUnavailable) as caught:
            inbox.accept([NewJob("a", body=b"x" * 20_000)] * 50)
        assert (caught.value.code, caught.value.status, caught.value.headers) == ("WDE0091", 503, {"Retry-After": "5"})
        assert payloads(inbox.list()) == ["1"]
        [job] = inbox.claim(NAMES, 1)
        assert inbox.finish(job, Done()), "what was taken is brought to its end"
        writer.pragma("max_page_count", 1_000_000)
        assert len(inbox.accept([NewJob("a", body=b"x" * 20_000)] * 50)) == 50


def test_a_database_that_is_read_only_stores_nothing_and_is_told() -> None:
    with postgres_url() as url, contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(PostgresStore(url)))
        standby = stack.enter_context(
            contextlib.closing(PostgresStore(f"{url}%20-cdefault_transaction_read_only%3Don"))
        )
        make_inbox(store).accept([new("1")])
        inbox = make_inbox(standby)
        assert payloads(inbox.list()) == ["1"]
        for call in (lambda: inbox.accept([new("2")]), lambda: inbox.claim(NAMES, 1)):
            with pytest.raises(StoreUnavailable, match="read-only"):
                call()


# --- at once ---------------------------------------------------------------------------------------------------------


def test_of_equal_dedup_values_that_come_at_once_one_is_stored(store: Store) -> None:
    inbox = make_inbox(store)
    ready = threading.Barrier(8)

    def accept(number: int) -> Accepted:
        ready.wait(60)
        [made] = inbox.accept([new(f"{number}", dedup="d", key="k")])
        return made

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(accept, range(8)))
    assert sum(each.is_new for each in made) == 1
    assert len({each.id for each in made}) == len(inbox.list()) == 1


def test_jobs_of_a_key_that_are_accepted_while_others_run_keep_their_order(store: Store) -> None:
    inbox = make_inbox(store)
    inbox.accept([new("first", key="k")])
    total = 4 * 25
    started: list[int] = []
    running: list[int] = []

    def accept(thread: int) -> None:
        for number in range(total // 4):
            inbox.accept([new(f"{thread}-{number}", key="k"), new("free")])

    def work(_: int) -> None:
        deadline = time.monotonic() + 60
        while len(started) <= total:
            assert time.monotonic() < deadline
            for job in inbox.claim(NAMES, 2):
                if job.key == "k":
                    running.append(job.seq)
                    started.append(job.seq)
                    assert running == [job.seq], "one at a time"
                    running.remove(job.seq)
                assert inbox.finish(job, Done())

    def look() -> None:
        while len(started) <= total:
            due, stats = inbox.next_due(), inbox.stats()
            assert due is None or due >= 0
            assert stats.oldest_age is None or stats.oldest_age >= 0
            assert inbox.free_dead() == 0

    with ThreadPoolExecutor(7) as threads:
        calls = [threads.submit(accept, thread) for thread in range(4)] + [threads.submit(work, n) for n in range(2)]
        calls.append(threads.submit(look))
        for call in calls:
            call.result()
    assert started == sorted(started)
    assert len(started) == total + 1


def test_what_is_read_bears_that_others_claim_meanwhile(tmp_path: Path) -> None:
    with contextlib.closing(SQLiteStore(tmp_path / "site.sqlite3")) as store:
        inbox = make_inbox(store)
        inbox.accept([new("1")])
        claimed: list[Job] = []

        def between(cursor: object, statement: str, values: object) -> bool:
            if "ORDER BY due LIMIT 1" in statement and not claimed:
                claimed.extend(inbox.claim(NAMES, 1))
            return True

        with store.reading() as connection:
            connection.exec_trace = between
        assert inbox.next_due() is None
        assert payloads(claimed) == ["1"]


def test_a_database_that_is_replaced_while_it_is_in_use_is_that_of_the_inbox(tmp_path: Path) -> None:
    path, copy = tmp_path / "site.sqlite3", tmp_path / "copy.sqlite3"
    with contextlib.closing(SQLiteStore(path)) as store:
        store.create("c")
        inbox = make_inbox(store)
        inbox.accept([new("1")])
        store.backup(str(copy))
        inbox.accept([new("2")])
        os.replace(copy, path)
        assert inbox.accept([new("3")])[0].is_new
        assert payloads(inbox.list()) == ["3", "1"]


# --- how much is looked at -------------------------------------------------------------------------------------------


def test_a_claim_takes_as_many_steps_with_many_jobs_as_with_few() -> None:
    """Of a key, waiting; of other keys; over; and for later."""

    def steps(waiting: int, others: int) -> int:
        with opened_store("memory", Path()) as store:
            inbox = make_inbox(store)
            inbox.accept([new("x", key=f"{number}") for number in range(others)])
            ended(inbox, others)
            ended_badly = inbox.accept([new("x") for _ in range(others)])
            assert len(ended_badly) == len(ended(inbox, others, Failed("bad")))
            inbox.accept([new("x", key="k") for _ in range(waiting)])
            inbox.accept([new("x", delay=FAR, priority=5) for _ in range(others)])
            inbox.accept([NewJob("unknown") for _ in range(others)])
            made = 0

            def count() -> bool:
                nonlocal made
                made += 1
                return False

            with store.companions["inbox in memory"].reading() as connection:
                connection.set_progress_handler(count, 1)
                assert len(ended(inbox, 4)) == 1
                connection.set_progress_handler(None)
            return made

    few, many = steps(20, 20), steps(2000, 2000)
    assert many < 1.3 * few


def test_every_statement_goes_by_an_index_of_the_server(tmp_path: Path) -> None:
    with opened_store("postgres", tmp_path) as store, contextlib.closing(store):
        assert isinstance(store, PostgresStore)
        inbox = make_inbox(store)
        inbox.accept([new("x", key="k") for _ in range(1000)] + [new("x", dedup=f"{n}") for n in range(1000)])
        change(store, inbox, "UPDATE wixhttp_inbox SET state = 'done', is_over = TRUE, ended = now() WHERE seq % 2 = 0")
        statements: list[tuple[str, tuple[Any, ...]]] = [
            (postgres_tables.DUE, (list(NAMES), 4)),
            (postgres_tables.IS_DUE, (list(NAMES),)),
            (postgres_tables.FIRST_DUE, (list(NAMES),)),
            (postgres_tables.WAITING_NAMES, ()),
            (postgres_tables.CLAIM, ([1, 2, 3], "owner")),
            (postgres_tables.PROMOTE, ("a\nk",)),
            (postgres_tables.INSERT, ("t", "a", "job", "k", "d", 0, 1, "go", None, 0.0, b"", b"")),
        ]
        for known in ("SELECT 1", "ANALYZE wixhttp_inbox"):  # nothing of the table; how it is
            change(store, inbox, known)
            for statement, values in statements:

                def explained(connection: Any, statement: str = statement, values: tuple[Any, ...] = values) -> str:
                    return "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement}", values))

                plan = store.ask(explained)
                assert "Seq Scan" not in plan, plan
                assert "pkey" not in plan or "Index Cond: (seq = " in plan, plan


# --- clocks ----------------------------------------------------------------------------------------------------------


class Machine(NamedTuple):
    """Two processes of a machine whose clock is set by hand."""

    clock: HandClock
    inbox: Inbox
    other: Inbox

    def freed_in(self, seconds: int) -> int:
        """Let time pass in which the other one looks each second: the number of jobs that it has freed."""
        freed = 0
        for _ in range(seconds):
            self.clock.advance(1)
            freed += self.other.free_dead()
        return freed


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    clock = HandClock()
    with contextlib.closing(SQLiteStore(tmp_path / "site.sqlite3")) as store:
        made = [make_inbox(store, owner=NamedOwner(name), clock=clock, lease=30) for name in ("first", "second")]
        yield Machine(clock, *made)


@pytest.mark.parametrize("step", [-86400.0, -3.0, 0.0, 3.0, 86400.0])
def test_a_clock_that_is_set_neither_delays_nor_hastens_what_waits_for_a_time_from_now(
    machine: Machine, step: float
) -> None:
    clock, inbox, _ = machine
    inbox.accept([new("now"), new("soon", delay=10), new("1", key="k", delay=20), new("2", key="k", delay=30)])
    moment = datetime.fromtimestamp(clock.now(), timezone.utc) + timedelta(days=2)
    inbox.accept([new("at", at=moment)])
    clock.set_by(step)
    inbox.accept([new("new", delay=10)])
    assert ended(inbox, 9) == ["now"]
    clock.advance(9)
    assert ended(inbox, 9) == []
    clock.advance(1.6)
    assert sorted(ended(inbox, 9)) == ["new", "soon"]
    clock.advance(10)
    assert ended(inbox, 9) == ["1"]
    clock.advance(10)
    assert ended(inbox, 9) == ["2"]
    assert inbox.next_due() == pytest.approx(moment.timestamp() - clock.now())


@pytest.mark.parametrize("step", [-86400.0, 86400.0])
def test_a_lease_holds_as_long_as_ever_where_the_clock_is_set(machine: Machine, step: float) -> None:
    clock, inbox, _ = machine
    inbox.accept([new("1")])
    inbox.claim(NAMES, 1)
    clock.set_by(step)
    assert machine.freed_in(29) == 0
    inbox.renew()
    assert machine.freed_in(29) == 0
    assert machine.freed_in(2) == 1
    assert payloads(machine.other.claim(NAMES, 1)) == ["1"]


@pytest.mark.parametrize("renewal", ["renew", "free_dead"])
def test_leases_that_ran_out_while_the_machine_slept_are_renewed_before_others_take_the_jobs(
    machine: Machine, tmp_path: Path, renewal: str
) -> None:
    clock, inbox, _ = machine
    with contextlib.closing(SQLiteStore(tmp_path / "site.sqlite3")) as store:
        dying = make_inbox(store, owner=NamedOwner("third"), clock=clock, lease=30)
        inbox.accept([new("1"), new("2")])
        [lives], [dies] = inbox.claim(NAMES, 1), dying.claim(NAMES, 1)
    assert (machine.freed_in(2), inbox.free_dead()) == (0, 0)
    clock.advance(3600)
    assert machine.freed_in(1) == 0
    getattr(inbox, renewal)()  # of the two processes one lives
    assert machine.freed_in(10) == 0
    assert machine.freed_in(10) == 1
    assert {job.id: job.state for job in inbox.list()} == {lives.id: "running", dies.id: "waiting"}


def test_once_a_store_that_was_away_answers_others_have_time_to_renew_their_leases() -> None:
    clock = HandClock()
    grace = LeaseGrace(30, clock)
    assert grace.is_over()
    grace.begin()
    for _ in range(12):
        assert not grace.is_over()
        clock.advance(1)
    assert grace.is_over()


@pytest.mark.parametrize("step", [-86400.0, 60.0])
def test_no_lease_outlives_a_restart_of_the_machine_and_what_waits_goes_on(machine: Machine, step: float) -> None:
    clock, inbox, other = machine
    inbox.accept([new("1"), new("2", delay=10)])
    inbox.claim(NAMES, 1)
    clock.restart(step)
    assert other.free_dead() == 1
    assert "1" in payloads(other.claim(NAMES, 9)), "though the clock may be behind"
    clock.advance(11)
    other.claim(NAMES, 9)
    assert states(inbox) == {"1": "running", "2": "running"}


def test_a_process_that_is_idle_renews_nothing(machine: Machine) -> None:
    clock, inbox, other = machine
    inbox.renew()
    inbox.accept([new("1")])
    assert ended(inbox) == ["1"]
    clock.advance(60)
    inbox.renew()
    assert other.free_dead() == 0


def test_a_lease_that_nobody_renews_ends_though_the_server_s_clock_was_set_back() -> None:
    with postgres_url() as url, contextlib.closing(PostgresStore(url)) as store:
        gone, idle, observer = (
            make_inbox(store, owner=NamedOwner(name), lease=0.5) for name in ("gone", "renewed", "observer")
        )
        observer.accept([new("1")])
        gone.claim(NAMES, 1)
        observer.accept([new("2")])
        idle.claim(NAMES, 1)
        freed = 0
        deadline = time.monotonic() + 60
        while not freed:
            # As a clock that went back by a day leaves it; one of the two owners goes on renewing.
            change(
                store,
                gone,
                "UPDATE wixhttp_inbox_owners SET lease_until = CASE owner WHEN 'gone' THEN now()::date + 3"
                " ELSE clock_timestamp() + interval '1 day' END",
            )
            freed = observer.free_dead()
            assert time.monotonic() < deadline
        assert freed == 1
        assert states(observer) == {"1": "waiting", "2": "running"}
