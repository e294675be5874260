"""Secrets masked for screens and exports: in header fields, in URLs and in bodies.

Masked is what lets its reader in: credentials by the names of header fields and of query parameters, and the value of
each secret of the project wherever it stands. Signatures in header fields are no secrets, and are what one needs to see
where a verification failed; one in a URL is, since the URL itself lets in. Of a kept request the credentials that it
was sent with are known as well, and are masked in what echoes them: bodies, log lines, the report of its failure.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote, unquote_plus

from wixhttp.access.key_format import mask_keys
from wixhttp.logs.masking import masked, masked_url
from wixhttp.logs.secret_spellings import SecretPattern

from .kept_requests import KeptRequest

MASK = "***"
mask_keys()  # of a request that another process has kept, too
_SECRET_WORDS = re.compile(
    r"(?:^|[-_.])(?:auth|authorization|bearer|credentials?|jwt|passphrase|passwd|password|pwd|secrets?|tokens?)(?:[-_.]|$)"
    r"|(?:^|[-_.])(?:pass|dsn)$"
    r"|(?:api|access|private|functions?|subscription|account|client|master|shared)[-_.]?keys?(?:[-_.]|$)"
)
_IN_URLS = re.compile(r"^(?:key|sig|signature)$|[-_.](?:sig|signature)$")
_NO_SECRETS = frozenset({"access-control-allow-credentials", "x-shopify-access-token-version"})
_IN_DSN = re.compile(r"((?:password|passwd|pwd)=)(?:'[^']{0,200}'|\"[^\"]{0,200}\"|[^\s;&,'\")]+)", re.IGNORECASE)
_LEAST_CREDENTIAL = 8  # characters of one that is masked where it is echoed: a shorter one may be an ordinary word
_LEAST_COOKIE = 16  # as above: cookies hold settings, too
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def is_secret_name(name: str) -> bool:
    """Return whether a header field of this name holds a credential: ``Authorization``, ``X-Api-Key``, ``Cookie``."""
    lower = name.lower()
    if lower in ("cookie", "set-cookie"):
        return True
    return lower not in _NO_SECRETS and _SECRET_WORDS.search(lower) is not None


def is_secret_parameter(name: str) -> bool:
    """Return whether a query parameter of this name holds a credential: ``token``, ``accessToken``, ``sig``."""
    lower = _HUMP.sub("_", name).lower()
    return _SECRET_WORDS.search(lower) is not None or _IN_URLS.search(lower) is not None


_Value = TypeVar("_Value")


class Masks:
    """The masks of what is shown: of the secrets that are known, and of ``credentials``, wherever they stand."""

    def __init__(self, credentials: Iterable[str] = ()) -> None:
        own = frozenset(credentials)
        self._own = _pattern_of(own) if own else None

    @classmethod
    def of(cls, *requests: KeptRequest) -> Masks:
        """The masks of kept requests: with the credentials that they were sent with, and those that they were given."""
        return cls(each for kept in requests for each in _credentials_of(kept))

    def text(self, text: str) -> str:
        """A text, masked."""
        shown = masked(text)
        return shown if self._own is None else self._own.replaced(shown, MASK)

    def message(self, text: str) -> str:
        """A message or a value, masked: passwords in URLs and in DSNs are, too."""
        return masked_passwords(self.text(text))

    def headers(self, fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Header fields, masked: of ``Authorization`` the scheme is left, of cookies the names."""
        return [(name, self.header(name, value)) for name, value in fields]

    def header(self, name: str, value: str) -> str:
        """The value of a header field, masked as by `headers`."""
        lower = name.lower()
        if lower == "cookie":
            return "; ".join(map(_masked_pair, value.split("; ")))
        if lower == "set-cookie":
            pair, semicolon, attributes = value.partition(";")
            return _masked_pair(pair) + semicolon + attributes
        if is_secret_name(lower):
            scheme, space, _ = value.partition(" ")
            return f"{scheme} {MASK}" if space and lower.endswith("authorization") else MASK
        if lower in ("location", "referer", "content-location"):
            return self.target(value)
        return self.text(value)

    def target(self, target: str) -> str:
        """A URL, or the path and query of one, masked."""
        path, question, query = self.text(target).partition("?")
        path = "/".join(
            self.text(part) if self.text(plain := unquote(part)) == plain else MASK for part in path.split("/")
        )
        return path + question + "&".join(map(self._parameter, query.split("&"))) if question else path

    def _parameter(self, parameter: str) -> str:
        name, equals, value = parameter.partition("=")
        plain = unquote_plus(value)
        if equals and value and (is_secret_parameter(unquote_plus(name)) or self.text(plain) != plain):
            return f"{name}={MASK}"
        return self.text(parameter)

    def body(self, data: bytes, content_type: str = "") -> bytes:
        """A body, masked; one that is a form is looked at as a query is, and one that is no UTF-8 as Latin-1, too."""
        try:
            return self._body(data, data.decode(), "strict", content_type)
        except UnicodeDecodeError:
            data = self._body(data, data.decode("utf-8", "surrogateescape"), "surrogateescape", content_type)
        text = data.decode("latin-1")
        return data if (shown := self.text(text)) == text else shown.encode("latin-1")

    def _body(self, data: bytes, text: str, errors: str, content_type: str) -> bytes:
        shown = self.text(text)
        if content_type.lower().startswith("application/x-www-form-urlencoded"):
            shown = "&".join(map(self._parameter, shown.split("&")))
        return data if shown == text else shown.encode("utf-8", errors)

    def report(self, value: _Value) -> _Value:
        """A report of an exception, or another value of JSON, with its texts masked."""
        if isinstance(value, str):
            return self.text(value)  # type: ignore[return-value]  # of the same type
        if isinstance(value, dict):
            return {name: self.report(each) for name, each in value.items()}  # type: ignore[return-value]  # as above
        if isinstance(value, list | tuple):
            return [self.report(each) for each in value]  # type: ignore[return-value]  # a list, as of JSON
        return value


