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
    ChosenSender,
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

    The request is the last one to the function that wixhttp dev has kept, or that of an ID of wixhttp inspect list; or
    it is made of -d, -H and --url, or read from an HTTP archive.
    """
    from wixhttp.logs.masking import masked
    from wixhttp.webhooks.explanation import explain as steps_of

    config, store = opened_project(context)
    sender = chosen_sender(config, store, scheme, function, secret, secret_file)
    if sum((request_id is not None, har is not None, bool(data or header))) > 1:
        raise click.UsageError("one request is explained: name its ID, or a file by --har, or give it by -d and -H")
    if data or header:
        captured = _given(sender.scheme, method, url, pairs_of(header), data)
    elif har is not None:
        captured = _of_archive(config, sender.scheme, har)
    else:
        captured = _kept(context, config, sender, request_id)
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


def _given(scheme: Scheme, method: str, url: str | None, fields: list[tuple[str, str]], data: str | None) -> Captured:
    """A request of options. What a file of a body need not have is as the sender has it: a form has its content type,
    and a token no line end behind it."""
    from wixhttp.webhooks.signing import kind_of

    body = read_data(data)
    if scheme.body == "jwt" and body[-1:] == b"\n":
        body = body.rstrip(b"\r\n")
        click.echo("Note: the line end behind the token is left out, as curl -d leaves it out", err=True)
    kind = kind_of(scheme, body)
    if scheme.body == "form" and kind and not any(name.lower() == "content-type" for name, _ in fields):
        fields = [*fields, ("Content-Type", kind)]
        click.echo(f"Note: the content type is taken for {kind}, which -H 'Content-Type: ...' says otherwise", err=True)
    return Captured("the request", method.upper(), url or "", fields, body, time.time())


def _kept(context: click.Context, config: Config, sender: ChosenSender, request_id: str | None) -> Captured:
    """A request that ``wixhttp dev`` has kept: the last one to a function of the sender, whatever it holds; where no
    function is known, the last one that has the header of the scheme.

    Raises:
        click.ClickException: there is none.
    """
    from wixhttp.cli.develop.inspect import all_requests, filters, found, opened

    store = opened(context)
    if request_id is not None:
        return _captured(config, found(store, request_id))
    scheme = sender.scheme
    kept = [each for name in sender.functions or ("",) for each in all_requests(store, filters(name, "", "", ""))]
    if not sender.functions:
        kept = [each for each in kept if _fits(scheme, each)]
    if not kept:
        which = f"is one to {' or '.join(sender.functions)}" if sender.functions else f"has the {_sign_of(scheme)}"
        raise click.ClickException(
            f"no kept request {which}; name one: wixhttp webhooks explain {scheme.name} ID, of wixhttp inspect list"
        )
    return _captured(config, max(kept, key=lambda each: each.id))


def _sign_of(scheme: Scheme) -> str:
    """The part of a request by which one of a scheme is known."""
    return "body of a token" if scheme.body == "jwt" else f"header {scheme.header}"


def _of_archive(config: Config, scheme: Scheme, file: str) -> Captured:
    from wixhttp.dev.traffic.har import InvalidArchive, read_archive

    try:
        kept = read_archive(read_data(f"@{file}"))
    except InvalidArchive as error:
        raise click.ClickException(f"{file} is no HTTP archive that can be read: {error}") from None
    fitting = [each for each in kept if _fits(scheme, each)]
    if not fitting:
        raise click.ClickException(f"no request of {file} has the {_sign_of(scheme)}")
    return _captured(config, fitting[-1])


def _fits(scheme: Scheme, kept: KeptRequest) -> bool:
    """Return whether a request may be one of a sender."""
    if scheme.body == "jwt":
        return kept.request_body.count(b".") == 2 and kept.request_body[:2] == b"ey"
    return any(name.lower() == scheme.header.lower() for name, _ in kept.request_headers)


def _captured(config: Config, kept: Any) -> Captured:
    from wixhttp.dev.traffic.kept_requests import MOST_BODY
    from wixhttp.dev.traffic.snippets import public_url_of

    name = f"request {kept.id}" if kept.id else "the request"
    if kept.is_cut:
        raise click.ClickException(f"of the body of {name} the first {MOST_BODY} bytes were kept, and all are signed")
    url = public_url_of(kept, config.public_url)
    return Captured(
        f"{name}, {kept.method} {kept.target}", kept.method, url, kept.request_headers, kept.request_body, kept.time
    )
