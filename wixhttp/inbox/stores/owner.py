"""The owner of a process's claims, as the inbox needs it; that of a store is `wixhttp.leases.owners.owner_of`."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Protocol
from weakref import WeakMethod

from wixhttp.concurrency.process_lock import ProcessLock

from .clock import Clock
from .contract import Job

_SHARE = 6  # a claim renews a lease of which one part in so many has gone by
_GAP = 5.0  # seconds without a look, which there is each second, from which on nobody may have looked


class ClaimOwner(Protocol):
    """A process that claims jobs."""

    @property
    def id(self) -> str:
        """Its id, which no other process has."""

    def dead_owners(self, ids: Collection[str]) -> set[str]:
        """Those that are known to be dead."""

    def renew_with(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback`` at times, for it to renew the lease; the function that is returned ends that."""


class HeldClaims:
    """The claims that a process knows that it has. Where the answer to a claim was lost with the connection, the store
    knows of more: those are given back."""

    def __init__(self) -> None:
        self.claiming = threading.Lock()
        """Held while a claim is under way, which is in the store before it is here."""
        self._held: set[tuple[int, int]] = set()

    def add(self, jobs: Iterable[Job]) -> None:
        """Learn of claims."""
        self._held.update((job.seq, job.claims) for job in jobs)

    def end(self, job: Job) -> None:
        """Learn that a claim is over."""
        self._held.discard((job.seq, job.claims))

    def known(self) -> set[tuple[int, int]]:
        """The claims, each a job's ``seq`` and ``claims``. Ask before the store is read: one that ends meanwhile is
        not lost."""
        return set(self._held)


_held: dict[str, HeldClaims] = {}


def held_by(owner: str) -> HeldClaims:
    """The claims of an owner, which all inboxes of this process share."""
    return _held.setdefault(owner, HeldClaims())


class LeaseRenewal:
    """The renewal of a lease of so many seconds, which begins with the first claim of each process. It ends when the
    object of the method ``renew`` does."""

    def __init__(self, owner: ClaimOwner, renew: Callable[[], None], lease: float, clock: Clock) -> None:
        self._owner = owner
        self._renew = WeakMethod(renew)
        self._lease = lease
        self._clock = clock
        self._last = "", 0.0
        self._lock = ProcessLock()
        self._renewed = ""
        self._end: Callable[[], None] | None = None

    def id(self) -> str:
        """The id of the owner, whose lease is renewed from now on."""
        made = self._owner.id
        if made != self._renewed:  # the first claim, one after a fork, or one after its lock file was removed
            with self._lock:
                if self._end is not None and made != self._renewed:
                    self._end()
                if made != self._renewed:
                    self._end = _begin(self._owner, self._renew)
                    self._renewed = made
        return made

    def is_due(self, owner: str) -> bool:
        """Return whether a claim of that owner is to renew the lease: it was not renewed a short while ago."""
        renewed, at = self._last
        return renewed != owner or self._clock.elapsed() - at > self._lease / _SHARE

    def is_late(self, owner: str) -> bool:
        """Return whether the lease of that owner should have been renewed by now."""
        renewed, at = self._last
        return renewed == owner and self._clock.elapsed() - at > self._lease / 2

    def note(self, owner: str, at: float) -> None:
        """Learn that the lease was renewed, and that this is committed; ``at`` is the time before it was."""
        self._last = owner, at


class LeaseGrace:
    """The grace after a while in which nobody could renew a lease of so many seconds, since the store was away or the
    machine slept: until it is over, no lease has run out. All who live renew theirs meanwhile."""

    def __init__(self, lease: float, clock: Clock) -> None:
        self._grace = 0.4 * lease
        self._clock = clock
        self._looked: float | None = None
        self._until = 0.0

    def is_over(self) -> bool:
        """Return whether leases that ran out are to be taken for such, at one of the looks that there are each
        second."""
        now = self._clock.elapsed()
        if self._looked is not None and now - self._looked > _GAP:
            self._until = now + self._grace
        self._looked = now
        return now >= self._until

    def begin(self) -> None:
        """Begin it at the next look: the store is away."""
        self._looked = -math.inf


def _begin(owner: ClaimOwner, renew: WeakMethod[Callable[[], None]]) -> Callable[[], None]:
    """Renew the lease of an owner; the function that is returned ends that."""

    def call() -> None:
        method = renew()
        if method is None:
            end()
        else:
            method()

    end = owner.renew_with(call)
    return end
