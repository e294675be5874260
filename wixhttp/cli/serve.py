"""``wixhttp serve``: the production server."""

from __future__ import annotations

from typing import Any

import click


@click.command()
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
    from wixhttp.project.config import load_config

    config = load_config(context.obj, flags=flags)
    from wixhttp.server.serve import serve as run  # after the settings, which may be wrong: it loads gunicorn

    run(config, gunicorn_options)
