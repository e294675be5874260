"""What a function or a site asks of the dispatcher: time, size of the body, CORS.

The decorators leave the function as it is, callable in a test, and note the wish in its ``__wixhttp_policy__``.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "__wixhttp_policy__"
_SIZE = re.compile(r"([0-9]{1,18}) ?(?:([kmg])i?b|b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_CORS_KEYS = ("origins", "headers", "credentials", "max_age")


def nearest(key: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown ``key``: the known key most like it, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(key, names, 1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"


def parse_bytes(value: object, name: str) -> int:
    """Number of bytes: a whole number >= 0, or text with a unit, where 1 KB = 1 KiB = 1024.

    >>> parse_bytes("5MB", "max_body")
    5242880

    Raises:
        ValueError: anything else, ``True`` and fractions included. ``name`` begins the message.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{name} is a number of bytes, not {value!r}; write 524288, or "512KB", "5MB", "1GB"')
    power: int = _POWERS[(match[2] or "").lower()]
    return int(match[1]) << 10 * power


def parse_seconds(value: object, name: str) -> float:
    """Number of seconds, 0 to 1e9 (more overflows the clocks of some platforms), where 0 means without end.

    Raises:
        ValueError: anything else, ``True`` included. ``name`` begins the message.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1e9:
        return float(value)
    raise ValueError(f"{name} is a number of seconds from 0 to 1e9, not {value!r}; 0 is without end")


def parse_origin(value: object, name: str) -> str:
    """An origin, ``scheme://host[:port]``, in lower case and without the scheme's default port (RFC 6454, section 6).

    Raises:
        ValueError: anything else; a path or a trailing slash is refused with the right spelling.
            ``name`` begins the message.
    """
    rule = f"{name} is an origin, scheme://host[:port], not {value!r}"
    text = value.lower() if isinstance(value, str) else ""
    match = _ORIGIN.match(text)
    if match is None or int(match[3] or 0) > 65535:
        raise ValueError(f"{rule}; write it like 'https://www.example.com'")
    scheme, host, port = match.groups()
    origin = f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"
    if match.end() != len(text):
        wayout = f"write {origin!r}" if text[match.end()] in "/?#" else "write it like 'https://www.example.com'"
        raise ValueError(f"{rule}; {wayout}")
    return origin


@dataclass(frozen=True, slots=True)
class Cors:
    """Which other origins may read the answers (Fetch, section 3.2).

    ``origins``: in lower case, or ``"*"`` for any. ``headers``: those a request may carry; ``None`` allows whatever
    the preflight asks for. ``max_age``: seconds for which a browser may keep the answer to a preflight.
    """

    origins: frozenset[str]
    headers: tuple[str, ...] | None = None
    credentials: bool = False
    max_age: int = 86400

    @classmethod
    def parse(cls, value: object, where: str) -> Cors:
        """From a mapping of ``origins`` (a list, or one text), ``headers``, ``credentials`` and ``max_age``.

        Raises:
            ValueError: an unknown key, a wrong type, what is no origin or no header name, or ``*`` with
                credentials, which browsers refuse. The message begins with ``where``, a dot and the key.
        """
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is a table, not {value!r}; write {{origins = ['https://www.example.com']}}")
        for key in value:
            if key not in _CORS_KEYS:
                raise ValueError(f"{where}.{key} is not a key of a CORS policy; {nearest(str(key), _CORS_KEYS)}")
        origins = frozenset(_cors_origin(each, where) for each in _texts(value.get("origins"), f"{where}.origins"))
        if not origins:
            raise ValueError(f"{where}.origins is empty, which allows nothing; name an origin, or leave {where} out")
        given = value.get("headers")
        headers = None if given is None else tuple(_texts(given, f"{where}.headers"))
        for each in headers or ():
            if not _TOKEN.fullmatch(each):
                raise ValueError(f"{where}.headers names headers, not {each!r}; write ['Content-Type', 'X-Name']")
        credentials = value.get("credentials", False)
        if not isinstance(credentials, bool):
            raise ValueError(f"{where}.credentials is true or false, not {credentials!r}")
        if credentials and ("*" in origins or "*" in (headers or ())):
            raise ValueError(f"{where}.credentials excludes '*' (Fetch, 3.2.5); name the origins and the headers")
        max_age = value.get("max_age", 86400)
        if isinstance(max_age, bool) or not isinstance(max_age, int) or max_age < 0:
            raise ValueError(f"{where}.max_age is a whole number of seconds >= 0, not {max_age!r}; 0 keeps none")
        return cls(origins, headers, credentials, max_age)

    def allows(self, origin: str | None) -> bool:
        """Whether a page of that origin may read the answer; ``None``, no ``Origin`` header, only where any may."""
        return "*" in self.origins or (origin is not None and origin.lower() in self.origins)

    def answer_headers(self, origin: str | None) -> list[tuple[str, str]]:
        """Headers of an ordinary answer to a request with that ``Origin``.

        ``Vary`` stands there for origins that are not allowed too: a shared cache keeps one answer for all of them.
        """
        return self._vary(preflight=False) + self._allowance(origin)

    def preflight_headers(
        self, origin: str | None, requested: str | None, methods: Sequence[str]
    ) -> list[tuple[str, str]]:
        """Headers of the answer to a preflight.

        ``requested`` is the value of its ``Access-Control-Request-Headers``, ``methods`` are those the function has.
        Where the origin is not allowed, only ``Vary``.
        """
        allowance = self._allowance(origin)
        if not allowance:
            return self._vary(preflight=True)
        allowance.append(("Access-Control-Allow-Methods", ", ".join(methods)))
        headers: Sequence[str] | None = self.headers
        if headers is None:
            asked = [each.strip() for each in (requested or "").split(",")]
            headers = [each for each in asked if _TOKEN.fullmatch(each)]
        if headers:
            allowance.append(("Access-Control-Allow-Headers", ", ".join(headers)))
        allowance.append(("Access-Control-Max-Age", str(self.max_age)))
        return self._vary(preflight=True) + allowance

    def _allowance(self, origin: str | None) -> list[tuple[str, str]]:
        if "*" in self.origins:
            return [("Access-Control-Allow-Origin", "*")]
        if origin is None or not self.allows(origin):
            return []
        answer = [("Access-Control-Allow-Origin", origin)]
        return [*answer, ("Access-Control-Allow-Credentials", "true")] if self.credentials else answer

    def _vary(self, *, preflight: bool) -> list[tuple[str, str]]:
        names = [] if "*" in self.origins else ["Origin"]
        if preflight and self.headers is None:
            names.append("Access-Control-Request-Headers")
        return [("Vary", ", ".join(names))] if names else []


def _texts(value: object, name: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple, set, frozenset)) or not all(isinstance(each, str) for each in texts):
        raise ValueError(f"{name} is a list of texts, not {value!r}; write it like ['...', '...']")
    return list(texts)


def _cors_origin(value: str, where: str) -> str:
    return value.lower() if value.lower() in ("*", "null") else parse_origin(value, f"{where}.origins")


@dataclass(frozen=True, slots=True)
class Policy:
    """What one function asks for; ``None`` is not said and takes the site's setting.

    ``timeout``: seconds for the handler, 0 is without end. ``max_body``: bytes of the request's body. ``check_origin``:
    whether an endpoint takes forms of the site's own pages only. ``is_velo``: an endpoint that is an HTTP function, so
    that Velo's rules hold for it.
    """

    timeout: float | None = None
    max_body: int | None = None
    cors: Cors | None = None
    check_origin: bool | None = None
    is_velo: bool = False


def limits(*misplaced: NoReturn, timeout: float | None = None, max_body: int | str | None = None) -> Callable[[F], F]:
    """A decorator that sets the limits of one function: ``@limits(timeout=60, max_body="5MB")``.

    ``timeout`` is in seconds (0: without end), ``max_body`` in bytes or text as `parse_bytes` reads it; ``None``
    takes the site's. The function itself is returned, unchanged to call.

    Raises:
        ValueError: a value out of range, at once.
        TypeError: written without parentheses.
    """
    if misplaced:
        raise TypeError(f"limits takes keywords only, not {misplaced[0]!r}; write @limits(timeout=60)")
    said: dict[str, Any] = {}
    if timeout is not None:
        said["timeout"] = parse_seconds(timeout, "@limits: timeout")
    if max_body is not None:
        said["max_body"] = parse_bytes(max_body, "@limits: max_body")
    return functools.partial(_note, said)


def cors(
    *misplaced: NoReturn,
    origins: str | Collection[str],
    headers: str | Collection[str] | None = None,
    credentials: bool = False,
    max_age: int = 86400,
) -> Callable[[F], F]:
    """A decorator that lets other origins read one function: ``@cors(origins=["https://www.example.com"])``.

    The arguments are those of `Cors`. It replaces the site's policy for this function, and adds nothing to it.

    Raises:
        ValueError: as `Cors.parse`, at once.
        TypeError: written without parentheses or without ``origins``.
    """
    if misplaced:
        raise TypeError(f"cors takes keywords only, not {misplaced[0]!r}; write @cors(origins=[...])")
    table = {"origins": origins, "headers": headers, "credentials": credentials, "max_age": max_age}
    return functools.partial(_note, {"cors": Cors.parse(table, "@cors")})


def check_origin(checks: bool) -> Callable[[F], F]:
    """A decorator for a handler of an endpoint that says, instead of the setting of that name, whether forms are taken
    from the site's own pages only: ``@check_origin(False)`` for a webhook that sends forms. For HTTP functions it has
    no meaning.

    Raises:
        TypeError: written without parentheses, or with what is no truth value.
    """
    if not isinstance(checks, bool):
        raise TypeError(f"check_origin takes True or False, not {checks!r}; write @check_origin(False)")
    return functools.partial(_note, {"check_origin": checks})


def _note(said: dict[str, Any], function: F) -> F:
    setattr(function, _ATTRIBUTE, replace(policy_of(function), **said))
    return function


def copy_policy(source: object, target: object, **said: Any) -> None:
    """Note on ``target`` what is noted on ``source``, and what is ``said`` besides."""
    setattr(target, _ATTRIBUTE, replace(policy_of(source), **said))


def policy_of(function: object) -> Policy:
    """What the decorators noted on ``function``, on what it wraps (``__wrapped__``), or on what it is a partial of."""
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        policy = getattr(function, _ATTRIBUTE, None)
        if isinstance(policy, Policy):
            return policy
        seen.add(id(function))
        inner = getattr(function, "__wrapped__", None)
        function = function.func if inner is None and isinstance(function, functools.partial) else inner
    return Policy()
