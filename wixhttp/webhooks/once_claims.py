"""Claims on deliveries: which process handles one, and the answer that is kept of one that was handled.

A claim is one atomic insert in the project's data store. It is released by whoever made it, or free where its process
is dead or its lease has run out: at once in SQLite, within the lease in PostgreSQL. Results carry owner and attempt, so
that a late one is refused.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from wixhttp.data.queries.values import decode, encode, format_date, stored_date
from wixhttp.data.stores.contract import Index, Row, Store, Transaction
from wixhttp.data.stores.service_collections import BY_CHANGE, ServiceCollection, damaged
from wixhttp.errors import StoreUnavailable
from wixhttp.leases.owners import LEASE, Owner, owner_of

from .once_answers import KeptAnswer

COLLECTION = "wixhttp:once"
"""The name of the collection of the deliveries.

The date of change of an item is the one at which it is forgotten: stores keep that beside the item, with an index."""

TOO_LATE = "the answer to a delivery came too late: it was taken over by another process, whose answer is kept"

_DAY = timedelta(days=1)
_DELIVERIES = ServiceCollection(COLLECTION, Index((BY_CHANGE,)))
_numbers = itertools.count()

logger = logging.getLogger("wixhttp")


def _now() -> datetime:
    return datetime.now(timezone.utc)


class OtherContent(Exception):
    """A delivery has the key of one that had another content."""


class Claim:
    """The right to handle one delivery. ``attempt`` counts those who had it. ``answer`` is that of the handler, until
    it is in the store; ``is_unsaved``: the store could not take it."""

    __slots__ = ("answer", "attempt", "id", "is_unsaved", "keep", "mark", "owner")

    def __init__(self, id: str, mark: str, keep: float, owner: str) -> None:
        self.id = id
        self.mark = mark
        self.keep = timedelta(seconds=keep)
        self.owner = owner
        self.attempt = 1
        self.answer: KeptAnswer | None = None
        self.is_unsaved = False

    def fields(self, until: float) -> dict[str, Any]:
        """The fields of its item while it is held."""
        return {"attempt": self.attempt, "mark": self.mark, "owner": self.owner, "until": until}

    def is_that_of(self, fields: dict[str, Any]) -> bool:
        """Return whether an item says that this claim is held."""
        return bool(fields.get("owner") == self.owner and fields["attempt"] == self.attempt)


class Claims:
    """The claims of this process in one store. ``lease`` is in seconds; ``clock`` says when answers are forgotten."""

    def __init__(
        self, store: Store, owner: Owner, *, lease: float = LEASE, clock: Callable[[], datetime] = _now
    ) -> None:
        self._store = weakref.ref(store)
        self._owner = owner
        self._lease = lease
        self._clock = clock
        self._number = next(_numbers)  # there may be several objects over one store
        self._begin_process()

    def _begin_process(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._held: dict[str, Claim] = {}
        self._end_renewal: Callable[[], None] | None = None

    # --- the life of a claim ---

    def begin(self, id: str, mark: str, keep: float) -> Claim | KeptAnswer | None:
        """Claim the delivery of that id, to be forgotten after ``keep`` seconds; its answer where it was handled;
        ``None`` while another one handles it. ``mark`` is a digest of its content, or empty.

        Raises:
            OtherContent: it has another ``mark`` than before.
            StoreUnavailable: the store, or its lock file, cannot be used.
        """
        if self._pid != os.getpid():
            self._begin_process()
        owner = f"{self._owner.id}/{self._number}"
        with self._lock:
            held = self._held.get(id)
            if held is None:
                claim = self._held[id] = Claim(id, mark, keep, owner)
            elif held.mark != mark:
                raise OtherContent
            else:
                return held.answer
        found = None
        try:
            found = self._found(claim)
        finally:
            if found is not claim:
                self._forget(claim)
        if found is claim:
            self._renew_from_now_on()
        return found

    def finish(self, claim: Claim, answer: KeptAnswer) -> bool:
        """Keep the answer of a delivery that was handled. False where others have taken it over meanwhile.

        Where the store cannot take it now, it is kept in this process, and stored later.
        """
        claim.answer = answer
        try:
            is_kept = self._finish(claim, answer)
        except StoreUnavailable as error:
            claim.is_unsaved = True
            logger.error(
                "the answer to a delivery is not in the store yet; until then it is in this process: %s", error
            )
            return True
        self._forget(claim)
        return is_kept

    def release(self, claim: Claim) -> None:
        """Let the next delivery be handled.

        Raises:
            StoreUnavailable: the store cannot be used. This process lets the next one be handled all the same, others
                once the lease has run out.
        """

        def work(changes: Transaction) -> None:
            row = changes.get(COLLECTION, [claim.id]).get(claim.id)
            if row is not None and claim.is_that_of(decode(row.text)):
                changes.delete(COLLECTION, [claim.id])

        try:
            self.store.write(work)
        finally:
            self._forget(claim)

    # --- in the store ---

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            StoreUnavailable: there is none any more.
        """
        store = self._store()
        if store is None:
            raise StoreUnavailable("The store of deliveries was closed.")
        return store

    def _found(self, claim: Claim) -> Claim | KeptAnswer | None:
        store = self.store
        row = _DELIVERIES.get(store, claim.id)
        if row is not None:  # repeats, and those who wait, write nothing
            found = self._state(row, claim, store.clock)
            if found is not claim:
                return found
        until = store.clock() + self._lease
        return _DELIVERIES.write(store, lambda changes: self._claimed(changes, claim, until))

    def _claimed(self, changes: Transaction, claim: Claim, until: float) -> Claim | KeptAnswer | None:
        ends = self._end_of(claim)
        claim.attempt = 1
        for _ in range(3):  # it may be released between the two
            row = Row(claim.id, encode(claim.fields(until)), format_date(self._clock()), ends, None)
            if changes.insert(COLLECTION, [row]) == ["done"]:
                return claim
            there = changes.get(COLLECTION, [claim.id]).get(claim.id)
            if there is not None:
                found = self._state(there, claim, lambda: until - self._lease)
                if found is claim:
                    claim.attempt = decode(there.text)["attempt"] + 1
                    changes.update(COLLECTION, [there._replace(text=encode(claim.fields(until)), updated=ends)])
                return found
        return None

    def _state(self, row: Row, claim: Claim, clock: Callable[[], float]) -> Claim | KeptAnswer | None:
        """The answer of an item; ``None`` where another one holds it; ``claim`` where it is free for that."""
        try:
            fields = decode(row.text)
            if "answer" in fields:
                is_free = stored_date(row.updated) <= self._clock()
            else:
                owner = fields["owner"]
                is_free = owner == claim.owner or fields["until"] <= clock() or self._is_dead(owner)
            if is_free:
                return claim
            if fields["mark"] != claim.mark:
                raise OtherContent
            return KeptAnswer.of_fields(fields["answer"]) if "answer" in fields else None
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # none was written like this
            raise damaged(f"delivery {row.id}", error) from error

    def _end_of(self, claim: Claim) -> str:
        """The date after which a claim that nobody renews is forgotten."""
        return format_date(self._clock() + max(claim.keep, _DAY))

    def _is_dead(self, owner: str) -> bool:
        process = owner.partition("/")[0]
        return process in self._owner.dead_owners([process])

    def _finish(self, claim: Claim, answer: KeptAnswer) -> bool:
        fields = {"answer": answer.fields(), "attempt": claim.attempt, "mark": claim.mark}
        store, ends = self.store, format_date(self._clock() + claim.keep)

        def work(changes: Transaction) -> bool:
            row = changes.get(COLLECTION, [claim.id]).get(claim.id)
            there = {} if row is None else decode(row.text)
            if "answer" in there and there["attempt"] == claim.attempt:  # a write that was done, and seemed to fail
                return True
            if row is None or not claim.is_that_of(there):
                return False
            changes.update(COLLECTION, [row._replace(text=encode(fields), updated=ends)])
            return True

        is_kept = store.write(work)
        if claim.id.startswith("0"):  # one in sixteen
            remove_expired(store, self._clock())
        return is_kept

    # --- in this process ---

    def _forget(self, claim: Claim) -> None:
        with self._lock:
            if self._held.get(claim.id) is claim:
                del self._held[claim.id]

    def _renew_from_now_on(self) -> None:
        with self._lock:
            if self._end_renewal is None:
                self._end_renewal = self._owner.renew_with(self.renew)

    def renew(self) -> None:
        """Renew the leases of all claims, then store the answers that could not be stored, each by itself.

        Raises:
            StoreUnavailable: the store cannot be used, or has not taken an answer.
        """
        with self._lock:
            held = dict(self._held)
            if not held or self._store() is None:
                end, self._end_renewal = self._end_renewal, None
                if end is not None:
                    end()
                return
        until = self.store.clock() + self._lease

        def work(changes: Transaction) -> None:
            rows = changes.get(COLLECTION, list(held))
            mine = [
                row._replace(text=encode(claim.fields(until)), updated=self._end_of(claim))
                for row in rows.values()
                if (claim := held[row.id]).is_that_of(decode(row.text))
            ]
            if mine:
                changes.update(COLLECTION, mine)

        _DELIVERIES.write(self.store, work)
        failed: Exception | None = None
        for claim in [each for each in held.values() if each.is_unsaved]:
            try:
                if claim.answer is not None and not self._finish(claim, claim.answer):
                    logger.warning("%s", TOO_LATE)
            except Exception as error:  # noqa: BLE001 - raised below: the others are stored all the same
                failed = failed or error
            else:
                self._forget(claim)
        if failed is not None:
            raise failed


def remove_expired(store: Store, now: datetime) -> int:
    """Remove deliveries that are past their time, the oldest 100 of them, and return their number.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    return _DELIVERIES.remove_old(store, now)


_claims: weakref.WeakKeyDictionary[Store, Claims] = weakref.WeakKeyDictionary()


def claims_of(store: Store) -> Claims:
    """The claims of this process in a store."""
    claims = _claims.get(store)
    return _claims.setdefault(store, Claims(store, owner_of(store))) if claims is None else claims
