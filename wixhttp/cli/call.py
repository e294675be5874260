"""``wixhttp call``: one request, without a server."""

from __future__ import annotations

from collections.abc import Iterator

import click
from click.shell_completion import CompletionItem

from wixhttp.errors import ProjectError

from .arguments.file_names import TEXT_OR_FILE
from .exit_codes import FAILED


def _complete_method(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The methods that begin so, for a shell."""
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
    return [CompletionItem(each) for each in methods if each.startswith(incomplete.upper())]


def _complete_path(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The functions and endpoints that begin so, for a shell; of what cannot be read nothing: the command itself tells
    what is wrong."""
    try:
        found = list(_paths(context.find_root().params.get("project"), str(context.params.get("method") or "")))
    except (ProjectError, OSError, SyntaxError, ValueError):
        found = []
    return [CompletionItem(each) for each in found if each.startswith(incomplete)]


def _paths(project: str | None, method: str) -> Iterator[str]:
    """The functions that answer a method, by the text of their file, since TAB is to import nothing of the user's, and
    the routes of endpoints."""
    import ast

    from wixhttp.endpoints.loader import route_files
    from wixhttp.project.config import load_config
    from wixhttp.project.function_table import ANY, METHODS, bindings
    from wixhttp.project.loader import backend_file

    config = load_config(project)
    file = backend_file(config.root, "http_functions")
    bound, imported = bindings(ast.parse(file.read_bytes())) if file is not None else ([], set())
    asked = "GET" if method.upper() == "HEAD" else method.upper()
    for exported in bound:
        prefix, _, name = exported.partition("_")
        if name and exported not in imported and (prefix == ANY or METHODS.get(prefix) == asked):
            yield name
    prefix = config.base_path + config.pages_prefix
    for pattern, _ in sorted(route_files(config, []), key=lambda each: each[0].key):
        yield prefix + pattern.text


@click.command()
@click.argument("method", shell_complete=_complete_method)
@click.argument("path", shell_complete=_complete_path)
@click.option("-q", "--query", multiple=True, metavar="KEY=VALUE", help="A query parameter; may be repeated.")
@click.option("-H", "--header", multiple=True, metavar="NAME:VALUE", help="A header; may be repeated.")
@click.option(
    "-d",
    "--data",
    metavar="TEXT|@FILE|@-",
    type=TEXT_OR_FILE,
    help="The body; @ reads it from a file, @- from standard input.",
)
@click.option(
    "-F",
    "--form",
    multiple=True,
    metavar="NAME=TEXT|@FILE",
    type=TEXT_OR_FILE,
    help="A field of a form; may be repeated.",
)
@click.option("--origin", metavar="ORIGIN", help="Send it as a browser does from a page of that origin.")
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
    origin: str | None,
    verbose: bool,
) -> None:
    """Send one request through the whole dispatcher, without a server: wixhttp call GET hello/sub -q q=1

    PATH is that of a function, or begins with a slash: wixhttp call GET /api/users/1

    A request to an endpoint is sent as from a page of the site; where the server refuses it from elsewhere, a line on
    standard error says so. --origin sends it from elsewhere.
    """
    from wixhttp.project.config import load_config

    from .single_request import call_once

    status = call_once(load_config(context.obj), method, path, query, header, data, form, origin, verbose)
    if status >= 500:
        context.exit(FAILED)
