"""``wixhttp data export``: collections to files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from wixhttp.cli.arguments.file_names import FILE
from wixhttp.cli.progress import progress

from .store import FORMATS, opened_store


@click.command()
@click.argument("names", nargs=-1, metavar="[COLLECTION]...")
@click.option(
    "-o", "--output", metavar="FILE|DIR", type=FILE, help="Where to; - is standard output (default for one collection)."
)
@click.option("--format", "format_", type=FORMATS, help="Default: by the name of the file, else jsonl.")
@click.option("--force", is_flag=True, help="Overwrite the file, or the folder of an earlier export.")
@click.pass_context
def export(context: click.Context, names: tuple[str, ...], output: str | None, format_: Any, force: bool) -> None:
    """Write collections to a folder (default: all of them), or one to a file.

    JSON Lines keeps everything, and is the same for every database:

    wixhttp data export -o dump && wixhttp data --database-url postgresql://... import dump
    """
    from wixhttp.data.files.exports import export_file, export_folder, export_items
    from wixhttp.data.queries.tree import EVERYTHING
    from wixhttp.data.schema.declarations import site_collections
    from wixhttp.data.schema.links import links_from

    names = tuple(dict.fromkeys(names))
    if output is None and len(names) == 1:
        output = "-"
    if output is None or (output == "-" and len(names) != 1):
        raise click.UsageError("Name one collection, or a folder to write to: -o DIR")
    with opened_store(context) as opened:
        opened.need(*names)
        store, schema = opened
        if output == "-":
            stream = sys.stdout.buffer
            export_items(store, names[0], stream, format_ or "jsonl", links=links_from(schema, names[0]))
            stream.flush()
            return
        path = Path(output)
        chosen = names or tuple(site_collections(store))
        with progress("export", sum(store.count(name, EVERYTHING) for name in chosen)) as advance:
            if len(names) == 1 and not output.endswith("/") and not path.is_dir():
                counts = {names[0]: export_file(store, schema, names[0], path, format_, force=force, advance=advance)}
            else:
                counts = export_folder(store, schema, chosen, path, format_ or "jsonl", force=force, advance=advance)
    for name, count in counts.items():
        click.echo(f"{name}  {count} item{'s' * (count != 1)}")
