"""``wixhttp build``: the static endpoints as files."""

from __future__ import annotations

import contextlib
import sys

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def build(context: click.Context, as_json: bool) -> None:
    """Write the answers of the static endpoints (prerender = True) to the build folder, from where serve sends them."""
    from wixhttp.project.config import load_config

    from .progress import progress
    from .static_build import build_site, format_built

    config = load_config(context.obj)
    with contextlib.redirect_stdout(sys.stderr):  # where files print to standard output
        built = build_site(config, lambda total: progress("build", total))
    click.echo(format_built(built, config.build_dir, as_json))
