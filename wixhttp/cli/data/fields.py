"""Fields as the commands ``wixhttp data`` spell them: ``author``, ``address.city``, and ``-year`` for descending."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from wixhttp.data.queries.tree import Order


def index_text(names: list[str], unique: bool) -> str:
    """An index in a list: ``"author, -year unique"``."""
    return f"{', '.join(names)}{' unique' if unique else ''}"


def parse_order(fields: tuple[str, ...]) -> tuple[Order, ...]:
    """The order that the names of fields say.

    Raises:
        click.UsageError: one is no name of a field.
    """
    from wixhttp.data.queries.tree import Order, parse_path

    order = []
    for name in fields:
        if name.startswith("--"):
            raise click.NoSuchOption(name)
        try:
            order.append(Order(parse_path(name.removeprefix("-")), name.startswith("-")))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    return tuple(order)
