"""A visitor's session: values by key, kept in the project's data store under an id that only the visitor's cookie has.

    def POST(session, cookies):
        session.regenerate()            # after a login: the old id is worthless (session fixation)
        session.set("user", "ada")

It begins with the first value that is set, and ends with ``destroy()``, or ``session_lifetime`` seconds after its last
change. Reading renews it, too, once a tenth of the lifetime has gone by. The cookie has no
Max-Age, so that a browser that is closed on a shared computer forgets the id. The store has a hash of the id only,
so that reading the database gives nobody a session.

Concurrent requests change the same session key by key, and the last one wins. The changes of a request are dropped
where another one has ended the session meanwhile, or given it a new id: they would bring back an ended session.

https://docs.astro.build/en/reference/api-reference/#session
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from .request_state import RequestState
from .session_store import SessionState

_Value = TypeVar("_Value")


class Session:
    """The visitor's session, for ``def``. It is loaded lazily, and written when the handler has returned or has raised
    an `HTTPError`; not where it raised anything else.

    A value is ``None``, a bool, a number, a str, a datetime, or a list or dict of such, as in an item of a collection.
    Each call raises StoreUnavailable (503) where the database cannot be reached.
    """

    __slots__ = ("_state",)

    def __init__(self, state: SessionState) -> None:
        self._state = state

    @classmethod
    def of(cls, request: RequestState) -> Session:
        """The session of a request. Raises as `SessionState.of`."""
        return cls(SessionState.of(request))

    def get(self, key: str) -> Any:
        """The value, ``None`` where there is none. It is a copy: call ``set`` to keep a change in it."""
        return self._state.get(key)

    def has(self, key: str) -> bool:
        """Return whether there is a value, ``None`` included."""
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
        """End the session: values and cookie are gone, its id is refused. A value that is set later begins another one.

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


class Threads(Protocol):
    """Runs blocking work on threads: the state of a request, or a `Bridge`."""

    async def in_thread(self, work: Callable[[], _Value]) -> _Value:
        """Run ``work()`` on a thread, and return its value."""


class AsyncSession:
    """The visitor's session, for ``async def``: the methods of `Session`, awaited. It is loaded on a thread."""

    __slots__ = ("_state", "_threads")

    def __init__(self, state: SessionState, threads: Threads) -> None:
        self._state = state
        self._threads = threads

    @classmethod
    def of(cls, request: RequestState) -> AsyncSession:
        """The session of a request. Raises as `SessionState.of`."""
        return cls(SessionState.of(request), request)

    async def _loaded(self) -> SessionState:
        if not self._state.is_loaded:
            await self._threads.in_thread(self._state.load)
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
