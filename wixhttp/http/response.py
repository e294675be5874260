"""Velo's response, which HTTP functions return, and its helpers. That of endpoints: `endpoints.web.response`.

Names and options are those of ``wix-http-functions``:
https://dev.wix.com/docs/velo/apis/wix-http-functions/introduction
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class _Missing:
    """The default of a parameter that was not given."""

    def __repr__(self) -> str:
        return "..."  # for help() and the reference


_MISSING: Any = _Missing()
TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""The characters of a token (RFC 9110, 5.6.2)."""

# Written by the server alone (RFC 9110, 7.6.1; PEP 3333): what a handler says of them is dropped. "Status" is CGI's.
_DROPPED = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer trailers "
    "transfer-encoding upgrade content-length status".split()
)

_warned: set[tuple[str, tuple[str, ...]]] = set()

logger = logging.getLogger("wixhttp.response")


class Response:
    """An answer: ``status`` (200 to 599), ``headers`` (a dict of its own), ``body`` (any value that has a form on
    the wire, ``None`` for no body). All three may be changed after it was made.

    Raises:
        ValueError: for a status or a header that cannot be sent.
    """

    __slots__ = ("_headers", "_status", "body")

    implied_type: str | None = None
    """The Content-Type where no header says it, ``""`` for none; ``None``: the kind of the body says it."""

    length: int | None = None
    """The size in bytes of a streamed body, where it is known: sent as Content-Length."""

    def __init__(self, status: int = 200, body: Any = None, headers: Mapping[str, Any] | None = None) -> None:
        if status.__class__ is int and 200 <= status <= 599:
            self._status = status
        else:
            self.status = status
        self.body = body
        if headers is None:
            self._headers: dict[str, Any] = {}
        else:
            self.headers = headers

    @property
    def status(self) -> int:
        """The status code, a whole number from 200 to 599."""
        return self._status

    @status.setter
    def status(self, value: int) -> None:
        if value.__class__ is not int:
            value = _whole(value)
        if not 200 <= value <= 599:
            raise ValueError(f"a status is a whole number from 200 to 599, not {value!r}")
        self._status = value

    @property
    def headers(self) -> dict[str, Any]:
        """The headers, in any case, sent as given. A list as the value repeats the header (``Set-Cookie``)."""
        return self._headers

    @headers.setter
    def headers(self, value: Mapping[str, Any]) -> None:
        if not isinstance(value, Mapping):
            raise TypeError(f'headers are a mapping such as {{"X-Name": "value"}}, not {type(value).__name__}')
        self._headers = dict(value)
        for _ in header_fields(self._headers):
            pass

    def __repr__(self) -> str:
        return f"<Response {self._status} headers={self._headers!r} body={type(self.body).__name__}>"


