"""A visitor's session: values by key, kept in the project's data store under an id that only the visitor's cookie has.

    def POST(session, cookies):
        session.regenerate()            # after a login: who knew the old id has nothing
        session.set("user", "ada")

It begins with the first value that is set, and ends with ``destroy()``, or ``session_lifetime`` seconds after its last
change; one that is read lives on, too: past a tenth of the lifetime reading counts as a change. The cookie has no
Max-Age, so that a browser that is closed on a shared computer forgets the id. In the store stands a hash of the id:
who reads the database has nobody's session.

Requests at once change the same session key by key, and the last one wins. What one of them changed while another
ended the session, or gave it a new id, is dropped: it would bring back what was ended.

https://docs.astro.build/en/reference/api-reference/#session
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

from ..bridge import Bridge
from ..data.collections import current
from ..data.store import Index, Row, Store, Transaction
from ..data.tree import Compare, Order
from ..data.values import decode, encode, format_date, normalised, stored_date
from ..errors import WixDataError
from .cookies import Cookies
from .exchange import Exchange

NAME = "wixhttp-session"
"""The name of the cookie."""
COLLECTION = "wixhttp:sessions"
"""Where sessions are kept. Calls on collections refuse the name (WDE0025), for its colon."""
MAX_SIZE = 65_536
"""Bytes of a session's values as JSON."""

_ID = re.compile("[A-Za-z0-9_-]{43}")  # what token_urlsafe(32) gives
_REFRESH = 10  # reading counts as a change after this part of the lifetime
_MOST_EXPIRED = 100  # that are removed at once
_BY_CHANGE = Order(("_updatedDate",))
_INDEX = Index((_BY_CHANGE,))
_DELETED: Any = object()

logger = logging.getLogger("wixhttp")


def _now() -> datetime:
    return datetime.now(timezone.utc)


class SessionState:
    """One request's session, which its middleware, its handler and its rewrites share: loaded when it is first used,
    changed in memory, written by `save`.

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
    def of(cls, exchange: Exchange) -> SessionState:
        """The session of a request, made when it is first asked for.

        Raises:
            Unavailable: the endpoint is static.
        """
        if exchange.is_static:
            raise exchange.unavailable("session", "it is static, and answers nobody in particular")
        state = exchange.session
        if not isinstance(state, cls):
            config = exchange.endpoints.config
            state = exchange.session = cls(
                exchange.cookies,
                config.session_lifetime,
                path=exchange.head.base + config.base_path or "/",
                is_secure=config.mode == "production",
            )
        return state

    # --- reading ---

    @property
    def is_loaded(self) -> bool:
        """Whether the store was asked."""
        return self._values is not None

    def load(self) -> dict[str, Any]:
        """The values, read from the store where they were not yet. They are not to be changed.

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
        """See `Session.get`."""
        return copy.deepcopy(self.load().get(_name(key)))  # what is changed in it is not set

    def has(self, key: str) -> bool:
        """See `Session.has`."""
        return _name(key) in self.load()

    def keys(self) -> list[str]:
        """See `Session.keys`."""
        return list(self.load())

    # --- changing ---

    def set(self, key: str, value: Any) -> None:
        """See `Session.set`."""
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
        """See `Session.delete`."""
        name, values = _name(key), self._changeable()
        if name in values:
            del values[name]
            self._changes[name] = _DELETED

    def destroy(self) -> None:
        """See `Session.destroy`."""
        self._changeable().clear()
        self._changes.clear()
        self._ends, self._renews = True, False

    def regenerate(self) -> None:
        """See `Session.regenerate`."""
        self._changeable()
        self._renews = not self._ends

    def _changeable(self) -> dict[str, Any]:
        if self._is_saved:
            raise RuntimeError("the session was written when the handler returned; change it before that")
        return self.load()

    # --- writing ---

    def save(self) -> None:
        """Write what was changed, and set or delete the cookie. Nothing where nothing was.

        Raises:
            StoreUnavailable: the database cannot be reached.
            ValueError: with what others have set meanwhile the session is larger than `MAX_SIZE`.
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
        """Whether the session that was loaded is still there, or is not needed, and everything is written."""
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
        if made is not None and _digest(made).startswith("0"):  # by chance at every sixteenth
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
    return str.__str__(key)  # what a member of an Enum holds, whose str() is its name


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
    """Remove sessions that were last changed at ``last`` or before, the oldest 100 of them; how many they were.

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


class Session:
    """The visitor's session, for ``def``. It is loaded when it is first used, and written when the handler returned:
    not where it raised anything but an `HTTPError`.

    A value is ``None``, a bool, a number, a str, a datetime, or a list or dict of such, as in an item of a collection.
    Each call raises StoreUnavailable (503) where the database cannot be reached.
    """

    __slots__ = ("_state",)

    def __init__(self, state: SessionState) -> None:
        self._state = state

    @classmethod
    def of(cls, exchange: Exchange) -> Session:
        """The session of a request. Raises as `SessionState.of`."""
        return cls(SessionState.of(exchange))

    def get(self, key: str) -> Any:
        """The value, ``None`` where there is none. It is a copy: ``set`` keeps what is changed in it."""
        return self._state.get(key)

    def has(self, key: str) -> bool:
        """Whether there is a value, if only ``None``."""
        return self._state.has(key)

    def keys(self) -> list[str]:
        """The keys of all values."""
        return self._state.keys()

    def set(self, key: str, value: Any) -> None:
        """Keep a value; a session begins with its first.

        Raises:
            TypeError: the key is no str.
            ValueError: the value is of a type that cannot be held, or with it the session is larger than 64 KB.
            RuntimeError: the handler has returned.
        """
        self._state.set(key, value)

    def delete(self, key: str) -> None:
        """Forget a value, if it is there. Raises RuntimeError where the handler has returned."""
        self._state.delete(key)

    def destroy(self) -> None:
        """End the session: values and cookie are gone, its id is refused. What is set after that begins another one.

        Raises:
            RuntimeError: the handler has returned.
        """
        self._state.destroy()

    def regenerate(self) -> None:
        """Give the session a new id: the values stay, the old id is refused. To be called after a login.

        Raises:
            RuntimeError: the handler has returned.
        """
        self._state.regenerate()


class AsyncSession:
    """The visitor's session, for ``async def``: that of `Session`, awaited. It is loaded on a thread."""

    __slots__ = ("_bridge", "_state")

    def __init__(self, state: SessionState, bridge: Bridge) -> None:
        self._state = state
        self._bridge = bridge

    @classmethod
    def of(cls, exchange: Exchange) -> AsyncSession:
        """The session of a request. Raises as `SessionState.of`."""
        return cls(SessionState.of(exchange), exchange.bridge)

    async def _loaded(self) -> SessionState:
        if not self._state.is_loaded:
            await self._bridge.in_thread(self._state.load)
        return self._state

    async def get(self, key: str) -> Any:
        """See `Session.get`."""
        return (await self._loaded()).get(key)

    async def has(self, key: str) -> bool:
        """See `Session.has`."""
        return (await self._loaded()).has(key)

    async def keys(self) -> list[str]:
        """See `Session.keys`."""
        return (await self._loaded()).keys()

    async def set(self, key: str, value: Any) -> None:
        """See `Session.set`."""
        (await self._loaded()).set(key, value)

    async def delete(self, key: str) -> None:
        """See `Session.delete`."""
        (await self._loaded()).delete(key)

    async def destroy(self) -> None:
        """See `Session.destroy`."""
        (await self._loaded()).destroy()

    async def regenerate(self) -> None:
        """See `Session.regenerate`."""
        (await self._loaded()).regenerate()
