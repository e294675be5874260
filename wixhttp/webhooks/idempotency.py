"""``@idempotent``: requests with an ``Idempotency-Key`` header are handled once.

The header is that of draft-ietf-httpapi-idempotency-key-header-07.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from wixhttp.errors import HTTPError
from wixhttp.guards import GuardedRequest, made_key
from wixhttp.http.policy import note_guard, parse_duration, parse_seconds
from wixhttp.http.request_head import SAFE_METHODS
from wixhttp.project.signatures import is_async_callable
from wixhttp.public_calls import explained, named

from .once_only import KEEP, WAIT, OnceGuard

F = TypeVar("F", bound=Callable[..., Any])

# The draft has a string of RFC 8941, in quotes; many clients send the text without.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
_PLAIN = re.compile(r"[0-9A-Za-z!#$%&'*+./:=@^_`|~-]{1,255}")
_FORM = 'a text of 1 to 255 visible characters in quotes, such as "8e03978e-40d5-43dd-bc93-6894a57f9324"'


def idempotency_key(field: str) -> str | None:
    """The key in an ``Idempotency-Key`` header; ``None`` where it is malformed.

    >>> idempotency_key('"a-1"'), idempotency_key("a-1"), idempotency_key('"a-1", "a-2"')
    ('a-1', 'a-1', None)
    """
    if (match := _QUOTED.fullmatch(field)) is not None:
        return re.sub(r"\\(.)", r"\1", match[1])
    return field if _PLAIN.fullmatch(field) is not None else None


@explained("idempotent()")
def idempotent(
    *misplaced: NoReturn,
    required: bool = False,
    client: Callable[[Any], object] | None = None,
    keep: float | str = KEEP,
    wait: float = WAIT,
) -> Callable[[F], F]:
    """A decorator that handles requests with the same ``Idempotency-Key`` header once: ``@idempotent()``.

    As with `once`, a repeat within ``keep`` gets the answer of the first, and the second of two at the same time waits
    ``wait`` seconds. The same key with another method, URL or body is answered 422; a malformed one 400; a missing one
    400 where it is ``required``, unless the method is GET, HEAD or OPTIONS, and else runs the handler. A repeat of a
    request whose answer was streamed, or longer than 1 MB, is answered 409.

    Keys are those of one handler and one client: the API key that it has shown (``@require_key``), and what ``client``
    returns, a ``def`` that takes the request and returns text, a whole number or ``None``. Who knows both key and body
    of another's request gets its answer, unless ``client`` tells them apart.

    Raises:
        ValueError: ``keep`` or ``wait`` is out of range, at once.
        TypeError: ``client`` is no ``def``; the decorator is written without parentheses.
    """
    if misplaced:
        raise TypeError(f"idempotent takes keywords only, not {named(misplaced[0])}; write @idempotent()")
    if client is not None and (not callable(client) or is_async_callable(client)):
        raise TypeError(f"@idempotent: client is a def that takes the request, not {named(client)}")
    if not isinstance(required, bool):
        raise TypeError(f"@idempotent: required is True or False, not {named(required)}")
    seconds, most = parse_duration(keep, "@idempotent: keep"), parse_seconds(wait, "@idempotent: wait", "not at all")

    def key_of(request: GuardedRequest) -> tuple[str, str] | None:
        field = request.head.header("idempotency-key")
        if field is None:
            if required and request.head.method not in SAFE_METHODS:
                raise HTTPError(400, f"The request needs an Idempotency-Key header: {_FORM}.")
            return None
        key = idempotency_key(field.strip(" \t"))
        if key is None:
            raise HTTPError(400, f"The Idempotency-Key header is malformed: it is {_FORM}.")
        return json.dumps([*_client(request, client), key]), _digest(request)

    guard = OnceGuard(key_of, seconds, most, needs_sender=False, needs_header=required, sends_status=False)
    return lambda function: note_guard(guard, function)


def _client(request: GuardedRequest, client: Callable[[Any], object] | None) -> list[str]:
    said = None if client is None else made_key(client, request, f"{request.name}: client= of @idempotent")
    api_key = request.notes.api_key
    return ["" if api_key is None else api_key.name, said or ""]


def _digest(request: GuardedRequest) -> str:
    head = request.head
    digest = hashlib.sha256(f"{head.method} {head.path}?{head.query}\n".encode())
    digest.update(request.body)
    return digest.hexdigest()
