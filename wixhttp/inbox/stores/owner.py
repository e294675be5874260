"""The owner of a process's claims, as the inbox needs it; that of a store is `wixhttp.leases.owners.owner_of`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Protocol


class ClaimOwner(Protocol):
    """A process that claims jobs."""

    @property
    def id(self) -> str:
        """Its id, which no other process has."""

    def dead_owners(self, ids: Collection[str]) -> set[str]:
        """Those that are known to be dead."""

    def renew_with(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback`` at times, for it to renew the lease; the function that is returned ends that."""


class LeaseRenewal:
    """The renewal of a lease, which begins with the first claim of each process."""

    def __init__(self, owner: ClaimOwner, renew: Callable[[], object]) -> None:
        self._owner = owner
        self._renew = renew
        self._lock = threading.Lock()
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
                    self._end = self._owner.renew_with(self._renew)
                    self._renewed = made
        return made