def _masked_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MASK}" if equals else MASK


# --- the credentials of a request ------------------------------------------------------------------------------------


@lru_cache(64)
def _pattern_of(credentials: frozenset[str]) -> SecretPattern:
    return SecretPattern(credentials)


def _credentials_of(kept: KeptRequest) -> Iterator[str]:
    yield from credentials_in(kept.request_headers)
    yield from credentials_in(kept.response_headers)
    for parameter in kept.target.partition("?")[2].split("&"):
        name, _, value = parameter.partition("=")
        plain = unquote_plus(value)
        if len(plain) >= _LEAST_CREDENTIAL and is_secret_parameter(unquote_plus(name)):
            yield plain


def credentials_in(fields: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The credentials of header fields that are long enough to be masked where they are echoed."""
    for name, value in fields:
        lower = name.lower()
        if lower in ("cookie", "set-cookie"):
            pairs = value.split(";") if lower == "cookie" else [value.partition(";")[0]]
            yield from (text for pair in pairs if len(text := pair.partition("=")[2].strip(' "')) >= _LEAST_COOKIE)
        elif is_secret_name(lower):
            scheme, _, rest = value.strip().partition(" ")
            found = [rest.strip() or scheme]
            if scheme.lower() == "basic":
                found += _user_and_password(found[0])
            yield from (each for each in found if len(each) >= _LEAST_CREDENTIAL)


def _user_and_password(credentials: str) -> list[str]:
    try:
        text = base64.b64decode(credentials).decode()
    except (binascii.Error, ValueError):
        return []
    return [text, text.partition(":")[2]]


# --- what is of no request -------------------------------------------------------------------------------------------

_KNOWN = Masks()
shown_text = _KNOWN.text
shown_message = _KNOWN.message
shown_headers = _KNOWN.headers
shown_header = _KNOWN.header
shown_target = _KNOWN.target
shown_bytes = _KNOWN.body


def masked_passwords(text: str) -> str:
    """A text with the passwords masked that stand in it in URLs and in DSNs.

    >>> masked_passwords("no server at postgresql://ada:word@db/x, nor for host=db password=word")
    'no server at postgresql://ada:***@db/x, nor for host=db password=***'
    """
    if "://" in text:
        text = masked_url(text)
    return _IN_DSN.sub(rf"\1{MASK}", text) if "=" in text else text
