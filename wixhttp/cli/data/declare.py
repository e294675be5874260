"""``wixhttp data declare``: data/collections.toml from Wix's exports."""

from __future__ import annotations

from pathlib import Path

import click

from wixhttp.cli.arguments.file_names import FILE

from .store import config_of


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE.csv...", type=FILE)
@click.option("--dry-run", is_flag=True, help="Print the declarations, write nothing.")
@click.pass_context
def declare(context: click.Context, files: tuple[str, ...], dry_run: bool) -> None:
    """Write the collections of CSV files, as Wix's CMS exports them, into data/collections.toml.

    The name of a file is that of its collection. Fields get the keys and types that their columns tell; a column of ids
    of another file's items is a reference. What is declared already stays as it is. Then import each file:

    wixhttp data declare Books.csv People.csv && wixhttp data import Books.csv
    """
    from wixhttp.data.files.formats import BadItem
    from wixhttp.data.files.inference import infer_declarations
    from wixhttp.data.schema.declarations import FILE, load_schema, parse_schema
    from wixhttp.errors import ConfigError
    from wixhttp.project.toml_file import read_toml

    root = config_of(context).root
    try:
        found = infer_declarations([Path(each) for each in files], load_schema(root))
    except (BadItem, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise click.ClickException(str(error)) from None
    for sentence in found.left:
        click.secho(f"Note: {sentence}", fg="yellow", err=True)
    if not found.text:
        click.echo(f"{FILE} has all of it already")
        return
    before, _ = read_toml(root / FILE, FILE)
    whole = before + ("" if not before or before.endswith("\n") else "\n") + ("\n" if before else "") + found.text
    try:
        parse_schema(whole)
    except ConfigError as error:
        raise click.ClickException(
            f"{FILE} cannot be extended by these lines ({error}); write what is missing by hand:\n\n{found.text}"
        ) from None
    if not dry_run:
        (root / FILE).parent.mkdir(exist_ok=True)
        (root / FILE).write_bytes(whole.encode())
    click.echo(found.text, nl=False)
    if not dry_run:
        click.echo(f"wrote {', '.join(found.collections)} to {FILE}", err=True)
