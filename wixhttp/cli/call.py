"""``wixhttp call``: one request, without a server."""

from __future__ import annotations

import click

from .exit_codes import FAILED


@click.command()
@click.argument("method")
@click.argument("path")
@click.option("-q", "--query", multiple=True, metavar="KEY=VALUE", help="A query parameter; may be repeated.")
@click.option("-H", "--header", multiple=True, metavar="NAME:VALUE", help="A header; may be repeated.")
@click.option("-d", "--data", metavar="TEXT|@FILE|@-", help="The body; @ reads it from a file, @- from standard input.")
@click.option("-F", "--form", multiple=True, metavar="NAME=TEXT|@FILE", help="A field of a form; may be repeated.")
@click.option("-v", "--verbose", is_flag=True, help="Print the request, too.")
@click.pass_context
def call(
    context: click.Context,
    method: str,
    path: str,
    query: tuple[str, ...],
    header: tuple[str, ...],
    data: str | None,
    form: tuple[str, ...],
    verbose: bool,
) -> None:
    """Send one request through the whole dispatcher, without a server: wixhttp call GET hello/sub -q q=1

    PATH is that of a function, or begins with a slash: wixhttp call GET /api/users/1
    """
    from wixhttp.project.config import load_config

    from .single_request import call_once

    status = call_once(load_config(context.obj), method, path, query, header, data, form, verbose)
    if status >= 500:
        context.exit(FAILED)
