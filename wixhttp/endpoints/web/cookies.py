"""The cookies of a request and of its response (RFC 6265, as browsers have it today: RFC 6265bis)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from wixhttp.errors import HeadersSent, InvalidInput
from wixhttp.http.json_codec import decode_json, encode_json
from wixhttp.http.response import check_field_name
from wixhttp.http.url import scalar_text
from wixhttp.messages import nearest

MOST_BYTES = 4096
"""The size of one cookie with its attributes: browsers drop larger ones without a word."""

_KEPT = "!'()*-._~"  # beside letters and digits: what encodeURIComponent leaves as it is
_OPTIONS = ("path", "domain", "maxAge", "expires", "httpOnly", "secure", "sameSite", "partitioned")
_OPTIONS_OF_DELETE = tuple(option for option in _OPTIONS if option not in ("maxAge", "expires"))
_SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}
_HEX = frozenset("0123456789abcdefABCDEF")
_PAST = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"


class Cookie:
    """The value of one cookie: ``value`` as text, or read by ``json()``, ``number()``, ``boolean()``."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def json(self) -> Any:
        """The value that the cookie holds as JSON.

        Raises:
            ValueError: it is no JSON. InvalidJSON in fact, so not caught by the handler it is answered 400.
        """
        return decode_json(self.value.encode("utf-8", "replace"))

    def number(self) -> int | float:
        """The number that the cookie holds.

        Raises:
            ValueError: it holds none (Astro's gives NaN).
        """
        text = self.value.strip()
        if text.isascii() and "_" not in text:
            try:
                return int(text)
            except ValueError:
                pass
            try:
                number = float(text)
            except ValueError:
                number = math.nan
            if math.isfinite(number):
                return number
        raise ValueError(f"the cookie holds no number: {self.value!r}; read its text, cookie.value")

    def boolean(self) -> bool:
        """False for ``"false"``, ``"0"`` and ``""``, else true."""
        return self.value not in ("false", "0", "")

    def __eq__(self, other: object) -> bool:
        return self.value == other.value if isinstance(other, Cookie) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.value)

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"Cookie({self.value!r})"


