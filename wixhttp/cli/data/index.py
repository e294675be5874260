"""``wixhttp data index``: the indexes of a collection."""

from __future__ import annotations

import sys

import click

from .fields import index_text, parse_order
from .store import opened_store


# Options are long here: a field with "-" for descending may begin with any letter.
@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("collection")
@click.argument("fields", nargs=-1, metavar="[FIELD]...", type=click.UNPROCESSED)
@click.option("--unique", is_flag=True, help="No two items may have the same values.")
@click.option("--drop", is_flag=True, help="Remove the index of these fields.")
@click.option("--list", "is_list", is_flag=True, help="Print the indexes of the collection.")
@click.pass_context
def index(
    context: click.Context, collection: str, fields: tuple[str, ...], unique: bool, drop: bool, is_list: bool
) -> None:
    """Make an index of fields, -FIELD for descending: wixhttp data index books author -year"""
    from wixhttp.data.queries.tree import EVERYTHING
    from wixhttp.data.stores.contract import Index

    order = parse_order(fields)
    if bool(fields) == is_list or (is_list and (unique or drop)):
        raise click.UsageError("Name the fields of the index, or list the indexes with --list.")
    with opened_store(context, missing="empty" if is_list or drop else "made") as opened:
        opened.need(collection)
        store = opened.store
        there = store.collections()[collection]
        if is_list:
            for each in there:
                click.echo(index_text(each.names, each.unique))
            return
        found = [each for each in there if each.fields == order]
        text = f"{', '.join(fields)} of {collection}"
        if drop:
            if not found:
                raise click.ClickException(f"there is no index on {text}")
            for each in found:
                store.drop_index(collection, each)
            click.echo(f"dropped the index on {text}")
        elif Index(order, unique) in found:
            click.echo(f"the index on {text} is there already")
        else:
            if sys.stderr.isatty():
                click.echo(f"reading {store.count(collection, EVERYTHING)} items ...", err=True)
            store.add_index(collection, Index(order, unique))
            click.echo(f"made the index on {text}")
