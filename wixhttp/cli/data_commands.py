"""The commands ``wixhttp data``: what is in the collections, in and out of files, indexes, backup."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from wixhttp.errors import ProjectError, WixDataError, WixHTTPError

if TYPE_CHECKING:
    from wixhttp.data.files.imports import Importer
    from wixhttp.data.queries.tree import Order, Tree
    from wixhttp.data.schema.declarations import CollectionSchema
    from wixhttp.data.stores.contract import Index, Store

_MOST_PROBLEMS = 20  # that are printed
_FORMATS = click.Choice(["jsonl", "csv"])


class _Opened(NamedTuple):
    store: Store
    schema: dict[str, CollectionSchema]


@click.group()
@click.option("--database-url", metavar="URL", help="The database, for this call (WIXHTTP_DATABASE_URL).")
@click.pass_context
def data(context: click.Context, database_url: str | None) -> None:
    """Look into the collections, move them, index them, back them up."""
    context.obj = (context.obj, database_url)


@contextlib.contextmanager
def _opened(context: click.Context) -> Iterator[_Opened]:
    from wixhttp.data.files.exports import links_of
    from wixhttp.data.schema.declarations import load_schema
    from wixhttp.data.stores.factory import open_store
    from wixhttp.logs.masking import masked
    from wixhttp.project.config import load_config

    project, database_url = context.obj
    config = load_config(project, flags={"database_url": database_url})
    schema = load_schema(config.root)
    store = open_store(config.store_url, config.root)
    try:
        store.declare_links(links_of(schema))
        yield _Opened(store, dict(schema))
    except ProjectError:
        raise
    except WixHTTPError as error:
        raise click.ClickException(masked(str(error))) from None
    finally:
        store.close()


@contextlib.contextmanager
def progress(label: str, length: int, shown: Callable[[], object] | None = None) -> Iterator[Callable[[int], Any]]:
    """A bar on a terminal, and nothing elsewhere; the block calls what it is given with what more is done.

    ``length`` is the number of all that is to be done, ``label`` stands before the bar, ``shown`` is written behind it.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    bar: Any = click.progressbar(
        length=length,
        label=label,
        file=sys.stderr,
        show_pos=shown is None,
        item_show_func=None if shown is None else lambda _: str(shown()),
    )
    with bar:
        yield bar.update


@data.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def collections(context: click.Context, as_json: bool) -> None:
    """List the collections: how many items, which indexes, and whether data/collections.toml declares them."""
    from wixhttp.data.queries.tree import EVERYTHING

    with _opened(context) as (store, schema):
        there = _site_collections(store)
        listed: list[dict[str, Any]] = [
            {
                "name": name,
                "items": store.count(name, EVERYTHING) if name in there else None,
                "indexes": [{"fields": _field_names(index), "unique": index.unique} for index in there.get(name, ())],
                "declared": name in schema,
            }
            for name in sorted({*there, *schema})
        ]
    if as_json:
        import json

        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    for each in listed:
        items = "not made yet" if each["items"] is None else f"{each['items']} item{'s' * (each['items'] != 1)}"
        indexes = "".join(f"  [{_index_text(index['fields'], index['unique'])}]" for index in each["indexes"])
        click.echo(f"{each['name']}  {items}{indexes}{'' if each['declared'] else '  (not declared)'}")


def _site_collections(store: Store) -> dict[str, tuple[Index, ...]]:
    """The collections that the site's code can reach; sessions are kept beside them."""
    from wixhttp.data.schema.declarations import COLLECTION_NAME

    return {name: indexes for name, indexes in store.collections().items() if COLLECTION_NAME.fullmatch(name)}


def _field_names(index: Index) -> list[str]:
    return [("-" if each.descending else "") + ".".join(each.path) for each in index.fields]


def _index_text(names: list[str], unique: bool) -> str:
    return f"{', '.join(names)}{' unique' if unique else ''}"


