"""The session of one request in the project's data store: loaded lazily, changed in memory, written back.

Session ids are random, and stand in the store as SHA-256 only.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import re
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from wixhttp.data.collections import current
from wixhttp.data.queries.tree import Compare, Order
from wixhttp.data.queries.values import decode, encode, format_date, normalised, stored_date
from wixhttp.data.stores.contract import Index, Row, Store, Transaction
from wixhttp.endpoints.web.cookies import Cookies
from wixhttp.errors import WixDataError

from .request_state import RequestState

NAME = "wixhttp-session"
"""The name of the cookie."""
COLLECTION = "wixhttp:sessions"
"""The collection of the sessions. Calls on collections refuse the name (WDE0025), for its colon."""
MAX_SIZE = 65_536
"""Bytes of a session's values as JSON."""

_ID = re.compile("[A-Za-z0-9_-]{43}")  # what token_urlsafe(32) gives
_REFRESH = 10  # one part in so many of the lifetime, after which reading renews the session, too
_MOST_EXPIRED = 100  # sessions that are removed at once
_BY_CHANGE = Order(("_updatedDate",))
_INDEX = Index((_BY_CHANGE,))
_DELETED: Any = object()

logger = logging.getLogger("wixhttp")


def _now() -> datetime:
    return datetime.now(timezone.utc)


