"""``wixhttp shell``: a Python prompt with the site loaded."""

from __future__ import annotations

import click


@click.command()
@click.option("-c", "code", metavar="CODE", help="Run CODE, and exit.")
@click.option("--plain", is_flag=True, help="Python's own prompt, also where IPython is installed.")
@click.pass_context
def shell(context: click.Context, code: str | None, plain: bool) -> None:
    """A Python prompt with the site loaded, in development mode. It runs CODE, or standard input where that is no
    terminal.

    There are client, which sends requests to the site without a server; wix_data and aio, its real collections, with
    the rights of its owner; site, functions and getSecret. Await works at the prompt, which is IPython's where that is
    installed.

    The exit code is that of exit(), and 1 where CODE raises.
    """
    from wixhttp.project.config import load_config

    from .python_prompt import run_shell

    context.exit(run_shell(load_config(context.obj), code, plain=plain))
