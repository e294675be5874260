"""``wixhttp jobs``: the scheduled functions of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wixhttp.cli.exit_codes import FAILED
from wixhttp.cli.lazy_group import CommandGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wixhttp.inbox.schedules.loading import ScheduledFunction


@click.group(cls=CommandGroup)
@click.option("--database-url", metavar="URL", help="The database, for this call (WIXHTTP_DATABASE_URL).")
@click.pass_context
def jobs(context: click.Context, database_url: str | None) -> None:
    """List the scheduled functions, of jobs.config and with @scheduled, and run one now."""
    context.obj = (context.obj, database_url)


@jobs.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each, one a line.")
@click.pass_context
def list_jobs(context: click.Context, as_json: bool) -> None:
    """Print each schedule: name, cron expression, time zone, when it is next due, and the last run with its result."""
    from wixhttp.cli.data.store import config_of, opened_store
    from wixhttp.inbox.schedules.loading import load_schedules
    from wixhttp.inbox.stores.factory import open_inbox
    from wixhttp.server.project_setup import set_secrets

    from .job_views import last_runs, print_schedules

    config = config_of(context)
    set_secrets(config)  # which files may ask for at their import
    functions = load_schedules(config.root, config.import_timeout)
    with opened_store(context) as opened:
        runs = last_runs(open_inbox(opened.store), functions)
    print_schedules(functions, runs, as_json=as_json)


@jobs.command("run")
@click.argument("name")
@click.pass_context
def run_job(context: click.Context, name: str) -> None:
    """Run a scheduled function now, in this process, whether it is due or not, and print what it returns; exit 1 where
    it raises. A run of the server's that is under way is not waited for, and this one is not noted."""
    from wixhttp.cli.data.store import config_of
    from wixhttp.data.collections import open_collections
    from wixhttp.secrets import SecretStore, override
    from wixhttp.services import load_served_site

    from .job_run import run_now, scheduled_functions

    config = config_of(context)
    with override(SecretStore.from_config(config)):
        functions = scheduled_functions(load_served_site(config))
        function = _named(functions, name)
        if not run_now(function, open_collections(config), config.log_level):
            context.exit(FAILED)


def _named(functions: Iterable[ScheduledFunction], name: str) -> ScheduledFunction:
    """The function of that name, or the only one whose name ends with it.

    Raises:
        click.BadParameter: there is none.
    """
    from wixhttp.messages import nearest

    found = {each.name: each for each in functions}
    ending = [each for each in found if each.endswith(f".{name}")]
    if name in found or len(ending) == 1:
        return found[name if name in found else ending[0]]
    if len(ending) > 1:
        raise click.BadParameter(f"there are {' and '.join(ending)}", param_hint="'NAME'")
    way_out = nearest(name, found) if found else "the project has none"
    raise click.BadParameter(f"there is no scheduled function {name!r}; {way_out}", param_hint="'NAME'")
