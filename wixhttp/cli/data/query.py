"""``wixhttp data query``: the items that a filter selects."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from wixhttp.errors import WixDataError

from .fields import parse_order
from .store import opened_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wixhttp.data.calls.access import Collections
    from wixhttp.data.queries.tree import Order, Tree
    from wixhttp.data.stores.contract import Row


@click.command()
@click.argument("collection")
@click.argument("filter_", required=False, metavar="[FILTER]")
@click.option("--sort", metavar="FIELD,...", help="-FIELD is descending; default: the newest first.")
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

    from wixhttp.data.calls.access import Collections
    from wixhttp.data.files.formats import to_line
    from wixhttp.data.queries.evaluator import project
    from wixhttp.data.queries.tree import NEWEST_FIRST
    from wixhttp.data.stores.contract import to_item

    tree = _tree(filter_)
    order = parse_order(tuple(sort.split(","))) if sort else NEWEST_FIRST
    paths = [each.path for each in parse_order(tuple(fields.split(",")))] if fields else []
    with opened_store(context) as opened:
        opened.need(collection)
        store = opened.store
        collections = Collections(store, opened.schema)
        tree = _linked(collections, collection, tree, order)
        if count:
            click.echo(str(store.count(collection, tree)))
            return
        if sort:
            rows: Iterable[Row] = store.find(collection, tree, order, skip=skip, limit=limit)
        else:
            rows = islice(store.scan(collection, tree, order), skip, None if limit is None else skip + limit)
        stream = sys.stdout.buffer
        for row in rows:
            item = to_item(row)
            stream.write(to_line(project(item, paths) if paths else item))
        stream.flush()


def _linked(collections: Collections, collection: str, tree: Tree, order: Sequence[Order]) -> Tree:
    """The tree with the links that its conditions on multi-reference fields ask for."""
    from wixhttp.data.calls.linked_conditions import resolved
    from wixhttp.data.calls.options import Options

    try:
        collections.check_held(collection, (each.path for each in order), "a query is not sorted by them;")
        return resolved(collections, collection, tree, Options({"suppressAuth": True}))
    except WixDataError as error:
        raise click.UsageError(str(error)) from None


def _tree(text: str | None) -> Tree:
    import json

    from wixhttp.data.files.plain_json import parse_plain_json
    from wixhttp.data.queries.filters import parse_filter
    from wixhttp.data.queries.tree import EVERYTHING

    if text is None:
        return EVERYTHING
    try:
        return parse_filter(parse_plain_json(text))
    except json.JSONDecodeError as error:
        raise click.UsageError(
            f"The filter is not JSON: {error}. Quote it for the shell: '{{\"year\": 2024}}'"
        ) from None
    except (RecursionError, ValueError) as error:
        raise click.UsageError(f"The filter cannot be read: {error}") from None
    except WixDataError as error:
        raise click.UsageError(str(error)) from None
