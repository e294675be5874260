"""The options of `fetch`, checked: what is to be sent, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from wixhttp.http.json_codec import encode_json
from wixhttp.http.response import check_field_name, field_value
from wixhttp.http.url import scalar_text
from wixhttp.messages import nearest
from wixhttp.misuse import warn_misuse

from .trace_context import tracing_headers

LARGEST = 32 << 20
"""Bytes of the body of an answer, where ``size`` does not say."""

_NAMES = ("method", "headers", "body", "timeout", "redirect", "size")
_REDIRECTS = ("follow", "manual", "error")
# Of browsers, of node-fetch and of the standard: known, and without a meaning here.
_OF_BROWSERS = frozenset(
    "mode credentials cache referrer referrerPolicy integrity keepalive priority window signal duplex".split()
)
_OF_NODE = frozenset("agent compress follow counter hostname port protocol highWaterMark insecureHTTPParser".split())
_BARE = frozenset({"GET", "HEAD"})  # the standard gives them no body
_TEXT_TYPE, _JSON_TYPE = "text/plain;charset=UTF-8", "application/json"
_FORM_TYPE = "application/x-www-form-urlencoded;charset=UTF-8"
_SHORTEST_IN_MILLISECONDS = 1000.0


class FetchRequest(NamedTuple):
    """A request to another server. ``source`` names it in errors: method, scheme and host, for the rest of the URL may
    hold secrets. ``timeout`` is in seconds, ``None`` for what the function has left; ``size`` in bytes."""

    method: str
    url: str
    source: str
    headers: dict[str, str]
    body: bytes | None
    timeout: float | None
    redirect: str
    size: int


def parse_request(url: Any, options: Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> FetchRequest:
    """A request from what `fetch` was called with; keywords win over ``options``. With the headers that trace it.

    Raises:
        ValueError: the URL is no absolute one of http or https. Quotes nothing of it but the scheme and the host.
        TypeError, ValueError: an option that is unknown, or has a value that cannot be.
    """
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f'the options of fetch are a dict such as {{"method": "post"}}, not {options!r}')
    given = {**(options or {}), **{name: value for name, value in keywords.items() if value is not None}}
    _check_names(given)
    method = given.get("method") or "GET"
    if not isinstance(method, str) or not method.isascii() or not method.isalpha():
        raise ValueError(f'method is a name such as "post", not {method!r}')
    method = method.upper()
    address = str(url)  # a URL of wixhttp.endpoints, too
    body, kind = _body(given.get("body"))
    if body is not None and method in _BARE:
        raise TypeError(f'a {method} request has no body; write {{"method": "post", "body": ...}}')
    headers = _headers(given.get("headers"))
    named = {name.lower() for name in headers}
    if kind and "content-type" not in named:
        headers["Content-Type"] = kind
    for name, value in tracing_headers():
        if name.lower() not in named:
            headers[name] = value
    return FetchRequest(
        method,
        address,
        f"{method} {_origin(address)}",
        headers,
        body,
        _timeout(given.get("timeout")),
        _redirect(given.get("redirect")),
        _size(given.get("size")),
    )


def _check_names(given: Mapping[str, Any]) -> None:
    unused = [name for name in given if name in _OF_BROWSERS or name in _OF_NODE]
    if unused:
        warn_misuse(f"fetch has no use for {', '.join(map(repr, unused))}: not read here; leave it out")
    for name in given:
        if name not in _NAMES and name not in unused:
            hint = {"json": "write body={...}, which is sent as JSON", "data": "write body=...",
                    "params": 'write f"{url}?{urlencode(params)}"'}.get(name)  # fmt: skip
            raise TypeError(f"fetch has no option {name!r}; {hint or nearest(str(name), _NAMES)}")


def _origin(url: str) -> str:
    """Scheme and host of a URL.

    Raises:
        ValueError: it has none of which something could be fetched.
    """
    rule = "fetch takes an absolute URL such as https://api.example.com/path"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:  # its text quotes the host, with the password before it
        raise ValueError(f"{rule}; the host of this one cannot be read: look at its brackets") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{rule}, not one of the scheme {parts.scheme!r} and the host {host!r}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"{rule}; the port of this one, with the host {host!r}, is no number up to 65535") from None
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" if port is None else f"{parts.scheme}://{host}:{port}"


def _headers(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    pairs: Iterable[Any] = given.items() if hasattr(given, "items") else given
    headers: dict[str, str] = {}
    for name, value in pairs:
        check_field_name(name)
        try:
            headers[name] = field_value(name, value)
        except ValueError:  # its text would quote the value, which may be a key
            kind = type(value).__name__
            raise ValueError(
                f"the value of header {name!r}, of type {kind}, cannot be sent: it is Latin-1 text without line breaks"
            ) from None
    return headers


def _body(given: Any) -> tuple[bytes | None, str]:
    """The bytes of a body and the type that they have unless the headers name another."""
    if given is None:
        return None, ""
    if isinstance(given, str):
        return scalar_text(given).encode(), _TEXT_TYPE
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given), ""
    if isinstance(given, dict | list):
        return encode_json(given), _JSON_TYPE
    if hasattr(given, "getAll") and hasattr(given, "toString"):  # URLSearchParams of wixhttp.endpoints
        return str(given).encode(), _FORM_TYPE
    raise TypeError(
        f"body is a str, bytes, a dict or list (sent as JSON) or URLSearchParams (sent as a form), not {given!r}"
    )


def _timeout(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not given > 0:
        raise ValueError(f"timeout is a number of seconds above 0, not {given!r}")
    if given >= _SHORTEST_IN_MILLISECONDS:
        warn_misuse(
            f"the timeout of fetch is in seconds: {given!r} are {given / 60:.0f} minutes; write {given / 1000:g}"
        )
    return float(given)


def _redirect(given: Any) -> str:
    if given is None:
        return "follow"
    if given not in _REDIRECTS:
        raise ValueError(f"redirect is one of {', '.join(_REDIRECTS)}, not {given!r}")
    return str(given)


def _size(given: Any) -> int:
    if given is None:
        return LARGEST
    if isinstance(given, bool) or not isinstance(given, int) or given <= 0:
        raise ValueError(f"size is a number of bytes above 0, not {given!r}")
    return given
