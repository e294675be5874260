"""``wixhttp data query``: the items that a filter selects."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from wixhttp.errors import WixDataError

from .fields import parse_order
from .store import opened_store

if TYPE_CHECKING:
    from wixhttp.data.queries.tree import Tree


@click.command()
@click.argument("collection")
@click.argument("filter_", required=False, metavar="[FILTER]")
@click.option("--sort", metavar="FIELD,...", help="-FIELD is descending; default: by _id.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many items (default: all).")
@click.option("--skip", type=click.IntRange(min=0), default=0, help="Leave out so many at the start.")
@click.option("--fields", metavar="FIELD,...", help="Only these, and _id.")
@click.option("--count", is_flag=True, help="Print how many items there are, nothing else.")
@click.pass_context
def query(
    context: click.Context,
    collection: str,
    filter_: str | None,
    sort: str | None,
    limit: int | None,
    skip: int,
    fields: str | None,
    count: bool,
) -> None:
    """Print the items that a filter selects, one a line: wixhttp data query books '{"year": {"$gte": 2024}}'"""
    from itertools import islice

    from wixhttp.data.files.formats import to_line
    from wixhttp.data.queries.evaluator import project
    from wixhttp.data.stores.contract import to_item

    tree = _tree(filter_)
    order = parse_order(tuple(sort.split(","))) if sort else ()
    paths = [each.path for each in parse_order(tuple(fields.split(",")))] if fields else []
    with opened_store(context) as (store, _):
        if count:
            click.echo(str(store.count(collection, tree)))
            return
        is_plain = not order and not skip
        rows = store.scan(collection, tree) if is_plain else store.find(collection, tree, order, skip=skip, limit=limit)
        stream = sys.stdout.buffer
        for row in islice(rows, limit):
            item = to_item(row)
            stream.write(to_line(project(item, paths) if paths else item))
        stream.flush()


def _tree(text: str | None) -> Tree:
    import json

    from wixhttp.data.queries.filters import parse_filter
    from wixhttp.data.queries.tree import EVERYTHING

    if text is None:
        return EVERYTHING
    try:
        return parse_filter(json.loads(text))
    except json.JSONDecodeError as error:
        raise click.UsageError(
            f"The filter is not JSON: {error}. Quote it for the shell: '{{\"year\": 2024}}'"
        ) from None
    except WixDataError as error:
        raise click.UsageError(str(error)) from None