class Cookies:
    """The cookies of a request, and those that its response sets: what is set or deleted is read so at once.

    ``header`` is the request's ``Cookie`` header, or ``None``.

    >>> cookies = Cookies("theme=dark; n=1")
    >>> cookies.set("n", 2, path="/")
    >>> cookies.get("theme").value, cookies.get("n").number(), cookies.get("x"), cookies.headers()
    ('dark', 2, None, ['n=2; Path=/'])
    """

    __slots__ = ("_changed", "_header", "_is_sent", "_sent", "_set")

    def __init__(self, header: str | None = None) -> None:
        self._header = header
        self._sent: dict[str, str] | None = None
        self._changed: dict[str, Cookie | None] = {}
        self._set: dict[tuple[str, str | None, str | None, bool], str] = {}
        self._is_sent = False

    def get(self, name: str) -> Cookie | None:
        """The cookie of that name, ``None`` where there is none. Of a repeated one the first: the most specific."""
        if name in self._changed:
            return self._changed[name]
        sent = self._sent
        if sent is None:
            sent = self._sent = _parse(self._header) if self._header else {}
        value = sent.get(name)
        return None if value is None else Cookie(_decoded(value))

    def has(self, name: str) -> bool:
        """Return whether there is a cookie of that name."""
        return self.get(name) is not None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def set(self, name: str, value: Any, options: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set a cookie: a str as it is (percent-encoded on its way), any other value as JSON.

        ``path``, ``domain``, ``maxAge`` (seconds), ``expires`` (datetime, a naive one is UTC), ``httpOnly``,
        ``secure``, ``sameSite`` (``"strict"``, ``"lax"``, ``"none"``; ``True`` is strict), ``partitioned`` (one cookie
        for each site that embeds this one: CHIPS, which takes ``secure``), as keywords or, as in Astro, in one mapping.
        Without them the cookie has no attribute. Of the same name, path, domain and partition the last one set is sent.

        Raises:
            ValueError: a name, value or attribute that browsers refuse. `InvalidInput` (413), more than 4096 bytes.
            TypeError: an option that there is not, or of another type.
            HeadersSent: the headers of the response are out.
        """
        given = _options({**(options or {}), **more}, _OPTIONS)
        check_name(name)
        text = value if isinstance(value, str) else encode_json(value).decode()
        attributes = _attributes(name, given)
        field = "; ".join([f"{name}={quote(scalar_text(text), safe=_KEPT)}", *attributes])
        if len(field) > MOST_BYTES:
            raise InvalidInput(
                "A cookie cannot hold this.",
                status=413,
                reason=f"the cookie {name!r} takes {len(field)} bytes of {MOST_BYTES}; browsers drop it. "
                "Keep the data on the server, as context.session does",
            )
        self._keep(name, given, field)
        self._changed[name] = Cookie(text)

    def delete(self, name: str, options: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Delete a cookie. ``path``, ``domain`` and ``partitioned`` are those it was set with, or browsers keep it;
        ``httpOnly``, ``secure`` and ``sameSite`` may be given, as in Astro.

        Raises:
            ValueError: a name or attribute that browsers refuse.
            TypeError: another option.
            HeadersSent: the headers of the response are out.
        """
        given = _options({**(options or {}), **more}, _OPTIONS_OF_DELETE)
        check_name(name)
        is_secure = given.get("partitioned") or name.lower().startswith(("__secure-", "__host-"))
        needed = {"secure": True} if is_secure else {}
        self._keep(name, given, "; ".join([f"{name}=", *_attributes(name, {**given, **needed}), _PAST]))
        self._changed[name] = None

    def headers(self) -> list[str]:
        """The values of the ``Set-Cookie`` headers to send, in the order in which they were set last."""
        return list(self._set.values())

    def close(self) -> None:
        """Refuse changes from now on: the headers of the response are made."""
        self._is_sent = True

    def reopen(self) -> None:
        """Allow changes again: another response takes the place of the one whose headers were made."""
        self._is_sent = False

    def _keep(self, name: str, given: Mapping[str, Any], field: str) -> None:
        if self._is_sent:
            raise HeadersSent(f"the cookie {name!r} cannot be set or deleted")
        domain = given.get("domain")
        partitioned = given.get("partitioned", False)
        key = (name, given.get("path"), domain and domain.lower().removeprefix("."), partitioned)
        self._set.pop(key, None)
        self._set[key] = field

    def __repr__(self) -> str:
        return f"<Cookies {len(self._set)} set>"  # not their values: they may be secrets


def check_name(name: object) -> None:
    """Raise ValueError for a name that is no token (RFC 6265, 4.1.1)."""
    try:
        check_field_name(name)
    except ValueError:
        raise ValueError(
            f"a cookie's name is made of letters, digits and !#$%&'*+-.^_`|~, not {name!r}; put the rest into its value"
        ) from None


def _parse(header: str) -> dict[str, str]:
    cookies: dict[str, str] = {}
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        if equals and name:
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            cookies.setdefault(name, value)
    return cookies


def _decoded(value: str) -> str:
    """A value without its percent-encoding; as sent where that is malformed (``decodeURIComponent`` would raise)."""
    if "%" not in value:
        return value
    if any(not _HEX.issuperset(piece[:2]) or len(piece) < 2 for piece in value.split("%")[1:]):
        return value
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return value


def _options(given: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    for key in given:
        if key not in known:
            raise TypeError(f"a cookie has no option {key!r}; {nearest(key, known)}")
    return {key: value for key, value in given.items() if value is not None}


def _attributes(name: str, given: Mapping[str, Any]) -> list[str]:
    attributes = [f"{key.title()}={_attribute(key, given[key])}" for key in ("path", "domain") if key in given]
    if "maxAge" in given:
        attributes.append(f"Max-Age={_seconds(given['maxAge'])}")
    if "expires" in given:
        attributes.append(f"Expires={_date(given['expires'])}")
    for key, word in (("httpOnly", "HttpOnly"), ("secure", "Secure"), ("partitioned", "Partitioned")):
        if not isinstance(given.get(key, False), bool):
            raise TypeError(f"{key} of a cookie is True or False, not {given[key]!r}")
        if given.get(key):
            attributes.append(word)
    same_site = _same_site(given.get("sameSite", False))
    if same_site:
        attributes.append(f"SameSite={same_site}")
    _check_rules(name, given, same_site)
    return attributes


def _attribute(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{key} of a cookie is a str, not {value!r}")
    if not value or not value.isascii() or not value.isprintable() or ";" in value:
        raise ValueError(f"{key} of a cookie is printable ASCII without ';', not {value!r}; percent-encode the rest")
    if key == "path" and value[0] != "/":
        raise ValueError(f"path of a cookie begins with '/', not {value!r}: browsers would take the request's own")
    return value


def _seconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError(f"maxAge of a cookie is a whole number of seconds, not {value!r}")
    return int(value)


def _date(value: Any) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"expires of a cookie is a datetime, not {value!r}; for a number of seconds write maxAge=")
    utc = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    return format_datetime(utc, usegmt=True)


def _same_site(value: Any) -> str:
    if isinstance(value, bool):
        return "Strict" if value else ""
    known = _SAME_SITE.get(value.lower()) if isinstance(value, str) else None
    if known is None:
        raise ValueError(f"sameSite of a cookie is 'strict', 'lax' or 'none' (True: strict), not {value!r}")
    return known


def _check_rules(name: str, given: Mapping[str, Any], same_site: str) -> None:
    """Raise ValueError for a cookie that browsers refuse (RFC 6265bis, 4.1.2.7 and 4.1.3; CHIPS, 2.1)."""
    secure = given.get("secure", False)
    if same_site == "None" and not secure:
        raise ValueError(
            f"the cookie {name!r} has sameSite='none', so it needs secure=True: browsers refuse it without"
        )
    if given.get("partitioned") and not secure:
        raise ValueError(f"the cookie {name!r} is partitioned, so it needs secure=True: browsers refuse it without")
    prefix = name.lower()
    if prefix.startswith("__secure-") and not secure:
        raise ValueError(f"the cookie {name!r} needs secure=True: its prefix says so")
    if prefix.startswith("__host-") and not (secure and given.get("path") == "/" and "domain" not in given):
        raise ValueError(f"the cookie {name!r} needs secure=True, path='/' and no domain: its prefix says so")
