"""``wixhttp inspect replay``: kept requests sent again, and their answers compared."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wixhttp.cli.arguments.file_names import FOLDER, TEXT_OR_FILE
from wixhttp.cli.exit_codes import FAILED

from .inspect import all_requests, found, opened

if TYPE_CHECKING:
    from wixhttp.dev.traffic.kept_requests import KeptRequest
    from wixhttp.dev.traffic.store import RequestStore
    from wixhttp.project.config import Config


@click.command()
@click.argument("name", required=False, metavar="[ID]")
@click.option("--all", "all_", is_flag=True, help="All kept requests, in their order, on collections in memory.")
@click.option(
    "--against", metavar="URL|DIR", type=FOLDER, help="Another server; with --all also another checkout of the site."
)
@click.option("-X", "--request", "method", metavar="METHOD", help="Another method.")
@click.option("--path", "target", metavar="PATH", help="Another path, with the query.")
@click.option("-H", "--header", multiple=True, metavar="NAME:VALUE", help="Another header; 'NAME:' leaves one out.")
@click.option("-d", "--data", metavar="TEXT|@FILE|@-", type=TEXT_OR_FILE, help="Another body; @ reads it from a file.")
@click.pass_context
def replay(
    context: click.Context,
    name: str | None,
    all_: bool,
    against: str | None,
    method: str | None,
    target: str | None,
    header: tuple[str, ...],
    data: str | None,
) -> None:
    """Send a kept request again, print the answer, and what differs from the one that was kept.

    The project's code answers, as wixhttp call would: it reads and writes the project's collections. The replay is
    kept, too. With --against URL a server answers, which gets the request as it was kept, credentials included.

    --all sends every kept request, and writes nothing: the code of the project, or of another checkout of it (--against
    DIR), answers on a copy of the collections in memory, with this project's secrets. Only differences are printed, of
    status, headers and body; values that change, such as ids and dates, are compared by their kind. The exit code is 1
    where something differs.
    """
    edits = (method, target, header, data)
    if all_ == (name is not None):
        raise click.UsageError("name a kept request, or --all of them")
    if all_ and any(edits):
        raise click.UsageError("-X, --path, -H and -d are for one request, not for --all")
    store = opened(context)
    if all_:
        context.exit(_replay_all(context, store, against))
    assert name is not None  # noqa: S101  # one of both is given
    kept = found(store, name)
    _check_edits(header)
    changed = _edited(kept, *edits)
    after = _send(_server(against), changed) if against else _replay_here(context, store, kept, changed)
    _print(kept, after, is_edited=any(edits))


def _print(kept: KeptRequest, after: KeptRequest, *, is_edited: bool) -> None:
    from wixhttp.dev.traffic.differences import differences
    from wixhttp.dev.traffic.masks import Masks

    from .inspect_views import print_answer, print_differences

    print_answer(after)
    listed = differences(kept, after)
    click.echo()
    of = f"{kept.id}" + (", which was edited" if is_edited else "")
    click.secho(f"# {'differences from' if listed else 'as the kept answer to'} {of}", dim=True)
    print_differences(listed, masks=Masks.of(kept, after))


def _check_edits(fields: Sequence[str]) -> None:
    for field in fields:
        if not field.partition(":")[0].strip() or ":" not in field:
            raise click.UsageError(f"-H takes NAME:VALUE, not {field!r}")


def _edited(kept: KeptRequest, method: str | None, target: str | None, header: Sequence[str], data: str | None) -> Any:
    from wixhttp.cli.single_request import read_data
    from wixhttp.dev.traffic.replay import CannotReplay, edited

    fields = list(kept.request_headers)
    for text in header:
        name, _, value = (part.strip() for part in text.partition(":"))
        at = next((place for place, each in enumerate(fields) if each[0].lower() == name.lower()), len(fields))
        fields = [each for each in fields if each[0].lower() != name.lower()]
        if value:
            fields.insert(at, (name, value))
    body = None if data is None else read_data(data)
    if body is not None and method is None and kept.method in ("GET", "HEAD"):
        method = "POST"  # as curl has it
    try:
        return edited(kept, method=method, target=target, headers=fields, body=body)
    except CannotReplay as error:
        raise click.ClickException(str(error)) from None


# --- by this project -------------------------------------------------------------------------------------------------


def _replay_here(context: click.Context, store: RequestStore, kept: KeptRequest, changed: KeptRequest) -> KeptRequest:
    from dataclasses import replace

    from wixhttp.asgi import ASGIApplication
    from wixhttp.context import current_collections, using
    from wixhttp.data.collections import open_collections
    from wixhttp.dev.traffic.recorder import Recorder
    from wixhttp.dev.traffic.replay import replay as send_again
    from wixhttp.dispatch.app import App
    from wixhttp.logs.line_writer import LineWriter
    from wixhttp.logs.setup import configure
    from wixhttp.project.config import load_development_config
    from wixhttp.services import load_served_site

    config = load_development_config(context.obj)
    configure("text", config.log_level, LineWriter(2))
    with _served(config), prints_aside():
        recorder = Recorder(ASGIApplication(App(load_served_site(replace(config, access_log=False)))), store)

        async def run() -> KeptRequest:
            async with _living(recorder):
                return await send_again(
                    recorder, kept, method=changed.method, target=changed.target, headers=changed.request_headers,
                    body=changed.request_body,
                )  # fmt: skip

        with using(current_collections, open_collections(config)):
            answered = asyncio.run(run())
    store.close()
    return answered


@contextlib.contextmanager
def _served(config: Config) -> Any:
    """The project's own secrets and keys of callers, until the block ends."""
    from wixhttp.auth.caller import settings_are
    from wixhttp.secrets import SecretStore, override

    with override(SecretStore.from_config(config)), settings_are(config):
        yield


