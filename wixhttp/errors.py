"""The exception tree of wixhttp.

    WixHTTPError
    ├── HTTPError                 becomes a response by itself: knows its status and headers
    │   ├── InvalidJSON           400, also a ValueError
    │   ├── InvalidForm           400 or 413, also a ValueError: the body of a request is no form, or too much of one
    │   ├── InvalidInput          400 or 413, also a ValueError: text that cannot be used where a handler passed it on
    │   ├── ValidationError       422, also a ValueError: a value of a request does not fit the type that it is read as
    │   ├── StoreUnavailable      503: the database of collections cannot be reached
    │   ├── FetchError            502: another server cannot be asked
    │   │   ├── FetchTimeout      504, also a TimeoutError: it did not answer in time
    │   │   └── UnexpectedAnswer  502, also a ValueError: it answered, with another status or no JSON
    │   └── ... any other through HTTPError(status, detail)
    ├── ProjectError              the project cannot be loaded: exit code 3
    │   └── ConfigError           a setting is wrong, also a ValueError
    ├── BuildError                a static endpoint cannot be built: exit code 1
    ├── BodyAlreadyUsed           the body of an endpoint's request was read before, also a RuntimeError
    ├── HeadersSent               a cookie or header is set after the headers are out, also a RuntimeError
    ├── Unavailable               a member of an endpoint's context is not there, also a RuntimeError
    ├── WrongAnswer               an endpoint returned no response, also a TypeError
    ├── EncodeError               a value has no form on the wire, also a TypeError
    ├── SecretNotFound            also a LookupError
    └── WixDataError              of a collection: knows its WDE code, and the status that Wix's REST answers would have

``MisuseWarning``, a UserWarning, is no error: code runs and does not do what it seems to.

The text for the client is ``HTTPError.detail``; the text for the log alone is that of the exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = [
    "BodyAlreadyUsed",
    "BuildError",
    "ConfigError",
    "EncodeError",
    "FetchError",
    "FetchTimeout",
    "HTTPError",
    "HeadersSent",
    "InvalidForm",
    "InvalidInput",
    "InvalidJSON",
    "MisuseWarning",
    "ProjectError",
    "SecretNotFound",
    "StoreUnavailable",
    "Unavailable",
    "UnexpectedAnswer",
    "ValidationError",
    "WixDataError",
    "WixHTTPError",
    "WrongAnswer",
]


class WixHTTPError(Exception):
    """The root of every exception that wixhttp raises."""


class HTTPError(WixHTTPError):
    """An error that is an HTTP response: raised in a handler, it becomes a problem document (RFC 9457).

    ``status`` is 400 to 599, ``detail`` is sent to the client, ``headers`` are added to the answer.
    ``reason`` is written to the log only.
    """

    extensions: Mapping[str, Any] = MappingProxyType({})
    """Members of the problem document beside the standard ones (RFC 9457, 3.2)."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> None:
        if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
            raise ValueError(f"the status of an HTTPError is a whole number from 400 to 599, not {status!r}")
        super().__init__(reason or detail or f"HTTP status {status}")
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.reason = reason


class InvalidJSON(HTTPError, ValueError):
    """The body of a request is not JSON (RFC 8259). Not caught by the handler, it is answered 400.

    ``position`` is the offset in bytes at which reading stopped, or ``None``.
    """

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(400, "The body of the request is not valid JSON.", reason=f"the body is not JSON: {reason}")
        self.position = position


class InvalidForm(HTTPError, ValueError):
    """The body of a request is no form that can be read. Not caught by the handler, it is answered 400, or 413 where
    the form has too many parts or too much text."""

    def __init__(self, detail: str, *, status: int = 400, reason: str = "") -> None:
        super().__init__(status, detail, reason=reason or detail)


class ValidationError(HTTPError, ValueError):
    """A value of a request does not fit the type that a handler reads it as. Not caught by the handler, it is answered
    422, with its errors.

    ``errors`` are dicts: ``path`` is the place in the value, a JSON Pointer (RFC 6901) such as ``/items/0/price``, and
    ``""`` for the whole; ``message`` is the rule that it breaks. At most 101 of them; none holds a value.
    """

    def __init__(self, errors: Iterable[Mapping[str, str]]) -> None:
        self.errors = [dict(each) for each in errors]
        few = "; ".join(f"{each['path'] or 'the value'}: {each['message']}" for each in self.errors[:3])
        more = f"; and {len(self.errors) - 3} more" if len(self.errors) > 3 else ""
        super().__init__(422, "The request does not have the form that is expected.", reason=f"{few}{more}")
        self.extensions = {"errors": self.errors}


class InvalidInput(HTTPError, ValueError):
    """Text that cannot be used where a handler passed it on: as the target of a redirect or a rewrite, in a cookie or
    in the session. Such text is usually the client's, so not caught by the handler it is answered 400, or 413 where it
    is too much. ``reason`` names the rule and the value, for the log."""

    def __init__(self, detail: str, *, status: int = 400, reason: str) -> None:
        super().__init__(status, detail, reason=reason)


