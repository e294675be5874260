"""``wixhttp init``: a new project."""

from __future__ import annotations

from pathlib import Path

import click

from .arguments.file_names import FOLDER


@click.command()
@click.option("--endpoints", is_flag=True, help="HTTP endpoints, files in src/pages, instead of HTTP functions.")
@click.argument("folder", metavar="[DIR]", type=FOLDER, default=".")
def init(folder: str, endpoints: bool) -> None:
    """Make a new project in DIR (default: here). Nothing that is there is overwritten."""
    import shlex

    from .scaffold import make_project

    for path, written in make_project(Path(folder), endpoints=endpoints):
        click.echo(f"{'made' if written else 'kept'}  {path}")
    step = "" if folder == "." else f"cd {shlex.quote(folder)} && "
    first = "/api/hello" if endpoints else "/_functions/hello"
    click.echo(f"\nNext: {step}wixhttp dev, then open http://localhost:8000{first}")
