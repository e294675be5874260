"""Inboxes against a model: random steps of two processes, of which each may die, do what the contract says."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.databases import opened_store
from tests.inboxes import NAMES, NamedOwner, change, kill
from wixhttp.data.stores.contract import Store
from wixhttp.inbox.stores.contract import Again, Done, Failed, GivenBack, Inbox, Job, NewJob, Outcome
from wixhttp.inbox.stores.factory import make_inbox

FAR = 86400.0  # seconds after which no test ends
EXAMPLES = {"memory": 60, "sqlite": 12, "postgres": 12}


class ModelJob:
    """A job of the model: what the contract says of it."""

    def __init__(self, seq: int, job: NewJob, due: float) -> None:
        self.seq, self.new, self.due = seq, job, due
        self.state, self.attempt, self.holds = "waiting", 0, False


class Model:
    """An inbox in a list; time is the number of steps."""

    def __init__(self) -> None:
        self.jobs: list[ModelJob] = []
        self.time = 0.0

    def accept(self, job: NewJob) -> ModelJob | None:
        """The job; ``None`` where its dedup value was seen."""
        if job.dedup is not None and any(each.new.dedup == job.dedup for each in self.jobs):
            return None
        made = ModelJob(len(self.jobs), job, self.time + job.delay)
        made.state = "blocked" if self._open(job.key) else "waiting"
        self.jobs.append(made)
        return made

    def _open(self, key: str | None) -> list[ModelJob]:
        """The jobs of a key that are not over, the first first."""
        is_open = ("waiting", "blocked", "running")
        return [
            each
            for each in self.jobs
            if key is not None and each.new.key == key and (each.state in is_open or each.holds)
        ]

    def go_on(self, key: str | None) -> None:
        """Let the next of a key go on."""
        still = self._open(key)
        if still and still[0].state == "blocked" and not any(each.state in ("waiting", "running") for each in still):
            still[0].state = "waiting"

    def claim(self, most: int) -> list[ModelJob]:
        due = [each for each in self.jobs if each.state == "waiting" and each.due <= self.time]
        found = sorted(due, key=lambda each: (-each.new.priority, each.due, each.seq))[:most]
        for each in found:
            each.state, each.attempt = "running", each.attempt + 1
        return found

    def finish(self, job: ModelJob, outcome: Outcome) -> None:
        if isinstance(outcome, Again) and job.attempt >= job.new.max_attempts:
            outcome = Failed(outcome.error)
        if isinstance(outcome, Done):
            job.state = "done"
        elif isinstance(outcome, Failed):
            job.state, job.holds = "dead", job.new.on_dead == "hold" and job.new.key is not None
        else:
            job.state = "waiting"
            job.attempt -= isinstance(outcome, GivenBack)
            job.due = self.time + outcome.delay if isinstance(outcome, Again) else job.due
        self.go_on(job.new.key)

    def cancel(self, job: ModelJob) -> bool:
        if job.state not in ("waiting", "blocked", "dead"):
            return False
        job.state, job.holds = "cancelled", False
        self.go_on(job.new.key)
        return True

    def retry(self, job: ModelJob) -> bool:
        if job.state not in ("dead", "cancelled"):
            return False
        job.state, job.holds, job.attempt, job.due = (
            "waiting" if job.new.key is None else "blocked",
            False,
            0,
            self.time,
        )
        self.go_on(job.new.key)
        return True


class Claim(NamedTuple):
    """A claim of a process, which may be over."""

    process: int
    job: Job
    of: ModelJob


class Pair:
    """Two processes with one inbox, and the model of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.model = Model()
        self.lives = 0
        self.owners: list[NamedOwner] = []
        self.inboxes: list[Inbox] = []
        self.claims: list[Claim] = []
        self.running: dict[str, int] = {}
        self.ids: list[str] = []
        for process in (0, 1):
            self._begin(process)

    def _begin(self, process: int) -> None:
        self.lives += 1
        owner = NamedOwner(f"life {self.lives}")
        owner.dead = {f"life {number}" for number in range(self.lives)} - {each.id for each in self.owners}
        self.owners[process : process + 1] = [owner]
        self.inboxes[process : process + 1] = [make_inbox(self.store, owner=owner)]

    def accept(self, jobs: list[NewJob]) -> None:
        self.model.time += 1
        for job, accepted in zip(jobs, self.inboxes[0].accept(jobs), strict=True):
            made = self.model.accept(job)
            assert accepted.is_new == (made is not None)
            if made is not None:
                self.ids.append(accepted.id)

    def claim(self, process: int, most: int) -> None:
        self.model.time += 1
        jobs = self.inboxes[process].claim(NAMES, most)
        expected = self.model.claim(most)
        assert [(self.ids.index(job.id), job.attempt) for job in jobs] == [
            (each.seq, each.attempt) for each in expected
        ]
        for job, of in zip(jobs, expected, strict=True):
            self.claims.append(Claim(process, job, of))
            self.running[job.id] = len(self.claims) - 1

    def finish(self, place: int, outcome: Outcome) -> None:
        """End any claim that ever was."""
        self.model.time += 1
        if not self.claims:
            return
        number = place % len(self.claims)
        claim = self.claims[number]
        is_current = self.running.get(claim.job.id) == number
        assert self.inboxes[claim.process].finish(claim.job, outcome) == is_current
        if is_current:
            del self.running[claim.job.id]
            self.model.finish(claim.of, outcome)

    def kill(self, process: int) -> None:
        """Let a process die and another one begin; the other one notices."""
        self.model.time += 1
        other = 1 - process
        kill(self.store, self.inboxes[other], self.owners[process], self.owners[other])
        lost = sorted(
            (
                self.claims[number]
                for number in self.running.values()
                if self.claims[number].job.owner == self.owners[process].id
            ),
            key=lambda claim: claim.of.seq,
        )
        assert self.inboxes[other].free_dead() == len(lost)
        for claim in lost:
            del self.running[claim.job.id]
            self.model.finish(claim.of, Again(0.0, "its process ended"))
        self._begin(process)

    def by_hand(self, place: int, *, is_retry: bool) -> None:
        """Retry or cancel a job."""
        self.model.time += 1
        if not self.ids:
            return
        number = place % len(self.ids)
        change = self.inboxes[0].retry if is_retry else self.inboxes[0].cancel
        expected = (self.model.retry if is_retry else self.model.cancel)(self.model.jobs[number])
        assert change([self.ids[number]]) == expected

    def compare(self) -> None:
        """See that all jobs are as the model has them, and that no key has two that run or wait."""
        jobs = sorted(self.inboxes[0].list(limit=1000), key=lambda job: job.seq)
        assert [(job.id, job.state, job.attempt) for job in jobs] == [
            (self.ids[each.seq], each.state, each.attempt) for each in self.model.jobs
        ]
        heads = [(job.name, job.key) for job in jobs if job.key is not None and job.state in ("waiting", "running")]
        assert len(heads) == len(set(heads))

    def drain(self) -> None:
        """Run to the end: nothing is lost, and each key in its order."""
        self.kill(0)
        self.kill(1)
        for held in [each for each in self.model.jobs if each.holds]:
            self.by_hand(held.seq, is_retry=False)
        for each in self.model.jobs:
            if each.state in ("waiting", "blocked") and each.due > self.model.time:
                self.by_hand(each.seq, is_retry=False)
        while any(each.state in ("waiting", "blocked") for each in self.model.jobs):
            before = len(self.claims)
            self.claim(0, 3)
            assert len(self.claims) > before
            for number in list(self.running.values()):
                self.finish(number, Done())
        self.compare()


