"""The command ``wixhttp``: its group of commands, and the exit code of each error.

Each command is a thin module of this folder, imported when it is asked for, as is what it calls.
"""

from __future__ import annotations

import os
import sys

import click

from wixhttp import __version__
from wixhttp.errors import BuildError, ProjectError

from .arguments.file_names import FOLDER
from .exit_codes import FAILED, INTERRUPTED, NOT_LOADED
from .lazy_group import LazyGroup

MODULES = {
    "build": "wixhttp.cli.build:build",
    "call": "wixhttp.cli.call:call",
    "check": "wixhttp.cli.check:check",
    "completion": "wixhttp.cli.develop.completion:completion",
    "data": "wixhttp.cli.data.commands:data",
    "dev": "wixhttp.cli.develop.dev:dev",
    "inbox": "wixhttp.cli.receive.inbox:inbox",
    "init": "wixhttp.cli.init:init",
    "inspect": "wixhttp.cli.develop.inspect:inspect",
    "jobs": "wixhttp.cli.receive.jobs:jobs",
    "keys": "wixhttp.cli.receive.keys:keys",
    "migrate": "wixhttp.cli.migrate:migrate",
    "openapi": "wixhttp.cli.develop.openapi:openapi",
    "routes": "wixhttp.cli.routes:routes",
    "secrets": "wixhttp.cli.secrets:secrets",
    "serve": "wixhttp.cli.serve:serve",
    "shell": "wixhttp.cli.develop.shell:shell",
    "webhooks": "wixhttp.cli.receive.webhooks:webhooks",
    "work": "wixhttp.cli.receive.work:work",
}
"""The module and the name of each command."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit."""
    _open_standard_files()
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
        show_project_error(error, color)
        code = NOT_LOADED
    except BuildError as error:
        show_project_error(error, color)
        code = FAILED
    except BrokenPipeError:  # the reader of the output has closed it: wixhttp routes | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = FAILED
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        click.secho(f"Error: {place}{error.strerror or error}", fg="red", err=True, color=color)
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)


def _open_standard_files() -> None:
    """Open ``/dev/null`` for standard files that are closed (``wixhttp dev 1>&-``): else the next file that is opened
    would be taken for one of them."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest descriptor that is free
            file = open(descriptor, "w" if descriptor else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, file)
            setattr(sys, f"__{name}__", file)


def show_project_error(error: ProjectError | BuildError, color: bool | None = None) -> None:
    """Print an error, behind the traceback of its cause where it has one. Known secrets are masked."""
    from wixhttp.logs.masking import masked
    from wixhttp.logs.tracebacks import format_exception

    if error.__cause__ is not None:
        click.echo(masked(format_exception(error.__cause__)) + "\n", err=True)
    click.secho(f"Error: {masked(str(error))}", fg="red", err=True, color=color)


@click.group(cls=LazyGroup, modules=MODULES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wixhttp")
@click.option(
    "--project", metavar="DIR", type=FOLDER, help="The project's folder (WIXHTTP_PROJECT; default: the current folder)."
)
@click.pass_context
def cli(context: click.Context, project: str | None) -> None:
    """Wix's backend APIs in Python.

    backend/http_functions.py is served at /_functions/, the files of src/pages at the paths that they name.
    """
    context.obj = project
