"""Lists as the commands print them: a table for a person, or a JSON object a line for a program."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from wixhttp.logs.masking import escaped, masked
from wixhttp.messages import cut

_LONGEST_CELL = 60


def cell(text: str) -> str:
    """A text of anybody's as a cell of a table: on one line, not too long, secrets masked."""
    return cut(escaped(masked(text)), _LONGEST_CELL)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    colour_of: Callable[[Sequence[str]], str | None] | None = None,
) -> None:
    """Print rows of texts below the names of their columns. ``colour_of`` gives the colour of a row, ``None`` for
    none."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for number, row in enumerate((columns, *rows)):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        click.secho(line, bold=not number, fg=colour_of(row) if number and colour_of is not None else None)


def print_json(document: Mapping[str, Any]) -> None:
    """Print an object on a line, secrets masked."""
    click.echo(masked(json.dumps(document, ensure_ascii=False)).encode("utf-8", "replace").decode())
