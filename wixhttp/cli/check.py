"""``wixhttp check``: what is wrong with a project."""

from __future__ import annotations

import click

from .exit_codes import NOT_LOADED


@click.command()
@click.option("--show-config", is_flag=True, help="Print every setting and where its value comes from.")
@click.pass_context
def check(context: click.Context, show_config: bool) -> None:
    """Import everything, and check names, arguments, settings and secrets; exit 0 or 3."""
    from wixhttp.project.config import load_config

    config = load_config(context.obj)
    if show_config:
        from wixhttp.project.config import show_config as shown

        click.echo(shown(config))
    from .project_checks import check_project

    report = check_project(config)
    for warning in report.warnings:
        click.secho(f"Warning: {warning}", fg="yellow", err=True)
    for problem in report.problems:
        click.secho(f"Error: {problem}", fg="red", err=True)
    if report.problems:
        context.exit(NOT_LOADED)
    click.echo(f"{report.summary}, no problems")
