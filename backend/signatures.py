"""Webhook signatures: an HMAC over the exact bytes that were sent shows who sent them.

`hmac.compare_digest` takes as long for a near miss as for a far one; a plain == tells an attacker how much was right.
Whatever a stranger sends is either right or refused; nothing here raises.
"""

from __future__ import annotations

import hashlib
import hmac
import time

TOLERANCE = 300  # seconds between the sender's clock and ours; an older delivery may be one that was listened to


def is_from_github(secret: str, body: bytes, header: str | None) -> bool:
    """``X-Hub-Signature-256: sha256=<hex>``, over the body."""
    return _same("sha256=" + _hex(secret, body), header)


def is_from_stripe(secret: str, body: bytes, header: str | None) -> bool:
    """``Stripe-Signature: t=<seconds>,v1=<hex>``, over ``<seconds>.<body>``. A rolled secret sends two ``v1``."""
    pairs = [part.strip().partition("=")[::2] for part in (header or "").split(",")]
    sent = [value for key, value in pairs if key == "t"]
    if len(sent) != 1 or not _is_recent(sent[0]):
        return False
    expected = _hex(secret, sent[0].encode() + b"." + body)
    return any(key == "v1" and _same(expected, value) for key, value in pairs)


def is_from_slack(secret: str, body: bytes, header: str | None, sent: str | None) -> bool:
    """``X-Slack-Signature: v0=<hex>``, over ``v0:<X-Slack-Request-Timestamp>:<body>``."""
    if sent is None or not _is_recent(sent):
        return False
    return _same("v0=" + _hex(secret, b"v0:" + sent.encode() + b":" + body), header)


def is_key(expected: str, given: str | None) -> bool:
    """Return whether a key that a client sends is the right one, in constant time."""
    return _same(expected, given)


def _hex(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _same(expected: str, given: str | None) -> bool:
    # Bytes: compare_digest raises on text that is not ASCII, which a stranger may send.
    return given is not None and hmac.compare_digest(expected.encode(), given.encode())


def _is_recent(seconds: str) -> bool:
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 12):
        return False
    return abs(time.time() - int(seconds)) <= TOLERANCE
