"""JSON as text, as JavaScript's ``JSON.stringify`` prints it (ECMA-262, 25.5.2), to the character."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from json.encoder import encode_basestring
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from wixhttp.errors import EncodeError

from .json_codec import DEEPEST, simpler, whole_digits

_MOST_INDENT = 10  # characters, as in JavaScript
_HIGHEST_INDEX = 2**32 - 2  # of the keys that JavaScript sorts as numbers

_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, type)  # what is a function in JavaScript

_Pairs = Iterator[tuple[str, Any]]


def stringify(
    value: Any,
    replacer: Callable[[str, Any], Any] | Sequence[str | int] | None = None,
    indent: int | float | str | None = None,
    /,
) -> str:
    """``value`` as JSON text, as ``JSON.stringify(value, replacer, indent)`` prints it.

    ``replacer`` is a function of a key and its value that returns the value to print, or the keys of objects to print,
    in their order. ``indent`` is a number of spaces, or a text, of which at most ten are taken.

    Numbers have JavaScript's form (``1.0`` is ``1``, ``1e21`` is ``1e+21``), NaN and infinities are ``null``; keys that
    are indexes come first, by number; lone surrogates are escaped, and nothing else that JSON does not ask for. What
    JavaScript does not have is printed as in a response: a whole number with all its digits, a datetime as a Date, and
    ``None`` as ``null``, since there is no ``undefined``. Functions are left out of objects, and are ``null`` in lists.

    Raises:
        EncodeError: a TypeError: a value has no form in JSON or contains itself, or ``value`` is a function. Names the
            place.

    >>> stringify({"b": 1.0, "1": float("nan")}), stringify([1, {}], None, 2)
    ('{"1":null,"b":1}', '[\\n  1,\\n  {}\\n]')
    """
    function = replacer if callable(replacer) else None
    names = None if replacer is None or function is not None else _property_list(replacer)  # type: ignore[arg-type]  # no function
    return "".join(_pieces(value, function, names, _gap(indent)))


def _pieces(root: Any, function: Callable[[str, Any], Any] | None, names: list[str] | None, gap: str) -> list[str]:
    """The pieces of the text, without recursion: any depth that can be read back."""
    out: list[str] = []
    value = root
    colon = ": " if gap else ":"
    stack: list[tuple[_Pairs, str]] = [(iter([("", root)]), "")]
    place: list[str] = [""]
    while stack:
        members, closing = stack[-1]
        line = "\n" + gap * (len(stack) - 1) if gap else ""
        for key, member in members:
            value = _plain(member)
            if function is not None:
                value = _plain(function(key, value))
            place[-1] = key
            if len(stack) > 1:
                if isinstance(value, _FUNCTIONS):
                    if closing == "}":
                        continue
                    value = None
                if out[-1] not in ("[", "{"):
                    out.append(",")
                out.append(line)
                if closing == "}":
                    out.append(quote(key) + colon)
            if isinstance(value, dict | list | tuple):
                stack.append(_members(value, names, place))
                out.append("{" if stack[-1][1] == "}" else "[")
                place.append("")
                break
            out.append(_scalar(value, place))
        else:
            stack.pop()
            place.pop()
            if closing and out[-1] not in ("[", "{") and gap:
                out.append("\n" + gap * (len(stack) - 1))
            out.append(closing)
        if len(stack) > DEEPEST:
            rule = f"it contains itself, or is deeper than {DEEPEST} levels"
            raise EncodeError(_where(place[:4]) + "...", type(value).__name__, rule)
    return out


def _plain(value: Any) -> Any:
    while (plain := simpler(value)) is not value:
        value = plain
    return value


def _members(value: Any, names: list[str] | None, place: list[str]) -> tuple[_Pairs, str]:
    if not isinstance(value, dict):
        return ((str(index), each) for index, each in enumerate(value)), "]"
    members = {_key(key, place): each for key, each in value.items()}
    if names is not None:
        return ((name, members[name]) for name in names if name in members), "}"
    indexes = sorted((key for key in members if _is_index(key)), key=int)
    if not indexes:
        return iter(members.items()), "}"
    return ((key, members[key]) for key in dict.fromkeys([*indexes, *members])), "}"


def _is_index(key: str) -> bool:
    return key.isdigit() and key.isascii() and len(key) < 11 and str(int(key)) == key and int(key) <= _HIGHEST_INDEX


def _key(key: Any, place: list[str]) -> str:
    plain = _plain(key)
    return plain if isinstance(plain, str) else _scalar(plain, place, "a key of ")


def _scalar(value: Any, place: list[str], what: str = "") -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, int):
        return whole_digits(value)
    if isinstance(value, float):
        return number_text(value) if math.isfinite(value) else "null"
    if isinstance(value, Decimal):
        return str(value)
    rule = "JSON has no form for it; make it a str, a number, a list or a dict"
    raise EncodeError(what + _where(place), type(value).__name__, rule)


def _where(place: list[str]) -> str:
    return "value" + "".join(f"[{key!r}]" for key in place[1:])


def quote(text: str) -> str:
    """``text`` as a string of JSON; a lone surrogate is escaped (ECMA-262, 25.5.2.3)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")  # pairs are characters
        return encode_basestring(joined).encode("utf-8", "backslashreplace").decode()
    return encode_basestring(text)


def number_text(value: float) -> str:
    """A finite float as JavaScript prints it (ECMA-262, Number::toString).

    >>> number_text(1e20), number_text(1e21), number_text(1.5e-7), number_text(-0.0)
    ('100000000000000000000', '1e+21', '1.5e-7', '0')
    """
    sign, found, exponent = Decimal(float.__repr__(value)).normalize().as_tuple()
    digits = "".join(map(str, found))
    if digits == "0":
        return "0"
    point = len(digits) + int(exponent)  # the place of the decimal point in the digits
    minus = "-" if sign else ""
    if 0 < point <= 21:
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
        return minus + whole + ("." + fraction if fraction else "")
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{fraction}e{point - 1:+d}"


def _gap(indent: Any) -> str:
    if isinstance(indent, str):
        units = indent.encode("utf-16-le", "surrogatepass")[: 2 * _MOST_INDENT]
        return units.decode("utf-16-le", "surrogatepass")
    if isinstance(indent, bool) or not isinstance(indent, int | float) or indent != indent:  # NaN
        return ""
    return " " * int(max(0, min(_MOST_INDENT, indent)))


def _property_list(names: Sequence[Any]) -> list[str]:
    found = [
        each if isinstance(each, str) else _scalar(each, ["replacer"])
        for each in names
        if isinstance(each, str | int | float) and not isinstance(each, bool)
    ]
    return list(dict.fromkeys(found))