def header_fields(headers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The header fields to send: one pair for each value of a list, without those that only the server writes.

    Raises:
        ValueError: for a name that is no token (RFC 9110, 5.6.2), or a value that is no text in Latin-1 or holds CR,
            LF, NUL or another control character.
    """
    for name, value in headers.items():
        check_field_name(name)
        if name.lower() in _DROPPED:
            continue
        if isinstance(value, str):
            yield name, field_value(name, value)
        elif isinstance(value, list | tuple):
            for item in value:
                yield name, field_value(name, item)
        else:
            yield name, field_value(name, value)


def is_token(text: str) -> bool:
    """Return whether ``text`` is a token (RFC 9110, 5.6.2): the name of a header, a method."""
    return bool(text) and TOKEN_CHARACTERS.issuperset(text)


def check_field_name(name: object) -> None:
    """Check that ``name`` can name a header: it is a token (RFC 9110, 5.6.2).

    Raises:
        ValueError: it is not.
    """
    if not isinstance(name, str) or not name or not TOKEN_CHARACTERS.issuperset(name):
        raise ValueError(f"a header's name is made of letters, digits and !#$%&'*+-.^_`|~, not {name!r}")


def field_value(name: str, value: Any) -> str:
    """The text that is sent for one value of a header.

    Raises:
        ValueError: it is neither text in Latin-1 nor a number, or holds CR, LF, NUL or another control character.
    """
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return value.strip(" ") if value[:1] == " " or value[-1:] == " " else value
    elif isinstance(value, bool):
        return "true" if value else "false"
    elif isinstance(value, int | float):
        return str(value)
    else:
        raise ValueError(f"the value of header {name!r} is a str, a number or a list of them, not {value!r}")
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError(f"the value of header {name!r} holds a control character: {value!r}")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            f"the value of header {name!r} is not Latin-1: {value!r}. Percent-encode it (urllib.parse.quote)"
        ) from None
    return value.strip(" ")


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)  # http.HTTPStatus
    raise ValueError(f"a status is a whole number from 200 to 599, not {value!r}")


def _take_options(
    function: str, given: Mapping[str, Any], body: Any, headers: Any, status: Any
) -> tuple[Any, Any, Any]:
    """Body, headers and status out of an options mapping and the keywords beside it."""
    for key, keyword in (("body", body), ("headers", headers), ("status", status)):
        if key in given and keyword is not _MISSING:
            raise TypeError(f"{function}() is given {key!r} twice: in its mapping and as a keyword")
    unknown = tuple(str(key) for key in given if key not in ("body", "headers", "status"))
    if unknown and (function, unknown) not in _warned and len(_warned) < 1000:
        _warned.add((function, unknown))
        logger.warning(
            "%s() reads body, headers and status of its mapping; ignored, as on Wix: %s. To send the mapping itself, "
            "write %s(body=...)", function, ", ".join(unknown), function,
        )  # fmt: skip
    return given.get("body", body), given.get("headers", headers), given.get("status", status)


def _helper(function: str, code: int, doc: str) -> Callable[..., Response]:
    """One of Velo's helpers. Only ``response`` reads a status."""
    reads_status = function == "response"

    def helper(
        options: Any = _MISSING,
        /,
        *more: Any,
        body: Any = _MISSING,
        headers: Any = _MISSING,
        status: Any = _MISSING,
    ) -> Response:
        if more:
            raise TypeError(f"{function}() takes one value; for headers write {function}(body=..., headers=...)")
        if options is not _MISSING:
            if (options.__class__ is dict or isinstance(options, Mapping)) and (
                not options or "body" in options or "headers" in options or "status" in options
            ):
                body, headers, status = _take_options(function, options, body, headers, status)
            elif body is not _MISSING:
                raise TypeError(f"{function}() is given 'body' twice: in its argument and as a keyword")
            else:
                body = options
        return Response(
            status if reads_status and status is not _MISSING else code,
            None if body is _MISSING else body,
            None if headers is _MISSING else headers,
        )

    helper.__name__ = helper.__qualname__ = function
    helper.__doc__ = doc
    return helper


_TAKES = """

Takes one mapping with any of ``body`` and ``headers``, or the same as keywords. Any other value is the body itself.

Raises:
    ValueError: for a header that cannot be sent.
    TypeError: for a second positional argument.
"""

ok = _helper("ok", 200, "An answer 200 (OK): ``ok({'body': {'id': 1}, 'headers': {...}})``, ``ok([1, 2])``." + _TAKES)
created = _helper("created", 201, "An answer 201 (Created)." + _TAKES)
badRequest = _helper("badRequest", 400, "An answer 400 (Bad Request)." + _TAKES)
forbidden = _helper("forbidden", 403, "An answer 403 (Forbidden)." + _TAKES)
notFound = _helper("notFound", 404, "An answer 404 (Not Found)." + _TAKES)
serverError = _helper("serverError", 500, "An answer 500 (Internal Server Error)." + _TAKES)
response = _helper(
    "response",
    200,
    "An answer with any ``status`` from 200 to 599 (200 where none is given): ``response({'status': 418})``." + _TAKES,
)