@data.command()
@click.argument("names", nargs=-1, metavar="[COLLECTION]...")
@click.option("-o", "--output", metavar="FILE|DIR", help="Where to; - is standard output (default for one collection).")
@click.option("--format", "format_", type=_FORMATS, help="Default: by the name of the file, else jsonl.")
@click.option("--force", is_flag=True, help="Overwrite the file, or the folder of an earlier export.")
@click.pass_context
def export(context: click.Context, names: tuple[str, ...], output: str | None, format_: Any, force: bool) -> None:
    """Write collections to a folder (default: all of them), or one to a file.

    JSON Lines keeps everything, and is the same for every database:

    wixhttp data export -o dump && wixhttp data --database-url postgresql://... import dump
    """
    from wixhttp.data.files.exports import export_file, export_folder, export_items, links_of
    from wixhttp.data.queries.tree import EVERYTHING

    names = tuple(dict.fromkeys(names))
    if output is None and len(names) == 1:
        output = "-"
    if output is None or (output == "-" and len(names) != 1):
        raise click.UsageError("Name one collection, or a folder to write to: -o DIR")
    with _opened(context) as (store, schema):
        if output == "-":
            stream = sys.stdout.buffer
            inside = [link for link in links_of(schema) if link.collection == names[0]]
            export_items(store, names[0], stream, format_ or "jsonl", links=inside)
            stream.flush()
            return
        path = Path(output)
        chosen = names or tuple(_site_collections(store))
        with progress("export", sum(store.count(name, EVERYTHING) for name in chosen)) as advance:
            if len(names) == 1 and not output.endswith("/") and not path.is_dir():
                counts = {names[0]: export_file(store, schema, names[0], path, format_, force=force, advance=advance)}
            else:
                counts = export_folder(store, schema, chosen, path, format_ or "jsonl", force=force, advance=advance)
    for name, count in counts.items():
        click.echo(f"{name}  {count} item{'s' * (count != 1)}")


@data.command("import")
@click.argument("arguments", nargs=-1, required=True, metavar="[COLLECTION] FILE|DIR")
@click.option("--format", "format_", type=_FORMATS, help="Default: by the name of the file, else jsonl.")
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
    from wixhttp.data.files.imports import Importer

    if len(arguments) > 2 or (update and skip_existing):
        raise click.UsageError(
            "One of --update and --skip-existing." if update and skip_existing else "[COLLECTION] FILE|DIR"
        )
    collection, source = arguments if len(arguments) == 2 else (None, arguments[0])
    options = {"fields": _renames(fields), "types": _types(types)}
    is_folder = source != "-" and Path(source).is_dir()
    if is_folder and (collection or format_ or fields or types):
        raise click.UsageError("A folder names its collections and formats itself; import its files one by one.")
    with _opened(context) as (store, schema):
        mode = "update" if update else "skip" if skip_existing else "error"
        importer = Importer(store, schema, mode, is_trial=dry_run)  # type: ignore[arg-type]  # mypy widens the literals
        try:
            if is_folder:
                _import_folder(importer, Path(source))
            else:
                _import_file(importer, collection, source, format_, options)
        except (KeyboardInterrupt, WixHTTPError):
            click.echo(f"{'Checked' if dry_run else 'Written'}: {importer.counts}.", err=True)
            raise
    for problem in importer.problems[:_MOST_PROBLEMS]:
        click.secho(f"Error: {problem}", fg="red", err=True)
    if importer.problems:
        raise click.ClickException(f"{len(importer.problems)} problems; nothing was written.")
    click.echo(f"would be: {importer.counts}" if dry_run else str(importer.counts))


def _renames(fields: tuple[str, ...]) -> dict[str, str]:
    renames = dict(_parted(each, "--field", "COLUMN=FIELD") for each in fields)
    if "" in renames.values():
        raise click.UsageError("--field names a field: --field 'Song Title=title'")
    return renames


def _types(types: tuple[str, ...]) -> dict[str, str]:
    from wixhttp.data.files.formats import TYPES

    named = dict(_parted(each, "--types", "FIELD=TYPE") for text in types for each in text.split(","))
    for kind in named.values():
        if kind not in TYPES:
            raise click.UsageError(f"{kind!r} is no type; they are {', '.join(TYPES)}.")
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
    importer: Importer, collection: str | None, source: str, format_: Any, options: dict[str, dict[str, str]]
) -> None:
    from urllib.parse import unquote

    from wixhttp.data.files.formats import format_of

    path = Path(source)
    kind = format_ or ("jsonl" if source == "-" else format_of(path))
    if kind == "jsonl" and any(options.values()):
        raise click.UsageError("--field and --types are for CSV; JSON Lines says itself what it holds.")
    if collection is None and source == "-":
        raise click.UsageError("Name the collection that standard input goes to.")
    collection = collection or unquote(path.stem)
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


