"""``wixhttp migrate``: endpoints for the HTTP functions of a project."""

from __future__ import annotations

import contextlib
import sys

import click

from wixhttp.errors import ProjectError

from .exit_codes import FAILED


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the files, and write nothing.")
@click.option("--to", "folder", metavar="FOLDER", default="api", help="Folder of the pages to write to (default: api).")
@click.pass_context
def migrate(context: click.Context, folder: str, dry_run: bool) -> None:
    """Write an endpoint for each name in backend/http_functions.py, which stays. Nothing that is there is overwritten.

    The functions answer as before at /_functions/NAME, and besides at /api/NAME.
    """
    from wixhttp.dispatch.site import load_site
    from wixhttp.endpoints.loader import shown
    from wixhttp.project.config import load_config
    from wixhttp.secrets import SecretStore, override

    from .migration import next_steps, plan_migration, write_endpoints

    config = load_config(context.obj)
    store = SecretStore.from_config(config)
    with contextlib.redirect_stdout(sys.stderr), override(store):  # files may print, and ask, at their import
        site = load_site(config, needs_pages=False)
    try:
        migration = plan_migration(site, folder)
    except ProjectError:
        raise
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    for warning in migration.warnings:
        click.secho(f"Warning: {warning}", fg="yellow", err=True)
    for name, reason in migration.left:
        click.secho(f"left  {name}: {reason}", fg="red", err=True)
    if dry_run:
        for path in migration.kept:
            click.echo(f"keep  {shown(path, config)}")
        for made in migration.files:
            click.echo(f"make  {shown(made.file, config)}\n\n{made.text}")
    else:
        for path, written in write_endpoints(migration):
            click.echo(f"{'made' if written else 'kept'}  {shown(path, config)}")
        for line in next_steps(migration, config):
            click.echo(line)
    if migration.left:
        context.exit(FAILED)
