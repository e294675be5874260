"""``wixhttp openapi``: the OpenAPI document of a site."""

from __future__ import annotations

import click

from wixhttp.cli.arguments.file_names import FILE


@click.command()
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write it there (default: print it).")
@click.pass_context
def openapi(context: click.Context, output: str | None) -> None:
    """Print the OpenAPI 3.1 document of the site, as JSON.

    It tells of each function and endpoint its path, parameters, bodies, answers and errors, as far as its routes, its
    docstring, its types and the text of its file say them. Types need pydantic: pip install 'wixhttp[validation]'
    """
    import json
    from dataclasses import replace
    from pathlib import Path

    from wixhttp.cli.endpoint_checks import warnings_kept
    from wixhttp.cli.openapi.document import openapi_document
    from wixhttp.dispatch.site import load_site
    from wixhttp.project.config import load_config
    from wixhttp.secrets import SecretStore, override

    config = load_config(context.obj)
    with override(SecretStore.from_config(config)), warnings_kept():
        site = load_site(replace(config, mode="production"))  # in development a broken file would be passed over
        document, is_left_out = openapi_document(site)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if is_left_out:
        note = "Note: types are left out, since pydantic is not installed; run: pip install 'wixhttp[validation]'"
        click.secho(note, fg="yellow", err=True)
    if output is None:
        click.echo(text, nl=False)
    else:
        Path(output).write_text(text, encoding="utf-8")
