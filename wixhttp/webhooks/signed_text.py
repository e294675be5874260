"""The text that a sender signs, made of a request as its scheme says."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes, urlsplit

from wixhttp.http.charsets import codec_of
from wixhttp.http.url import query_pairs

from .keys import digest_of
from .message import SignedMessage
from .refusals import BODY, ENCODING, SIGNATURE, UnverifiedSender
from .schemes import Scheme

MOST_FIELDS = 1000
"""Fields of a form that are read before its sender is known."""

MOST_SIGNATURES = 20
"""Signatures of one request that are compared."""

MOST_ASYMMETRIC = 4
"""Signatures by ed25519 among them: each of these reads the whole body anew."""

_DIGEST = "bodySHA256"

# Not of a comma: by it a server interface joins a header that is sent twice.
_SIGNATURE = re.compile(r"[A-Za-z0-9+/=_-]+")
_FORM = "application/x-www-form-urlencoded"
_PORTS = {"https": 443, "http": 80}


def read_signatures(scheme: Scheme, message: SignedMessage) -> tuple[list[str], list[str], str]:
    """The signatures in the header of a request, those by ed25519, and the timestamp that stands beside them, ``""``
    for none.

    Raises:
        UnverifiedSender: the header is missing or malformed.
    """
    value = message.required(scheme.header)
    items = value.split(scheme.separator) if scheme.separator else [value]
    if "=" in scheme.prefix and scheme.separator and not all("=" in item for item in items if item):
        rule = f"the header {scheme.header} has a part that is no name and value with = between them"
        raise UnverifiedSender(ENCODING, rule)
    times = [item for item in items if scheme.timestamp_prefix and item.startswith(scheme.timestamp_prefix)]
    signatures = [item[len(scheme.prefix) :] for item in items if item.startswith(scheme.prefix)]
    asymmetric = [
        item[len(scheme.asymmetric_prefix) :]
        for item in items
        if scheme.asymmetric_prefix and item.startswith(scheme.asymmetric_prefix)
    ]
    if not signatures and not asymmetric:
        prefix = scheme.prefix
        raise UnverifiedSender(ENCODING, f"the header {scheme.header} has no signature that begins with {prefix!r}")
    if "" in (*items, *signatures, *asymmetric):
        raise UnverifiedSender(ENCODING, f"the header {scheme.header} has an empty part, or a blank too many")
    if not all(_SIGNATURE.fullmatch(each) for each in (*signatures, *asymmetric)):
        raise UnverifiedSender(
            ENCODING, f"the header {scheme.header} has a signature with a sign that none has, such as a blank"
        )
    if len(signatures) + len(asymmetric) > MOST_SIGNATURES:
        rule = f"the header {scheme.header} has more than {MOST_SIGNATURES} signatures"
        raise UnverifiedSender(ENCODING, rule)
    if len(asymmetric) > MOST_ASYMMETRIC:
        rule = f"the header {scheme.header} has more than {MOST_ASYMMETRIC} signatures by ed25519"
        raise UnverifiedSender(ENCODING, rule)
    if scheme.timestamp_prefix and len(times) != 1:
        rule = f"the header {scheme.header} has {len(times)} timestamps {scheme.timestamp_prefix!r}; it has one"
        raise UnverifiedSender(ENCODING, rule)
    return signatures, asymmetric, times[0][len(scheme.timestamp_prefix) :] if times else ""


def signed_texts(scheme: Scheme, message: SignedMessage, timestamp: str, delivery_id: str) -> list[bytes]:
    """The texts that the sender may have signed: one, of Twilio those of each spelling of the URL.

    Raises:
        UnverifiedSender: the body is not covered by the signature.
    """
    if scheme.body == "form":
        url = signed_url(scheme, message)
        form = _form_text(message, url)
        return [(each + form).encode("utf-8", "surrogateescape") for each in urls_of(url)]
    if scheme.signed == "{body}":
        return [message.body]
    values = {
        "body": message.body,
        "timestamp": timestamp.encode(),
        "id": delivery_id.encode(),
        "url": signed_url(scheme, message).encode("utf-8", "surrogateescape"),
        "method": message.method.encode(),
    }
    parts = scheme.parts
    return [b"".join(values[part] if index % 2 else part.encode() for index, part in enumerate(parts))]


def signed_url(scheme: Scheme, message: SignedMessage) -> str:
    """The URL that the sender has signed: that of the request, or up to its path the one that the site says that it was
    given. The query is always that of the request: the handler reads it."""
    if not scheme.url:
        return message.url
    _, mark, query = message.url.partition("?")
    return re.split("[?#]", scheme.url, maxsplit=1)[0] + mark + query


def digest_for(scheme: Scheme, message: SignedMessage) -> str:
    """The digest of a request's signature: the scheme's, or the one that a header of the request names.

    Raises:
        UnverifiedSender: it names one that its sender does not use.
    """
    named = message.optional(scheme.digest_header) if scheme.digest_header else None
    for part in (named or "").split(","):
        key, _, value = part.strip().partition("=")
        if key == "algorithm" and value:
            if value.upper() not in ("HMAC_SHA1", "HMAC_SHA256"):
                raise UnverifiedSender(SIGNATURE, f"the header {scheme.digest_header} names the algorithm {value!r}")
            return value[5:].lower()
    return scheme.digest


def urls_of(url: str) -> Sequence[str]:
    """The spellings of a URL that Twilio may have signed: as it is, without its port, with that of its scheme. Its own
    library tries them, too."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return [url]
    scheme, rest = url[: len(parts.scheme) + 3], url[len(parts.scheme) + 3 + len(parts.netloc) :]
    if port is not None:
        return [url, scheme + parts.netloc.rpartition(":")[0] + rest]
    known = _PORTS.get(parts.scheme)
    return [url] if known is None else [url, f"{scheme}{parts.netloc}:{known}{rest}"]


