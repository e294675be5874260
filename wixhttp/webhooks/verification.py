"""The verification of a sender: over the exact bytes, in constant time; whatever is malformed is refused."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from wixhttp.messages import brief

from .keys import AsymmetricKey, key_of, usable_keys
from .message import SignedMessage, member
from .refusals import BODY, ENCODING, SIGNATURE, TIMESTAMP, UnverifiedSender
from .schemes import Scheme, digest_size
from .signed_text import digest_for, form_fields, read_signatures, signed_texts
from .webhook import Webhook
from .wix_tokens import verify_token

_LONGEST_TIME = 15  # digits: past the year 9999 in milliseconds


def verify_message(scheme: Scheme, message: SignedMessage, secrets: Sequence[str], now: float) -> Webhook:
    """Verify the sender of a request by one of ``secrets`` at the time ``now``, in seconds since the epoch.

    Raises:
        UnverifiedSender: 401, whatever is wrong.
    """
    try:
        return _verified(scheme, message, secrets, now)
    except ValueError as error:  # of whatever reads what nobody has vouched for: no error of this server
        raise UnverifiedSender(BODY, f"the request cannot be read: {type(error).__name__}: {error}") from error


def _verified(scheme: Scheme, message: SignedMessage, secrets: Sequence[str], now: float) -> Webhook:
    if scheme.body == "jwt":
        return verify_token(scheme, message, secrets, now)
    signatures, asymmetric, stamp = read_signatures(scheme, message)
    if scheme.timestamp_header:
        stamp = message.required(scheme.timestamp_header)
    timestamp = fresh(scheme, stamp, now) if scheme.has_timestamp else None
    delivery_id = message.single(scheme.id_header) if scheme.id_header else None
    if delivery_id is None and "{id}" in scheme.signed:
        delivery_id = message.required(scheme.id_header)
    keys = usable_keys(secrets, partial(key_of, scheme), "secret")
    digest = digest_for(scheme, message)
    texts = signed_texts(scheme, message, stamp, delivery_id or "")
    is_signed = False
    for key in keys:
        for text in texts:
            given = asymmetric if isinstance(key, AsymmetricKey) else signatures
            is_signed |= key.has_signed(scheme, text, digest, given)
    if not is_signed:
        raise UnverifiedSender(*_mismatch(scheme, signatures))
    return described(scheme, message, delivery_id, timestamp)


def fresh(scheme: Scheme, stamp: str, now: float) -> int:
    """The time of a signature, in seconds since the epoch.

    Raises:
        UnverifiedSender: it is no whole number, or too far from ``now``.
    """
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _LONGEST_TIME):
        rule = f"the timestamp is a whole decimal number of seconds, not {brief(stamp)}"
        raise UnverifiedSender(TIMESTAMP, rule)
    timestamp = int(stamp)
    tolerance = scheme.tolerance or 0.0
    if abs(now - timestamp) > tolerance:
        raise UnverifiedSender(
            TIMESTAMP, f"the timestamp {timestamp} is {offset(timestamp, now)}; {tolerance:g} s are allowed"
        )
    return timestamp


def offset(timestamp: float, now: float) -> str:
    """The distance of two times in words: ``"301 s old"``, ``"12 s in the future"``."""
    seconds = now - timestamp
    return f"{seconds:.0f} s old" if seconds >= 0 else f"{-seconds:.0f} s in the future"


def described(scheme: Scheme, message: SignedMessage, delivery_id: str | None, timestamp: int | None) -> Webhook:
    """The delivery as its sender names it in header fields or in the body."""
    value: Any = None
    event = message.single(scheme.event_header) if scheme.event_header else None
    if scheme.id_members or scheme.event_members:
        value = dict(form_fields(message)) if scheme.body == "form" else message.json()
    parts = [found for path in scheme.id_members if (found := member(value, path)) is not None]
    if parts and member(value, scheme.id_members[0]) is not None:
        delivery_id = ".".join(parts)
    if event is None:
        event = next((found for path in scheme.event_members if (found := member(value, path)) is not None), None)
    return Webhook(delivery_id, timestamp, event)


def _mismatch(scheme: Scheme, signatures: list[str]) -> tuple[str, str]:
    """The step and the reason of signatures that are none."""
    size = digest_size(scheme)
    length = 2 * size if scheme.encoding == "hex" else -(-size // 3) * 4
    if scheme.encoding != "base64url" and signatures and not any(len(each) == length for each in signatures):
        lengths = ", ".join(str(len(each)) for each in signatures)
        return ENCODING, f"a signature is {length} characters of {scheme.encoding}, not {lengths}"
    return SIGNATURE, "the signature is not that of this body by this secret"
