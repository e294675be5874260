"""The policy of a function: its time limit, the size of its body, CORS, the check of the origin (CSRF).

The decorators leave the function as it is, callable in a test, and note the policy in its ``__wixhttp_policy__``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar

from wixhttp.public_calls import explained, named

from .cors import Cors

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "__wixhttp_policy__"
_CALL = "__call__"
_GUARDED = "__wixhttp_guarded__"  # in the namespace of a module: the guards of its functions by their qualified names
_SIZE = re.compile(r"([0-9]{1,18}) ?(?:([kmg])i?b|b)?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]{1,10}) ?([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}


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


def parse_seconds(value: object, name: str, zero: str = "without end") -> float:
    """Number of seconds, 0 to 1e9 (more overflows the clocks of some platforms).

    Raises:
        ValueError: anything else, ``True`` included. ``name`` begins the message, and ``zero`` is what 0 means.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1e9:
        return float(value)
    raise ValueError(f"{name} is a number of seconds from 0 to 1e9, not {value!r}; 0 is {zero}")


def parse_duration(value: object, name: str) -> float:
    """Number of seconds above 0 and up to 1e9: a number, or text with a unit.

    >>> parse_duration("7d", "keep"), parse_duration("90 s", "keep"), parse_duration(0.5, "keep")
    (604800.0, 90.0, 0.5)

    Raises:
        ValueError: anything else, ``True`` included. ``name`` begins the message.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    seconds = int(match[1]) * _UNITS[match[2]] if match is not None else value
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= 1e9:
        return float(seconds)
    raise ValueError(f'{name} is a time above 0, not {value!r}; write seconds, or "30s", "15m", "12h", "7d"')


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of one function; ``None`` takes the site's setting.

    ``timeout``: seconds for the handler, 0 is without end. ``max_body``: bytes of the request's body. ``check_origin``:
    whether an endpoint refuses cross-site forms (CSRF). ``is_velo``: an endpoint that is an HTTP function, so
    that Velo's rules hold for it. ``guards`` (`wixhttp.guards.Guard`) run around the handler.
    """

    timeout: float | None = None
    max_body: int | None = None
    cors: Cors | None = None
    check_origin: bool | None = None
    is_velo: bool = False
    guards: tuple[Any, ...] = ()


@explained("limits(timeout=60)")
def limits(*misplaced: NoReturn, timeout: float | None = None, max_body: int | str | None = None) -> Callable[[F], F]:
    """A decorator that sets the limits of one function: ``@limits(timeout=60, max_body="5MB")``.

    ``timeout`` is in seconds (0: without end), ``max_body`` in bytes or text as `parse_bytes` reads it; ``None``
    takes the site's. The function itself is returned, unchanged to call.

    Raises:
        ValueError: a value out of range, at once.
        TypeError: written without parentheses.
    """
    if misplaced:
        raise TypeError(f"limits takes keywords only, not {named(misplaced[0])}; write @limits(timeout=60)")
    said: dict[str, Any] = {}
    if timeout is not None:
        said["timeout"] = parse_seconds(timeout, "@limits: timeout")
    if max_body is not None:
        said["max_body"] = parse_bytes(max_body, "@limits: max_body")
    return functools.partial(_note, said)


@explained("cors(origins=[...])")
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
        raise TypeError(f"cors takes keywords only, not {named(misplaced[0])}; write @cors(origins=[...])")
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
        raise TypeError(f"check_origin takes True or False, not {named(checks)}; write @check_origin(False)")
    return functools.partial(_note, {"check_origin": checks})


def note_guard(guard: Any, function: F) -> F:
    """Note a guard on ``function``, for a decorator, and return it.

    Raises:
        TypeError: it has one of that place already.
    """
    guards = policy_of(function).guards
    if any(each.place == guard.place for each in guards):
        raise TypeError(f"{getattr(function, '__name__', function)!r} has two decorators of one kind; leave one out")
    innermost = _innermost(function)
    namespace = getattr(innermost, "__globals__", None)
    if isinstance(namespace, dict):
        named = namespace.setdefault(_GUARDED, {})
        named.setdefault(getattr(innermost, "__qualname__", ""), []).append(guard)
    return _note({"guards": (*guards, guard)}, function)


def guards_noted_in(module: object) -> dict[str, list[Any]]:
    """The guards that were noted on functions of a module, by the qualified names by which they were defined, whatever
    these are bound to now."""
    noted: dict[str, list[Any]] = getattr(module, "__dict__", {}).get(_GUARDED, {})
    return noted


def _innermost(function: object) -> object:
    """The function that others wrap."""
    seen: set[int] = set()
    while id(function) not in seen:
        seen.add(id(function))
        function = getattr(function, "__wrapped__", None) or getattr(function, "__func__", None) or function
    return function


def _note(said: dict[str, Any], function: F) -> F:
    policy = replace(policy_of(function), **said)
    setattr(function, _ATTRIBUTE, policy)
    if isinstance(function, staticmethod | classmethod):  # their class gives the function without them
        setattr(function.__func__, _ATTRIBUTE, policy)
    return function


def copy_policy(source: object, target: object, **said: Any) -> None:
    """Note on ``target`` what is noted on ``source``, and what is ``said`` besides."""
    setattr(target, _ATTRIBUTE, replace(policy_of(source), **said))


def policy_of(function: object) -> Policy:
    """The policy that decorators noted on ``function``, on the function that it wraps (``__wrapped__``), on the one
    that it is a partial of, or on the method ``__call__`` of its class."""
    kind = type(function)
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        policy = getattr(function, _ATTRIBUTE, None)
        if isinstance(policy, Policy):
            return policy
        seen.add(id(function))
        inner = getattr(function, "__wrapped__", None)
        function = function.func if inner is None and isinstance(function, functools.partial) else inner
    policy = getattr(getattr(kind, _CALL, None), _ATTRIBUTE, None)
    return policy if isinstance(policy, Policy) else Policy()