class SessionState:
    """The session of one request, which its middleware, its handler and its rewrites share: loaded lazily, changed in
    memory, written by `save`.

    ``lifetime`` is in seconds; ``path`` and ``is_secure`` are the cookie's.
    """

    __slots__ = (
        "_changes", "_clock", "_cookies", "_ends", "_has_cookie", "_is_old", "_is_saved", "_is_secure", "_key",
        "_lifetime", "_loading", "_path", "_renews", "_values",
    )  # fmt: skip

    def __init__(
        self,
        cookies: Cookies,
        lifetime: float,
        *,
        path: str = "/",
        is_secure: bool = True,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._cookies = cookies
        self._lifetime = timedelta(seconds=lifetime)
        self._path = path
        self._is_secure = is_secure
        self._clock = clock
        self._loading = threading.Lock()
        self._values: dict[str, Any] | None = None
        self._changes: dict[str, Any] = {}
        self._key: str | None = None  # of the stored session that the request came with
        self._has_cookie = False
        self._is_old = False
        self._ends = False
        self._renews = False
        self._is_saved = False

    @classmethod
    def of(cls, request: RequestState) -> SessionState:
        """The session of a request, made when it is first asked for.

        Raises:
            Unavailable: the endpoint is static.
        """
        if request.is_static:
            raise request.unavailable("session", "it is static, and answers nobody in particular")
        session = request.session
        if not isinstance(session, cls):
            config = request.endpoints.config
            session = request.session = cls(
                request.cookies,
                config.session_lifetime,
                path=request.head.base + config.base_path or "/",
                is_secure=config.mode == "production",
            )
        return session

    # --- reading ---

    @property
    def is_loaded(self) -> bool:
        """True once the values were read from the store."""
        return self._values is not None

    def load(self) -> dict[str, Any]:
        """The values, read from the store at the first call. They must not be changed.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        with self._loading:
            values = self._values
            if values is None:
                values = self._values = self._loaded()
            return values

    def _loaded(self) -> dict[str, Any]:
        cookie = self._cookies.get(NAME)
        self._has_cookie = cookie is not None
        if cookie is None or not _ID.fullmatch(cookie.value):
            return {}
        key, now = _digest(cookie.value), self._clock()
        try:
            row = current().store.get(COLLECTION, [key]).get(key)
        except WixDataError as error:
            if error.code != "WDE0025":  # nobody has a session yet
                raise
            row = None
        if row is None or stored_date(row.updated) + self._lifetime <= now:
            return {}
        self._key = key
        self._is_old = stored_date(row.updated) + self._lifetime / _REFRESH <= now
        return _values(row)

    def get(self, key: str) -> Any:
        """See `session.Session.get`."""
        return copy.deepcopy(self.load().get(_name(key)))  # a change in it would be lost

    def has(self, key: str) -> bool:
        """See `session.Session.has`."""
        return _name(key) in self.load()

    def keys(self) -> list[str]:
        """See `session.Session.keys`."""
        return list(self.load())

    # --- changing ---

    def set(self, key: str, value: Any) -> None:
        """See `session.Session.set`."""
        name, values = _name(key), self._changeable()
        if name.startswith("$"):
            raise ValueError(f"the key of a value in a session cannot begin with '$', as {name!r} does; rename it")
        try:
            held = normalised({name: value})[name]
        except WixDataError as error:
            raise ValueError(f"the session cannot hold {name!r}: {error.description}") from None
        _text({**values, name: held}, f"with {name!r} ")
        values[name] = self._changes[name] = held

    def delete(self, key: str) -> None:
        """See `session.Session.delete`."""
        name, values = _name(key), self._changeable()
        if name in values:
            del values[name]
            self._changes[name] = _DELETED

    def destroy(self) -> None:
        """See `session.Session.destroy`."""
        self._changeable().clear()
        self._changes.clear()
        self._ends, self._renews = True, False

    def regenerate(self) -> None:
        """See `session.Session.regenerate`."""
        self._changeable()
        self._renews = not self._ends

    def _changeable(self) -> dict[str, Any]:
        if self._is_saved:
            raise RuntimeError("the session was written when the handler returned; change it before that")
        return self.load()

    # --- writing ---

    def save(self) -> None:
        """Write the changes, and set or delete the cookie. Does nothing where nothing has changed.

        Raises:
            StoreUnavailable: the database cannot be reached.
            ValueError: with the values that concurrent requests have set the session is larger than `MAX_SIZE`.
        """
        if self._values is None or self._is_saved:
            return
        made = secrets.token_urlsafe(32) if self._needs_id() else None
        is_changed = self._changes or self._ends or self._renews or self._is_old
        is_there = self._write(made) if made or (self._key and is_changed) else True
        self._is_saved = True
        if not is_there:
            logger.info("the session ended while a request changed it; what that set is dropped")
        elif made is not None:
            self._cookies.set(NAME, made, path=self._path, httpOnly=True, sameSite="lax", secure=self._is_secure)
        elif self._ends and self._has_cookie:
            self._cookies.delete(NAME, path=self._path)

    def _needs_id(self) -> bool:
        if self._key is None or self._ends:
            return any(value is not _DELETED for value in self._changes.values())
        return self._renews

    def _write(self, made: str | None) -> bool:
        """Write everything. False where the session that was loaded is gone, and nothing was written."""
        now = self._clock()
        date, store = format_date(now), current().store

        def work(changes: Transaction) -> bool:
            return self._apply(changes, made, date)

        try:
            is_there = store.write(work, single=self._key is None)
        except WixDataError as error:
            if error.code != "WDE0025":
                raise
            _prepare(store)
            is_there = store.write(work, single=self._key is None)
        if made is not None and _digest(made).startswith("0"):  # one in sixteen
            remove_expired(store, now - self._lifetime)
        return is_there

    def _apply(self, changes: Transaction, made: str | None, date: str) -> bool:
        row: Row | None = None
        key = self._key
        if key is not None:
            row = None if self._ends else changes.get(COLLECTION, [key]).get(key)
            if row is None and not self._ends:
                return False
            if row is None or made is not None:
                changes.delete(COLLECTION, [key])
        values = {} if row is None else _values(row)
        values.update(self._changes)
        text = _text({name: value for name, value in sorted(values.items()) if value is not _DELETED})
        if made is not None:
            changes.insert(COLLECTION, [Row(_digest(made), text, date, date, None)])
        elif row is not None:
            changes.update(COLLECTION, [row._replace(text=text, updated=date)])
        return True


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key of a value in a session is a str, not {key!r} ({type(key).__name__})")
    return str.__str__(key)  # the value of a member of an Enum, whose str() is its name


def _digest(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()


def _values(row: Row) -> dict[str, Any]:
    values: dict[str, Any] = decode(row.text)["values"]
    return values


def _text(values: dict[str, Any], reason: str = "") -> str:
    text = encode(values)
    size = len(text.encode())
    if size > MAX_SIZE:
        raise ValueError(
            f"a session holds {MAX_SIZE} bytes, and {reason}it has {size}; "
            "keep the rest in a collection, and its _id here"
        )
    return f'{{"values":{text}}}'


def _prepare(store: Store) -> None:
    store.create(COLLECTION)
    if _INDEX not in store.collections().get(COLLECTION, ()):
        store.add_index(COLLECTION, _INDEX)


def remove_expired(store: Store, last: datetime) -> int:
    """Remove sessions that were last changed at ``last`` or before, the oldest 100 of them, and return their number.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    _prepare(store)
    expired = Compare("lte", _BY_CHANGE.path, normalised(last))
    rows = {row.id: row for row in store.find(COLLECTION, expired, [_BY_CHANGE], limit=_MOST_EXPIRED)}

    def work(changes: Transaction) -> int:
        there = changes.get(COLLECTION, list(rows))  # some may be in use again
        return len(changes.delete(COLLECTION, [key for key, row in there.items() if row.updated == rows[key].updated]))

    return store.write(work) if rows else 0
