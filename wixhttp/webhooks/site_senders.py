"""The handlers of a site that verify their senders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wixhttp.dispatch.site import Site
from wixhttp.errors import SecretNotFound
from wixhttp.secrets import getSecret

from .sender_guard import SenderGuard


class VerifiedHandler(NamedTuple):
    """A handler with ``@verified``: its name, as in the log, its place as messages begin with it, its file, and the
    guard that verifies."""

    name: str
    place: str
    file: str
    guard: SenderGuard


def verified_handlers(site: Site) -> Iterator[VerifiedHandler]:
    """The handlers of a site that verify their senders: functions, then endpoints."""
    for handler in site.handlers():
        for guard in handler.policy.guards:
            if isinstance(guard, SenderGuard):
                yield VerifiedHandler(handler.exported_name, site.place_of(handler), handler.file, guard)


def problems_of_senders(site: Site) -> list[str]:
    """The reasons for which handlers with ``@verified`` would refuse what their senders send, each with the way out:
    secrets that are missing or cannot be used."""
    return [
        f"{handler.place}: @verified of {handler.name}: {problem}"
        for handler in verified_handlers(site)
        for problem in (*handler.guard.problems(), *_blanks(handler), *_unasked(handler))
    ]


def _blanks(handler: VerifiedHandler) -> Iterator[str]:
    """The secrets that were stored with white space around them, such as the line end of a file."""
    for name in handler.guard.secret_names:
        try:
            secret = getSecret(name)
        except SecretNotFound:
            continue
        if handler.guard.scheme.key == "text" and secret != secret.strip():
            yield f"the secret {name!r} has white space or a line end around it, and no sender's has; set it without"


def _unasked(handler: VerifiedHandler) -> Iterator[str]:
    """Meta's question by GET, which a handler for GET cannot answer without a token."""
    scheme = handler.guard.scheme
    takes_get = handler.name.lower().startswith(("get_", "use_", "get ", "all "))
    if scheme.handshake == "meta" and takes_get and not scheme.verify_token:
        yield 'Meta asks by GET with a token of yours; name its secret: verify_token="META_VERIFY_TOKEN"'
