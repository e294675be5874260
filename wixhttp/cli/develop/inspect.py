"""``wixhttp inspect``: the requests that ``wixhttp dev`` has kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wixhttp.cli.arguments.file_names import FILE
from wixhttp.cli.lazy_group import LazyGroup

if TYPE_CHECKING:
    from wixhttp.dev.traffic.kept_requests import KeptRequest, RequestFilters
    from wixhttp.dev.traffic.store import RequestStore

MODULES = {
    "clear": "wixhttp.cli.develop.inspect:clear",
    "export": "wixhttp.cli.develop.inspect:export",
    "import": "wixhttp.cli.develop.inspect:import_",
    "list": "wixhttp.cli.develop.inspect:list_requests",
    "replay": "wixhttp.cli.develop.inspect_replay:replay",
    "show": "wixhttp.cli.develop.inspect:show",
    "to-test": "wixhttp.cli.develop.inspect_tests:to_test",
}
"""The module and the name of each command."""

FILTERS = (
    click.option("--function", default="", metavar="NAME", help="Only those that this function answered: get_books."),
    click.option("--status", default="", metavar="CODE|CLASS", help="Only with this status, or of this class: 4xx."),
    click.option("--method", default="", metavar="METHOD", help="Only with this method."),
    click.option("--text", default="", metavar="TEXT", help="Only with this text in the URL or in a body."),
)


@click.group(cls=LazyGroup, modules=MODULES)
def inspect() -> None:
    """Look into the requests that wixhttp dev has kept: list, repeat, compare, export them, make tests of them.

    A request is named by its number in the list, or by its X-Request-Id. Credentials and the values of known secrets
    are shown as ***.
    """


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _filtered(command: _Function) -> _Function:
    for option in reversed(FILTERS):
        command = option(command)
    return command


@click.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, a request a line.")
@_filtered
@click.pass_context
def list_requests(
    context: click.Context, limit: int, as_json: bool, function: str, status: str, method: str, text: str
) -> None:
    """List the kept requests, the newest last."""
    from .inspect_views import print_list

    store = opened(context)
    page = store.page(filters(function, status, method, text), limit=limit)
    print_list(list(reversed(page)), as_json=as_json)


@click.command()
@click.argument("name", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def show(context: click.Context, name: str, as_json: bool) -> None:
    """Show a kept request and its answer: headers, bodies, log lines, times."""
    from .inspect_views import print_request

    print_request(found(opened(context), name), as_json=as_json)


@click.command()
@click.pass_context
def clear(context: click.Context) -> None:
    """Forget all kept requests."""
    store = opened(context)
    store.clear()
    store.close()


@click.command()
@click.argument("file", type=FILE)
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option("--with-secrets", is_flag=True, help="Write credentials as they are; default: masked.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@_filtered
@click.pass_context
def export(
    context: click.Context,
    file: str,
    names: tuple[str, ...],
    with_secrets: bool,
    force: bool,
    function: str,
    status: str,
    method: str,
    text: str,
) -> None:
    """Write kept requests to an HTTP archive (HAR 1.2), which browsers and tools read: all of them, or those named.

    FILE may be -, standard output.
    """
    import json

    from wixhttp import __version__
    from wixhttp.data.files.exports import new_file
    from wixhttp.dev.traffic.har import as_archive

    store = opened(context)
    requests = [found(store, name) for name in names] or all_requests(store, filters(function, status, method, text))
    archive = (
        json.dumps(as_archive(requests, version=__version__, with_secrets=with_secrets), indent=1).encode() + b"\n"
    )
    if file == "-":
        sys.stdout.buffer.write(archive)
        sys.stdout.buffer.flush()
        return
    with new_file(Path(file), force) as out:
        out.write(archive)
    click.echo(f"{file}  {_count(len(requests))}")


@click.command("import")
@click.argument("file", type=FILE)
@click.pass_context
def import_(context: click.Context, file: str) -> None:
    """Keep the requests of an HTTP archive (HAR), such as browsers export. FILE may be -, standard input."""
    from wixhttp.dev.traffic.har import MOST_FILE, InvalidArchive, read_archive
    from wixhttp.dev.traffic.store import MOST_REQUESTS

    if file == "-":
        data = sys.stdin.buffer.read(MOST_FILE + 1)
    else:
        with open(file, "rb") as source:
            data = source.read(MOST_FILE + 1)
    try:
        requests = read_archive(data)
    except InvalidArchive as error:
        raise click.ClickException(f"{file} is no HTTP archive that can be read: {error}") from None
    store = opened(context, is_needed=False)
    for request in requests:
        store.add(request)
    store.close()
    if store.problem is not None:
        raise click.ClickException(store.problem)
    left = f", of which the last {MOST_REQUESTS} are kept" if len(requests) > MOST_REQUESTS else ""
    click.echo(f"{_count(len(requests))}{left}")


def opened(context: click.Context, *, is_needed: bool = True) -> RequestStore:
    """The store of the project's kept requests; its secrets are known from here on, so that they are masked.

    Raises:
        ConfigError: a setting is wrong.
        click.ClickException: there are no kept requests yet, and they are needed.
    """
    from wixhttp.dev.traffic.store import RequestStore
    from wixhttp.project.config import load_development_config
    from wixhttp.secrets import SecretStore, set_default_store

    config = load_development_config(context.obj)
    set_default_store(SecretStore.from_config(config))
    folder = config.root / ".wixhttp"
    if is_needed and not (folder / "requests.sqlite3").exists():
        raise click.ClickException(
            f"there are no kept requests in {folder}; wixhttp dev keeps those that it answers, and wixhttp inspect "
            "import takes those of an HTTP archive"
        )
    return RequestStore(folder)


def found(store: RequestStore, name: str) -> KeptRequest:
    """The request of a number or a request id.

    Raises:
        click.ClickException: there is none.
    """
    request = store.get(name)
    if request is None:
        raise click.ClickException(f"there is no kept request {name!r}; wixhttp inspect list shows those there are")
    return request


def filters(function: str, status: str, method: str, text: str) -> RequestFilters:
    """The filters of the options.

    Raises:
        click.UsageError: the status is malformed.
    """
    from wixhttp.dev.traffic.kept_requests import RequestFilters
    from wixhttp.dev.traffic.request_rows import conditions

    chosen = RequestFilters(function, status, method, text)
    try:
        conditions(chosen)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return chosen


def all_requests(store: RequestStore, chosen: RequestFilters | None = None) -> list[KeptRequest]:
    """The kept requests that pass the filters, oldest first."""
    rows = store.page(chosen, limit=1_000_000)
    requests = [store.get(row.id) for row in reversed(rows)]
    return [each for each in requests if each is not None]


def _count(number: int) -> str:
    return f"{number} request{'s' * (number != 1)}"
