"""``wixhttp routes``: the list of a project's functions and endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .exit_codes import NOT_LOADED

if TYPE_CHECKING:
    from wixhttp.errors import ProjectError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def routes(context: click.Context, as_json: bool) -> None:
    """List every function and endpoint: method, URL, file and line, first line of its docstring; exit 0, or 3 where a
    file is broken: then the others are listed."""
    from dataclasses import replace

    from wixhttp.dispatch.site import load_site
    from wixhttp.endpoints.loader import doubles, route_files
    from wixhttp.project.config import load_config
    from wixhttp.secrets import SecretStore, override

    from .commands import show_project_error
    from .endpoint_checks import broken_routes, warnings_kept
    from .route_list import format_routes

    config = load_config(context.obj)
    with override(SecretStore.from_config(config)):  # files may ask at their import
        problems: list[ProjectError] = []
        with warnings_kept():
            site = load_site(replace(config, mode="development"), problems=problems)
    click.echo(format_routes(site, as_json))
    if site.endpoints is not None:
        problems += [route.broken for route in broken_routes(site.endpoints) if route.broken is not None]
        problems += [error for _, error in doubles(route_files(config, []), config)]
    for problem in problems:
        show_project_error(problem)
    if problems:
        context.exit(NOT_LOADED)
