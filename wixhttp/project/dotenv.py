"""The syntax of ``.env`` files, read strictly and written so that it reads back.

    # a comment
    NAME=value            # a comment, because a space is in front of it
    export NAME='taken literally, $ and \\ too'
    NAME="with \\n \\r \\t \\" \\\\ \\$, and over
    several lines"

Nothing is expanded, and no message shows a value: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from wixhttp.errors import ConfigError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*|\r)?(?:\n|\Z)")
_START = re.compile(rf"[ \t]*(?:export[ \t]+)?({_NAME.pattern})[ \t]*=")
_QUOTED = re.compile(r"""[ \t]*(?:'([^']*)'|"((?:[^"\\]|\\.)*)")""", re.DOTALL)
_PLAIN = re.compile(r"[^\n]*?(?=[ \t]+#|[ \t\r]*(?:\n|\Z))")
_REST = re.compile(r"(?:[ \t]+#[^\n]*|[ \t\r]*)(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
_UNESCAPED = str.maketrans({char: f"\\{letter}" for letter, char in _ESCAPED.items()})
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


class EnvEntry(NamedTuple):
    """One ``NAME=value`` in a text: characters ``start`` to ``end`` (past its line end), the value at ``spelled``."""

    name: str
    value: str
    line: int
    start: int
    spelled: tuple[int, int]
    end: int


def scan(text: str, filename: str) -> Iterator[EnvEntry]:
    """Every entry of ``text``, in order, with its place. Raises as `parse`."""
    position = 0
    lines: dict[str, int] = {}
    while position < len(text):
        blank = _BLANK.match(text, position)
        if blank is not None:
            position = blank.end()
            continue
        line = text.count("\n", 0, position) + 1
        where = f"{filename}:{line}"
        start = _START.match(text, position)
        if start is None:
            raise ConfigError(f"{where}: a line is NAME=value or a # comment; quote a value of several lines")
        name = start[1]
        if name in lines:
            raise ConfigError(f"{where}: {name} stands in line {lines[name]} already; keep one of them")
        lines[name] = line
        value, stop = _value(text, start.end(), f"{where}: {name}")
        rest = _REST.match(text, stop)
        if rest is None:
            raise ConfigError(f"{where}: {name} goes on after its closing quote; put a space in front of a # comment")
        yield EnvEntry(name, value, line, position, (start.end(), stop), rest.end())
        position = rest.end()


def _value(text: str, position: int, where: str) -> tuple[str, int]:
    quoted = _QUOTED.match(text, position)
    if quoted is not None:
        literal, escaped = (None if each is None else each.replace("\r\n", "\n") for each in quoted.groups())
        if escaped is not None:
            literal = _ESCAPE.sub(lambda match: _ESCAPED.get(match[1]) or _refuse_escape(match[1], where), escaped)
        return literal or "", quoted.end()
    plain = _PLAIN.match(text, position)
    if plain is None or plain[0].strip(" \t")[:1] in ("'", '"'):
        raise ConfigError(f"{where} opens a quote that is not closed; write the value in '...' or \"...\"")
    return plain[0].strip(" \t"), plain.end()


def _refuse_escape(char: str, where: str) -> NoReturn:
    known = " ".join(f"\\{each}" for each in _ESCAPED)
    raise ConfigError(f"{where} has a backslash in front of {char!r}, known are {known}; write \\\\, or use '...'")


def parse(text: str, filename: str) -> dict[str, str]:
    r"""Names and values of the text of a ``.env`` file, in order.

    >>> parse('A=1 # one\nexport B="x\\ty"', ".env")
    {'A': '1', 'B': 'x\ty'}

    Raises:
        ConfigError: a line that is no entry, a quote that is not closed, an unknown escape, a name that stands there
            twice. Begins with ``filename`` and the line, and never shows a value.
    """
    return {entry.name: entry.value for entry in scan(text, filename)}


def format_value(value: str) -> str:
    """The spelling of ``value`` after ``NAME=``, on one line, quoted where it must be. Raises ValueError for NUL."""
    if "\0" in value:
        raise ValueError("a value of a .env file holds no NUL character; encode it, as base64 for instance")
    return value if _SAFE.fullmatch(value) else f'"{value.translate(_UNESCAPED)}"'


def format_line(name: str, value: str) -> str:
    r"""``NAME=value``, without a line end, in the spelling that `parse` reads back.

    >>> print(format_line("KEY", "two\nlines"))
    KEY="two\nlines"

    Raises:
        ValueError: `check_name`, or a NUL character in ``value``.
    """
    return f"{check_name(name)}={format_value(value)}"


def check_name(name: str) -> str:
    """``name`` itself, if an entry can be called so. Raises ValueError otherwise."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"a name is letters, digits, '_', '.' and '-', no digit first, not {name!r}; write 'API_KEY'")
    return name
