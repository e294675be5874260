"""``wixhttp data collections``: the list of the collections."""

from __future__ import annotations

from typing import Any

import click

from .fields import index_text
from .store import opened_store


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def collections(context: click.Context, as_json: bool) -> None:
    """List the collections: how many items, which indexes, and whether data/collections.toml declares them."""
    from wixhttp.data.queries.tree import EVERYTHING
    from wixhttp.data.schema.declarations import site_collections

    with opened_store(context) as (store, schema):
        there = site_collections(store)
        listed: list[dict[str, Any]] = [
            {
                "name": name,
                "items": store.count(name, EVERYTHING) if name in there else None,
                "indexes": [{"fields": index.names, "unique": index.unique} for index in there.get(name, ())],
                "declared": name in schema,
            }
            for name in sorted({*there, *schema})
        ]
    if as_json:
        import json

        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    for each in listed:
        items = "not made yet" if each["items"] is None else f"{each['items']} item{'s' * (each['items'] != 1)}"
        indexes = "".join(f"  [{index_text(index['fields'], index['unique'])}]" for index in each["indexes"])
        click.echo(f"{each['name']}  {items}{indexes}{'' if each['declared'] else '  (not declared)'}")
