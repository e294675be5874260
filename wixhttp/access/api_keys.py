"""API keys: the guard that asks for one, its decorator, and keys made and revoked by programs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, TypeVar

from wixhttp.errors import HTTPError
from wixhttp.guards import KEY, CheckGuard, GuardedRequest
from wixhttp.http.policy import note_guard
from wixhttp.http.request_head import Head
from wixhttp.http.response import Response
from wixhttp.measurements import counted
from wixhttp.public_calls import explained, named

from .exemption import Exemption
from .key_format import checked_scopes, is_key, mask_keys

F = TypeVar("F", bound=Callable[..., Any])

_REALM = 'Bearer realm="API"'


class ApiKey:
    """The key that a client has shown: ``name``, and ``scopes``, a frozenset. On a request as ``request.api_key``."""

    __slots__ = ("name", "scopes")

    @explained()
    def __init__(self, name: str, scopes: Collection[str] = ()) -> None:
        self.name = name
        self.scopes = frozenset(scopes)

    def __repr__(self) -> str:
        return f"<ApiKey {self.name!r} scopes={sorted(self.scopes)!r}>"


class KeyGuard(CheckGuard):
    """Lets requests with an API key pass that has all of ``scopes``. It reads the store for each, so that a key that
    was revoked is refused at once, and by every process."""

    place = KEY
    blocks = True

    def __init__(self, scopes: frozenset[str] = frozenset()) -> None:
        self.scopes = scopes
        mask_keys()

    def check(self, request: GuardedRequest) -> Response | None:
        """Look for the key of a request, and note on the request whose it is.

        Raises:
            HTTPError: 401, it has none that is good; 403, its key has not the scopes.
            StoreUnavailable: the database cannot be reached.
        """
        from wixhttp.data.collections import current

        from .key_store import KeyStore  # with the store, which unit tests of a function need not load

        head = request.head
        if _is_preflight(request.name, head):
            return None
        text = _shown(head)
        if not text:
            raise _refused("missing", "no API key was sent")
        if not is_key(text):
            raise _refused("malformed", "what was sent as an API key has not the form of one")
        keys = KeyStore(current().store)
        record = keys.find(text)
        if record is None:
            raise _refused("unknown", "the API key is unknown, or was revoked")
        if keys.is_over(record):
            raise _refused("expired", f"the API key {record.name!r} has expired")
        if lacking := self.scopes - record.scopes:
            raise _refused_scope(record.name, self.scopes, lacking)
        keys.note_use(record)
        request.notes.api_key = ApiKey(record.name, record.scopes)
        return None


def _shown(head: Head) -> str:
    """The text that a client shows as its key: ``X-API-Key``, or the token of ``Authorization: Bearer`` where that is
    missing or empty; an ``Authorization`` beside it may be that of a caller."""
    own = (head.header("x-api-key") or "").strip(" \t")
    if own:
        return own
    scheme, _, token = (head.header("authorization") or "").strip(" \t").partition(" ")
    return token.strip(" \t") if scheme.lower() == "bearer" else ""


def _is_preflight(name: str, head: Head) -> bool:
    """Return whether a request is a CORS preflight that a handler for OPTIONS alone answers: browsers send none of
    their users' headers with it."""
    return (
        head.method == "OPTIONS"
        and name.lower().startswith(("options_", "options "))
        and head.header("origin") is not None
        and head.header("access-control-request-method") is not None
    )


def _refused(why: str, reason: str) -> HTTPError:
    counted("key_refused", reason=why)
    # A request without credentials is told no error (RFC 6750, 3.1).
    challenge = _REALM if why == "missing" else f'{_REALM}, error="invalid_token"'
    return HTTPError(401, "This needs an API key.", headers={"WWW-Authenticate": challenge}, reason=reason)


def _refused_scope(name: str, scopes: frozenset[str], lacking: frozenset[str]) -> HTTPError:
    counted("key_refused", reason="scope")
    challenge = f'{_REALM}, error="insufficient_scope", scope="{" ".join(sorted(scopes))}"'
    return HTTPError(
        403,
        "This API key is not allowed to do this.",
        headers={"WWW-Authenticate": challenge},
        reason=f"the API key {name!r} has not the scope {', '.join(sorted(lacking))}",
    )


@explained("require_key()")
def require_key(*exempt: None, scopes: Collection[str] = ()) -> Callable[[F], F]:
    """A decorator that lets only requests with an API key reach a function or an endpoint: ``@require_key()``,
    ``@require_key(scopes=["orders:read"])``, where the key has all of the scopes.

    The key is sent as ``X-API-Key: KEY`` or ``Authorization: Bearer KEY``. Without a good one the answer is 401, with
    one that lacks a scope 403. The function reads ``request.api_key``: its ``name`` and ``scopes``.

    ``@require_key(None)`` exempts a function from the setting ``api_keys``.

    Raises:
        ValueError: a scope cannot be, at once.
        TypeError: written without parentheses, or with other arguments.
    """
    if exempt:
        if exempt != (None,):
            raise TypeError(
                f'require_key takes scopes as a keyword, not {named(exempt[0])}; write @require_key(scopes=["..."])'
            )
        if scopes:
            raise TypeError("@require_key(None) exempts from the setting api_keys, and takes no scopes; leave them out")
        return functools.partial(note_guard, Exemption(KEY))
    return functools.partial(note_guard, KeyGuard(checked_scopes(scopes, "scopes of @require_key")))


@explained()
def create_key(name: str, *, scopes: Collection[str] = (), expires: datetime | None = None) -> str:
    """Make an API key in the project's data store, and return it: only its SHA-256 is kept. In a test, where the store
    is in memory, it is good until the test ends.

    ``expires`` has a time zone. It waits for the database: in an ``async def`` call it by ``asyncio.to_thread``.

    Raises:
        ValueError: the name or a scope cannot be, there is a key of that name, or ``expires`` is over.
        StoreUnavailable: the database cannot be reached.
    """
    from wixhttp.data.collections import current

    from .key_store import KeyStore

    return KeyStore(current().store).create(name, scopes, expires)


@explained()
def revoke_key(name: str) -> bool:
    """Revoke the API key of a name, at once and for all processes. False where there is none.

    It waits for the database, as `create_key`.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    from wixhttp.data.collections import current

    from .key_store import KeyStore

    return KeyStore(current().store).revoke(name)
