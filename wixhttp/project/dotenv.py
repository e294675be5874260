r"""``.env`` files, read by python-dotenv, and written so that it reads back what was written.

    # a comment
    NAME=value            # a comment, because a space is in front of it
    export NAME='nothing but \\ and \' is escaped in here'
    NAME="with \n \t \" \\, and over
    several lines"
    URL=https://${HOST:-localhost}/   # of the environment, else of a line above, else what stands behind ":-"
    NAME                  # says nothing

Of a name that stands there twice the last line counts. A line that python-dotenv passes over, with a line in its own
log, is an error here; no message shows a value, since it may be a secret.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from wixhttp.errors import ConfigError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_ASSIGNMENT = re.compile(r"\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+)[^\S\r\n]*=")
_SPACES = re.compile(r"[^\S\r\n]*")
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_UNESCAPED = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"})
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_MOST_SPACES = (
    1000  # in a row in a value without quotes: python-dotenv takes quadratic time to look behind them for a #
)


class EnvEntry(NamedTuple):
    """One ``NAME=value`` in a text: characters ``start`` to ``end`` (past its line end), the value at ``spelled``.
    ``value`` is what stands there, its variables not replaced."""

    name: str
    value: str
    start: int
    spelled: tuple[int, int]
    end: int


def scan(text: str, filename: str) -> Iterator[EnvEntry]:
    """Every entry of ``text``, in order, with its place. Raises as `parse`."""
    from dotenv.parser import parse_stream

    _check_spaces(text, filename)
    start, line = 0, 1
    for binding in parse_stream(io.StringIO(text)):
        original = binding.original.string
        end = start + len(original)
        blank = original[: len(original) - len(original.lstrip())]
        if binding.error:
            raise ConfigError(
                f"{filename}:{line + _line_ends(blank)}: a line is NAME=value or a # comment; close each quote, put a "
                "value of several words in quotes, and write '=' for ':'"
            )
        if binding.key is not None and binding.value is not None:
            first = start + max(blank.rfind("\n"), blank.rfind("\r")) + 1
            yield EnvEntry(binding.key, binding.value, first, _spelled(original, binding.value, start), end)
        start, line = end, line + _line_ends(original)


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _spelled(original: str, value: str, offset: int) -> tuple[int, int]:
    """The place of a value in its entry, spaces before it included."""
    assignment = _ASSIGNMENT.match(original)
    equals = len(original) if assignment is None else assignment.end()
    begin = _SPACES.match(original, equals).end()  # type: ignore[union-attr]  # none is a match, too
    quoted = _QUOTED.match(original, begin)
    if quoted is not None:
        return offset + equals, offset + quoted.end()
    return offset + equals, offset + (begin + len(value) if value else equals)


def _check_spaces(text: str, filename: str) -> None:
    if text.isspace() or len(text) <= _MOST_SPACES:
        return
    for number, line in enumerate(text.splitlines(), 1):
        value = line.partition("=")[2].strip()
        if value[:1] not in ("'", '"') and any(len(run[0]) > _MOST_SPACES for run in re.finditer(r"\s+", value)):
            raise ConfigError(f"{filename}:{number}: more than {_MOST_SPACES} spaces in a row; put the value in quotes")


def parse(text: str, filename: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    r"""Names and values of the text of a ``.env`` file, in order. ``${NAME}`` is that of ``environ``, else of a line
    above, else nothing, or what ``${NAME:-default}`` says.

    >>> parse('A=1 # one\nexport B="x\\ty"\nA=2\nC=${A}${HOME:-/}', ".env")
    {'A': '2', 'B': 'x\ty', 'C': '2/'}

    Raises:
        ConfigError: a line that python-dotenv cannot read. Begins with ``filename`` and the line, and never shows a
            value.
    """
    from dotenv.variables import parse_variables

    outside = {} if environ is None else environ
    values: dict[str, str] = {}
    for entry in scan(text.replace("\r\n", "\n").replace("\r", "\n"), filename):  # as a text file is read
        if "${" not in entry.value:
            values[entry.name] = entry.value
        else:
            known = {**values, **outside}
            values[entry.name] = "".join(atom.resolve(known) for atom in parse_variables(entry.value))
    return values


def format_value(value: str) -> str:
    """The spelling of ``value`` after ``NAME=``, on one line, quoted where it must be. Raises ValueError for NUL."""
    if "\0" in value:
        raise ValueError("a value of a .env file holds no NUL character; encode it, as base64 for instance")
    if _SAFE.fullmatch(value):
        return value
    # Nothing escapes a "${": the variable without a name stands for its default.
    return '"{}"'.format(value.translate(_UNESCAPED).replace("${", "${:-$}{"))


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
