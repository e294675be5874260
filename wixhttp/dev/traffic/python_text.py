"""Python source of values, laid out as a formatter would."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wixhttp.testing.matchers import Likeness

WIDTH = 100  # columns


class SourceText(str):
    """An expression in place of a value."""

    __slots__ = ()


def literal(value: Any, indent: int = 0, taken: int = 0) -> str:
    """The source of a value: on one line where that fits behind ``taken`` columns, else an element a line, with
    ``indent`` spaces before the last bracket."""
    flat = _flat(value)
    if len(flat) + indent + taken <= WIDTH or not (isinstance(value, dict | list | str) and value):
        return flat
    if isinstance(value, SourceText):
        return flat
    if isinstance(value, str) and "\n" in value.strip("\n"):
        parts = value.splitlines(keepends=True)
        return "(\n" + "".join(f"{' ' * (indent + 4)}{_flat(part)}\n" for part in parts) + " " * indent + ")"
    inner = indent + 4
    lines: Iterable[str]
    if isinstance(value, dict):
        heads = [(_flat(name) + ": ", each) for name, each in value.items()]
        lines = [f"{' ' * inner}{head}{literal(each, inner, len(head) + 1)},\n" for head, each in heads]
        return "{\n" + "".join(lines) + " " * indent + "}"
    if isinstance(value, str):
        return flat
    lines = [f"{' ' * inner}{literal(each, inner, 1)},\n" for each in value]
    return "[\n" + "".join(lines) + " " * indent + "]"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(name)}: {_flat(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    if isinstance(value, Likeness) and repr(value).startswith("like("):
        return f"like({quoted(repr(value.template))})"
    if isinstance(value, SourceText):
        return str(value)
    return quoted(repr(value)) if isinstance(value, str | bytes) else repr(value)


def quoted(text: str) -> str:
    """The source of a text or of bytes, in double quotes where that needs no more escapes."""
    prefix = "b" if text.startswith("b") else ""
    inner = text[len(prefix) :]
    return f'{prefix}"{inner[1:-1]}"' if inner[:1] == "'" and '"' not in inner else text
