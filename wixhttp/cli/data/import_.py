"""``wixhttp data import``: files to collections."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from wixhttp.cli.arguments.file_names import FILE
from wixhttp.cli.progress import progress
from wixhttp.errors import WixHTTPError

from .store import FORMATS, opened_store

if TYPE_CHECKING:
    from wixhttp.data.files.imports import Importer
    from wixhttp.data.schema.declarations import CollectionSchema

_MOST_PROBLEMS = 20  # that are printed


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """Let Ctrl-C wait until what is being written is counted, too; a second one does not wait."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # nobody is told, or another one
        yield
        return
    is_asked = False

    def note(number: int, frame: object) -> None:
        nonlocal is_asked
        if is_asked:
            raise KeyboardInterrupt
        is_asked = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if is_asked:
        raise KeyboardInterrupt


@click.command("import")
@click.argument("arguments", nargs=-1, required=True, metavar="[COLLECTION] FILE|DIR", type=FILE)
@click.option("--format", "format_", type=FORMATS, help="Default: by the name of the file, else jsonl.")
@click.option("--update", is_flag=True, help="Items whose _id is there are replaced.")
@click.option("--skip-existing", is_flag=True, help="Items whose _id is there are left out.")
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@click.option("--field", "fields", multiple=True, metavar="COLUMN=FIELD", help="Rename a column of CSV.")
@click.option("--types", multiple=True, metavar="FIELD=TYPE,...", help="text, number, boolean, date or json, for CSV.")
@click.pass_context
def import_(
    context: click.Context,
    arguments: tuple[str, ...],
    format_: Any,
    update: bool,
    skip_existing: bool,
    dry_run: bool,
    fields: tuple[str, ...],
    types: tuple[str, ...],
) -> None:
    """Read a file into a collection (default: that of the file's name), or the folder of an export.

    CSV may come from Wix's CMS as it is. Collections and indexes are made as needed; an item whose _id is there ends
    the import, unless told otherwise. Items are written in batches of 1000, each whole or not at all.
    """
    from wixhttp.data.files.imports import Importer, TransferError

    if len(arguments) > 2 or (update and skip_existing):
        raise click.UsageError(
            "One of --update and --skip-existing." if update and skip_existing else "[COLLECTION] FILE|DIR"
        )
    collection, source = arguments if len(arguments) == 2 else (None, arguments[0])
    if collection is not None and source != "-" and not Path(source).exists() and Path(collection).exists():
        raise click.UsageError(f"COLLECTION comes first, the file behind it: wixhttp data import {source} {collection}")
    options = {"fields": _renames(fields), "types": _types(types)}
    is_folder = source != "-" and Path(source).is_dir()
    if is_folder and (collection or format_ or fields or types):
        raise click.UsageError("A folder names its collections and formats itself; import its files one by one.")
    with opened_store(context, missing="empty" if dry_run else "made") as (store, schema):
        mode = "update" if update else "skip" if skip_existing else "error"
        importer = Importer(store, schema, mode, is_trial=dry_run, whole=_whole)  # type: ignore[arg-type]  # mypy widens the literals
        try:
            if is_folder:
                _import_folder(importer, Path(source))
            else:
                _import_file(importer, schema, collection, source, format_, options)
        except TransferError:
            raise  # it says itself how far the import came
        except (KeyboardInterrupt, WixHTTPError):
            click.echo(f"{'Checked' if dry_run else 'Written'}: {importer.counts}.", err=True)
            raise
    for remark in importer.remarks:
        click.secho(f"Note: {remark}", fg="yellow", err=True)
    for problem in importer.problems[:_MOST_PROBLEMS]:
        click.secho(f"Error: {problem}", fg="red", err=True)
    if importer.problems:
        raise click.ClickException(
            f"{len(importer.problems)} problem{'s' * (len(importer.problems) != 1)}; nothing was written."
        )
    click.echo(f"would be: {importer.counts}" if dry_run else str(importer.counts))


def _renames(fields: tuple[str, ...]) -> dict[str, str]:
    renames = dict(_parted(each, "--field", "COLUMN=FIELD") for each in fields)
    if "" in renames.values():
        raise click.UsageError("--field names a field: --field 'Song Title=title'")
    return renames


def _types(types: tuple[str, ...]) -> dict[str, str]:
    from wixhttp.data.schema.declarations import FIELD_TYPES

    named = dict(_parted(each, "--types", "FIELD=TYPE") for text in types for each in text.split(","))
    for kind in named.values():
        if kind not in FIELD_TYPES:
            raise click.UsageError(f"{kind!r} is no type; they are {', '.join(FIELD_TYPES)}.")
    return named


def _parted(text: str, option: str, form: str) -> tuple[str, str]:
    name, separator, value = text.rpartition("=")
    if not separator or not name:
        raise click.UsageError(f"{option} is {form}, not {text!r}.")
    return name, value


def _import_folder(importer: Importer, path: Path) -> None:
    size = sum(each.stat().st_size for each in path.iterdir() if each.suffix in (".jsonl", ".csv"))
    with progress("import", size, lambda: importer.counts) as advance:
        importer.read_folder(path, advance)


def _import_file(
    importer: Importer,
    schema: Mapping[str, CollectionSchema],
    collection: str | None,
    source: str,
    format_: Any,
    options: dict[str, dict[str, str]],
) -> None:
    from wixhttp.data.calls.access import collection_name
    from wixhttp.data.files.formats import format_of
    from wixhttp.data.files.inference import name_for_file

    path = Path(source)
    kind = format_ or ("jsonl" if source == "-" else format_of(path))
    if kind == "jsonl" and any(options.values()):
        raise click.UsageError("--field and --types are for CSV; JSON Lines says itself what it holds.")
    if collection is None and source == "-":
        raise click.UsageError("Name the collection that standard input goes to.")
    if collection is None:
        collection = name_for_file(path, schema)
        if collection != path.stem:
            click.echo(f"{source} goes to the collection {collection}", err=True)
    collection = collection_name(collection)
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(_piped() if source == "-" else path.open("rb"))
        size = file.seek(0, 2)
        file.seek(0)
        advance = opened.enter_context(progress("import", size, lambda: importer.counts))
        name = "standard input" if source == "-" else source
        importer.read_file(collection, file, name, kind, advance=advance, **options)


@contextlib.contextmanager
def _piped() -> Iterator[BinaryIO]:
    """Standard input as a file that can be read twice."""
    import shutil
    import tempfile

    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        yield file
