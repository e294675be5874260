"""The inbox of a store of collections."""

from __future__ import annotations

from wixhttp.concurrency.process_lock import ProcessLock
from wixhttp.data.stores.contract import Store
from wixhttp.data.stores.memory import MemoryStore
from wixhttp.leases.owners import LEASE, owner_of

from .clock import Clock, MachineClock
from .contract import Inbox
from .owner import ClaimOwner

_opening = ProcessLock()


def open_inbox(store: Store) -> Inbox:
    """The inbox of a store, one for each; no table is made and no connection before it is used."""
    with _opening:
        if "inbox" not in store.companions:
            store.companions["inbox"] = make_inbox(store)
        inbox: Inbox = store.companions["inbox"]
        return inbox


def make_inbox(
    store: Store, *, owner: ClaimOwner | None = None, clock: Clock | None = None, lease: float = LEASE
) -> Inbox:
    """One more inbox of a store, with an owner, a clock and leases of one's own. ``lease`` is in seconds.

    In PostgreSQL the clock is the server's, and ``clock`` is not looked at.
    """
    holder = owner or owner_of(store)
    if isinstance(store, MemoryStore):
        from .memory import MemoryDatabase
        from .sqlite import SQLiteInbox

        with _opening:
            database = store.companions.setdefault("inbox in memory", MemoryDatabase())
        return SQLiteInbox(database, holder, clock=clock or MachineClock(), lease=lease)
    if store.path is not None:
        from wixhttp.data.stores.sqlite import SQLiteStore

        from .sqlite import SQLiteInbox

        if isinstance(store, SQLiteStore):
            return SQLiteInbox(store, holder, clock=clock or MachineClock(), lease=lease)
    from wixhttp.data.stores.postgres import PostgresStore

    from .postgres import PostgresInbox

    if not isinstance(store, PostgresStore):
        raise TypeError(f"there is no inbox in a {type(store).__name__}")
    return PostgresInbox(store, holder, lease=lease)
