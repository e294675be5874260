"""Values of local variables as text: as their ``repr``, but bounded in size and time, and with secrets masked.

Containers are walked here instead, since their own ``repr`` makes the text of all that is in them. Types are looked at
by ``type``: a ``__class__`` may lie.
"""

from __future__ import annotations

import dataclasses
import re
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FunctionType, MappingProxyType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from wixhttp.dev.traffic.masks import MASK, is_secret_name, is_secret_parameter, shown_bytes, shown_message

from .user_calls import MOST_TEXT, Untold, UserCalls

MOST = 500  # characters of a value
_MOST_PART = 120  # of each text within one
_DEPTH = 4
_LONG_KEY = 16  # characters from which a value called a key is taken for a secret, and not for a key of a mapping
_KEY_NAME = re.compile(r"(?:^|[-_. ])keys?$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_SCALARS = (bool, type(None), float, complex, type(...), type(NotImplemented), range, slice)


class ValuePrinter:
    """Makes the texts of one report; ``calls`` are those of users' code."""

    def __init__(self, calls: UserCalls) -> None:
        self._calls = calls
        self._open: set[int] = set()

    def shown(self, value: Any, name: str = "") -> str:
        """The text of a value, at most `MOST` characters and a word on the rest; masked where ``name`` says so."""
        return clean(self._part(value, 0, name, MOST), MOST)

    def message(self, error: BaseException) -> str:
        """The message of an exception, as ``str`` gives it."""
        kind = type(error)
        own = _method(kind, "__str__")
        arguments = arguments_of(error)
        if own is BaseException.__str__ or own is KeyError.__str__:
            if not arguments:
                return ""
            only = arguments[0] if len(arguments) == 1 else arguments
            if type(only) is str and own is not KeyError.__str__:
                return clean(only[:MOST_TEXT], MOST_TEXT // 10)
            return clean(self._part(only, 0, "", MOST), MOST)
        try:
            return clean(self._calls.text(str, error), MOST_TEXT // 10)
        except Untold as why:
            return f"<the message of this {type_name(kind)} cannot be shown: {why}>"

    def _part(self, value: Any, depth: int, name: str, most: int) -> str:
        """The text of a value, about ``most`` characters long at most."""
        kind = type(value)
        if _hides(name, value):
            return MASK
        if kind in _SCALARS:
            return repr(value)
        if depth > _DEPTH:
            return "..."
        if id(value) in self._open:
            return "<a reference to what it stands in>"
        self._open.add(id(value))
        try:
            return self._composed(value, kind, depth, most)
        except Untold as why:
            return f"<the repr of this {type_name(kind)} cannot be shown: {why}>"
        except Exception:  # noqa: BLE001  # of a value that is unlike all that are thought of here
            return f"<{type_name(kind)}>"
        finally:
            self._open.discard(id(value))

    def _composed(self, value: Any, kind: type, depth: int, most: int) -> str:
        own = _method(kind, "__repr__")
        for base, show in _BY_REPR.items():
            if own is _method(base, "__repr__") and _is_kind(kind, base):
                return show(self, value, kind, depth, most)
        if _is_kind(kind, dict) and _is_of_library(own, "collections"):
            return self._dict(value, kind, depth, most)
        if _is_kind(kind, tuple) and _is_of_library(own, "collections"):
            fields = zip(_method(kind, "_fields"), tuple.__iter__(value), strict=False)
            return self._with_fields(kind, fields, depth, most)
        if dataclasses.is_dataclass(kind) and _is_generated(own):
            names = [each.name for each in dataclasses.fields(kind) if each.repr]
            return self._with_fields(kind, _attributes(value, names), depth, most)
        if kind in _VIEWS:
            parts = (self._part(each, depth + 1, "", _MOST_PART) for each in value)
            return f"{type_name(kind)}([{_joined(parts, len(value), most)}])"
        if own is object.__repr__:
            return self._plain(value, kind, depth, most)
        return _cut(shown_message(self._calls.text(repr, value)), most)

    # --- kinds ---

    def _str(self, value: str, kind: type, depth: int, most: int) -> str:
        plain = shown_message(str.__getitem__(value, slice(MOST_TEXT)))
        return _cut_text(repr, plain, str.__len__(value), most, "characters", depth)

    def _bytes(self, value: bytes | bytearray, kind: type, depth: int, most: int) -> str:
        base: Any = bytes if _is_kind(kind, bytes) else bytearray
        plain = bytes(base.__getitem__(value, slice(MOST_TEXT)))
        text = _cut_text(repr, shown_bytes(plain), base.__len__(value), most, "bytes", depth)
        return text if kind is bytes else f"{type_name(kind)}({text})"

    def _int(self, value: int, kind: type, depth: int, most: int) -> str:
        bits = int.bit_length(value)  # Python refuses to print very long ones
        return int.__repr__(value) if bits < 1000 else f"<a whole number of {bits} bits>"

    def _sequence(self, value: Any, kind: type, depth: int, most: int) -> str:
        base = next(base for base in _BRACKETS if _is_kind(kind, base))
        opening, closing = _BRACKETS[base]
        count = base.__len__(value)
        names = ("", _name_in_pair(value, base)) if count == 2 and (base is tuple or depth) else ("", "")
        members = enumerate(base.__iter__(value))
        parts = (self._part(each, depth + 1, names[at] if at < 2 else "", _MOST_PART) for at, each in members)
        text = _joined(parts, count, most)
        text = opening + text + ("," if base is tuple and count == 1 else "") + closing
        is_plain = kind is list or kind is tuple or (kind is set and count)
        return text if is_plain else f"{type_name(kind)}({text if count else ''})"

    def _dict(self, value: Any, kind: type, depth: int, most: int) -> str:
        text = "{" + _joined(self._pairs(value, depth), dict.__len__(value), most) + "}"
        return text if kind is dict else f"{type_name(kind)}({text})"

    def _pairs(self, value: Any, depth: int) -> Iterator[str]:
        for key, each in dict.items(value):
            shown = self._part(key, depth + 1, "", _MOST_PART)
            yield f"{shown}: {self._part(each, depth + 1, _name_of(key), _MOST_PART)}"

    def _error(self, value: BaseException, kind: type, depth: int, most: int) -> str:
        return f"{type_name(kind)}{self._part(arguments_of(value), depth + 1, '', most)}"

    def _namespace(self, value: Any, kind: type, depth: int, most: int) -> str:
        return self._with_fields(kind, object.__getattribute__(value, "__dict__").items(), depth, most)

    def _called(self, value: Any, kind: type, depth: int, most: int) -> str:
        function = value.__func__ if kind is MethodType else value
        return f"<{'method' if kind is MethodType else 'function'} {getattr(function, '__qualname__', '?')}>"

    def _type(self, value: type, kind: type, depth: int, most: int) -> str:
        return f"<class {type_name(value)}>"

    def _module(self, value: Any, kind: type, depth: int, most: int) -> str:
        return f"<module {ModuleType.__getattribute__(value, '__name__')}>"

    def _plain(self, value: Any, kind: type, depth: int, most: int) -> str:
        """An object whose class says nothing of itself: its attributes."""
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except AttributeError:
            attributes = {}
        shown = self._fields(dict.items(attributes), depth, most) if type(attributes) is dict else ""
        return f"<{type_name(kind)}{' ' if shown else ''}{shown}>"

    def _with_fields(self, kind: type, fields: Iterable[tuple[Any, Any]], depth: int, most: int) -> str:
        return f"{type_name(kind)}({self._fields(fields, depth, most)})"

    def _fields(self, fields: Iterable[tuple[Any, Any]], depth: int, most: int) -> str:
        shown = (f"{name}={self._part(value, depth + 1, str(name), _MOST_PART)}" for name, value in fields)
        return _joined(shown, 0, most)

    def _partial(self, value: Any, kind: type, depth: int, most: int) -> str:
        function = partial.func.__get__(value)
        return f"<{type_name(kind)} of {self._part(function, depth + 1, '', _MOST_PART)}>"

    def _named(self, value: Any, kind: type, depth: int, most: int) -> str:
        return f"<{type_name(kind)}>"


_BRACKETS: dict[Any, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
    deque: ("[", "]"),
}
_Show = Callable[[ValuePrinter, Any, type, int, int], str]
_BY_REPR: dict[type, _Show] = {
    str: ValuePrinter._str,
    bytes: ValuePrinter._bytes,
    bytearray: ValuePrinter._bytes,
    int: ValuePrinter._int,
    dict: ValuePrinter._dict,
    OrderedDict: ValuePrinter._dict,
    defaultdict: ValuePrinter._dict,
    **dict.fromkeys(_BRACKETS, ValuePrinter._sequence),
    partial: ValuePrinter._partial,
    MappingProxyType: ValuePrinter._named,
    BaseException: ValuePrinter._error,
    SimpleNamespace: ValuePrinter._namespace,
    FunctionType: ValuePrinter._called,
    MethodType: ValuePrinter._called,
    ModuleType: ValuePrinter._module,
    type: ValuePrinter._type,
}
"""The way in which a value is shown, by the type whose ``__repr__`` it has."""


def clean(text: str, most: int) -> str:
    """A message or a value for a report: secrets masked, at most ``most`` characters, such that UTF-8 can hold it."""
    return fitting(shown_message(text), most)


def fitting(text: str, most: int) -> str:
    """A text of at most ``most`` characters that can be sent as UTF-8."""
    return _cut(text, most).encode("utf-8", "backslashreplace").decode()


def type_name(kind: type) -> str:
    """The name of a type, ``package.module.Name``; without the module for those of Python itself."""
    name: str = type.__dict__["__qualname__"].__get__(kind)
    module = type.__dict__["__module__"].__get__(kind)
    return name[:200] if type(module) is not str or module == "builtins" else f"{module}.{name}"[:200]


def arguments_of(error: BaseException) -> tuple[Any, ...]:
    """The arguments of an exception, whatever its class says."""
    found: tuple[Any, ...] = BaseException.__dict__["args"].__get__(error)
    return found


def _hides(name: str, value: Any) -> bool:
    """Return whether a name says that its value is a secret, and there is one."""
    if not name or value is None or value == "" or type(value) is bool:
        return False
    plain = _HUMP.sub("_", name[:100]).lower()
    if is_secret_name(plain):
        return True
    if _KEY_NAME.search(plain):
        return type(value) in (str, bytes) and len(value) >= _LONG_KEY
    return plain not in ("sig", "signature") and is_secret_parameter(name)


def _name_of(key: Any) -> str:
    """The name that the key of a value is, "" for none; in an ASGI scope names are bytes."""
    return key if type(key) is str else key.decode("latin-1") if type(key) is bytes else ""


def _name_in_pair(value: Any, base: Any) -> str:
    """The name of the second member of a pair, such as a header field: the first one, where there is an order."""
    return _name_of(base.__getitem__(value, 0)) if base in (tuple, list) else ""


def _joined(parts: Iterable[str], count: int, most: int) -> str:
    """As many of ``count`` parts (0: of all) as fit into ``most`` characters, and a word on the rest."""
    taken: list[str] = []
    size = 0
    for part in parts:
        size += len(part) + 2
        if taken and size > most - 24:
            taken.append(f"... {count - len(taken)} more" if count else "...")
            break
        taken.append(part)
    return ", ".join(taken)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _cut_text(show: Callable[[Any], str], value: Any, length: int, most: int, unit: str, depth: int) -> str:
    """The repr of a text or of bytes, of a long one its beginning and its length."""
    text = show(value[:most])
    if length <= most and len(text) <= most:
        return text
    return f"{text[: most - 40]}… ({length} {unit})" if not depth else text[:most] + "…"


def _method(kind: type, name: str) -> Any:
    """A member of a class, without asking its metaclass."""
    for base in type.__dict__["__mro__"].__get__(kind):
        members = type.__dict__["__dict__"].__get__(base)
        if name in members:
            return members[name]
    return None


def _is_kind(kind: type, base: type) -> bool:
    return base in type.__dict__["__mro__"].__get__(kind)


def _is_of_library(method: Any, module: str) -> bool:
    """Return whether a method is of a module of the standard library."""
    return getattr(method, "__module__", "") == module


def _is_generated(method: Any) -> bool:
    """Return whether a method was made for a dataclass: its source is no file."""
    code = getattr(getattr(method, "__wrapped__", None), "__code__", None)
    return getattr(code, "co_filename", "") == "<string>"


def _attributes(value: Any, names: list[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        try:
            yield name, object.__getattribute__(value, name)
        except Exception:  # noqa: BLE001, S112  # it has no such attribute, or its class does not let it be read
            continue
