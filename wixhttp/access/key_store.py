"""API keys in the project's data store: a collection of its own, as that of the sessions is.

A key is random, and only its SHA-256 is kept: reading the database gives nobody a key.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from wixhttp.data.queries.tree import Compare, Order
from wixhttp.data.queries.values import decode, encode, format_date, stored_date
from wixhttp.data.stores.contract import Index, Row, Store, Transaction
from wixhttp.data.stores.service_collections import ServiceCollection, damaged
from wixhttp.errors import StoreUnavailable, WixDataError

from .key_format import MARK, checked_name, checked_scopes, new_key

COLLECTION = "wixhttp:keys"
"""The name of the collection of the keys."""
NOTED_EVERY = 60.0
"""Seconds in which the last use of a key is written once."""

_HINT = len(MARK) + 4  # characters of a key by which its owner knows it again
_BY_NAME = Order(("name",))
_KEYS = ServiceCollection(COLLECTION, Index((_BY_NAME,), unique=True))

logger = logging.getLogger("wixhttp")


class KeyRecord(NamedTuple):
    """A key as it is kept: ``digest`` is its SHA-256 in hex, ``hint`` its beginning. ``expires`` and ``used`` are
    ``None`` where it does not, and was not yet."""

    digest: str
    name: str
    scopes: frozenset[str]
    hint: str
    created: datetime
    used: datetime | None
    expires: datetime | None
    row: Row


def _now() -> datetime:
    return datetime.now(timezone.utc)


class KeyStore:
    """The keys in a store. Every method may raise StoreUnavailable."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = _now) -> None:
        self._store = store
        self._clock = clock

    def create(self, name: str, scopes: Collection[str] = (), expires: datetime | None = None) -> str:
        """Make a key, and return it: nobody can read it again.

        Raises:
            ValueError: the name or a scope cannot be, there is a key of that name, or ``expires`` is over.
        """
        name, allowed, now = checked_name(name), checked_scopes(scopes), self._clock()
        if expires is not None:
            if expires.tzinfo is None:
                raise ValueError(f"the date at which a key expires has a time zone, and {expires} has none")
            if expires <= now:
                raise ValueError(f"a key expires in the future, not at {format_date(expires)}")
        key = new_key()
        fields = {
            "name": name,
            "scopes": sorted(allowed),
            "hint": key[:_HINT],
            "expires": None if expires is None else format_date(expires),
        }
        date = format_date(now)
        row = Row(_digest(key), encode(fields), date, date, None)
        _KEYS.make(self._store)
        [outcome] = self._store.write(lambda changes: changes.insert(COLLECTION, [row]), single=True)
        if outcome != "done":
            raise ValueError(f"there is a key {name!r} already; choose another name, or revoke it first")
        return key

    def all(self) -> list[KeyRecord]:
        """All keys, by name."""
        return [_record(row) for row in _KEYS.find(self._store)]

    def revoke(self, name: str) -> bool:
        """Remove the key of a name: no process takes it any more. False where there is none."""
        found = [row.id for row in _KEYS.find(self._store, Compare("eq", _BY_NAME.path, name.strip()))]
        return bool(found) and bool(self._store.write(lambda changes: changes.delete(COLLECTION, found), single=True))

    def find(self, key: str) -> KeyRecord | None:
        """The record of a key; ``None`` where it is unknown, or was revoked."""
        row = _KEYS.get(self._store, _digest(key))
        return None if row is None else _record(row)

    def is_over(self, record: KeyRecord) -> bool:
        """Return whether a key has expired."""
        return record.expires is not None and record.expires <= self._clock()

    def note_use(self, record: KeyRecord) -> None:
        """Write that a key is used, unless that was written less than a minute ago. Where the store takes no writes, a
        warning says so, and the key is good all the same."""
        now = self._clock()
        if record.used is not None and now - record.used < timedelta(seconds=NOTED_EVERY):
            return
        if not _begin_note(record.digest):
            return

        def work(changes: Transaction) -> None:
            changes.update(COLLECTION, [record.row._replace(updated=format_date(now))])  # nothing where it was revoked

        try:
            self._store.write(work, single=True)
        except (StoreUnavailable, WixDataError) as error:
            logger.warning("the last use of the API key %r cannot be written: %s", record.name, error)


_MOST_NOTED = 1000  # keys that are remembered before those of more than a minute ago are forgotten
_noted: dict[str, float] = {}
_noting = threading.Lock()


def _begin_note(digest: str) -> bool:
    """Return whether this process has not begun to write the use of a key in the last minute, and note that it does."""
    now = time.monotonic()
    with _noting:
        if now - _noted.get(digest, -NOTED_EVERY) < NOTED_EVERY:
            return False
        if len(_noted) >= _MOST_NOTED:
            for over in [each for each, noted in _noted.items() if now - noted >= NOTED_EVERY]:
                del _noted[over]
        _noted[digest] = now
        return True


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _record(row: Row) -> KeyRecord:
    try:
        fields = decode(row.text)
        expires = fields["expires"]
        return KeyRecord(
            row.id,
            fields["name"],
            frozenset(fields["scopes"]),
            fields["hint"],
            stored_date(row.created),
            None if row.updated == row.created else stored_date(row.updated),
            None if expires is None else stored_date(expires),
            row,
        )
    except (ValueError, TypeError, KeyError) as error:  # no key was written like this
        raise damaged(f"API key {row.id}", error) from error
