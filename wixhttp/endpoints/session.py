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
from typing import Any, TypeVar

from wixhttp.messages import brief
from wixhttp.promises import Known, Promise

from .request_state import RequestState
from .session_store import SessionState, Threads
from .session_values import held

_Value = TypeVar("_Value")


class Session:
    """The visitor's session, for ``def``. It is loaded lazily, and written when the handler has returned or has raised
    an `HTTPError`; not where it raised anything else.

    A value is ``None``, a bool, a number, a str, a datetime, or a list or dict of such; keys are any text.
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
            ValueError: the value is of a type that cannot be held. `InvalidInput` (413), it is nested too deep, or with
                it the session is larger than 64 KB.
            HeadersSent: the handler has returned.
        """
        self._state.set(key, value)

    def delete(self, key: str) -> None:
        """Forget a value, if it is there. Raises HeadersSent where the handler has returned."""
        self._state.delete(key)

    def destroy(self) -> None:
        """End the session: values and cookie are gone, its id is refused. A value that is set later begins another one.

        Raises:
            HeadersSent: the handler has returned.
        """
        self._state.destroy()

    def regenerate(self) -> None:
        """Give the session a new id: the values stay, the old id is refused. To be called after a login.

        Raises:
            HeadersSent: the handler has returned.
        """
        self._state.regenerate()


class AsyncSession:
    """The visitor's session, for ``async def``: the methods of `Session`, awaited. It is loaded on a thread.

    They begin when they are called, in that order. What changes it need not be awaited: the answer waits for it.
    """

    __slots__ = ("_state", "_threads")

    def __init__(self, state: SessionState, threads: Threads) -> None:
        self._state = state
        self._threads = threads

    @classmethod
    def of(cls, request: RequestState) -> AsyncSession:
        """The session of a request. Raises as `SessionState.of`."""
        return cls(SessionState.of(request), request)

    def _begin(self, said: str, call: Callable[[SessionState], _Value], *, reads: bool = False) -> Promise[_Value]:
        """The promise of a call, which is done at once where the session is loaded. Raises what it then raises."""
        state = self._state
        calls = state.calls
        if state.is_loaded and (calls is None or not calls.waiting):
            return Known(said, call(state), reads=reads)
        if not reads:
            state.check_changeable()
        if calls is None:
            from .session_calls import SessionCalls

            calls = state.calls = SessionCalls(state, self._threads)
        return calls.add(said, call, reads=reads)

    def get(self, key: str) -> Promise[Any]:
        """See `Session.get`."""
        return self._begin("session.get(...)", lambda state: state.get(key), reads=True)

    def has(self, key: str) -> Promise[bool]:
        """See `Session.has`."""
        return self._begin("session.has(...)", lambda state: state.has(key), reads=True)

    def keys(self) -> Promise[list[str]]:
        """See `Session.keys`."""
        return self._begin("session.keys()", SessionState.keys, reads=True)

    def set(self, key: str, value: Any) -> Promise[None]:
        """See `Session.set`. The value is taken as it is now."""
        kept = value if self._state.is_loaded else held(value, brief(key))
        return self._begin("session.set(...)", lambda state: state.set(key, kept))

    def delete(self, key: str) -> Promise[None]:
        """See `Session.delete`."""
        return self._begin("session.delete(...)", lambda state: state.delete(key))

    def destroy(self) -> Promise[None]:
        """See `Session.destroy`."""
        return self._begin("session.destroy()", SessionState.destroy)

    def regenerate(self) -> Promise[None]:
        """See `Session.regenerate`."""
        return self._begin("session.regenerate()", SessionState.regenerate)