def form_fields(message: SignedMessage) -> list[tuple[str, str]]:
    """The fields of a form in the order in which they were sent; none where the body is no form.

    Raises:
        UnverifiedSender: they are not UTF-8, too many, or one has no name.
    """
    if message.content_type != _FORM:
        return []
    if codec_of(message.values("content-type")[0]) != "utf-8":
        raise UnverifiedSender(BODY, "the content type names another charset than UTF-8, in which the form is signed")
    if message.body.count(b"&") >= MOST_FIELDS:
        raise UnverifiedSender(BODY, f"the form has more than {MOST_FIELDS} fields")
    parts = [part.replace(b"+", b" ").partition(b"=") for part in message.body.split(b"&")] if message.body else []
    if not all(name for name, _, _ in parts):
        raise UnverifiedSender(BODY, "the form has a field without a name, which its sender writes none of")
    try:
        return [(unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()) for name, _, value in parts]
    except UnicodeDecodeError:
        raise UnverifiedSender(BODY, "the fields of the form are not UTF-8") from None


def _form_text(message: SignedMessage, url: str) -> str:
    """The part of the signed text that stands for the body: the fields of a form, names in order and each value once.
    A body of another kind has its SHA-256 in the query of the ``url``, which is signed; where it stands there it is
    that of the body, whatever the content type says, which is not signed."""
    query = url.partition("?")[2]
    if query.count("&") >= MOST_FIELDS:
        raise UnverifiedSender(BODY, f"the query has more than {MOST_FIELDS} fields")
    hashes = [value for name, value in query_pairs(query) if name == _DIGEST]
    if hashes and (
        len(hashes) > 1
        or not hmac.compare_digest(digest_of(message.body), hashes[0].encode("ascii", "replace").decode())
    ):
        raise UnverifiedSender(BODY, f"the body is not the one whose SHA-256 is in the query as {_DIGEST}")
    if message.content_type == _FORM:
        return "".join(name + value for name, value in sorted(set(form_fields(message))))
    if message.body and not hashes:
        kind = message.content_type or "none"
        raise UnverifiedSender(BODY, f"the body is no form (content type {kind!r}), and no {_DIGEST} is in the query")
    return ""
