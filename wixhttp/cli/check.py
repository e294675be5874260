"""``wixhttp check``: what is wrong with a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .exit_codes import NOT_LOADED

if TYPE_CHECKING:
    from pathlib import Path

    from .project_checks import Report


@click.command()
@click.option("--show-config", is_flag=True, help="Print every setting and where its value comes from.")
@click.option("--strict", is_flag=True, help="Exit with 3 where there are warnings, too.")
@click.pass_context
def check(context: click.Context, show_config: bool, strict: bool) -> None:
    """Check the project's files, names, arguments, settings and secrets; exit 0 or 3.

    Everything is imported, and the text of the files is looked at. A line that ends with "# wixhttp: ignore" is left
    alone, one with "# wixhttp: ignore[CODE]" by that code.
    """
    from wixhttp.project.config import load_config

    config = load_config(context.obj)
    if show_config:
        from wixhttp.project.config import show_config as shown

        click.echo(shown(config))
    from wixhttp.errors import ProjectError

    from .project_checks import Report, check_project

    report = Report()
    try:
        check_project(config, report)
    except ProjectError:  # what was found before may be the reason
        _show(report, config.root)
        raise
    _show(report, config.root)
    click.echo(f"{report.summary}, {report.counts}")
    if report.problems or (strict and report.warnings):
        context.exit(NOT_LOADED)


def _show(report: Report, root: Path) -> None:
    from wixhttp.logs.masking import masked

    for warning in report.warnings:
        click.secho(f"Warning: {masked(warning.removeprefix(f'{root}/'))}", fg="yellow", err=True)
    for problem in report.problems:
        click.secho(f"Error: {masked(problem.removeprefix(f'{root}/'))}", fg="red", err=True)
