"""One run of a scheduled function, by ``wixhttp jobs run``."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterable
from typing import Any

import click

from wixhttp.concurrency.event_loop import background
from wixhttp.context import current_collections, using
from wixhttp.data.calls.access import Collections
from wixhttp.dispatch.site import Site
from wixhttp.inbox.schedules.loading import ScheduledFunction, load_schedules
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.masking import masked
from wixhttp.logs.setup import configure
from wixhttp.logs.tracebacks import format_exception


def scheduled_functions(site: Site) -> Iterable[ScheduledFunction]:
    """The scheduled functions of a loaded site, of which jobs can be stored, too."""
    return load_schedules(site.config.root, site.config.import_timeout)


def run_now(function: ScheduledFunction, collections: Collections, log_level: str) -> bool:
    """Run a function, and print what it returns, or what it raises on standard error. Return whether it returned."""
    configure("text", log_level, LineWriter(2))
    begun = time.monotonic()
    with using(current_collections, collections):
        value, error = _outcome(function)
    took = f"{time.monotonic() - begun:.2f} s"
    if error is not None:
        click.echo(masked(format_exception(error)), err=True)
        click.secho(f"{function.name} failed after {took}", fg="red", err=True)
        return False
    if value is not None:
        click.echo(masked(_shown(value)))
    click.secho(f"{function.name} ended after {took}", fg="green", err=True)
    return True


def _outcome(function: ScheduledFunction) -> tuple[Any, BaseException | None]:
    """The value that a function returned, awaited where it is to be, or what it raised."""
    try:
        if function.is_async:
            return background.run(lambda: _awaited(function))
        value = function.call()
        return background.run(lambda: value) if inspect.isawaitable(value) else (value, None)
    except KeyboardInterrupt:
        background.grace = 0  # what an `async def` waits for is not waited for
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the user's, whatever it is
        return None, error


async def _awaited(function: ScheduledFunction) -> Any:
    return await function.call()


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
