"""``wixhttp inbox``: the deferred functions and jobs of the project that wait, run, are done or dead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from wixhttp.cli.arguments.durations import parse_duration
from wixhttp.cli.lazy_group import CommandGroup
from wixhttp.messages import nearest

if TYPE_CHECKING:
    from wixhttp.inbox.stores.contract import Inbox

_STATES = click.Choice(["waiting", "blocked", "running", "done", "dead", "cancelled"])
_ENDED = click.Choice(["done", "dead", "cancelled"])


@click.group(cls=CommandGroup)
@click.option("--database-url", metavar="URL", help="The database, for this call (WIXHTTP_DATABASE_URL).")
@click.pass_context
def inbox(context: click.Context, database_url: str | None) -> None:
    """List, show, retry, cancel and remove deferred functions and jobs."""
    context.obj = (context.obj, database_url)


@inbox.command("list")
@click.option("--state", type=_STATES, help="Those in this state only.")
@click.option("--name", help="Those of this function or job only.")
@click.option("--key", help="Those of this key only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each, one a line.")
@click.pass_context
def list_jobs(
    context: click.Context, state: str | None, name: str | None, key: str | None, limit: int, as_json: bool
) -> None:
    """Print the last ones, newest first: id, state, name, attempt, times, key, and the last error.

    Those whose name no function of the project has are marked as unknown: nothing runs them.
    """
    from .inbox_views import print_jobs, print_unknown

    with _opened_inbox(context) as opened:
        jobs = opened.list(state=state, name=name, key=key, limit=limit)  # type: ignore[arg-type]  # one of the choices
        known = _known_names(context)
        unknown = {} if known is None else opened.unknown_names(known)
        there = sorted({*(known or ()), *unknown})
    print_jobs(jobs, known, as_json=as_json)
    if name is not None and not jobs and name not in there and there:
        click.echo(f"Note: there is no function or job named {name!r}; {nearest(name, there)}", err=True)
    print_unknown(unknown)


@inbox.command("show")
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(context: click.Context, job_id: str, as_json: bool) -> None:
    """Print one with its request or arguments, and its last error. Secrets are masked."""
    from .inbox_views import print_job

    with _opened_inbox(context) as opened:
        job = opened.get(job_id)
    if job is None:
        raise _missing([job_id])
    print_job(job, as_json=as_json)


@inbox.command("retry")
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="All that are dead.")
@click.pass_context
def retry(context: click.Context, job_ids: tuple[str, ...], all_dead: bool) -> None:
    """Let dead and cancelled ones begin anew, with all their attempts."""
    if all_dead == bool(job_ids):
        raise click.UsageError("name the ids to retry, or write --all-dead")
    with _opened_inbox(context) as opened:
        _check_ids(opened, job_ids)
        count = opened.retry(None if all_dead else job_ids)
    _tell(count, len(job_ids), "retried", "only dead and cancelled ones can be")


@inbox.command("cancel")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.pass_context
def cancel(context: click.Context, job_ids: tuple[str, ...]) -> None:
    """Let some that wait, are blocked or dead not run any more."""
    with _opened_inbox(context) as opened:
        _check_ids(opened, job_ids)
        count = opened.cancel(job_ids)
    _tell(count, len(job_ids), "cancelled", "one that runs, or is over, cannot be")


@inbox.command("purge")
@click.option("--state", type=_ENDED, required=True, help="Those in this state.")
@click.option("--older", metavar="TIME", required=True, help="Those that have been so for a time: 12h, 7d, 4w, 0s.")
@click.pass_context
def purge(context: click.Context, state: str, older: str) -> None:
    """Remove those that are over. With a done one its value of dedup is forgotten, and its run in wixhttp jobs list."""
    age = parse_duration(older)
    if age is None:
        raise click.BadParameter(f"it is a time such as 12h, 7d or 4w, not {older!r}", param_hint="'--older'")
    with _opened_inbox(context) as opened:
        count = opened.purge(state, age.total_seconds())  # type: ignore[arg-type]  # one of the choices
    click.echo(f"{count} removed")


# --- the inbox -------------------------------------------------------------------------------------------------------


@contextmanager
def _opened_inbox(context: click.Context) -> Iterator[Inbox]:
    """Open the inbox of the project until the block ends.

    Raises:
        click.ClickException: the store is in memory, or failed.
    """
    from wixhttp.cli.data.store import config_of, opened_store
    from wixhttp.inbox.stores.factory import open_inbox
    from wixhttp.server.project_setup import set_secrets

    config = config_of(context)
    if config.store_url == "memory://":
        raise click.ClickException(
            "database_url is memory://, of which each process has its own, so that nothing of a server can be seen "
            "here; name a database that stays"
        )
    set_secrets(config)  # which are masked in what is printed
    with opened_store(context) as opened:
        yield open_inbox(opened.store)


def _known_names(context: click.Context) -> list[str] | None:
    """The names of the functions and jobs of the project; ``None``, with a warning, where it cannot be loaded."""
    from wixhttp.cli.data.store import config_of
    from wixhttp.errors import ProjectError
    from wixhttp.inbox.service import jobs_of
    from wixhttp.services import load_served_site

    try:
        service = jobs_of(load_served_site(config_of(context)))
    except ProjectError as error:
        click.secho(f"Warning: which names are unknown cannot be said: {error}", fg="yellow", err=True)
        return None
    return [] if service is None else service.table.names


def _check_ids(opened: Inbox, job_ids: tuple[str, ...]) -> None:
    missing = [job_id for job_id in job_ids if opened.get(job_id) is None]
    if missing:
        raise _missing(missing)


def _missing(job_ids: list[str]) -> click.ClickException:
    return click.ClickException(f"there is no {', '.join(map(repr, job_ids))}; 'wixhttp inbox list' has the ids")


def _tell(count: int, asked: int, done: str, rule: str) -> None:
    """Say how many were changed.

    Raises:
        click.ClickException: fewer than were asked for.
    """
    click.echo(f"{count} {done}")
    if count < asked:
        raise click.ClickException(f"{asked - count} were left as they are: {rule}")
