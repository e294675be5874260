"""JSON with comments and with commas behind the last of a list, as Velo's configuration files are written; each value
knows its line.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from json import JSONDecodeError, JSONDecoder
from typing import Any, NamedTuple, NoReturn

from wixhttp.errors import ProjectError
from wixhttp.messages import brief

_SPACE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"[\w$@.]{1,40}")
_MOST_LEVELS = 50
_KINDS = {dict: "an object {...}", list: "a list [...]", str: "text", bool: "true or false", type(None): "null"}


class LocatedValue(NamedTuple):
    """A value of a file: a ``dict`` or ``list`` of such values, text, a number, a truth value or ``None``; ``line`` is
    the one that it begins on, from 1."""

    value: Any
    line: int

    @property
    def kind(self) -> str:
        """Its kind, for messages."""
        return _KINDS.get(type(self.value), "a number")


def read_commented(text: str, name: str) -> LocatedValue:
    """The one value of a text. ``name`` is what errors call the file.

    Raises:
        ProjectError: it is no JSON with comments; names file and line.
    """
    return _JSONReader(text, name).whole()


class _JSONReader:
    """Reads one text from its beginning to its end."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.at = 0
        self.levels = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._scalars = JSONDecoder(parse_constant=self._no_constant)

    def whole(self) -> LocatedValue:
        if (first := self._peek()) not in ("{", "["):
            found = f"begins with {self._token()}" if first else "is empty"
            self._fail(f"the file {found}; it is one JSON object {{...}}, with comments")
        value = self._value()
        if self._peek():
            self._fail(f"the file goes on behind the end of its object, with {self._token()}")
        return value

    def _line(self, at: int) -> int:
        return bisect_left(self._ends, at) + 1

    def _fail(self, message: str, at: int | None = None) -> NoReturn:
        line = self._line(self.at if at is None else at)
        raise ProjectError(f"{self.name}:{line}: {message}")

    def _no_constant(self, constant: str) -> NoReturn:
        self._fail(f"{constant} is no value of JSON")

    def _peek(self) -> str:
        """The next character behind space and comments; empty at the end."""
        text = self.text
        while True:
            match = _SPACE.match(text, self.at)
            self.at = match.end() if match else self.at
            if text.startswith("//", self.at):
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            elif text.startswith("/*", self.at):
                end = text.find("*/", self.at + 2)
                if end < 0:
                    self._fail("the comment /* is not closed; write */ at its end")
                self.at = end + 2
            else:
                return text[self.at : self.at + 1]

    def _token(self) -> str:
        """The text at this place, for messages."""
        word = _WORD.match(self.text, self.at)
        return repr(word[0] if word else self.text[self.at : self.at + 1])

    def _value(self) -> LocatedValue:
        first, at = self._peek(), self.at
        if first in ("{", "["):
            self.levels += 1
            if self.levels > _MOST_LEVELS:
                self._fail(f"values are nested deeper than {_MOST_LEVELS} levels")
            value = LocatedValue(self._object(at) if first == "{" else self._list(at), self._line(at))
            self.levels -= 1
            return value
        return LocatedValue(self._scalar(first), self._line(at))

    def _scalar(self, first: str) -> Any:
        self._expect_no_quote(first)
        try:
            value, self.at = self._scalars.raw_decode(self.text, self.at)
        except JSONDecodeError as error:
            if first == '"':
                self._fail(
                    "a text is not right: it stands in double quotes, on one line, with \\\\ for a backslash", error.pos
                )
            self._fail(f'{self._token()} is no value; text stands in double quotes, such as "08:00"')
        except ValueError:  # more digits than Python reads
            self._fail("a number has too many digits")
        return value

    def _expect_no_quote(self, first: str) -> None:
        if first in ("'", "`", "\u201c", "\u201d", "\u2018", "\u2019"):
            self._fail(f'text stands in straight double quotes: "...", not {first}')

    def _ended(self, kind: str, at: int) -> NoReturn:
        self._fail(f"the file ends before the {kind} that begins on line {self._line(at)} is closed")

    def _object(self, at: int) -> dict[str, LocatedValue]:
        self.at += 1
        found: dict[str, LocatedValue] = {}
        while (first := self._peek()) != "}":
            if not first:
                self._ended("object {", at)
            self._expect_no_quote(first)
            if first != '"':
                self._fail(f"a key in double quotes is expected, not {self._token()}")
            place = self.at
            key = self._scalar(first)
            if key in found:
                self._fail(f"the key {brief(key)} stands twice in one object; keep one", place)
            if (colon := self._peek()) != ":":
                if not colon:
                    self._ended("object {", at)
                self._fail(f"a colon is expected behind the key {brief(key)}, not {self._token()}")
            self.at += 1
            if not self._peek():
                self._ended("object {", at)
            value = self._value()
            # The line of a scalar is that of its key: there somebody looks for it.
            found[key] = value if isinstance(value.value, dict | list) else LocatedValue(value.value, self._line(place))
            self._comma("}", "object {", at)
        self.at += 1
        return found

    def _list(self, at: int) -> list[LocatedValue]:
        self.at += 1
        found: list[LocatedValue] = []
        while (first := self._peek()) != "]":
            if not first:
                self._ended("list [", at)
            found.append(self._value())
            self._comma("]", "list [", at)
        self.at += 1
        return found

    def _comma(self, closing: str, kind: str, at: int) -> None:
        first = self._peek()
        if first == ",":
            self.at += 1
        elif not first:
            self._ended(kind, at)
        elif first != closing:
            self._fail(f"a comma or {json.dumps(closing)[1:-1]} is expected, not {self._token()}")
