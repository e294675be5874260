"""``wixhttp data check``: damage in the database."""

from __future__ import annotations

import click

from wixhttp.cli.exit_codes import FAILED

from .store import opened_store


@click.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Look for damage in the database; exit 0 or 1."""
    with opened_store(context, missing="refused") as (store, _):
        problems = store.check()
    for problem in problems:
        click.secho(f"Error: {problem}", fg="red", err=True)
    if problems:
        context.exit(FAILED)
    click.echo("no problems")
