"""``wixhttp dev``: the development server."""

from __future__ import annotations

import sys
from typing import Any

import click


@click.command()
@click.option("--host", help="Address to bind (HOST; default 127.0.0.1).")
@click.option("--port", type=int, help="Port to bind (PORT; default 8000).")
@click.option("--open", "opens_browser", is_flag=True, help="Open the inspector in a browser.")
@click.option("--timeout", type=float, help="Seconds for one function; 0 is none (default 14).")
@click.option("--log-format", help="auto (default: text on a terminal, else JSON), text or json.")
@click.option("--log-level", help="debug, info (default), warning, error or critical.")
@click.option("--access-log/--no-access-log", default=None, help="Whether each request is a line in the log.")
@click.pass_context
def dev(context: click.Context, /, opens_browser: bool, **flags: Any) -> None:
    """Serve the project while you write it.

    Each save is served at once; errors are shown with your code; /_wixhttp/ shows requests and calls functions. The
    settings host, port and workers of wixhttp.toml are those of 'wixhttp serve'.
    """
    from wixhttp.dev.supervisor import settings_to_start, supervise

    sys.exit(supervise(settings_to_start(context.obj, flags), flags, opens_browser=opens_browser))
