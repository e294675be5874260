"""One request through the dispatcher, without a server: ``wixhttp call``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import click

from wixhttp.concurrency.event_loop import background
from wixhttp.context import current_collections, using
from wixhttp.data.collections import open_collections
from wixhttp.dispatch.app import App
from wixhttp.http.cors import parse_origin
from wixhttp.http.encoding import STATUS_LINES
from wixhttp.http.response import is_token
from wixhttp.logs.line_writer import LineWriter
from wixhttp.logs.setup import configure
from wixhttp.project.config import Config
from wixhttp.secrets import SecretStore, override
from wixhttp.services import load_served_site
from wixhttp.testing.client import Answer, TestClient
from wixhttp.testing.cross_site import preflight_fault, reading_fault, refused_elsewhere
from wixhttp.testing.requests import RequestParts, fake_head


def call_once(
    config: Config,
    method: str,
    path: str,
    query: Sequence[str],
    headers: Sequence[str],
    data: str | None,
    form: Sequence[str],
    origin: str | None,
    verbose: bool,
) -> int:
    """Print the answer to one request, and return its status. Errors of the function go to standard error.

    ``query`` are ``KEY=VALUE``, ``headers`` ``NAME:VALUE``; ``data`` is text, ``@FILE`` or ``@-``. ``form`` are
    ``NAME=VALUE`` and ``NAME=@FILE``, which makes the body multipart. A request to an endpoint has the site's own
    ``Origin``, as in a `TestClient`, unless ``origin`` is another.

    Raises:
        click.UsageError: one of them is not of that form.
        ProjectError: the project cannot be loaded.
    """
    if not is_token(method):
        raise click.UsageError(f"a method is one word such as GET, not {method!r}")
    fields = [_pair(header, ":", "-H") for header in headers]
    if query:
        path += ("&" if "?" in path else "?") + urlencode([_pair(parameter, "=", "-q") for parameter in query])
    if data is not None and form:
        raise click.UsageError("a request has one body: -d or -F")
    if origin is not None:
        if _given_origin(fields) is not None:
            raise click.UsageError("a request has one Origin: --origin or -H")
        fields.append(("Origin", _parse_origin(origin)))
    body = read_data(data)
    parts: RequestParts = {"headers": fields, "data": body or None, **_read_form(form)}
    if body and not any(name.lower() == "content-type" for name, _ in fields):
        kind = "application/json" if body.lstrip()[:1] in (b"{", b"[") else "text/plain; charset=utf-8"
        fields.append(("Content-Type", kind))
    configure("text", config.log_level, LineWriter(2))
    secrets = SecretStore.from_config(config)
    with override(secrets), using(current_collections, open_collections(config)):
        return _send(
            replace(config, mode="development", access_log=False), method, path, parts, _given_origin(fields), verbose
        )


def _send(config: Config, method: str, path: str, parts: RequestParts, origin: str | None, verbose: bool) -> int:
    """Send the request, and print its answer. ``origin`` is that of the page of another site that sends it."""
    client = TestClient(App(load_served_site(config)), raise_exceptions=False)
    head, sent = fake_head(path, method, **parts, config=config)
    if verbose:
        target = head.path + ("?" + head.query if head.query else "")
        lines = [f"{head.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in head.fields())]
        click.secho("".join(f"> {line}\n" for line in lines), dim=True, nl=False)
        click.echo("\n" + sent.decode("utf-8", "replace") if sent else "")
    try:
        remark = refused_elsewhere(client.app, head) if origin is None else preflight_fault(client, head, origin)
        _note(remark)
        answer = client.send(head, sent)
        status = _print(answer)
        if origin is not None and remark is None and status != 403:
            _note(reading_fault(client, head, origin, answer))
        return status
    except KeyboardInterrupt:
        background.grace = 0  # what an `async def` waits for is not waited for
        raise


def _note(remark: str | None) -> None:
    if remark is not None:
        click.secho(f"Note: {remark}", fg="yellow", err=True)


def _given_origin(fields: Sequence[tuple[str, str]]) -> str | None:
    return next((value for name, value in fields if name.lower() == "origin"), None)


def _parse_origin(text: str) -> str:
    try:
        return "null" if text == "null" else parse_origin(text, "--origin")
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _print(answer: Answer) -> int:
    color = "green" if answer.ok else "red"
    click.secho(f"HTTP/1.1 {STATUS_LINES.get(answer.status_code, answer.status_code)}", fg=color)
    for name, value in answer.fields:
        click.echo(f"{name}: {value}")
    click.echo()
    sys.stdout.flush()
    sys.stdout.buffer.write(answer.content)
    if answer.content and not answer.content.endswith(b"\n") and sys.stdout.isatty():
        click.echo()
    sys.stdout.flush()
    return answer.status_code


def _pair(text: str, separator: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name:
        raise click.UsageError(f"{option} takes NAME{separator}VALUE, not {text!r}")
    return name, value.strip() if separator == ":" else value


def _read_form(fields: Sequence[str]) -> RequestParts:
    pairs = [_pair(field, "=", "-F") for field in fields]
    if not pairs:
        return {}
    files = [(name, (Path(value[1:]).name, _read_file(value[1:], "-F"))) for name, value in pairs if value[:1] == "@"]
    return {"form": [pair for pair in pairs if pair[1][:1] != "@"], "files": files}


def read_data(data: str | None) -> bytes:
    """The body that ``-d`` names: a text, ``@FILE`` or ``@-``.

    Raises:
        click.UsageError: the file cannot be read.
    """
    if data is None:
        return b""
    if data == "@-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        return _read_file(data[1:], "-d")
    return data.encode("utf-8", "surrogateescape")


def _read_file(path: str, option: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{option}: {path} cannot be read: {error.strerror}") from None
