"""``wixhttp keys``: the API keys of the project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import click

from wixhttp.cli.arguments.durations import parse_duration
from wixhttp.cli.lazy_group import CommandGroup

from .listings import print_json, print_table

if TYPE_CHECKING:
    from wixhttp.access.key_store import KeyStore

_COLUMNS = ("NAME", "SCOPES", "BEGINS", "CREATED", "LAST USED", "EXPIRES")


@click.group(cls=CommandGroup)
@click.option("--database-url", metavar="URL", help="The database, for this call (WIXHTTP_DATABASE_URL).")
@click.pass_context
def keys(context: click.Context, database_url: str | None) -> None:
    """Create, list and revoke the API keys that @require_key and the setting api_keys ask for."""
    context.obj = (context.obj, database_url)


@keys.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="What the key may do; repeat it for several.")
@click.option(
    "--expires", metavar="WHEN", help="A day (2030-01-31, until it ends, UTC), or a time from now: 12h, 90d, 8w."
)
@click.pass_context
def create_key(context: click.Context, name: str, scopes: tuple[str, ...], expires: str | None) -> None:
    """Create an API key, and print it: only its SHA-256 is kept, so it cannot be shown again."""
    with _opened_keys(context, makes=True) as opened:
        try:
            key = opened.create(name, scopes, None if expires is None else _date_of(expires))
        except ValueError as error:
            raise click.ClickException(str(error)) from None
    click.echo(key)
    click.echo(f"Note: this is the key {name!r}; keep it now, it cannot be shown again", err=True)


def _date_of(text: str) -> datetime:
    after = parse_duration(text)
    try:
        if after is not None:
            return datetime.now(timezone.utc) + after
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"it is a day such as 2030-01-31, or a time from now such as 12h, 90d or 8w, not {text!r}",
            param_hint="'--expires'",
        ) from None


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each, one a line.")
@click.pass_context
def list_keys(context: click.Context, as_json: bool) -> None:
    """Print the keys: name, scopes, and when each was created, last used, and expires (UTC)."""
    from wixhttp.data.queries.values import format_date

    with _opened_keys(context) as opened:
        found = opened.all()
        over = {record.digest for record in found if opened.is_over(record)}
    if as_json:
        for record in found:
            document = {
                "name": record.name,
                "scopes": sorted(record.scopes),
                "begins": record.hint,
                "created": format_date(record.created),
                "lastUsed": record.used and format_date(record.used),
                "expires": record.expires and format_date(record.expires),
            }
            print_json(document)
        return
    rows = []
    for record in found:
        expires = "expired" if record.digest in over else _shown(record.expires)
        scopes = " ".join(sorted(record.scopes)) or "-"
        rows.append((record.name, scopes, record.hint, _shown(record.created), _shown(record.used), expires))
    if not found:
        click.echo("there are no keys; make one: wixhttp keys create NAME", err=True)
        return
    print_table(_COLUMNS, rows)


def _shown(date: datetime | None) -> str:
    return "never" if date is None else date.strftime("%Y-%m-%d %H:%M")


@keys.command("revoke")
@click.argument("name")
@click.pass_context
def revoke_key(context: click.Context, name: str) -> None:
    """Revoke a key: every process refuses it from now on."""
    with _opened_keys(context) as opened:
        if not opened.revoke(name):
            raise click.ClickException(f"there is no key {name!r}; list them: wixhttp keys list")
    click.echo(f"revoked {name}")


@contextmanager
def _opened_keys(context: click.Context, *, makes: bool = False) -> Iterator[KeyStore]:
    """Open the keys of the project until the block ends; ``makes`` an embedded database that is not there.

    Raises:
        click.ClickException: the store is in memory, or failed.
    """
    from wixhttp.access.key_store import KeyStore
    from wixhttp.cli.data.store import config_of, opened_store

    if config_of(context).store_url == "memory://":
        raise click.ClickException(
            "database_url is memory://, of which each process has its own, so that a key made here opens nothing; name "
            "a database that stays, or make keys in the process: wixhttp.access.create_key"
        )
    with opened_store(context, missing="made" if makes else "empty") as opened:
        yield KeyStore(opened.store)
