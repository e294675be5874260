"""``wixhttp webhooks explain``: the step at which the verification of a request fails, and the reason."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from wixhttp.cli.arguments.file_names import FILE
from wixhttp.cli.exit_codes import FAILED
from wixhttp.cli.single_request import read_data

from .webhook_senders import (
    DATA,
    FUNCTION,
    HEADER,
    SCHEME,
    SECRET,
    SECRET_FILE,
    TIME,
    chosen_sender,
    opened_project,
    pairs_of,
)

if TYPE_CHECKING:
    from wixhttp.dev.traffic.kept_requests import KeptRequest
    from wixhttp.project.config import Config
    from wixhttp.secrets import SecretStore
    from wixhttp.webhooks.schemes import Scheme


@dataclass
class Captured:
    """A request that was captured: ``time`` is that of its arrival, ``name`` says where it comes from."""

    name: str
    method: str
    url: str
    fields: list[tuple[str, str]]
    body: bytes
    time: float


@click.command()
@SCHEME
@click.argument("request_id", required=False, metavar="[ID]")
@click.option("--har", metavar="FILE", type=FILE, help="The last fitting request of an HTTP archive.")
@DATA
@HEADER
@click.option("--url", metavar="URL", help="The public URL that it was sent to, which Twilio signs.")
@click.option("-X", "--request", "method", default="POST", show_default=True, metavar="METHOD", help="The method.")
@FUNCTION
@SECRET
@SECRET_FILE
@TIME
@click.pass_context
def explain(
    context: click.Context,
    scheme: str,
    request_id: str | None,
    har: str | None,
    data: str | None,
    header: tuple[str, ...],
    url: str | None,
    method: str,
    function: str | None,
    secret: str | None,
    secret_file: str | None,
    at: float | None,
) -> None:
    """Say which step of a verification by SCHEME fails for a captured request: headers, secret, time, encoding, body or
    signature. The exit code is 1 where one fails.

    The request is the last one that wixhttp dev has kept for the function, or that of an ID of wixhttp inspect list; or
    it is made of -d, -H and --url, or read from an HTTP archive.
    """
    from wixhttp.logs.masking import masked
    from wixhttp.webhooks.explanation import explain as steps_of

    config, store = opened_project(context)
    sender = chosen_sender(config, store, scheme, function, secret, secret_file)
    if sum((request_id is not None, har is not None, bool(data or header))) > 1:
        raise click.UsageError("one request is explained: name its ID, or a file by --har, or give it by -d and -H")
    if data or header:
        captured = Captured("the request", method.upper(), url or "", pairs_of(header), read_data(data), time.time())
    elif har is not None:
        captured = _of_archive(config, sender.scheme, har)
    else:
        captured = _kept(context, config, sender.scheme, request_id, function)
    steps = steps_of(
        sender.scheme,
        captured.fields,
        url or captured.url,
        captured.body,
        sender.secrets,
        captured.time if at is None else at,
        others=_others(store, sender.secrets),
        method=captured.method,
    )
    click.echo(f"{captured.name}, by {sender.scheme.sender}'s scheme {sender.scheme.name!r}:")
    for step in steps:
        mark = click.style("ok    ", fg="green") if step.ok else click.style("FAILS ", fg="red")
        click.echo(f"  {mark} {step.name:<10} {masked(step.text)}")
    if not all(step.ok for step in steps):
        context.exit(FAILED)


def _others(store: SecretStore, used: dict[str, str]) -> dict[str, str]:
    """The secrets of the site's files, beside those that are used."""
    return {name: store.get(name) for name in store.names() if name not in used}


def _kept(
    context: click.Context, config: Config, scheme: Scheme, request_id: str | None, function: str | None
) -> Captured:
    """A request that ``wixhttp dev`` has kept.

    Raises:
        click.ClickException: there is none.
    """
    from wixhttp.cli.develop.inspect import all_requests, filters, found, opened

    store = opened(context)
    if request_id is not None:
        return _captured(config, found(store, request_id))
    kept = [each for each in all_requests(store, filters(function or "", "", "", "")) if _fits(scheme, each)]
    if not kept:
        raise click.ClickException(
            f"no kept request has the header {scheme.header or 'of a token'}; name one: wixhttp webhooks explain "
            f"{scheme.name} ID, of wixhttp inspect list"
        )
    return _captured(config, kept[-1])


def _of_archive(config: Config, scheme: Scheme, file: str) -> Captured:
    from wixhttp.dev.traffic.har import InvalidArchive, read_archive

    try:
        kept = read_archive(read_data(f"@{file}"))
    except InvalidArchive as error:
        raise click.ClickException(f"{file} is no HTTP archive that can be read: {error}") from None
    fitting = [each for each in kept if _fits(scheme, each)]
    if not fitting:
        raise click.ClickException(f"no request of {file} has the header {scheme.header}")
    return _captured(config, fitting[-1])


def _fits(scheme: Scheme, kept: KeptRequest) -> bool:
    """Return whether a request may be one of a sender."""
    if scheme.body == "jwt":
        return kept.request_body.count(b".") == 2 and kept.request_body[:2] == b"ey"
    return any(name.lower() == scheme.header.lower() for name, _ in kept.request_headers)


def _captured(config: Config, kept: Any) -> Captured:
    from wixhttp.dev.traffic.kept_requests import MOST_BODY
    from wixhttp.dev.traffic.snippets import url_of

    name = f"request {kept.id}" if kept.id else "the request"
    if kept.is_cut:
        raise click.ClickException(f"of the body of {name} the first {MOST_BODY} bytes were kept, and all are signed")
    url = f"{config.public_url}{kept.target}" if config.public_url and "://" not in kept.target else url_of(kept)
    return Captured(
        f"{name}, {kept.method} {kept.target}", kept.method, url, kept.request_headers, kept.request_body, kept.time
    )