@contextlib.asynccontextmanager
async def _living(application: Any) -> AsyncIterator[None]:
    """The lifespan of an ASGI application, until the block ends."""
    told: asyncio.Queue[str] = asyncio.Queue()
    asked: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def send(message: Any) -> None:
        await told.put(message["type"])

    task = asyncio.ensure_future(application({"type": "lifespan"}, asked.get, send))
    await asked.put({"type": "lifespan.startup"})
    await told.get()
    try:
        yield
    finally:
        await asked.put({"type": "lifespan.shutdown"})
        await task


# --- by a server -----------------------------------------------------------------------------------------------------


def _server(url: str) -> Any:
    from wixhttp.dev.traffic.sending import RemoteServer

    try:
        return RemoteServer(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _send(server: Any, request: KeptRequest) -> KeptRequest:
    from wixhttp.dev.traffic.sending import CannotSend

    try:
        answered: KeptRequest = server.answer(request)
    except CannotSend as error:
        raise click.ClickException(str(error)) from None
    return answered


# --- all of them -----------------------------------------------------------------------------------------------------


def _replay_all(context: click.Context, store: RequestStore, against: str | None) -> int:
    """Compare the answers to all kept requests, and return the exit code."""
    from wixhttp.dev.traffic.differences import differences
    from wixhttp.dev.traffic.masks import Masks, shown_target

    from .inspect_views import print_differences

    requests = [each for each in all_requests(store) if each.replay_of is None]
    sendable = [each for each in requests if _is_comparable(each)]
    counts = {"as before": 0, "differ": 0, "not sent": len(requests) - len(sendable)}
    with contextlib.ExitStack() as stack:
        answer = _answerer(context, stack, sendable, against)
        for kept in sendable:
            listed = differences(kept, answer(kept))
            counts["differ" if listed else "as before"] += 1
            if listed:
                click.secho(f"# {kept.id} {kept.method} {shown_target(kept.target)}", bold=True)
                print_differences(listed, "  ", masks=Masks.of(kept))
    skipped = f", {counts['not sent']} not sent" if counts["not sent"] else ""
    total = f"{len(requests)} request{'s' * (len(requests) != 1)}"
    click.echo(f"{total}: {counts['as before']} as before, {counts['differ']} with differences{skipped}")
    return FAILED if counts["differ"] else 0


def _is_comparable(kept: KeptRequest) -> bool:
    """Return whether there is a whole request and a whole answer, which ends."""
    is_stream = kept.content_type.startswith("text/event-stream")
    return not (kept.is_cut or is_stream or kept.status == 499 or not 200 <= kept.status <= 599)


def _answerer(
    context: click.Context, stack: contextlib.ExitStack, requests: list[KeptRequest], against: str | None
) -> Callable[[KeptRequest], KeptRequest]:
    if against is not None and "://" in against:
        server = _server(against)
        return lambda kept: _send(server, _edited(kept, None, None, (), None))
    from wixhttp.context import current_secrets, using
    from wixhttp.dev.traffic.trial import Trial, items_before
    from wixhttp.project.config import load_development_config
    from wixhttp.secrets import SecretStore

    own = load_development_config(context.obj)
    folder = own.root if against is None else Path(against).absolute()
    if not folder.is_dir():
        raise click.UsageError(f"--against is a URL or the folder of a checkout, and {against!r} is neither")
    items = items_before(own, min((kept.time for kept in requests), default=0.0))
    stack.enter_context(using(current_secrets, SecretStore.from_config(own)))
    config = load_development_config(folder)
    quiet_log()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    with prints_aside():
        trial = Trial(config)
    trial.begin(items)
    from wixhttp.dev.traffic.to_test import clock_of

    def answer(kept: KeptRequest) -> KeptRequest:
        with prints_aside():
            return trial.answer(kept, at=clock_of(kept))

    return answer


def prints_aside() -> contextlib.AbstractContextManager[Any]:
    """Let what the project's code prints go to standard error, so that the output is the command's alone."""
    return contextlib.redirect_stdout(sys.stderr)


def quiet_log() -> None:
    """Have the log of the project's code say nothing: the answers are what is looked at."""
    logging.disable(logging.CRITICAL)
    for name in ("wixhttp", "wixhttp.access", "wixhttp.endpoints"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
