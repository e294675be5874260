"""The explanation of a verification: each of its steps, and of one that fails what was found and what to do about it.

It may take longer than a verification, and says more than a sender may know: it is for whoever runs the site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from wixhttp.http.url import query_pairs
from wixhttp.messages import brief, cut

from .keys import UnusableSecret, check_secret
from .message import SignedMessage
from .refusals import BODY, ENCODING, HEADERS, SECRET, SIGNATURE, TIMESTAMP, UnverifiedSender
from .schemes import SCHEMES, Scheme, digest_size
from .signed_text import read_signatures
from .suspects import find_cause
from .verification import fresh, offset, verify_message

_MILLISECONDS = 100_000_000_000  # a timestamp of more than this is none of seconds: the year 5138


class VerificationStep(NamedTuple):
    """One step of a verification: ``name`` is one of those of `refusals`, ``text`` what was found, and of one that
    failed what to do."""

    name: str
    ok: bool
    text: str


def explain(
    scheme: Scheme | str,
    head_fields: Sequence[tuple[str, str]],
    url: str,
    body: bytes,
    secrets: Mapping[str, str],
    now: float,
    *,
    others: Mapping[str, str] | None = None,
    method: str = "POST",
) -> list[VerificationStep]:
    """The steps of the verification of a request by ``secrets``, values by name, at the time ``now``. ``others`` are
    further secrets of the site, which may have been taken for these. No text holds a secret.

    Raises:
        ValueError: there is no such scheme.
    """
    if isinstance(scheme, str):
        if scheme not in SCHEMES:
            raise ValueError(f"{scheme!r} is no scheme of webhooks; known are {', '.join(SCHEMES)}")
        scheme = SCHEMES[scheme]
    message = SignedMessage(method, url, head_fields, body)
    if scheme.handshake == "meta" and method in ("GET", "HEAD"):
        return [_question(message)]
    steps = [_headers(scheme, message), _secret(scheme, secrets)]
    if scheme.body == "jwt":
        return [*steps, *_token_steps(scheme, message, secrets, now)]
    if steps[0].ok:
        if scheme.has_timestamp:
            steps.append(_timestamp(scheme, message, now))
        steps.append(_encoding(scheme, message))
        return _merged(steps, _signature_steps(scheme, message, secrets, others or {}))
    return steps


# --- one function a step ---------------------------------------------------------------------------------------------


def _headers(scheme: Scheme, message: SignedMessage) -> VerificationStep:
    names = [scheme.header, scheme.timestamp_header]
    if "{id}" in scheme.signed:
        names.append(scheme.id_header)
    found = []
    for name in filter(None, names):
        try:
            found.append(f"{name}: {cut(message.required(name), 200)}")
        except UnverifiedSender as error:
            near = _near(name, message)
            return VerificationStep(HEADERS, False, f"{error.reason}{near}")
    for name in filter(None, (scheme.id_header, scheme.event_header)):
        try:
            message.single(name)
        except UnverifiedSender as error:
            return VerificationStep(HEADERS, False, error.reason)
    return VerificationStep(HEADERS, True, "; ".join(found) or "none is needed")


def _question(message: SignedMessage) -> VerificationStep:
    """The step of Meta's question whether a URL is the right one, which is not signed."""
    given = {key for key, _ in query_pairs(message.url.partition("?")[2])}
    missing = [name for name in ("hub.mode", "hub.verify_token", "hub.challenge") if name not in given]
    if missing:
        return VerificationStep(HEADERS, False, f"a GET of Meta has {', '.join(missing)} in the query, too")
    text = "a question of Meta, not signed: hub.verify_token is compared with the secret that verify_token= names"
    return VerificationStep(HEADERS, True, text)


