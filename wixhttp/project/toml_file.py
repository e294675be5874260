"""A TOML file and the lines of its keys, for messages that name a file and a line."""

from __future__ import annotations

import json
import re
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

from wixhttp.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEY = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(\.?)""")


def read_toml(path: Path, name: str | None = None) -> tuple[str, dict[str, Any]]:
    """The text of a file and its table; both empty where there is no such file. ``name`` is what errors call it.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    name = name or path.name
    if path.is_fifo():  # to read it would wait for its writer
        raise ConfigError(f"{name} is a named pipe; make it a file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return "", {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} cannot be read: {error}; make it a readable file in UTF-8") from None
    return text, parse_toml(text, name)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The table of a text. Raises as `read_toml`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = place[1] if place else len(text.splitlines())
        raise ConfigError(f"{name}:{line}: the file is not TOML: {error}") from None


def line_of(text: str, key: tuple[str, ...]) -> int:
    """The line, from 1, that names ``key``, or else the most of its front. A scan, not a parse: good for a message."""
    best, found = 1, 0
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        header = re.match(r"\s*\[\[?", line)
        names, end = _dotted(line, header.end() if header else 0)
        if header:
            table = full = names
        else:
            full = (*table, *names) if names and line[end : end + 1] == "=" else ()
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(full, key, strict=False)))
        if common > found:
            best, found = number, common
    return best


def table_header(*names: str) -> str:
    """The line that begins the table of these names.

    >>> table_header("Stores/Products", "references")
    '["Stores/Products".references]'
    """
    return f"[{'.'.join(toml_key(name) for name in names)}]"


def toml_key(name: str) -> str:
    """A name as a key is written: in quotes where it needs them."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _dotted(line: str, position: int) -> tuple[tuple[str, ...], int]:
    names: list[str] = []
    dot: str | None = "."
    while dot and (match := _KEY.match(line, position)):
        names.append(match[1] or match[2] or match[3] or "")
        dot, position = match[4], match.end()
    return tuple(names), position
