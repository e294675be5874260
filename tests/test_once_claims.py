"""Claims on deliveries over every store: whatever processes do and however they end, one at a time handles each."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clocks import DateClock
from tests.databases import AwayStore, opened_store
from wixhttp.data.queries.tree import EVERYTHING
from wixhttp.data.queries.values import decode, encode
from wixhttp.data.stores.contract import Row, Store, Transaction
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.data.stores.sqlite import SQLiteStore
from wixhttp.errors import StoreUnavailable
from wixhttp.leases.owners import Owner
from wixhttp.webhooks.once_answers import KeptAnswer
from wixhttp.webhooks.once_claims import COLLECTION, Claim, Claims, OtherContent, claims_of, remove_expired

DAY = 86_400.0
KEEP = 7 * DAY
START = datetime(2026, 3, 1, tzinfo=timezone.utc)
_numbers = itertools.count()


def owners(kind: str, store: Store) -> list[Owner]:
    """The owners of three processes; in memory there is one. Each has a lock file of its own, if any."""
    if kind == "memory":
        return [Owner(None, is_alone=True)]
    folder = None if store.path is None else Path(f"{store.path}-owners")
    return [Owner(folder, is_alone=False) for _ in range(3)]


def answer(text: str = "done") -> KeptAnswer:
    return KeptAnswer(200, [["X-A", "1"], ["X-A", "2"]], text.encode())


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[Store]:
    with opened_store(kind, tmp_path) as made, contextlib.closing(made):
        yield made


def lapse(store: Store, *owners: str) -> None:
    """Let the leases of owners run out, as those of stopped processes do."""

    def work(changes: Transaction) -> None:
        rows = [row for row in store.find(COLLECTION, EVERYTHING) if decode(row.text).get("owner") in owners]
        ended = [row._replace(text=encode({**decode(row.text), "until": 0.0})) for row in rows]
        if ended:
            changes.update(COLLECTION, ended)

    if COLLECTION in store.collections():
        store.write(work)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "begin", "begin", "finish", "release", "kill", "lapse", "renew", "forget"]),
        st.integers(0, 2),  # the process
        st.sampled_from(["a", "b"]),  # the delivery
        st.sampled_from(["", "", "m"]),  # its mark
    ),
    max_size=25,
)


class Model:
    """The claims as they ought to be. A process is its index and how often it was started."""

    def __init__(self, kind: str, store: Store) -> None:
        self.kind = kind
        self.store = store
        self.clock = DateClock(START)
        self.owners = owners(kind, store)
        self.claims = [Claims(store, owner, clock=self.clock) for owner in self.owners]
        self.held: list[dict[str, Claim]] = [{} for _ in self.owners]  # what each process thinks that it holds
        self.holder: dict[str, tuple[int, Claim]] = {}  # who does; -1: a dead process
        self.free: set[str] = set()  # of those, the ones that anybody may take over
        self.answers: dict[str, tuple[str, str, datetime]] = {}
        self.prefix = f"{next(_numbers):x}-"

    def do(self, step: str, process: int, name: str, mark: str) -> None:
        process %= len(self.claims)
        getattr(self, step)(process, self.prefix + name, mark)

    def begin(self, process: int, id: str, mark: str) -> None:
        expected = self.expected(process, id, mark)
        try:
            found: Any = self.claims[process].begin(id, mark, KEEP)
        except OtherContent:
            found = "other"
        if isinstance(found, KeptAnswer):
            found = (found.body or b"").decode()
        if expected == "claim":
            assert isinstance(found, Claim)
            self.answers.pop(id, None)
            self.free.discard(id)
            self.holder[id] = process, found
            self.held[process][id] = found
        else:
            assert found == expected

    def expected(self, process: int, id: str, mark: str) -> str | None:
        if id in self.held[process]:  # it may be late, and does not know
            return None if self.held[process][id].mark == mark else "other"
        if id in self.holder:
            claim = self.holder[id][1]
            if id in self.free:
                return "claim"
            return None if claim.mark == mark else "other"
        if id in self.answers and self.answers[id][2] > self.clock.now:
            text, marked, _ = self.answers[id]
            return text if marked == mark else "other"
        return "claim"

    def finish(self, process: int, id: str, mark: str) -> None:
        claim = self.held[process].pop(id, None)
        if claim is None:
            return
        text = f"{process} {claim.attempt}"
        is_holder = id in self.holder and self.holder[id][1] is claim
        assert self.claims[process].finish(claim, answer(text)) == is_holder
        if is_holder:
            del self.holder[id]
            self.free.discard(id)
            self.answers[id] = text, claim.mark, self.clock.now + timedelta(seconds=KEEP)

    def release(self, process: int, id: str, mark: str) -> None:
        claim = self.held[process].pop(id, None)
        if claim is None:
            return
        self.claims[process].release(claim)
        if id in self.holder and self.holder[id][1] is claim:
            del self.holder[id]
            self.free.discard(id)

    def kill(self, process: int, id: str, mark: str) -> None:
        owner = self.owners[process]
        owner.begin_in_child()  # its lock is dropped, as at its death
        self.claims[process] = Claims(self.store, owner, clock=self.clock)
        for each in self.held[process]:
            if self.holder.get(each, (0, None))[1] is self.held[process][each]:
                self.holder[each] = -1, self.held[process][each]
                if self.kind != "postgres":  # there the lease alone tells
                    self.free.add(each)
        self.held[process] = {}

    def lapse(self, process: int, id: str, mark: str) -> None:
        if id in self.holder:
            lapse(self.store, self.holder[id][1].owner)
            self.free |= {each for each, held in self.holder.items() if held[1].owner == self.holder[id][1].owner}

    def renew(self, process: int, id: str, mark: str) -> None:
        self.claims[process].renew()
        for each, claim in self.held[process].items():
            if each in self.holder and self.holder[each][1] is claim:
                self.free.discard(each)

    def forget(self, process: int, id: str, mark: str) -> None:
        for claims in self.claims:  # what is held is renewed every ten seconds
            claims.renew()
        for each, (holder, claim) in self.holder.items():
            if any(claim is mine for held in self.held for mine in held.values()):
                self.free.discard(each)
            elif holder == -1:  # the lease of a dead process is over long before
                lapse(self.store, claim.owner)
                self.free.add(each)
        self.clock.now += timedelta(seconds=KEEP / 2 + 1)
        remove_expired(self.store, self.clock.now)

    def end(self) -> None:
        for claims, held in zip(self.claims, self.held, strict=True):
            for claim in held.values():
                claims.release(claim)
            claims.renew()


def test_one_process_at_a_time_has_a_claim_whatever_happens(kind: str, store: Store) -> None:
    @settings(max_examples=100 if kind == "memory" else 40)
    @given(STEPS)
    def run(steps: list[tuple[str, int, str, str]]) -> None:
        model = Model(kind, store)
        try:
            for step in steps:
                model.do(*step)
        finally:
            model.end()

    run()


def test_of_many_at_once_one_gets_the_claim(kind: str, store: Store) -> None:
    processes = [Claims(store, owner) for owner in owners(kind, store)]
    for number in range(5):
        found: list[Claim | KeptAnswer | None] = []
        start = threading.Barrier(9)

        def ask(claims: Claims, id: str, start: threading.Barrier = start, found: list[Any] = found) -> None:
            start.wait()
            found.append(claims.begin(id, "", KEEP))

        threads = [
            threading.Thread(target=ask, args=(each, f"{number}"))
            for each in itertools.islice(itertools.cycle(processes), 9)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        [claim] = [each for each in found if each is not None]
        assert isinstance(claim, Claim)
        assert len(found) == 9


def test_what_is_kept_of_an_answer_is_the_same_in_every_store(store: Store) -> None:
    owner = Owner(None, is_alone=True)
    claims = Claims(store, owner)
    claim = claims.begin("a", "", KEEP)
    assert isinstance(claim, Claim)
    assert claims.finish(claim, KeptAnswer(201, [["X-A", "é"], ["Set-Cookie", "a=1"]], bytes(range(256))))
    kept = Claims(store, owner).begin("a", "", KEEP)
    assert isinstance(kept, KeptAnswer)
    response = kept.response()
    assert (response.status, response.body, dict(response.headers)) == (
        201, bytes(range(256)), {"X-A": ["é"], "Set-Cookie": ["a=1"]},
    )  # fmt: skip


def test_items_past_their_time_are_removed_a_hundred_at_a_time(store: Store) -> None:
    clock = DateClock(START)
    claims = Claims(store, Owner(None, is_alone=True), clock=clock)
    for number in range(103):
        claim = claims.begin(f"f{number}", "", DAY)
        assert isinstance(claim, Claim)
        claims.finish(claim, answer())
    clock.now += timedelta(days=1, seconds=1)
    assert remove_expired(store, clock.now) == 100
    claim = claims.begin("0", "", DAY)  # one in sixteen removes
    assert isinstance(claim, Claim)
    claims.finish(claim, answer())
    assert [row.id for row in store.find(COLLECTION, EVERYTHING)] == ["0"]
    assert remove_expired(store, clock.now) == 0


def test_an_answer_that_the_store_cannot_take_is_kept_in_the_process_and_stored_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, owner = AwayStore(), Owner(None, is_alone=True)
    claims = Claims(store, owner)
    claim = claims.begin("a", "", KEEP)
    assert isinstance(claim, Claim)
    store.is_away = True
    assert claims.finish(claim, answer("one"))
    assert "not in the store yet" in caplog.text
    found = claims.begin("a", "", KEEP)
    assert isinstance(found, KeptAnswer)
    assert found.body == b"one"
    with pytest.raises(StoreUnavailable):
        claims.renew()
    store.is_away = False
    claims.renew()
    found = Claims(store, Owner(None, is_alone=True)).begin("a", "", KEEP)
    assert isinstance(found, KeptAnswer)
    assert found.body == b"one"


class Picky(MemoryStore):
    """A store that does not take a row that holds a text, which is in base64 where it is in an answer."""

    refused = "e" * 40

    def write(self, work: Any, *, single: bool = False) -> Any:
        def checked(changes: Transaction) -> Any:
            return work(_PickyChanges(changes, self.refused))

        return super().write(checked, single=single)


class _PickyChanges:
    def __init__(self, changes: Transaction, refused: str) -> None:
        self._changes = changes
        self._refused = refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self._changes, name)

    def update(self, collection: str, rows: list[Row]) -> None:
        if any(self._refused in row.text for row in rows):
            raise StoreUnavailable("It does not take this.")
        self._changes.update(collection, rows)


def test_an_answer_that_the_store_never_takes_keeps_no_other_claim_from_being_renewed() -> None:
    store = Picky()
    claims = Claims(store, Owner(None, is_alone=False))
    made = [claims.begin(each, "", KEEP) for each in ("bad", "good", "running")]
    bad, good, running = (claim for claim in made if isinstance(claim, Claim))
    store.refused = ""  # that is everything
    for claim in (bad, good):
        assert claims.finish(claim, answer(claim.id))
        assert claim.is_unsaved
    store.refused = KeptAnswer(200, [], b"bad").fields()["body"]
    lapse(store, running.owner)
    with pytest.raises(StoreUnavailable, match="does not take this"):
        claims.renew()
    others = Claims(store, Owner(None, is_alone=False))
    assert others.begin("running", "", KEEP) is None
    assert others.begin("bad", "", KEEP) is None
    assert isinstance(others.begin("good", "", KEEP), KeptAnswer)


def test_a_claim_that_cannot_be_released_is_free_for_its_process() -> None:
    store = AwayStore()
    claims = Claims(store, Owner(None, is_alone=False))
    claim = claims.begin("a", "", KEEP)
    assert isinstance(claim, Claim)
    store.is_away = True
    with pytest.raises(StoreUnavailable):
        claims.release(claim)
    store.is_away = False
    again = claims.begin("a", "", KEEP)
    assert isinstance(again, Claim)
    assert again.attempt == 2
    assert not claims.finish(claim, answer("late"))
    assert claims.finish(again, answer())


def test_a_damaged_item_is_told(store: Store) -> None:
    claims = Claims(store, Owner(None, is_alone=True))
    claims.begin("a", "", KEEP)
    for text in ("{}", '{"answer":1,"mark":""}', '{"mark":"","owner":3,"until":"x"}'):
        store.write(lambda changes, text=text: changes.insert(COLLECTION, [Row(text, text, "", "", None)]))  # type: ignore[misc]
        with pytest.raises(StoreUnavailable, match="is damaged"):
            Claims(store, Owner(None, is_alone=True)).begin(text, "", KEEP)


def test_a_store_has_one_set_of_claims_in_a_process(tmp_path: Path) -> None:
    store, other = MemoryStore(), SQLiteStore(tmp_path / "site.sqlite3")
    assert claims_of(store) is claims_of(store)
    assert claims_of(store) is not claims_of(other)
