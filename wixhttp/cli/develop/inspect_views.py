"""Kept requests as a terminal shows them, and as JSON; credentials masked."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import click

from wixhttp.dev.traffic.changing_values import NO_JSON, json_of, pretty
from wixhttp.dev.traffic.differences import Difference
from wixhttp.dev.traffic.kept_requests import KeptRequest, KeptSummary, header
from wixhttp.dev.traffic.masks import Masks, shown_target
from wixhttp.http.encoding import STATUS_LINES
from wixhttp.logs.formats import timestamp
from wixhttp.logs.masking import escaped

_MOST_SHOWN = 20_000  # bytes of a body


def print_list(rows: list[KeptSummary], *, as_json: bool) -> None:
    """Print a table of requests, or a line of JSON for each."""
    if as_json:
        for row in rows:
            click.echo(json.dumps({**row._asdict(), "target": shown_target(row.target)}))
        return
    width = max((len(str(row.id)) for row in rows), default=1)
    for row in rows:
        clock = time.strftime("%H:%M:%S", time.localtime(row.time))
        target = escaped(shown_target(row.target))
        if len(target) > 60:
            target = target[:59] + "…"
        status = click.style(str(row.status), fg=colour(row.status))
        name = row.function and f"  {row.function}"
        again = f"  replay of {row.replay_of}" if row.replay_of else ""
        click.echo(
            f"{row.id:>{width}}  {clock}  {escaped(row.method):<6} {target:<40} {status}  {row.duration:>8.1f} ms"
            f"{name}{again}"
        )


def colour(status: int) -> str:
    """The colour of a status."""
    return "green" if status < 300 else "cyan" if status < 400 else "yellow" if status < 500 else "red"


def print_request(kept: KeptRequest, *, as_json: bool) -> None:
    """Print both sides of a request."""
    if as_json:
        click.echo(json.dumps(as_object(kept), indent=2))
        return
    masks = Masks.of(kept)
    again = f", replay of {kept.replay_of}" if kept.replay_of else ""
    click.secho(f"# {kept.id}  {timestamp(kept.time)}  {kept.request_id}{again}", dim=True)
    click.secho(f"{escaped(kept.method)} {escaped(masks.target(kept.target))} HTTP/{kept.http_version}", bold=True)
    _print_side(masks, kept.request_headers, kept.request_body, kept.request_size)
    click.echo()
    print_answer(kept)
    if kept.logs:
        click.secho("\n# log", dim=True)
        for line in kept.logs:
            text = "\n    ".join(escaped(part) for part in masks.message(line.message).split("\n"))
            click.echo(f"{timestamp(line.time)} {line.level} {line.logger}: {text}")
    spent = ", ".join(f"{name} {value:.1f}" for name, value in kept.timings.items())
    told = f"# {kept.duration:.1f} ms ({spent})" if spent else f"# {kept.duration:.1f} ms"
    click.secho(f"\n{told}{'  ' + kept.function if kept.function else ''}", dim=True)


def print_answer(kept: KeptRequest) -> None:
    """Print the answer to a request."""
    line = STATUS_LINES.get(kept.status) or ("499 the client left" if kept.status == 499 else f"{kept.status}")
    click.secho(f"HTTP/{kept.http_version} {line}", fg=colour(kept.status))
    _print_side(Masks.of(kept), kept.response_headers, kept.response_body, kept.response_size)


def _print_side(masks: Masks, fields: list[tuple[str, str]], body: bytes, size: int) -> None:
    for name, value in masks.headers(fields):
        click.echo(f"{escaped(name)}: {escaped(value)}")
    if not size:
        return
    click.echo()
    text = _shown_body(masks, body[:_MOST_SHOWN], header(fields, "content-type") or "")
    click.echo(text if text is not None else f"({size} bytes that are no text)")
    if text is not None and size > min(len(body), _MOST_SHOWN):
        click.secho(f"(the first {min(len(body), _MOST_SHOWN)} of {size} bytes)", dim=True)


def _shown_body(masks: Masks, body: bytes, kind: str) -> str | None:
    try:
        text = masks.body(body, kind).decode()
    except UnicodeDecodeError as error:
        if error.start < len(body) - 4 or len(body) < _MOST_SHOWN:
            return None
        text = masks.body(body, kind).decode("utf-8", "ignore")  # cut within a character
    value = json_of(text.encode("utf-8", "surrogatepass")) if text[:1] in ("{", "[") else NO_JSON
    if value is not NO_JSON:
        text = pretty(value, sorts=False)
    return "\n".join(escaped(line) for line in text.replace("\r\n", "\n").replace("\t", "    ").split("\n"))


def as_object(kept: KeptRequest) -> dict[str, Any]:
    """A request for JSON."""
    masks = Masks.of(kept)
    return {
        "id": kept.id,
        "request_id": kept.request_id,
        "time": timestamp(kept.time),
        "client": kept.client,
        "function": kept.function,
        "duration_ms": kept.duration,
        "timings": kept.timings,
        "replay_of": kept.replay_of,
        "request": {
            "method": kept.method,
            "target": masks.target(kept.target),
            "host": kept.host,
            "headers": masks.headers(kept.request_headers),
            **_body(masks, kept.request_body, kept.request_headers, kept.request_size),
        },
        "response": {
            "status": kept.status,
            "headers": masks.headers(kept.response_headers),
            **_body(masks, kept.response_body, kept.response_headers, kept.response_size),
        },
        "logs": [{**line._asdict(), "message": masks.message(line.message)} for line in kept.logs],
        "failure": masks.report(kept.failure),
    }


def _body(masks: Masks, body: bytes, fields: list[tuple[str, str]], size: int) -> dict[str, Any]:
    data = masks.body(body, header(fields, "content-type") or "")
    try:
        return {"size": size, "body": data.decode()}
    except UnicodeDecodeError:
        return {"size": size, "body": base64.b64encode(data).decode(), "encoding": "base64"}


def print_differences(
    found: list[Difference], indent: str = "", *, masks: Masks | None = None, err: bool = False
) -> None:
    """Print the differences of two answers, masked by the ``masks`` of both; with ``err`` on standard error."""
    masks = masks or Masks()
    for each in found:
        before, after = (escaped(masks.text(text)) or "none" for text in (each.before, each.after))
        click.echo(f"{indent}{each.part}: {before} -> {after}", err=err)
        for line in each.diff:
            shade = "red" if line.startswith("-") else "green" if line.startswith("+") else None
            click.secho(f"{indent}  {escaped(masks.text(line))}", fg=shade, err=err)
