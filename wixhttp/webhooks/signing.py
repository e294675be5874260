"""Requests signed as their senders sign them: for tests and for ``wixhttp webhooks sign``."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from wixhttp.messages import brief
from wixhttp.public_calls import explained, named

from .keys import AsymmetricKey, UnusableSecret, digest_of, key_of
from .message import SignedMessage
from .schemes import OPTIONS, Scheme, scheme_of
from .signed_text import signed_texts

_FORM = "application/x-www-form-urlencoded"
_AS_BYTES = {
    str: "; write .encode()",
    dict: "; write json.dumps(...).encode()",
    list: "; write json.dumps(...).encode()",
}


@explained(more=("tolerance", *OPTIONS))
def sign(
    scheme: str,
    body: bytes,
    *,
    secret: str,
    now: float | None = None,
    id: str | None = None,
    url: str = "",
    method: str = "POST",
    event: str | None = None,
    content_type: str = "",
    **options: Any,
) -> dict[str, str]:
    """The header fields that the sender of a scheme would send with ``body``: what `wixhttp.webhooks.verify` accepts.

    ``now`` is the time of the signature in seconds since the epoch; the clock's where it is ``None``. ``id`` and
    ``event`` are those of the delivery where the sender says them in header fields; without ``id`` a new one is made.
    ``url`` is the public URL of a request of Twilio. ``options`` are those of `wixhttp.webhooks.verified`.

    Raises:
        ValueError: there is no such scheme, the secret is no key of it, or an option is wrong. Wix signs with a key of
            its own: make a token with a key pair of yours.
        TypeError: there is no such option, or the body is something else than bytes.
    """
    if not isinstance(body, bytes):
        raise TypeError(f"body is the exact bytes that are sent, not {named(body)}{_AS_BYTES.get(type(body), '')}")
    if not isinstance(secret, str):
        raise TypeError(f"secret is the secret itself, a text, not {type(secret).__name__}")
    chosen = scheme_of(scheme, options.pop("tolerance", None), **options)
    if chosen.body == "jwt":
        raise ValueError("Wix sends a token as the body, signed with its own private key; make one by jwt.encode")
    return signed_fields(
        chosen, body, secret, time.time() if now is None else now, delivery_id=id, url=url, method=method, event=event,
        content_type=content_type,
    )  # fmt: skip


def signed_fields(
    scheme: Scheme,
    body: bytes,
    secret: str,
    now: float,
    *,
    delivery_id: str | None = None,
    url: str = "",
    method: str = "POST",
    event: str | None = None,
    content_type: str = "",
) -> dict[str, str]:
    """See `sign`."""
    kind = content_type or kind_of(scheme, body)
    fields = {"Content-Type": kind} if kind else {}
    stamp = str(int(now))
    if scheme.id_header:
        delivery_id = delivery_id or str(uuid.uuid4())
        fields[scheme.id_header] = delivery_id
    if scheme.timestamp_header:
        fields[scheme.timestamp_header] = stamp
    if scheme.event_header and event:
        fields[scheme.event_header] = event
    if scheme.body == "form" and not (scheme.url or url):
        raise ValueError("Twilio signs the public URL; say it: url=...")
    try:
        key = key_of(scheme, secret)
        message = SignedMessage(method, url or scheme.url, fields.items(), body)
        text = signed_texts(scheme, message, stamp, delivery_id or "")[0]
        signature = key.sign(scheme, text, scheme.digest)
    except UnusableSecret as error:
        raise ValueError(f"the secret cannot be used: {error}") from None
    prefix = scheme.asymmetric_prefix if isinstance(key, AsymmetricKey) else scheme.prefix
    value = prefix + signature
    if scheme.timestamp_prefix:
        value = f"{scheme.timestamp_prefix}{stamp}{scheme.separator}{value}"
    fields[scheme.header] = value
    return fields


def kind_of(scheme: Scheme, body: bytes) -> str:
    """The content type with which a sender would send a body; ``""`` for none."""
    if body.lstrip()[:1] in (b"{", b"["):
        return "application/json"
    if scheme.body == "form" or (body and b"=" in body):
        return _FORM
    return "text/plain" if body else ""


def with_digest(url: str, body: bytes) -> str:
    """The URL to which Twilio sends a body that is no form: with its SHA-256 in the query."""
    if "bodySHA256=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}bodySHA256={digest_of(body)}"


def token(claims: Mapping[str, Any], private_key: str) -> str:
    """A token as Wix sends it, of ``claims``, signed by a private key in PEM.

    Raises:
        ValueError: it is none.
        ImportError: the extra ``auth`` is not installed.
    """
    import jwt

    try:
        return jwt.encode(dict(claims), private_key, algorithm="RS256")
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise ValueError(f"{brief(str(error))}; take a private key of RSA in PEM") from None