new_jobs = st.builds(
    NewJob,
    name=st.just("a"),
    key=st.sampled_from([None, "x", "y"]),
    dedup=st.sampled_from([None, None, None, "1", "2"]),
    delay=st.sampled_from([0.0, 0.0, 0.0, FAR]),
    priority=st.integers(0, 2),
    max_attempts=st.integers(1, 2),  # a later one waits for a while after its process died
    on_dead=st.sampled_from(["go", "hold"]),
)
outcomes = st.sampled_from([Done(), Done(), Again(0.0, "again"), Again(FAR, "later"), Failed("bad"), GivenBack()])
steps = st.one_of(
    st.tuples(st.just("accept"), st.lists(new_jobs, min_size=1, max_size=4)),
    st.tuples(st.just("claim"), st.integers(0, 1), st.integers(1, 4)),
    st.tuples(st.just("finish"), st.integers(0, 99), outcomes),
    st.tuples(st.just("kill"), st.integers(0, 1)),
    st.tuples(st.just("retry"), st.integers(0, 99)),
    st.tuples(st.just("cancel"), st.integers(0, 99)),
)


def run(pair: Pair, taken: list[tuple[object, ...]]) -> None:
    actions = {
        "accept": pair.accept,
        "claim": pair.claim,
        "finish": pair.finish,
        "kill": pair.kill,
        "retry": lambda place: pair.by_hand(place, is_retry=True),
        "cancel": lambda place: pair.by_hand(place, is_retry=False),
    }
    for name, *arguments in taken:
        actions[name](*arguments)  # type: ignore[index,operator]  # each has its own
        pair.compare()
    pair.drain()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
def test_an_inbox_does_what_the_model_of_it_does(kind: str, tmp_path: Path) -> None:
    with opened_store(kind, tmp_path) as store, contextlib.closing(store):

        @settings(max_examples=EXAMPLES[kind])
        @given(taken=st.lists(steps, max_size=25))
        def agree(taken: list[tuple[object, ...]]) -> None:
            pair = Pair(store)
            pair.inboxes[0].accept([])
            for table in ("wixhttp_inbox", "wixhttp_inbox_owners"):
                change(store, pair.inboxes[0], f"DELETE FROM {table}")  # noqa: S608
            run(pair, taken)

        agree()
