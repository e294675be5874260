"""The group of commands ``wixhttp data``."""

from __future__ import annotations

import click

from wixhttp.cli.lazy_group import LazyGroup

MODULES = {
    "backup": "wixhttp.cli.data.backup:backup",
    "check": "wixhttp.cli.data.check:check",
    "collections": "wixhttp.cli.data.collections:collections",
    "declare": "wixhttp.cli.data.declare:declare",
    "export": "wixhttp.cli.data.export:export",
    "import": "wixhttp.cli.data.import_:import_",
    "index": "wixhttp.cli.data.index:index",
    "insert": "wixhttp.cli.data.items:insert",
    "query": "wixhttp.cli.data.query:query",
    "remove": "wixhttp.cli.data.items:remove",
    "update": "wixhttp.cli.data.items:update",
}
"""The module and the name of each command."""


@click.group(cls=LazyGroup, modules=MODULES)
@click.option("--database-url", metavar="URL", help="The database, for this call (WIXHTTP_DATABASE_URL).")
@click.pass_context
def data(context: click.Context, database_url: str | None) -> None:
    """Look into the collections, change their items, declare, move and index them, back them up."""
    context.obj = (context.obj, database_url)
