"""``wixhttp data insert``, ``update`` and ``remove``: single items, as the site's own code writes them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from wixhttp.cli.arguments.file_names import TEXT_OR_FILE
from wixhttp.errors import WixHTTPError

from .store import config_of, reported_errors

_ITEMS = "JSON|@FILE|-"
_no_hooks = click.option("--no-hooks", is_flag=True, help="Run no hook of backend/data.py.")


@click.command()
@click.argument("collection")
@click.argument("items", metavar=_ITEMS, type=TEXT_OR_FILE)
@_no_hooks
@click.pass_context
def insert(context: click.Context, collection: str, items: str, no_hooks: bool) -> None:
    """Add an item, or a list of them: wixhttp data insert books '{"title": "Emma", "year": 1815}'

    Prints the stored items, one a line. @FILE and - (standard input) hold an item, a list, or an item a line. Hooks run
    and permissions are lifted. Multi-reference fields hold lists of ids. The first item that is refused ends the
    command; those before it are stored.
    """
    from wixhttp import data

    found, options = _read_items(items), _options(no_hooks)
    with _opened(context) as write:
        for item in found:
            write(partial(data.insert, collection, item, options))


@click.command()
@click.argument("collection")
@click.argument("items", metavar=_ITEMS, type=TEXT_OR_FILE)
@click.option("--patch", is_flag=True, help="Change the fields that are given, keep all others.")
@_no_hooks
@click.pass_context
def update(context: click.Context, collection: str, items: str, patch: bool, no_hooks: bool) -> None:
    """Replace the item of an _id, or those of a list: wixhttp data update books '{"_id": "emma", "title": "Emma"}'

    Fields that are not given are gone, as by update in code, unless --patch is. Else as insert.
    """
    from wixhttp import data

    found = _read_items(items)
    for item in found:
        if not isinstance(item.get("_id"), str):
            raise click.UsageError(f"an item to update has its _id, a text; this one has {item.get('_id')!r}")
    with _opened(context) as write:
        for item in found:
            if patch:
                write(partial(_patch, collection, item, no_hooks))
            else:
                write(partial(data.update, collection, item, _options(no_hooks)))


@click.command()
@click.argument("collection")
@click.argument("ids", nargs=-1, required=True, metavar="ID...|@FILE|-", type=TEXT_OR_FILE)
@_no_hooks
@click.pass_context
def remove(context: click.Context, collection: str, ids: tuple[str, ...], no_hooks: bool) -> None:
    """Remove the items with these ids, and print them: wixhttp data remove books emma

    @FILE and - (standard input) hold items, as query prints them, or ids as JSON: a list of either, or one a line.
    """
    from wixhttp import data
    from wixhttp.data.calls.errors import no_item

    found = _read_ids(ids)

    def removed(each: str) -> Any:
        item = data.remove(collection, each, suppressAuth=True, suppressHooks=no_hooks)
        if item is None:
            raise no_item(collection, each)
        return item

    with _opened(context) as write:
        for each in found:
            write(partial(removed, each))


def _options(no_hooks: bool) -> dict[str, bool]:
    """The options of a write of a whole item, whose multi-reference fields are written with it."""
    return {"suppressAuth": True, "suppressHooks": no_hooks, "saveReferences": True}


def _patch(collection: str, item: dict[str, Any], no_hooks: bool) -> Any:
    from wixhttp.auth import elevate
    from wixhttp.data import items

    patch = elevate(items.patch)(collection, item["_id"])
    for name, value in item.items():
        if name != "_id":
            patch = patch.setField(name, value)
    return patch.run(suppressHooks=no_hooks)


@contextlib.contextmanager
def _opened(context: click.Context) -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Open the collections of the project, with its hooks, until the block ends; it calls what it is given with each
    write, and the item that this returns is printed."""
    from wixhttp.data.collections import open_collections, override
    from wixhttp.data.files.formats import to_line
    from wixhttp.logs.masking import masked
    from wixhttp.logs.tracebacks import format_exception
    from wixhttp.secrets import SecretStore
    from wixhttp.secrets import override as with_secrets

    config = config_of(context)

    def write(work: Callable[[], Any]) -> None:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # where hooks print
                item = work()
        except (WixHTTPError, click.ClickException):
            raise
        except Exception as error:  # noqa: BLE001  # whatever a hook of the site raises
            click.echo(masked(format_exception(error)) + "\n", err=True)
            raise click.ClickException(masked(f"{type(error).__name__}: {error}")) from None
        sys.stdout.buffer.write(to_line(item))
        sys.stdout.flush()

    with with_secrets(SecretStore.from_config(config)), contextlib.redirect_stdout(sys.stderr):
        collections = open_collections(config)
    with with_secrets(SecretStore.from_config(config)), override(collections), reported_errors():
        try:
            yield write
        finally:
            collections.store.close()


def _read_ids(texts: tuple[str, ...]) -> list[str]:
    ids: list[str] = []
    for text in texts:
        if text != "-" and not text.startswith("@"):
            ids.append(text)
            continue
        for each in _values(text):
            found = each.get("_id") if isinstance(each, dict) else each
            if not isinstance(found, str):
                raise click.UsageError(f"what is removed is named by its _id, a text, not by {found!r}")
            ids.append(found)
    return ids


def _read_items(text: str) -> list[dict[str, Any]]:
    found = _values(text)
    for each in found:
        if not isinstance(each, dict):
            raise click.UsageError(f"an item is an object, not {each!r}")
    return found


def _values(text: str) -> list[Any]:
    """The values of JSON in an argument, a file or standard input: one, those of a list, or one a line.

    Raises:
        click.UsageError: it is no JSON, or cannot be read.
    """
    whole = _read(text)
    place = (
        "standard input" if text in ("-", "@-") else text.removeprefix("@") if text.startswith("@") else "the argument"
    )
    from wixhttp.data.files.plain_json import parse_plain_json

    try:
        value = parse_plain_json(whole)
    except json.JSONDecodeError as error:
        lines = [(number, line) for number, line in enumerate(whole.split("\n"), 1) if line.strip()]
        if error.msg != "Extra data" or len(lines) < 2:
            hint = " Quote it for the shell: '{\"year\": 2024}'" if place == "the argument" else ""
            raise click.UsageError(f"{place} is not JSON: {error}.{hint}") from None
        return [_line(place, number, line) for number, line in lines]
    except (RecursionError, ValueError) as error:
        raise click.UsageError(f"{place} cannot be read: {error}") from None
    return value if isinstance(value, list) else [value]


def _line(place: str, number: int, line: str) -> Any:
    from wixhttp.data.files.plain_json import parse_plain_json

    try:
        return parse_plain_json(line)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"{place}:{number}: this is not JSON: {error}") from None
    except (RecursionError, ValueError) as error:
        raise click.UsageError(f"{place}:{number}: this cannot be read: {error}") from None


def _read(text: str) -> str:
    try:
        if text in ("-", "@-"):
            return sys.stdin.buffer.read().decode("utf-8-sig")
        return Path(text[1:]).read_bytes().decode("utf-8-sig") if text.startswith("@") else text
    except OSError as error:
        raise click.UsageError(f"{text[1:]} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{text} is not UTF-8") from None