def _near(name: str, message: SignedMessage) -> str:
    """The signatures of other senders, for the message about a header that is missing."""
    sent = {key.lower() for key, _ in message.fields}
    of = [f"{each.header} of {each.sender}" for each in SCHEMES.values() if each.header and each.header.lower() in sent]
    if of:
        return f"; the request has {' and '.join(of)}: take that scheme, or see who sends here"
    if "x-hub-signature" in sent and name == "X-Hub-Signature-256":
        return "; there is the older X-Hub-Signature alone, by SHA-1, which is not taken"
    if not any(key.startswith("x-") or "signature" in key for key in sent):
        return "; nothing in the request is a signature: set the secret at the sender, too"
    return "; see that the proxy in front passes it on"


def _secret(scheme: Scheme, secrets: Mapping[str, str]) -> VerificationStep:
    if not secrets:
        return VerificationStep(SECRET, False, "there is none; set it with: wixhttp secrets set NAME")
    good, bad = [], []
    for name, secret in secrets.items():
        try:
            check_secret(scheme, secret)
        except UnusableSecret as error:
            bad.append(f"{name}: {error}{_blanks(secret)}")
        else:
            good.append(f"{name} has {len(secret)} characters{_blanks(secret)}")
    return VerificationStep(SECRET, bool(good), "; ".join((*bad, *good)))


def _blanks(secret: str) -> str:
    if secret != secret.strip():
        return ", white space at an end among them: set it anew without"
    if secret[:1] in ("'", '"') and secret[-1:] == secret[:1] and len(secret) > 1:
        return ", quotes around it among them: set it anew without"
    return ""


def _timestamp(scheme: Scheme, message: SignedMessage, now: float) -> VerificationStep:
    try:
        stamp = (
            message.required(scheme.timestamp_header)
            if scheme.timestamp_header
            else read_signatures(scheme, message)[2]
        )
    except UnverifiedSender as error:
        return VerificationStep(TIMESTAMP, False, error.reason)
    try:
        timestamp = fresh(scheme, stamp, now)
    except UnverifiedSender as error:
        return VerificationStep(TIMESTAMP, False, error.reason + _clock(scheme, stamp, now))
    return VerificationStep(
        TIMESTAMP, True, f"{timestamp} is {offset(timestamp, now)}; {scheme.tolerance or 0:g} s are allowed"
    )


def _clock(scheme: Scheme, stamp: str, now: float) -> str:
    """The likely reason of a timestamp that is refused."""
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16):
        return "; the sender writes another form of it"
    number = int(stamp)
    if number > _MILLISECONDS:
        return f"; it is in milliseconds: {number // 1000} in seconds is {offset(number / 1000, now)}"
    off = now - number
    if off < 0:
        return "; this machine's clock is slow: set it by NTP (timedatectl)"
    hours = round(off / 1800) / 2
    if abs(off - hours * 3600) < 60 and 0.5 <= hours <= 14:
        return f"; it is {hours:g} h off: one of both takes local time for UTC, or the delivery is a repeat"
    return "; it is a repeat of an old delivery, or this machine's clock is fast: compare it with date -u"


def _encoding(scheme: Scheme, message: SignedMessage) -> VerificationStep:
    try:
        signatures, asymmetric, _ = read_signatures(scheme, message)
    except UnverifiedSender as error:
        return VerificationStep(ENCODING, False, error.reason)
    if asymmetric:
        return VerificationStep(ENCODING, True, f"{len(signatures)} signatures, and {len(asymmetric)} by ed25519")
    size = digest_size(scheme)
    problems = [_misspelling(scheme, each, size) for each in signatures]
    if all(problems):
        return VerificationStep(ENCODING, False, problems[0])
    count = f"{len(signatures)} signature{'s' * (len(signatures) != 1)}"
    return VerificationStep(ENCODING, True, f"{count} by HMAC of {scheme.digest} in {scheme.encoding}, {size} bytes")


