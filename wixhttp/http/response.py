"""Velo's response, which HTTP functions return, and its helpers. That of endpoints: `endpoints.web.response`.

Names and options are those of ``wix-http-functions``:
https://dev.wix.com/docs/velo/apis/wix-http-functions/introduction
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from wixhttp.errors import HeadersSent
from wixhttp.messages import brief, nearest
from wixhttp.misuse import warn_misuse


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
        self._check_sent("status")
        if value.__class__ is not int:
            value = _whole(value)
        if not 200 <= value <= 599:
            raise _no_status(value)
        self._status = value

    @property
    def headers(self) -> dict[str, Any]:
        """The headers, in any case, sent as given. A list as the value repeats the header (``Set-Cookie``)."""
        return self._headers

    @headers.setter
    def headers(self, value: Mapping[str, Any]) -> None:
        self._check_sent("headers")
        if not isinstance(value, Mapping):
            raise TypeError(f'headers are a mapping such as {{"X-Name": "value"}}, not {type(value).__name__}')
        self._headers = dict(value)
        for _ in header_fields(self._headers):
            pass

    def close_headers(self) -> None:
        """Refuse changes of status and headers from now on: they are on their way, and the stream of the body is to
        follow."""
        self._headers = SentHeaders(self._headers)

    def _check_sent(self, changed: str) -> None:
        if isinstance(getattr(self, "_headers", None), SentHeaders):
            raise HeadersSent(f"the {changed} of the response cannot be changed")

    def __repr__(self) -> str:
        return f"<Response {self._status} headers={self._headers!r} body={type(self.body).__name__}>"


class SentHeaders(dict[str, Any]):
    """The headers of a response that is being streamed: each change raises `HeadersSent`."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise HeadersSent("the headers of the response cannot be changed")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


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
    if not isinstance(name, str) or not is_token(name):
        raise ValueError(f"a header's name is made of letters, digits and !#$%&'*+-.^_`|~, not {name!r}")


def field_value(name: str, value: Any) -> str:
    """The text that is sent for one value of a header: without white space at its ends, a space for each tab.

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
    text: str = value.strip(" \t").replace("\t", " ")  # of equal meaning (RFC 9110, 5.5 and 5.6.3)
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError(f"the value of header {name!r} holds a control character: {value!r}")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            f"the value of header {name!r} is not Latin-1: {value!r}. Percent-encode it (urllib.parse.quote)"
        ) from None
    return text


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)  # http.HTTPStatus
    raise _no_status(value)


def _no_status(value: object) -> ValueError:
    remedy = ""
    if isinstance(value, Mapping):  # of JavaScript's new Response(body, {status, headers})
        remedy = "; options are keywords: Response(body, status=404, headers={...})"
    return ValueError(f"a status is a whole number from 200 to 599, not {value!r}{remedy}")


_OPTIONS = frozenset(("body", "headers"))
_WITH_STATUS = _OPTIONS | {"status"}
_MISSPELT = frozenset(("Body", "BODY", "Header", "Headers", "HEADERS", "header", "header_", "body_"))
"""Keys that look like options. A mapping of these alone is no likely body."""
_ITSELF = "to send the mapping itself, write {0}(body=...)"


def _check_options(function: str, known: frozenset[str], given: Mapping[str, Any], **keywords: Any) -> None:
    """Warn of options of a helper that are ignored; ``known`` are those that it reads.

    Raises:
        TypeError: an option is among the ``keywords`` too, those that are not missing.
    """
    for key in given:
        if keywords.get(key, _MISSING) is not _MISSING:
            raise TypeError(f"{function}() is given {key!r} twice: in its mapping and as a keyword")
    unknown = [key for key in given if key not in known]
    if "status" in unknown:
        _warn_of_status(function)
        unknown.remove("status")
    if unknown:
        hint = nearest(str(unknown[0]), known)
        remedy = hint if hint.startswith("did") else _ITSELF.format(function)
        names = brief(unknown[0]) if len(unknown) == 1 else f"{brief(unknown[0])} and {len(unknown) - 1} more"
        warn_misuse(f"{function}() does not send {names} of its mapping, which has options in it, as on Wix; {remedy}")


def _warn_of_status(function: str) -> None:
    warn_misuse(
        f"{function}() has its own status, and does not read another: write response(status=..., body=...); "
        + _ITSELF.format(function)
    )


def _check_body(function: str, known: frozenset[str], body: Any) -> None:
    """Warn of a value that is sent as the body, and was hardly meant to be it."""
    if body.__class__ is set:
        if len(body) < len(known):
            warn_misuse(
                f"{function}() is given a set, which it sends as a list: for JavaScript's {{body}} write "
                f'{function}({{"body": body}})'
            )
    elif len(body) <= len(known) and body.keys() <= _MISSPELT:
        names = ", ".join(map(repr, body))
        warn_misuse(
            f"{function}() sends the whole mapping of {names} as the body; its options are 'body' and 'headers'"
        )


def _helper(function: str, code: int, doc: str) -> Callable[..., Response]:
    """One of Velo's helpers. Only ``response`` reads a status."""
    reads_status = function == "response"
    known = _WITH_STATUS if reads_status else _OPTIONS

    def helper(
        options: Any = _MISSING,
        /,
        *more: Any,
        body: Any = _MISSING,
        headers: Any = _MISSING,
        status: Any = _MISSING,
    ) -> Response:
        if status is not _MISSING and not reads_status:
            _warn_of_status(function)
        if more:
            raise TypeError(f"{function}() takes one value; for headers write {function}(body=..., headers=...)")
        if options is not _MISSING:
            if (options.__class__ is dict or isinstance(options, Mapping)) and (
                not options or "body" in options or "headers" in options or "status" in options
            ):
                if not (body is headers is status is _MISSING and known.issuperset(options)):
                    _check_options(function, known, options, body=body, headers=headers, status=status)
                body = options.get("body", body)
                headers = options.get("headers", headers)
                status = options.get("status", status)
            elif body is not _MISSING:
                raise TypeError(f"{function}() is given 'body' twice: in its argument and as a keyword")
            else:
                body = options
                if body.__class__ is dict:
                    for key in body:  # the first tells, in no time: a mapping with one that is sound is a body
                        if key in _MISSPELT:
                            _check_body(function, known, body)
                        break
                elif body.__class__ is set:
                    _check_body(function, known, body)
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
