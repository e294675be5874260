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
from typing import Any, Protocol, TypeVar

from wixhttp.data.collections import current
from wixhttp.data.queries.values import decode, encode, format_date, stored_date
from wixhttp.data.stores.contract import Index, Row, Store, Transaction
from wixhttp.data.stores.service_collections import BY_CHANGE, ServiceCollection, damaged
from wixhttp.endpoints.web.cookies import Cookies
from wixhttp.errors import HeadersSent, InvalidInput
from wixhttp.messages import brief
from wixhttp.promises import Promise

from .csrf import public_origin
from .request_state import RequestState
from .session_values import decode_values, encode_values, held

NAME = "wixhttp-session"
"""The name of the cookie, behind a prefix where it has one (`cookie_name`)."""
COLLECTION = "wixhttp:sessions"
"""The name of their collection."""
MAX_SIZE = 65_536
"""Bytes of a session's values as JSON."""

_ID = re.compile("[A-Za-z0-9_-]{43}")  # what token_urlsafe(32) gives
_REFRESH = 10  # one part in so many of the lifetime, after which reading renews the session, too
_SESSIONS = ServiceCollection(COLLECTION, Index((BY_CHANGE,)))
_DELETED: Any = object()
_Value = TypeVar("_Value")

logger = logging.getLogger("wixhttp")


def cookie_name(path: str, *, is_secure: bool) -> str:
    """The name of the cookie for a ``path``. Where it is set over https (``is_secure``) it has a prefix, by which
    browsers take it from https alone (``__Secure-``), and for the root of a host from that very host (``__Host-``):
    neither another subdomain nor whoever changes plain http can plant a session of theirs (RFC 6265bis, 4.1.3).

    A cookie without the prefix is then not read, or the prefix would protect from nothing.
    """
    return NAME if not is_secure else "__Host-" + NAME if path == "/" else "__Secure-" + NAME


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Threads(Protocol):
    """Runs blocking work on threads: the state of a request, or a `Bridge`."""

    async def in_thread(self, work: Callable[[], _Value]) -> _Value:
        """Run ``work()`` on a thread, and return its value."""


class WaitingCalls(Protocol):
    """Calls of an ``async def`` that wait until the session is loaded: `session_calls.SessionCalls`."""

    @property
    def waiting(self) -> int:
        """Their number."""

    def add(self, said: str, call: Callable[[SessionState], _Value], *, reads: bool) -> Promise[_Value]:
        """The promise of one more, which is done behind the others."""

    async def settled(self) -> None:
        """Wait for all of them. Raises the error of a change that nobody awaited."""


class SessionState:
    """The session of one request, which its middleware, its handler and its rewrites share: loaded lazily, changed in
    memory, written by `save`.

    ``lifetime`` is in seconds; ``name``, ``path`` and ``is_secure`` are the cookie's. ``calls`` are those of an ``async
    def`` that came before it was loaded, ``None`` where there were none.
    """

    __slots__ = (
        "_changes", "_clock", "_cookies", "_ends", "_has_cookie", "_is_old", "_is_saved", "_is_secure", "_key",
        "_lifetime", "_loading", "_name", "_path", "_renews", "_values", "calls",
    )  # fmt: skip

    def __init__(
        self,
        cookies: Cookies,
        lifetime: float,
        *,
        name: str = NAME,
        path: str = "/",
        is_secure: bool = True,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._cookies = cookies
        self._lifetime = timedelta(seconds=lifetime)
        self._name = name
        self._path = path
        self._is_secure = is_secure
        self._clock = clock
        self.calls: WaitingCalls | None = None
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
            # A ";" would end the attribute; so spelled, browsers do not find it in the path, and take the cookie's own.
            path = (request.head.base + config.base_path or "/").replace(";", "%3B")
            is_secure = config.mode == "production"
            is_https = public_origin(request.head, request.public_url).startswith("https:")
            session = request.session = cls(
                request.cookies,
                config.session_lifetime,
                name=cookie_name(path, is_secure=is_secure and is_https),
                path=path,
                is_secure=is_secure,
            )
            session._is_saved = request.is_answered
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
        cookie = self._cookies.get(self._name)
        self._has_cookie = cookie is not None
        if cookie is None or not _ID.fullmatch(cookie.value):
            return {}
        key, now = _digest(cookie.value), self._clock()
        row = _SESSIONS.get(current().store, key)
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
        kept = held(value, brief(name))
        _text({**values, name: kept}, f"with {brief(name)} ")
        values[name] = self._changes[name] = kept

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

    def check_changeable(self) -> None:
        """Raise HeadersSent where it has been written."""
        if self._is_saved:
            raise HeadersSent("the session was written when the handler returned, and cannot be changed")

    def _changeable(self) -> dict[str, Any]:
        self.check_changeable()
        return self.load()

    # --- writing ---

    def save(self) -> None:
        """Write the changes, and set or delete the cookie. Does nothing where nothing has changed.

        Raises:
            StoreUnavailable: the database cannot be reached.
            InvalidInput: 413, with the values that concurrent requests have set the session is larger than `MAX_SIZE`.
        """
        if self._values is None or self._is_saved:
            self._is_saved = True
            return
        made = secrets.token_urlsafe(32) if self._needs_id() else None
        is_changed = self._changes or self._ends or self._renews or self._is_old
        is_there = self._write(made) if made or (self._key and is_changed) else True
        self._is_saved = True
        if not is_there:
            logger.info("the session ended while a request changed it; what that set is dropped")
        elif made is not None:
            self._cookies.set(self._name, made, path=self._path, httpOnly=True, sameSite="lax", secure=self._is_secure)
        elif self._ends and self._has_cookie:
            self._cookies.delete(self._name, path=self._path)

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

        is_there = _SESSIONS.write(store, work, single=self._key is None)
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
    try:
        values = decode(row.text)["values"]
        return decode_values(values) if isinstance(values, str) else values  # sessions were once kept as plain objects
    except (ValueError, TypeError, KeyError) as error:  # no session was written like this
        raise damaged(f"session {row.id}", error) from error


def _text(values: dict[str, Any], reason: str = "") -> str:
    text = encode_values(values)
    size = len(text.encode())
    if size > MAX_SIZE:
        raise InvalidInput(
            "The session cannot hold this.",
            status=413,
            reason=f"a session holds {MAX_SIZE} bytes, and {reason}it has {size}; "
            "keep the rest in a collection, and its _id here",
        )
    return encode({"values": text})


def remove_expired(store: Store, last: datetime) -> int:
    """Remove sessions that were last changed at ``last`` or before, the oldest 100 of them, and return their number.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    return _SESSIONS.remove_old(store, last)