# Options are long here: a field with "-" for descending may begin with any letter.
@data.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("collection")
@click.argument("fields", nargs=-1, metavar="[FIELD]...", type=click.UNPROCESSED)
@click.option("--unique", is_flag=True, help="No two items may have the same values.")
@click.option("--drop", is_flag=True, help="Remove the index of these fields.")
@click.option("--list", "is_list", is_flag=True, help="Print the indexes of the collection.")
@click.pass_context
def index(
    context: click.Context, collection: str, fields: tuple[str, ...], unique: bool, drop: bool, is_list: bool
) -> None:
    """Make an index of fields, -FIELD for descending: wixhttp data index books author -year"""
    from wixhttp.data.queries.tree import EVERYTHING
    from wixhttp.data.stores.contract import Index, no_collection

    order = _order(fields)
    if bool(fields) == is_list or (is_list and (unique or drop)):
        raise click.UsageError("Name the fields of the index, or list the indexes with --list.")
    with _opened(context) as (store, schema):
        there = store.collections()
        if collection not in there:
            if collection not in schema:
                raise no_collection(collection)
            store.create(collection)
            there = store.collections()
        if is_list:
            for each in there[collection]:
                click.echo(_index_text(_field_names(each), each.unique))
            return
        found = [each for each in there[collection] if each.fields == order]
        text = f"{', '.join(fields)} of {collection}"
        if drop:
            if not found:
                raise click.ClickException(f"there is no index on {text}")
            for each in found:
                store.drop_index(collection, each)
            click.echo(f"dropped the index on {text}")
        elif Index(order, unique) in found:
            click.echo(f"the index on {text} is there already")
        else:
            if sys.stderr.isatty():
                click.echo(f"reading {store.count(collection, EVERYTHING)} items ...", err=True)
            store.add_index(collection, Index(order, unique))
            click.echo(f"made the index on {text}")


def _order(fields: tuple[str, ...]) -> tuple[Order, ...]:
    from wixhttp.data.queries.tree import Order, parse_path

    order = []
    for name in fields:
        if name.startswith("--"):
            raise click.NoSuchOption(name)
        try:
            order.append(Order(parse_path(name.removeprefix("-")), name.startswith("-")))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    return tuple(order)


@data.command()
@click.argument("collection")
@click.argument("filter_", required=False, metavar="[FILTER]")
@click.option("--sort", metavar="FIELD,...", help="-FIELD is descending; default: by _id.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many items (default: all).")
@click.option("--skip", type=click.IntRange(min=0), default=0, help="Leave out so many at the start.")
@click.option("--fields", metavar="FIELD,...", help="Only these, and _id.")
@click.option("--count", is_flag=True, help="Print how many items there are, nothing else.")
@click.pass_context
def query(
    context: click.Context,
    collection: str,
    filter_: str | None,
    sort: str | None,
    limit: int | None,
    skip: int,
    fields: str | None,
    count: bool,
) -> None:
    """Print the items that a filter selects, one a line: wixhttp data query books '{"year": {"$gte": 2024}}'"""
    from itertools import islice

    from wixhttp.data.files.formats import to_line
    from wixhttp.data.queries.evaluator import project
    from wixhttp.data.stores.contract import to_item

    tree = _tree(filter_)
    order = _order(tuple(sort.split(","))) if sort else ()
    paths = [each.path for each in _order(tuple(fields.split(",")))] if fields else []
    with _opened(context) as (store, _):
        if count:
            click.echo(str(store.count(collection, tree)))
            return
        is_plain = not order and not skip
        rows = store.scan(collection, tree) if is_plain else store.find(collection, tree, order, skip=skip, limit=limit)
        stream = sys.stdout.buffer
        for row in islice(rows, limit):
            item = to_item(row)
            stream.write(to_line(project(item, paths) if paths else item))
        stream.flush()


def _tree(text: str | None) -> Tree:
    import json

    from wixhttp.data.queries.filters import parse_filter
    from wixhttp.data.queries.tree import EVERYTHING

    if text is None:
        return EVERYTHING
    try:
        return parse_filter(json.loads(text))
    except json.JSONDecodeError as error:
        raise click.UsageError(
            f"The filter is not JSON: {error}. Quote it for the shell: '{{\"year\": 2024}}'"
        ) from None
    except WixDataError as error:
        raise click.UsageError(str(error)) from None


@data.command()
@click.argument("target")
@click.option("--force", is_flag=True, help="Overwrite TARGET.")
@click.pass_context
def backup(context: click.Context, target: str, force: bool) -> None:
    """Copy the embedded database to TARGET, while it is used. (For PostgreSQL: pg_dump, or export.)"""
    from wixhttp.data.files.exports import backup as copy

    with _opened(context) as (store, _):
        done = 0  # percent
        with progress("backup", 100) as advance:

            def report(pages: int, total: int) -> None:
                nonlocal done
                percent = 100 * pages // max(total, 1)
                advance(max(0, percent - done))
                done = max(done, percent)

            copy(store, Path(target), force=force, progress=report)
    click.echo(f"copied to {target}")


@data.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Look for damage in the database; exit 0 or 1."""
    with _opened(context) as (store, _):
        problems = store.check()
    for problem in problems:
        click.secho(f"Error: {problem}", fg="red", err=True)
    if problems:
        context.exit(1)
    click.echo("no problems")