class ProjectError(WixHTTPError):
    """The project cannot be loaded; commands exit with code 3. A ``__cause__`` is the user's own error."""


class ConfigError(ProjectError, ValueError):
    """A setting is unknown, or its value has the wrong type or range. Names the file, the line and the remedy."""


class BuildError(WixHTTPError):
    """A static endpoint that cannot be built. Names the file and the entry; a ``__cause__`` is the user's own error."""


class BodyAlreadyUsed(WixHTTPError, RuntimeError):
    """The body of an endpoint's request is read once (Fetch, "body used"); ``clone()`` before reading gives another."""

    def __init__(self) -> None:
        super().__init__("the body of this request was read before; keep what was read, or read a request.clone()")


class HeadersSent(WixHTTPError, RuntimeError):
    """A cookie, a header or the session is changed once the headers of the response are out: within its stream."""

    def __init__(self, lost: str) -> None:
        super().__init__(
            f"{lost}: the headers of the response are out. Do it before the handler returns its response, not in the "
            "generator that it streams"
        )


class Unavailable(WixHTTPError, RuntimeError):
    """A member of an endpoint's context that is not there: not configured, or unknown while a site is built."""


class WrongAnswer(WixHTTPError, TypeError):
    """An endpoint or a middleware returned a value that is no response. Names its file, the function and the type."""


class EncodeError(WixHTTPError, TypeError):
    """A body that cannot be sent. ``where`` is the place in the value (``body["items"][3]``), ``kind`` the type."""

    def __init__(self, where: str, kind: str, rule: str) -> None:
        super().__init__(f"{where} is of type {kind}: {rule}")
        self.where = where
        self.kind = kind


class SecretNotFound(WixHTTPError, LookupError):
    """No secret of that name. ``places`` are those where it was looked for, in order; ``told`` is the text without what
    to write around a call of `wixhttp.secrets.getSecret`."""

    def __init__(self, name: str, places: tuple[str, ...]) -> None:
        told = f"there is no secret {name!r}; looked at: {', '.join(places)}. "
        told += f"Set it with: wixhttp secrets set {name or 'NAME'}"
        super().__init__(f"{told}; where it may be missing, write try and except SecretNotFound")
        self.told = told
        self.name = name
        self.places = places


class WixDataError(WixHTTPError):
    """A call on a collection that failed. ``code`` is Wix's: ``WDE0074``; ``message`` begins with it.

    ``status`` is the HTTP status that Wix gives such an error, ``details`` has Wix's form, ``original_index`` is the
    position of the item in a bulk call, ``item`` that item or id.
    """

    def __init__(
        self,
        code: str,
        description: str,
        *,
        status: int = 400,
        data: Mapping[str, Any] | None = None,
        original_index: int | None = None,
        item: Any = None,
    ) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.status = status
        self.description = description
        self.data = dict(data or {})
        self.original_index = original_index
        self.item = item

    @property
    def message(self) -> str:
        """The text of the error."""
        return str(self)

    @property
    def details(self) -> dict[str, Any]:
        """``{"applicationError": {"code", "description", "data"}}``."""
        return {"applicationError": {"code": self.code, "description": self.description, "data": self.data}}


class StoreUnavailable(HTTPError):
    """The database cannot be reached, or takes no writes now: not caught, it is answered 503 with ``Retry-After``.

    No `WixDataError`, so that ``except WixDataError`` lets it pass: it is not the caller's fault, and its text, which
    the log gets, may name hosts and files. ``code`` is ``WDE0053``, or ``WDE0091`` where the storage is full. Whether a
    write that met it was done is not known.
    """

    def __init__(self, description: str, *, code: str = "WDE0053", retry_after: int = 5) -> None:
        detail = "The database cannot do it now. Try again."
        super().__init__(503, detail, headers={"Retry-After": str(retry_after)}, reason=f"{code}: {description}")
        self.code = code
        self.description = description


class FetchError(HTTPError):
    """Another server could not be asked, by ``wixhttp.fetch``: it cannot be reached, breaks off, or answers too much.

    Not caught, it is answered 502, and the log gets the text: method, host and cause, and nothing else of the URL,
    which may hold secrets. ``response`` is the answer, where there was one, else ``None``.
    """

    def __init__(self, reason: str, *, response: Any = None, status: int = 502) -> None:
        super().__init__(status, "Another server that this needs did not answer as it should.", reason=reason)
        self.response = response


class FetchTimeout(FetchError, TimeoutError):
    """Another server did not answer in time. Not caught, it is answered 504."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, status=504)


class UnexpectedAnswer(FetchError, ValueError):
    """Another server answered, and not what was asked for: a status outside of 200 to 299, or a body that is no JSON.
    ``response`` is its answer."""


class MisuseWarning(UserWarning):
    """Code that runs and does not do what it seems to: an option that is not read, a promise that nobody awaits. Given
    once for each line; ``python -W error::wixhttp.errors.MisuseWarning`` makes it an exception."""
