"""The table of schemes: how each sender signs, as a descriptor.

Their sources are the senders' documentation: https://www.standardwebhooks.com, docs.stripe.com/webhooks/signature,
docs.github.com "Validating webhook deliveries", docs.slack.dev "Verifying requests from Slack", shopify.dev "Verify
webhook deliveries", twilio.com "Webhooks security", developer.paddle.com "Verify webhook signatures",
developers.zoom.us "Webhooks", developers.facebook.com "Webhooks", dev.wix.com "About webhooks".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from wixhttp.http.response import is_token
from wixhttp.messages import brief, nearest

TOLERANCE = 300.0
"""Seconds between the time of a signature and that of its arrival: an older one may have been listened to."""

DIGESTS = ("sha256", "sha1", "sha384", "sha512")
ENCODINGS = ("hex", "base64", "base64url")
"""The digests of HMACs and the encodings of signatures that the scheme ``hmac`` may have."""

_PLACES = re.compile(r"\{([a-z_]*)\}")
_KNOWN_PLACES = ("body", "timestamp", "id", "url", "method")
_KEY_FORMS = ("text", "hex", "base64")


@dataclass(frozen=True)
class Scheme:
    """A sender's way to sign.

    ``header`` has the signatures, each behind ``prefix``; where there may be several, or a timestamp beside them, they
    stand between ``separator``. The timestamp stands there behind ``timestamp_prefix``, or in ``timestamp_header``.
    ``signed`` is the text that is signed, with ``{body}`` for the exact bytes, ``{form}`` for the fields of a form.
    ``tolerance`` is in seconds; ``None``: without a timestamp. ``key`` is the form of the secret. ``asymmetric_prefix``
    is that of signatures by ed25519. ``digest_header`` may name another digest.

    ``id_members`` of the body make the id, the first has to be there; the first of ``event_members`` is the event.
    ``verify_token`` is the name of the secret that a handshake is asked with.
    """

    name: str
    sender: str
    header: str
    signed: str = "{body}"
    prefix: str = ""
    separator: str = ""
    timestamp_prefix: str = ""
    timestamp_header: str = ""
    digest: str = "sha256"
    digest_header: str = ""
    encoding: str = "hex"
    key: str = "text"
    asymmetric_prefix: str = ""
    tolerance: float | None = None
    id_header: str = ""
    id_members: tuple[str, ...] = ()
    event_header: str = ""
    event_members: tuple[str, ...] = ()
    body: str = "json"
    handshake: str = ""
    options: tuple[str, ...] = ()
    url: str = ""
    verify_token: str = ""

    @property
    def parts(self) -> list[str]:
        """The text that is signed, split: every second part is the name of a place."""
        return _PLACES.split(self.signed)

    @property
    def has_timestamp(self) -> bool:
        """Return whether a request says when it was signed."""
        return bool(self.timestamp_prefix or self.timestamp_header or self.body == "jwt")


_OF_HMAC = (
    "header", "signed", "prefix", "separator", "timestamp_prefix", "timestamp_header", "digest", "encoding", "key",
    "id_header", "event_header",
)  # fmt: skip

SCHEMES: Mapping[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            "standard", "Standard Webhooks", "webhook-signature", "{id}.{timestamp}.{body}", "v1,", " ",
            timestamp_header="webhook-timestamp", encoding="base64", key="whsec", asymmetric_prefix="v1a,",
            tolerance=TOLERANCE, id_header="webhook-id", event_members=("type",),
        ),
        Scheme(
            "stripe", "Stripe", "Stripe-Signature", "{timestamp}.{body}", "v1=", ",", timestamp_prefix="t=",
            tolerance=TOLERANCE, id_members=("id",), event_members=("type",),
        ),
        Scheme(
            "github", "GitHub", "X-Hub-Signature-256", prefix="sha256=", id_header="X-GitHub-Delivery",
            event_header="X-GitHub-Event",
        ),
        Scheme(
            "slack", "Slack", "X-Slack-Signature", "v0:{timestamp}:{body}", "v0=", tolerance=TOLERANCE,
            timestamp_header="X-Slack-Request-Timestamp", id_members=("event_id",),
            event_members=("event.type", "type"), handshake="slack",
        ),
        Scheme(
            "shopify", "Shopify", "X-Shopify-Hmac-SHA256", encoding="base64", id_header="X-Shopify-Webhook-Id",
            event_header="X-Shopify-Topic",
        ),
        Scheme(
            "twilio", "Twilio", "X-Twilio-Signature", "{url}{form}", digest="sha1", encoding="base64",
            digest_header="X-Twilio-Webhooks-Signature-Settings", id_members=("MessageSid", "MessageStatus"),
            event_members=("MessageStatus", "SmsStatus", "CallStatus"), body="form", options=("url",),
        ),
        Scheme(
            "paddle", "Paddle", "Paddle-Signature", "{timestamp}:{body}", "h1=", ";", timestamp_prefix="ts=",
            tolerance=TOLERANCE, id_members=("event_id",), event_members=("event_type",),
        ),
        Scheme(
            "zoom", "Zoom", "x-zm-signature", "v0:{timestamp}:{body}", "v0=", tolerance=TOLERANCE,
            timestamp_header="x-zm-request-timestamp", event_members=("event",), handshake="zoom",
        ),
        Scheme(
            "meta", "Meta", "X-Hub-Signature-256", prefix="sha256=", event_members=("object",), handshake="meta",
            options=("verify_token",),
        ),
        Scheme("wix", "Wix", "", digest="", encoding="", key="pem", body="jwt", tolerance=0.0),
        Scheme("hmac", "another sender", "", options=_OF_HMAC),
    )
}  # fmt: skip
"""The schemes by name."""

OPTIONS = tuple(dict.fromkeys(option for scheme in SCHEMES.values() for option in scheme.options))
"""The options of all schemes."""


def scheme_of(name: object, tolerance: float | None = None, **options: str | None) -> Scheme:
    """The scheme of that name with a site's own ``tolerance`` and ``options``; ``None`` of these is not given.

    Raises:
        ValueError: there is no such scheme, or an option is none of its, or has a value that it cannot have.
    """
    if not isinstance(name, str) or name not in SCHEMES:
        known = nearest(name, SCHEMES) if isinstance(name, str) else f"known are {', '.join(SCHEMES)}"
        raise ValueError(f"{brief(name)} is no scheme of webhooks; {known}")
    scheme = SCHEMES[name]
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in given.items():
        if key not in scheme.options:
            raise ValueError(_misplaced(scheme, key))
        if not isinstance(value, str):
            raise ValueError(f"{key} is a text, not {brief(value)}")
    if given:
        scheme = replace(scheme, **given)  # type: ignore[arg-type]  # all of them are texts
    if scheme.url and not _is_whole(scheme.url):
        raise ValueError(f"url is the whole URL that the sender was given, https://..., not {brief(scheme.url)}")
    if name == "hmac":
        scheme = _checked(scheme)
    return scheme if tolerance is None else replace(scheme, tolerance=_checked_tolerance(scheme, tolerance))


def _is_whole(url: str) -> bool:
    """Return whether a URL has all that its sender signs, scheme and host among it."""
    scheme, _, rest = url.partition("://")
    return scheme.lower() in ("http", "https") and rest[:1] not in ("", "/", "?", "#") and len(url.split()) == 1


def _misplaced(scheme: Scheme, key: str) -> str:
    owners = [each.name for each in SCHEMES.values() if key in each.options]
    if not owners:
        return f"{key} is no option of a scheme; {nearest(key, ('secret', 'tolerance', *OPTIONS))}"
    return f"{key} is an option of {' and '.join(repr(each) for each in owners)}, not of {scheme.name!r}; leave it out"


def _checked_tolerance(scheme: Scheme, tolerance: object) -> float:
    if not scheme.has_timestamp:
        raise ValueError(f"{scheme.sender} signs no timestamp that tolerance= could be of; leave it out")
    is_number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if not is_number or not 0 < tolerance <= 1e9:  # type: ignore[operator]
        raise ValueError(f"tolerance is a number of seconds above 0 and up to 1e9, not {brief(tolerance)}")
    return float(tolerance)  # type: ignore[arg-type]


def _checked(scheme: Scheme) -> Scheme:
    """The scheme ``hmac`` as a site describes it.

    Raises:
        ValueError: a part of it is missing, or does not fit the others.
    """
    if not scheme.header:
        raise ValueError('the scheme "hmac" takes header=, the name of the header with the signature')
    for key in ("header", "timestamp_header", "id_header", "event_header"):
        value = getattr(scheme, key)
        if value and not is_token(value):
            raise ValueError(f"{key} is the name of a header, with neither blanks nor a colon, not {brief(value)}")
    for key, known in (("digest", DIGESTS), ("encoding", ENCODINGS), ("key", _KEY_FORMS)):
        value = getattr(scheme, key)
        if value not in known:
            raise ValueError(f"{key} is {value!r}; {nearest(value, known)}")
    places = scheme.parts[1::2]
    for place in places:
        if place not in _KNOWN_PLACES:
            raise ValueError(f"signed has {{{place}}}; {nearest(place, _KNOWN_PLACES)}")
    if places.count("body") != 1:
        raise ValueError(
            f"signed is {brief(scheme.signed)}; it has {{body}} once, and may have {{timestamp}} or {{id}}"
        )
    if scheme.timestamp_prefix and not scheme.separator:
        raise ValueError("timestamp_prefix= takes separator=, what stands between the timestamp and the signatures")
    if ("timestamp" in places) != scheme.has_timestamp:
        raise ValueError(
            "a timestamp is checked where it is signed: timestamp_header= or timestamp_prefix= says where it stands, "
            "and signed= has {timestamp}; give both or none"
        )
    if "id" in places and not scheme.id_header:
        raise ValueError("signed has {id}; id_header= says which header it is")
    return replace(scheme, tolerance=TOLERANCE) if scheme.has_timestamp else scheme


def digest_size(scheme: Scheme) -> int:
    """The bytes of a signature."""
    return hashlib.new(scheme.digest).digest_size
