"""``wixhttp data backup``: a copy of the embedded database."""

from __future__ import annotations

from pathlib import Path

import click

from wixhttp.cli.arguments.file_names import FILE
from wixhttp.cli.progress import progress

from .store import opened_store


@click.command()
@click.argument("target", type=FILE)
@click.option("--force", is_flag=True, help="Overwrite TARGET.")
@click.pass_context
def backup(context: click.Context, target: str, force: bool) -> None:
    """Copy the embedded database to TARGET, while it is used. (For PostgreSQL: pg_dump, or export.)"""
    from wixhttp.data.files.exports import backup as copy

    with opened_store(context, missing="refused") as (store, _):
        done = 0  # percent
        with progress("backup", 100) as advance:

            def report(pages: int, total: int) -> None:
                nonlocal done
                percent = 100 * pages // max(total, 1)
                advance(max(0, percent - done))
                done = max(done, percent)

            copy(store, Path(target), force=force, progress=report)
    click.echo(f"copied to {target}")
