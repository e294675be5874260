"""The command ``wixhttp``. Each command is thin: it calls one function of a room, which is imported when it runs.

Exit codes: 0; 1 failed at run time; 2 usage; 3 the project cannot be loaded or a setting is wrong; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wixhttp import __version__
from wixhttp.errors import BuildError, ProjectError

from .data_commands import data

if TYPE_CHECKING:
    from wixhttp.project.config import Config

FAILED, NOT_LOADED, INTERRUPTED = 1, 3, 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit."""
    # https://no-color.org; click itself looks only at whether there is a terminal.
    color = False if os.environ.get("NO_COLOR") else None
    try:
        code = cli.main(arguments, prog_name="wixhttp", standalone_mode=False, color=color)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ProjectError as error:
        _show_project_error(error)
        code = NOT_LOADED
    except BuildError as error:
        _show_project_error(error)
        code = FAILED
    except BrokenPipeError:  # who read our output has seen enough: wixhttp routes | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = FAILED
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        click.secho(f"Error: {place}{error.strerror or error}", fg="red", err=True)
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)


def _show_project_error(error: ProjectError | BuildError) -> None:
    from wixhttp.logs.formats import format_exception
    from wixhttp.logs.masking import masked

    if error.__cause__ is not None:
        click.echo(masked(format_exception(error.__cause__)) + "\n", err=True)
    click.secho(f"Error: {masked(str(error))}", fg="red", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wixhttp")
@click.option("--project", metavar="DIR", help="The project's folder (WIXHTTP_PROJECT; default: the current folder).")
@click.pass_context
def cli(context: click.Context, project: str | None) -> None:
    """Wix's backend APIs in Python.

    backend/http_functions.py is served at /_functions/, the files of src/pages at the paths that they name.
    """
    context.obj = project


cli.add_command(data)


def _config(context: click.Context, **flags: Any) -> Config:
    from wixhttp.project.config import load_config

    return load_config(context.obj, flags=flags)


@cli.command()
@click.option("--endpoints", is_flag=True, help="HTTP endpoints, files in src/pages, instead of HTTP functions.")
@click.argument("folder", metavar="[DIR]", default=".")
def init(folder: str, endpoints: bool) -> None:
    """Make a new project in DIR (default: here). Nothing that is there is overwritten."""
    import shlex

    from .scaffold import make_project

    for path, written in make_project(Path(folder), endpoints=endpoints):
        click.echo(f"{'made' if written else 'kept'}  {path}")
    step = "" if folder == "." else f"cd {shlex.quote(folder)} && "
    first = "/api/hello" if endpoints else "/_functions/hello"
    click.echo(f"\nNext: {step}wixhttp serve, then open http://localhost:8080{first}")


@cli.command()
@click.option("--host", help="Address to bind (HOST; default 0.0.0.0).")
@click.option("--port", type=int, help="Port to bind (PORT; default 8080).")
@click.option("--workers", type=int, help="Processes (WEB_CONCURRENCY; default: one per core).")
@click.option("--threads", type=int, help="Threads for 'def' functions in each process (default 40).")
@click.option("--worker-class", help="asgi (default), gthread, gevent or sync.")
@click.option("--timeout", type=float, help="Seconds for one function; 0 is none (default 14).")
@click.option("--log-format", help="auto (default: text on a terminal, else JSON), text or json.")
@click.option("--log-level", help="debug, info (default), warning, error or critical.")
@click.option("--access-log/--no-access-log", default=None, help="Whether each request is a line in the log.")
@click.argument("gunicorn_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- GUNICORN OPTIONS]")
@click.pass_context
def serve(context: click.Context, /, gunicorn_options: tuple[str, ...], **flags: Any) -> None:
    """Serve the project with gunicorn, for production.

    Options behind -- are gunicorn's own, and win: wixhttp serve -- --certfile cert.pem --keyfile key.pem
    """
    config = _config(context, **flags)
    from wixhttp.server.serve import serve as run

    run(config, gunicorn_options)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def routes(context: click.Context, as_json: bool) -> None:
    """List every function and endpoint: method, URL, file and line, first line of its docstring."""
    from wixhttp.dispatch.site import load_site
    from wixhttp.secrets import SecretStore, override

    from .route_list import format_routes

    config = _config(context)
    with override(SecretStore(config.root, config.mode, config.secrets_file)):  # files may ask at their import
        site = load_site(config)
    click.echo(format_routes(site, as_json))


@cli.command()
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
    from .call import call_once

    status = call_once(_config(context), method, path, query, header, data, form, verbose)
    if status >= 500:
        context.exit(FAILED)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def build(context: click.Context, as_json: bool) -> None:
    """Write the answers of the static endpoints (prerender = True) to the build folder, from where serve sends them."""
    import contextlib

    from .data_commands import progress
    from .static_build import build_site, format_built

    config = _config(context)
    with contextlib.redirect_stdout(sys.stderr):  # where files print to standard output
        built = build_site(config, lambda total: progress("build", total))
    click.echo(format_built(built, config.build_dir, as_json))


@cli.command()
@click.option("--dry-run", is_flag=True, help="Print the files, and write nothing.")
@click.option("--to", "folder", metavar="FOLDER", default="api", help="Folder of the pages to write to (default: api).")
@click.pass_context
def migrate(context: click.Context, folder: str, dry_run: bool) -> None:
    """Write an endpoint for each name in backend/http_functions.py, which stays. Nothing that is there is overwritten.

    The functions answer as before at /_functions/NAME, and besides at /api/NAME.
    """
    import contextlib

    from wixhttp.dispatch.site import load_site
    from wixhttp.endpoints.loader import shown
    from wixhttp.secrets import SecretStore, override

    from .migration import next_steps, plan_migration, write_endpoints

    config = _config(context)
    store = SecretStore(config.root, config.mode, config.secrets_file)
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


@cli.command()
@click.option("--show-config", is_flag=True, help="Print every setting and where its value comes from.")
@click.pass_context
def check(context: click.Context, show_config: bool) -> None:
    """Import everything, and check names, arguments, settings and secrets; exit 0 or 3."""
    config = _config(context)
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


@cli.group()
def secrets() -> None:
    """List, set and remove the secrets of the secrets file. A value is never printed."""


@secrets.command("list")
@click.pass_context
def list_secrets(context: click.Context) -> None:
    """Print the names of the secrets, and the file that each comes from."""
    from wixhttp.secrets import SecretStore

    config = _config(context)
    for name, place in sorted(SecretStore(config.root, config.mode, config.secrets_file).names().items()):
        click.echo(f"{name}  ({place})")


@secrets.command("set")
@click.argument("name")
@click.argument("value", required=False)
@click.pass_context
def set_secret(context: click.Context, name: str, value: str | None) -> None:
    """Set a secret. Leave VALUE out to type it unseen, or to pipe it in: it then stays out of the shell's history."""
    from wixhttp.secrets import set_secret as write

    if value is None:
        value = click.prompt("Value", hide_input=True) if sys.stdin.isatty() else _piped()
    path = _config(context).secrets_file
    try:
        write(path, name, value)
    except ProjectError:
        raise
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    click.echo(f"set {name} in {path}")


def _piped() -> str:
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:  # without its text, which holds the value
        raise click.BadParameter("a secret is text in UTF-8; encode it, as base64 for instance") from None


@secrets.command("remove")
@click.argument("name")
@click.pass_context
def remove_secret(context: click.Context, name: str) -> None:
    """Remove a secret from the secrets file."""
    from wixhttp.secrets import remove_secret as remove

    path = _config(context).secrets_file
    try:
        removed = remove(path, name)
    except ProjectError:
        raise
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not removed:
        raise click.ClickException(f"there is no secret {name!r} in {path}")
    click.echo(f"removed {name} from {path}")
