"""Senders of webhooks as tests play them: a secret, a body and options for each scheme, signed by other code than that
of the package: the sender's own library where there is one, else a few lines by its documentation."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import jwt
import stripe
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from slack_sdk.signature import SignatureVerifier
from standardwebhooks import Webhook as StandardWebhook
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

URL = "https://www.example.com/_functions/hook?a=1"
EVENT = json.dumps({"id": "evt_1", "type": "order.paid", "text": "Thé", "amount": [1, 2.5]}, indent=1).encode()
FORM = b"MessageSid=SM1&From=%2B4915100000&Body=Gr%C3%BC%C3%9Fe+%26+more&Body=twice&Empty="
NOW = 1_700_000_000.0


@functools.cache
def wix_keys() -> tuple[str, str]:
    """A private and a public key in PEM."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def hex_of(secret: str, text: bytes) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def base64_of(secret: str, text: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


# --- each signs a body at a time, which it is given as text ----------------------------------------------------------


def _standard(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, b"msg_1." + stamp.encode() + b"." + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(mac).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}


def _stripe(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    return {"Stripe-Signature": f"t={stamp},v1={hex_of(secret, stamp.encode() + b'.' + body)}"}


def _github(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    signature = f"sha256={hex_of(secret, body)}"
    return {"X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e", "X-Hub-Signature-256": signature}


def _slack(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    signature = f"v0={hex_of(secret, f'v0:{stamp}:'.encode() + body)}"
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature}


def _shopify(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    signature = base64_of(secret, body)
    return {"X-Shopify-Topic": "orders/paid", "X-Shopify-Webhook-Id": "w1", "X-Shopify-Hmac-SHA256": signature}


def _twilio(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    text = URL + "".join(a + b for a, b in sorted(set(parse_qsl(body.decode(), keep_blank_values=True))))
    signature = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    return {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}


def _paddle(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    return {"Paddle-Signature": f"ts={stamp};h1={hex_of(secret, stamp.encode() + b':' + body)}"}


def _zoom(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    signature = f"v0={hex_of(secret, f'v0:{stamp}:'.encode() + body)}"
    return {"x-zm-request-timestamp": stamp, "x-zm-signature": signature}


def _meta(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={hex_of(secret, body)}"}


def _own(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    text = b"POST " + URL.encode() + b"\n" + stamp.encode() + b"\n" + body
    return {"X-Time": stamp, "X-Signature": "=" + hmac.new(secret.encode(), text, "sha512").hexdigest()}


def _wix(secret: str, body: bytes, stamp: str) -> dict[str, str]:
    return {}


def wix_token(claims: Mapping[str, Any]) -> bytes:
    """A token, signed by the key of the tests."""
    return jwt.encode(dict(claims), wix_keys()[0], algorithm="RS256").encode()


@functools.cache
def _wix_event() -> bytes:
    data = json.dumps({"id": "evt_1", "entityId": "c1"})
    event = json.dumps({"eventType": "wix.contacts.v4.contact_created", "instanceId": "i1", "data": data})
    return wix_token({"data": event, "iat": int(NOW), "exp": int(NOW) + 60})


@dataclass(frozen=True)
class Sender:
    """A sender: ``sign`` makes the header fields of a body at a time; ``own`` are those of them that are signed."""

    scheme: str
    sign: Callable[[str, bytes, str], dict[str, str]]
    own: tuple[str, ...]
    secret: str = "s3cret-of-the-sender"
    body: Callable[[], bytes] = lambda: EVENT
    options: Mapping[str, str] = field(default_factory=dict)
    stamped: bool = True

    def fields(self, body: bytes | None = None, stamp: str = str(int(NOW))) -> dict[str, str]:
        """The header fields of a delivery."""
        return self.sign(self.secret, self.body() if body is None else body, stamp)

    @property
    def key(self) -> str:
        """The secret that verifies."""
        return wix_keys()[1] if self.scheme == "wix" else self.secret


SENDERS = {
    sender.scheme: sender
    for sender in (
        Sender("standard", _standard, ("webhook-id", "webhook-timestamp", "webhook-signature"),
               "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        Sender("stripe", _stripe, ("Stripe-Signature",), "whsec_of_stripe"),
        Sender("github", _github, ("X-Hub-Signature-256",), stamped=False),
        Sender("slack", _slack, ("X-Slack-Request-Timestamp", "X-Slack-Signature")),
        Sender("shopify", _shopify, ("X-Shopify-Hmac-SHA256",), stamped=False),
        Sender("twilio", _twilio, ("X-Twilio-Signature",), body=lambda: FORM, stamped=False),
        Sender("paddle", _paddle, ("Paddle-Signature",)),
        Sender("zoom", _zoom, ("x-zm-request-timestamp", "x-zm-signature")),
        Sender("meta", _meta, ("X-Hub-Signature-256",), stamped=False),
        Sender("wix", _wix, (), "", _wix_event, stamped=False),
        Sender("hmac", _own, ("X-Time", "X-Signature"), options={
            "header": "X-Signature", "timestamp_header": "X-Time", "prefix": "=", "digest": "sha512",
            "signed": "{method} {url}\n{timestamp}\n{body}",
        }),
    )
}  # fmt: skip

# --- the senders' own libraries, at the time of the clock ------------------------------------------------------------


def signed_by_library(scheme: str, secret: str, body: str) -> dict[str, str]:
    """The header fields that a sender's own library makes."""
    now = int(time.time())
    if scheme == "standard":
        signature: Any = StandardWebhook(secret).sign("msg_1", datetime.fromtimestamp(now, timezone.utc), body)
        return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}
    if scheme == "stripe":
        return {"Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, secret, now)}
    signature = SignatureVerifier(secret).generate_signature(timestamp=str(now), body=body)
    return {"X-Slack-Request-Timestamp": str(now), "X-Slack-Signature": str(signature)}


def taken_by_library(scheme: str, secret: str, body: str, fields: Mapping[str, str]) -> bool:
    """Return whether a sender's own library takes a delivery."""
    if scheme == "standard":
        StandardWebhook(secret).verify(body, dict(fields), json_parse=False)
        return True
    if scheme == "stripe":
        header = fields["Stripe-Signature"]
        return bool(stripe.WebhookSignature.verify_header(body, header, secret, 300))
    return SignatureVerifier(secret).is_valid_request(body, dict(fields))


def twilio_library(token: str) -> RequestValidator:
    """Twilio's own."""
    return RequestValidator(token)
