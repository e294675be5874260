"""``wixhttp webhooks sign``: the headers with which a sender would send a body."""

from __future__ import annotations

import json
import shlex
import time
from typing import TYPE_CHECKING

import click

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
    from wixhttp.webhooks.schemes import Scheme


@click.command()
@SCHEME
@DATA
@FUNCTION
@SECRET
@SECRET_FILE
@HEADER
@click.option("--url", metavar="URL", help="The URL that it is sent to: Twilio signs it, --curl needs it.")
@click.option("--id", "delivery_id", metavar="ID", help="The id of the delivery, where a header says it.")
@click.option("--event", metavar="NAME", help="The event, where a header says it: push.")
@TIME
@click.option("--curl", is_flag=True, help="Print the whole command that sends it by curl.")
@click.pass_context
def sign(
    context: click.Context,
    scheme: str,
    data: str | None,
    function: str | None,
    secret: str | None,
    secret_file: str | None,
    header: tuple[str, ...],
    url: str | None,
    delivery_id: str | None,
    event: str | None,
    at: float | None,
    curl: bool,
) -> None:
    """Print the headers with which SCHEME's sender would send a body.

    \b
    wixhttp webhooks sign stripe -d @event.json | curl -H @- --data-binary @event.json URL

    The secret is the one that the function with @verified names, or another by --secret. Of wix, whose body is a
    token, the body is printed: -d is the event as JSON, --secret-file a private key of yours in PEM.
    """
    if curl and not url:
        raise click.UsageError("--curl prints a whole command: say the URL, --url http://localhost:8000/_functions/...")
    config, store = opened_project(context)
    sender = chosen_sender(config, store, scheme, function, secret, secret_file)
    body = read_data(data)
    if data is None and sender.scheme.body != "form":
        click.echo("Note: an empty body is signed; give it by -d TEXT or -d @FILE", err=True)
    if url and sender.scheme.url and url != sender.scheme.url:
        click.echo(f"Note: the URL that is signed is that of @verified(url=...), {sender.scheme.url}", err=True)
    now = time.time() if at is None else at
    if sender.scheme.body == "jwt":
        made = _token(sender, body, now)
        shown = ["curl", "-H", "Content-Type: text/plain", "--data-binary", made, url or ""]
        click.echo(shlex.join(shown) if curl else made)
        return
    chosen, fields = _signed(sender, body, now, url or "", delivery_id, event, dict(pairs_of(header)))
    if not curl:
        for name, value in fields.items():
            click.echo(f"{name}: {value}")
        return
    if data == "@-":
        raise click.UsageError("--curl sends the body once more: name its file, -d @FILE")
    words = ["curl"]
    for name, value in fields.items():
        words += ["-H", f"{name}: {value}"]
    click.echo(shlex.join([*words, "--data-binary", data or "", chosen]))


def _signed(
    sender: ChosenSender,
    body: bytes,
    now: float,
    url: str,
    delivery_id: str | None,
    event: str | None,
    more: dict[str, str],
) -> tuple[str, dict[str, str]]:
    """The URL to send to, and the header fields.

    Raises:
        click.UsageError: something that is signed is missing, or the secret cannot be used.
    """
    from wixhttp.webhooks.signing import kind_of, signed_fields, with_digest

    scheme: Scheme = sender.scheme
    kind = next((value for name, value in more.items() if name.lower() == "content-type"), "") or kind_of(scheme, body)
    if scheme.body == "form" and body and not kind.startswith("application/x-www-form-urlencoded"):
        url = with_digest(url, body) if url else url
    try:
        fields = signed_fields(
            scheme, body, next(iter(sender.secrets.values())), now,
            delivery_id=delivery_id, url=url, event=event, content_type=kind,
        )  # fmt: skip
    except ValueError as error:
        message = str(error).replace("url=...", "--url URL")
        raise click.UsageError(f"{next(iter(sender.secrets))}: {message}") from None
    return url, {**fields, **{name: value for name, value in more.items() if name.lower() != "content-type"}}


def _token(sender: ChosenSender, body: bytes, now: float) -> str:
    """The token of Wix with an event.

    Raises:
        click.UsageError: the event is not JSON, or the key is no private key.
    """
    from wixhttp.webhooks.signing import token

    try:
        event = json.loads(body)
        event = {**event, "data": json.dumps(event["data"])} if not isinstance(event.get("data", ""), str) else event
    except (ValueError, AttributeError, RecursionError):
        raise click.UsageError(
            '-d is an event as JSON: {"eventType": "...", "instanceId": "...", "data": {}}'
        ) from None
    try:
        claims = {"data": json.dumps(event), "iat": int(now), "exp": int(now) + 300}
        return token(claims, next(iter(sender.secrets.values())))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
