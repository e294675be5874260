"""The store that the commands ``wixhttp data`` work on."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

from wixhttp.errors import ProjectError, WixHTTPError

if TYPE_CHECKING:
    from wixhttp.data.schema.declarations import CollectionSchema
    from wixhttp.data.stores.contract import Store
    from wixhttp.project.config import Config

FORMATS = click.Choice(["jsonl", "csv"])
"""The formats of files."""


class OpenedStore(NamedTuple):
    """The store of a project, and its declared collections by name."""

    store: Store
    schema: dict[str, CollectionSchema]

    def need(self, *names: str) -> None:
        """See to it that the store has these collections: one that is declared is made, as at its first use.

        Raises:
            WixDataError: WDE0025, one is neither there nor declared.
        """
        from wixhttp.data.calls.access import Collections
        from wixhttp.data.schema.declarations import site_collections
        from wixhttp.data.stores.contract import no_collection

        collections = Collections(self.store, self.schema).prepare
        there = self.store.collections()
        for name in names:
            if name in self.schema:
                collections(name)
            elif name not in there:
                raise no_collection(name, {**self.schema, **site_collections(self.store)})


@contextlib.contextmanager
def opened_store(
    context: click.Context, missing: Literal["made", "empty", "refused"] = "empty"
) -> Iterator[OpenedStore]:
    """Open the store of the project, or of ``--database-url``, until the block ends.

    ``missing`` says what becomes of an embedded database that is not there yet: it is made, it is taken for an empty
    one and not made, or it is an error.

    Raises:
        ProjectError: a setting or a declaration is wrong.
        click.ClickException: the store failed, in the block too.
    """
    from wixhttp.data.schema.declarations import load_schema
    from wixhttp.data.schema.links import link_targets, relations_of
    from wixhttp.data.stores.factory import open_store, sqlite_path

    config = config_of(context)
    schema = load_schema(config.root)
    path = sqlite_path(config.store_url, config.root)
    is_missing = missing != "made" and path is not None and not path.exists()
    if is_missing and missing == "refused":
        raise click.ClickException(
            f"there is no database {path} yet: the first use of a collection makes it; --project names another project"
        )
    store = open_store("memory://" if is_missing else config.store_url, config.root)
    with reported_errors():
        try:
            store.declare_links(link_targets(relations_of(schema)))
            yield OpenedStore(store, dict(schema))
        finally:
            store.close()


def config_of(context: click.Context) -> Config:
    """The settings of the project, with ``--database-url``.

    Raises:
        ConfigError: one is wrong.
    """
    from wixhttp.project.config import load_config

    project, database_url = context.obj
    return load_config(project, flags={"database_url": database_url})


@contextlib.contextmanager
def reported_errors() -> Iterator[None]:
    """Let errors of a store end the command with their text, once: what the log has of them, too, is not shown again.

    Raises:
        ProjectError: as the block did.
        click.ClickException: for another error of this package.
    """
    from wixhttp.logs.masking import masked

    with _shown_log() as errors:
        try:
            yield
        except ProjectError:
            raise
        except WixHTTPError as error:
            text = str(error)
            errors[:] = [each for each in errors if each != text]
            raise click.ClickException(masked(text)) from None


@contextlib.contextmanager
def _shown_log() -> Iterator[list[str]]:
    """Show warnings of the log on standard error, and at the end those errors that are in the list then."""
    from wixhttp.logs.masking import masked

    errors: list[str] = []

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                errors.append(record.getMessage())
            elif record.levelno == logging.WARNING:
                click.secho(f"Warning: {masked(record.getMessage())}", fg="yellow", err=True)

    logger, handler = logging.getLogger("wixhttp"), Shown()
    logger.addHandler(handler)
    try:
        yield errors
    finally:
        logger.removeHandler(handler)
        for text in dict.fromkeys(errors):
            click.secho(f"Error: {masked(text)}", fg="red", err=True)
