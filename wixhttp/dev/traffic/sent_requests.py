"""Kept requests as their tests send them: with the header fields that say something, and without the credentials that
are no secrets of the project."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from wixhttp.logs.secret_spellings import SecretPattern

from .hidden_values import NO_SECRETS, HiddenValues
from .kept_requests import KeptRequest, header
from .masks import MASK, Masks, credentials_in, is_secret_name, is_secret_parameter
from .snippets import HOP_BY_HOP

_NOISE = HOP_BY_HOP | {
    "accept-encoding", "accept-language", "cache-control", "dnt", "pragma", "priority", "traceparent", "tracestate",
    "upgrade-insecure-requests", "user-agent", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
    "forwarded", "x-request-id",
}  # fmt: skip
_SCHEME = re.compile(r"(?:bearer|token|key|apikey)?:? {0,9}", re.IGNORECASE)
_FORM = "application/x-www-form-urlencoded"
_LEAST_CREDENTIAL = 8  # characters of a parameter that is hidden where it is echoed
_LEAST_FIELD = 4  # as above, of a whole header field such as a cookie, which is no ordinary word


@dataclass
class SentRequest:
    """A request as a test sends it. ``left_out`` names the fields and parameters whose credentials are not in it."""

    target: str
    headers: list[tuple[str, str]]
    body: bytes
    left_out: list[str]


def sent_request(
    kept: KeptRequest, secrets: HiddenValues, *, all_headers: bool = False
) -> tuple[SentRequest, HiddenValues]:
    """A kept request as its test sends it, and what must not stand in the test: the secrets of the project, and the
    credentials that are left out."""
    credentials = {each for each in _credentials_of(kept) if not _is_secret(each, secrets.secrets)}
    own = SecretPattern(credentials)
    left_out: list[str] = []
    path, question, query = kept.target.partition("?")
    target = path + question + _parameters(query, secrets, left_out)
    body = kept.request_body
    encoding = _encoding_of(body)
    text = body.decode(encoding)
    if _is_form(kept):
        text = _parameters(text, secrets, left_out)
    fields = _headers(kept, secrets, own, all_headers)
    sent = {name.lower() for name, _ in fields}
    left_out[:0] = [
        name
        for name, value in kept.request_headers
        if name.lower() not in sent and (is_secret_name(name) or own.replaced(value, MASK) != value)
    ]
    shown_target, shown = own.replaced(target, MASK), own.replaced(text, MASK)
    left_out += ["a credential in the URL"] if shown_target != target else []
    left_out += ["a credential in the body"] if shown != text else []
    sent_body = body if shown == body.decode(encoding) else shown.encode(encoding)
    return (
        SentRequest(shown_target, fields, sent_body, list(dict.fromkeys(left_out))),
        secrets.with_credentials(credentials),
    )


def _encoding_of(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _is_form(kept: KeptRequest) -> bool:
    return (header(kept.request_headers, "content-type") or "").lower().startswith(_FORM)


def _credentials_of(kept: KeptRequest) -> Iterator[str]:
    """The credentials of a request and its answer, as they may be echoed: whole fields, too."""
    yield from credentials_in(kept.request_headers)
    yield from credentials_in(kept.response_headers)
    yield from (
        value
        for name, value in kept.request_headers
        if is_secret_name(name) and len(value) >= _LEAST_FIELD and value not in NO_SECRETS
    )
    texts = [kept.target.partition("?")[2]]
    texts += [kept.request_body.decode(_encoding_of(kept.request_body))] if _is_form(kept) else []
    texts += [value.partition("?")[2] for name, value in kept.request_headers if name.lower() == "referer"]
    texts += [value.partition("?")[2] for name, value in kept.response_headers if name.lower() == "location"]
    for text in texts:
        for parameter in text.partition("#")[0].split("&"):
            name, _, value = parameter.partition("=")
            plain = unquote_plus(value)
            if len(plain) >= _LEAST_CREDENTIAL and is_secret_parameter(unquote_plus(name)):
                yield plain


def _parameters(text: str, secrets: HiddenValues, left_out: list[str]) -> str:
    """A query or a form with ``***`` in place of credentials, whose names are added to those that are left out."""
    found = []
    for parameter in text.split("&"):
        name, equals, value = parameter.partition("=")
        plain = unquote_plus(name)
        if value and is_secret_parameter(plain) and not _is_secret(unquote_plus(value), secrets.secrets):
            left_out.append(plain)
            parameter = f"{name}{equals}{MASK}"
        found.append(parameter)
    return "&".join(found)


def _headers(kept: KeptRequest, secrets: HiddenValues, own: SecretPattern, all_headers: bool) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    names_host = all_headers or _names_host(kept)
    for name, value in kept.request_headers:
        lower = name.lower()
        if _is_noise(lower, value, names_host, all_headers):
            continue
        if lower in ("origin", "referer") and kept.host and value.partition("://")[2].split("/")[0] == kept.host:
            if lower == "origin":  # a page of the site, which is there in a test
                found.append((name, value if names_host else "http://localhost"))
            continue
        if is_secret_name(lower) and not _is_secret(value, secrets.secrets):
            continue
        if own.replaced(value, MASK) != value or not secrets.can_be_named(value):
            continue
        if lower == "referer" and Masks(()).target(value) != value:
            continue
        found.append((name, value))
    if kept.status == 403 and kept.method not in ("GET", "HEAD", "OPTIONS") and header(found, "origin") is None:
        found.append(("Origin", "null"))  # it came from nowhere, and the test kit sends as a page of the site
    return found


def _is_noise(lower: str, value: str, names_host: bool, all_headers: bool) -> bool:
    """Return whether a header field is not sent by the test: a client writes it itself, or it says nothing."""
    if lower in HOP_BY_HOP:
        return not (lower == "host" and names_host)
    if all_headers:
        return False
    is_any = lower == "accept" and (value == "*/*" or value.count(",") > 2)
    return lower in _NOISE or lower.startswith(("sec-", "x-wix-")) or is_any


def _is_secret(value: str, secrets: Mapping[str, str]) -> bool:
    """Return whether a credential is a secret of the project, but for the name of a scheme in front of it."""
    rest = value
    for secret in secrets.values():
        rest = rest.replace(secret, "")
    return rest != value and _SCHEME.fullmatch(rest) is not None


def _names_host(kept: KeptRequest) -> bool:
    """Return whether the answer has the host of the request in it."""
    if kept.failure is not None:  # the answer is a page of the development server's
        return False
    host = kept.host.encode("latin-1", "replace")
    return bool(host) and (host in kept.response_body or any(kept.host in value for _, value in kept.response_headers))
