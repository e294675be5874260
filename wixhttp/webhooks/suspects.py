"""The search for what was changed on the way, where a signature does not fit: the secret, the body, or the URL."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from .message import SignedMessage
from .refusals import BODY, ENCODING, SECRET, SIGNATURE, UnverifiedSender
from .schemes import DIGESTS, ENCODINGS, Scheme
from .signed_text import signed_url
from .verification import verify_message

_MOST = 1_000_000  # bytes of a body of which changed ones are tried, and of one that is decompressed


class Suspicion(NamedTuple):
    """A cause that explains a signature: the step, and the text for whoever runs the site."""

    step: str
    text: str


def find_cause(
    scheme: Scheme, message: SignedMessage, secrets: Mapping[str, str], others: Mapping[str, str], now: float
) -> Suspicion | None:
    """The one change with which the signature of a message is right; ``None``: none that is known."""
    values = list(secrets.values())
    for secret, suspicion in _secrets(scheme, secrets, others):
        if _fits(scheme, message, [secret], now):
            return suspicion
    for changed, spelled in _spellings(scheme, message):
        if _fits(scheme, changed, values, now):
            return spelled
    if len(message.body) <= _MOST:
        for body, text in _bodies(message.body):
            if body != message.body and _fits(scheme, _with(message, body=body), values, now):
                return Suspicion(BODY, text)
    for other, suspicion in _schemes(scheme, message):
        if _fits(other, message, values, now):
            return suspicion
    for url, text in _urls(scheme, signed_url(scheme, message)):
        if _fits(replace(scheme, url=""), _with(message, url=url), values, now):
            return Suspicion(SIGNATURE, text)
    return None


def _fits(scheme: Scheme, message: SignedMessage, secrets: list[str], now: float) -> bool:
    try:
        verify_message(scheme, message, secrets, now)
    except UnverifiedSender:
        return False
    return True


def _with(
    message: SignedMessage, *, body: bytes | None = None, url: str | None = None, fields: Any = None
) -> SignedMessage:
    return SignedMessage(
        message.method,
        message.url if url is None else url,
        message.fields if fields is None else fields,
        message.body if body is None else body,
    )


# --- secrets ---------------------------------------------------------------------------------------------------------


def _secrets(scheme: Scheme, secrets: Mapping[str, str], others: Mapping[str, str]) -> Iterator[tuple[str, Suspicion]]:
    """Secrets that may have been meant."""
    for name, secret in secrets.items():
        bare = secret.strip().strip("'\"").strip()
        if bare != secret:
            yield (
                bare,
                Suspicion(SECRET, f"{name} has white space or quotes around it; without them the signature is right"),
            )
        for changed, what in _respelled(scheme, bare):
            yield changed, Suspicion(SECRET, f"{name} is {what}")
    for name, secret in others.items():
        if secret not in secrets.values():
            yield secret, Suspicion(SECRET, f"the signature is by the secret {name}, not by {' or '.join(secrets)}")


def _respelled(scheme: Scheme, secret: str) -> Iterator[tuple[str, str]]:
    if scheme.key != "text":
        return
    for decode, kind in ((base64.b64decode, "base64"), (binascii.unhexlify, "hexadecimal")):
        try:
            raw = decode(secret.encode())
        except (ValueError, binascii.Error):
            continue
        way = " (key=)" if scheme.name == "hmac" else ""
        yield (
            raw.decode("utf-8", "surrogateescape"),
            f"a key in {kind}: the sender signs by the bytes that it stands for{way}",
        )
    if secret.startswith("whsec_"):
        yield secret[6:], "taken with whsec_ in front, where the sender leaves it out"
    else:
        yield "whsec_" + secret, "without whsec_ in front, which belongs to it; copy it whole"


# --- bodies ----------------------------------------------------------------------------------------------------------


def _bodies(body: bytes) -> Iterator[tuple[bytes, str]]:
    """Bodies that may have been signed, each with the change that made this one of them."""
    yield body + b"\n", "a line end was taken off its end: curl -d does so with a file, send it by --data-binary"
    yield body + b"\r\n", "a line end was taken off its end"
    yield body.removesuffix(b"\n"), "a line end was added to its end"
    yield body.removesuffix(b"\r\n"), "a line end was added to its end"
    yield body.strip(), "white space was added around it"
    yield body.replace(b"\r\n", b"\n"), "its line ends were changed from LF to CRLF"
    yield body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), "its line ends were changed from CRLF to LF"
    yield b"\xef\xbb\xbf" + body, "a byte order mark was taken off"
    yield body.removeprefix(b"\xef\xbb\xbf"), "a byte order mark was put in front"
    yield b"", "the signature is that of an empty body"
    yield from _charsets(body)
    yield from _compressed(body)
    yield from _json_texts(body)


def _charsets(body: bytes) -> Iterator[tuple[bytes, str]]:
    for charset in ("latin-1", "cp1252", "utf-16", "utf-16-le"):
        for source, target in ((charset, "utf-8"), ("utf-8", charset)):
            try:
                made = body.decode(target).encode(source)
            except (UnicodeDecodeError, UnicodeEncodeError):
                continue
            yield made, f"it was written anew in another charset: it was {source} when it was signed, and is {target}"


def _compressed(body: bytes) -> Iterator[tuple[bytes, str]]:
    try:
        made = zlib.decompressobj(wbits=47).decompress(body, _MOST)  # gzip or zlib, by its first bytes
    except zlib.error:
        return
    yield made, "it is compressed, and the text in it was signed: have the proxy pass bodies on as they are"


def _json_texts(body: bytes) -> Iterator[tuple[bytes, str]]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    text = "it is JSON that was read and written anew: something in front of the site parses bodies; pass the bytes on"
    for is_sorted in (False, True):
        for separators, indent in (((",", ":"), None), ((", ", ": "), None), ((",", ": "), 2), ((",", ": "), 4)):
            for is_ascii in (False, True):
                try:
                    made = json.dumps(
                        value, separators=separators, indent=indent, ensure_ascii=is_ascii, sort_keys=is_sorted
                    )
                    coded = made.encode("utf-8")
                except (ValueError, RecursionError, UnicodeEncodeError):
                    continue
                yield coded, text
                yield coded + b"\n", text
                if is_ascii:
                    yield coded.replace(b"/", b"\\/"), text  # as PHP writes it


# --- signatures, schemes and URLs ------------------------------------------------------------------------------------


def _spellings(scheme: Scheme, message: SignedMessage) -> Iterator[tuple[SignedMessage, Suspicion]]:
    """Messages with the signature spelled as the scheme has it."""
    values = message.values(scheme.header)
    if len(values) != 1 or scheme.separator:
        return
    given = values[0].strip()
    bare = given.rpartition("=")[2] if scheme.encoding == "hex" else given.removeprefix(scheme.prefix).strip()
    for made, what in _recoded(scheme, bare):
        fields = [(key, value) for key, value in message.fields if key.lower() != scheme.header.lower()]
        fields.append((scheme.header, scheme.prefix + made))
        yield (
            _with(message, fields=fields),
            Suspicion(ENCODING, f"the signature in {scheme.header} is right but for its spelling: {what}"),
        )


def _recoded(scheme: Scheme, given: str) -> Iterator[tuple[str, str]]:
    yield given, f"it has another prefix than {scheme.prefix!r}, or blanks around it"
    if scheme.encoding == "hex":
        yield given.lower(), "it is in upper case"
    try:
        raw = binascii.unhexlify(given) if scheme.encoding != "hex" else base64.b64decode(given, altchars=b"-_")
    except (ValueError, binascii.Error):
        return
    if scheme.encoding == "hex":
        yield raw.hex(), "it is base64 instead of hexadecimal"
    else:
        yield base64.b64encode(raw).decode(), f"it is hexadecimal instead of {scheme.encoding}"


def _schemes(scheme: Scheme, message: SignedMessage) -> Iterator[tuple[Scheme, Suspicion]]:
    """Other ways to sign, of a sender that a site describes itself."""
    if scheme.name != "hmac":
        return
    texts = (scheme.signed, "{body}", "{timestamp}.{body}", "{timestamp}:{body}", "{timestamp}{body}")
    for prefix in _prefixes(scheme, message):
        shown = "" if prefix == scheme.prefix else f'prefix="{prefix}", '
        for digest in DIGESTS:
            for encoding in ENCODINGS:
                for signed in texts:
                    if "{timestamp}" in signed and not scheme.has_timestamp:
                        continue
                    text = f'the sender signs by {shown}digest="{digest}", encoding="{encoding}", signed="{signed}"'
                    other = replace(scheme, prefix=prefix, digest=digest, encoding=encoding, signed=signed)
                    yield other, Suspicion(SIGNATURE, text)


def _prefixes(scheme: Scheme, message: SignedMessage) -> list[str]:
    """The prefixes that the signature may have: that of the site, none, and what stands there, as in ``sha1=...``."""
    found = [scheme.prefix]
    values = message.values(scheme.header)
    if len(values) == 1 and not scheme.separator:
        word, mark, rest = values[0].strip().partition("=")
        found += ["", f"{word}="] if mark and rest.strip("=") and len(word) <= 10 else [""]
    return list(dict.fromkeys(found))


def _urls(scheme: Scheme, url: str) -> Iterator[tuple[str, str]]:
    """URLs that may have been signed."""
    if "{url}" not in scheme.signed:
        return
    way = "set public_url, or @verified(..., url=...), to the one that the sender was given"
    host, slash, path = url.partition("://")[2].partition("/")
    for known in ("https", "http"):
        for name in (host, host.partition(":")[0]):
            bare = f"{known}://{name}{slash}{path}"
            for made in (bare, bare.rstrip("/"), bare + "/", bare.partition("?")[0]):
                if made != url:
                    yield made, f"the sender signs the URL {made}, and this request came for {url}: {way}"
