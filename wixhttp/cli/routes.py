"""``wixhttp routes``: the list of a project's functions and endpoints."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def routes(context: click.Context, as_json: bool) -> None:
    """List every function and endpoint: method, URL, file and line, first line of its docstring."""
    from wixhttp.dispatch.site import load_site
    from wixhttp.project.config import load_config
    from wixhttp.secrets import SecretStore, override

    from .route_list import format_routes

    config = load_config(context.obj)
    with override(SecretStore.from_config(config)):  # files may ask at their import
        site = load_site(config)
    click.echo(format_routes(site, as_json))