def _misspelling(scheme: Scheme, signature: str, size: int) -> str:
    """The rule of encoding that a signature breaks, ``""`` for none."""
    shown = f"the signature {brief(signature)}"
    if signature != signature.strip() or " " in signature:
        return f"{shown} has blanks in it; the sender writes none"
    is_hex = bool(signature) and set(signature.lower()) <= set("0123456789abcdef")
    if scheme.encoding == "hex":
        if is_hex and len(signature) == 2 * size:
            return "" if signature == signature.lower() else f"{shown} is in upper case; the sender writes lower case"
        if not is_hex and len(signature) == -(-size // 3) * 4:
            return f"{shown} is base64; the sender writes hexadecimal"
        return f"{shown} has {len(signature)} characters; one in hexadecimal has {2 * size}"
    if is_hex and len(signature) == 2 * size:
        return f"{shown} is hexadecimal; the sender writes {scheme.encoding}"
    length = -(-size // 3) * 4 if scheme.encoding == "base64" else -(-size * 8 // 6)
    return (
        ""
        if len(signature) == length
        else f"{shown} has {len(signature)} characters; one in {scheme.encoding} has {length}"
    )


def _signature_steps(
    scheme: Scheme, message: SignedMessage, secrets: Mapping[str, str], others: Mapping[str, str]
) -> list[VerificationStep]:
    """The steps that a comparison of signatures tells. The time is looked at elsewhere, and left out of account."""
    timeless = replace(scheme, tolerance=1e15) if scheme.has_timestamp else scheme
    try:
        verify_message(timeless, message, list(secrets.values()), 0.0)
    except UnverifiedSender as error:
        found = find_cause(timeless, message, secrets, others, 0.0)
        if found is not None:
            steps = [VerificationStep(found.step, False, found.text)]
            return steps if found.step == BODY else [VerificationStep(BODY, True, "as it was signed"), *steps]
        if error.step == BODY:
            return [VerificationStep(BODY, False, error.reason)]
        return [VerificationStep(SIGNATURE, False, _no_cause(scheme, message))] if error.step == SIGNATURE else []
    return [
        VerificationStep(BODY, True, f"{len(message.body)} bytes, as they were signed"),
        VerificationStep(SIGNATURE, True, "it is that of this body by this secret"),
    ]


def _merged(before: Sequence[VerificationStep], found: Sequence[VerificationStep]) -> list[VerificationStep]:
    """The steps, with those that were found later in the places of earlier ones of their names; one that has failed
    before tells enough."""
    failed = {step.name for step in before if not step.ok}
    later = {step.name: step for step in found if step.name not in failed}
    merged = [later.pop(step.name, step) for step in before]
    return [*merged, *later.values()]


def _no_cause(scheme: Scheme, message: SignedMessage) -> str:
    if b"***" in message.body:
        return "the body has *** in it, as where secrets are masked: export it by wixhttp inspect export --with-secrets"
    urls = ", nor another spelling of the URL" if "{url}" in scheme.signed else ""
    return (
        "it is by another secret, or over another body: no secret of this site explains it, nor a usual change of the "
        f"body{urls}. Copy the secret anew from where this URL is registered, since each has its own, and see that "
        "nothing in front of the site changes bodies"
    )


def _token_steps(
    scheme: Scheme, message: SignedMessage, secrets: Mapping[str, str], now: float
) -> list[VerificationStep]:
    """The steps of a body that is a token."""
    try:
        verify_message(scheme, message, list(secrets.values()), now)
    except UnverifiedSender as error:
        if error.step == SECRET:
            return []
        ways = {
            ENCODING: "; the body is to be passed on as it is, without quotes or a line end",
            SIGNATURE: "; take the public key of the app that sends here, whole",
            TIMESTAMP: "; it is a repeat of an old delivery, or this machine's clock is off",
        }
        step = VerificationStep(error.step, False, error.reason + ways.get(error.step, ""))
        return [step] if error.step != TIMESTAMP else [VerificationStep(SIGNATURE, True, "it is by this key"), step]
    return [
        VerificationStep(TIMESTAMP, True, "the token has not expired"),
        VerificationStep(SIGNATURE, True, "it is that of this token by this key"),
    ]
