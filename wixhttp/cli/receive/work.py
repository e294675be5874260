"""``wixhttp work``: deferred functions and jobs without a listener."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option("--processes", type=click.IntRange(1, 1000), default=1, show_default=True, help="Processes.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    help="Runs at once in each (inbox_concurrency; 4 where that is 0 or not set).",
)
@click.option("--log-format", help="auto (default: text on a terminal, else JSON), text or json.")
@click.option("--log-level", help="debug, info (default), warning, error or critical.")
@click.pass_context
def work(context: click.Context, /, processes: int, concurrency: int | None, **flags: Any) -> None:
    """Run deferred functions, jobs and scheduled functions, and listen on no port: for machines of their own.

    SIGTERM ends it in order: nothing new is begun, what runs has graceful_timeout, the rest is given back.
    """
    from wixhttp.project.config import load_config

    config = load_config(context.obj, flags={**flags, "inbox_concurrency": concurrency})
    from wixhttp.server.work import work as run  # after the settings, which may be wrong

    context.exit(run(config, processes))
