"""The store that the commands ``wixhttp data`` work on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

from wixhttp.errors import ProjectError, WixHTTPError

if TYPE_CHECKING:
    from wixhttp.data.schema.declarations import CollectionSchema
    from wixhttp.data.stores.contract import Index, Store

FORMATS = click.Choice(["jsonl", "csv"])
"""The formats of files."""


class OpenedStore(NamedTuple):
    """The store of a project, and its declared collections by name."""

    store: Store
    schema: dict[str, CollectionSchema]


@contextlib.contextmanager
def opened_store(context: click.Context) -> Iterator[OpenedStore]:
    """Open the store of the project, or of ``--database-url``, until the block ends.

    Raises:
        ProjectError: a setting or a declaration is wrong.
        click.ClickException: the store failed, in the block too.
    """
    from wixhttp.data.schema.declarations import load_schema
    from wixhttp.data.schema.links import link_targets, relations_of
    from wixhttp.data.stores.factory import open_store
    from wixhttp.logs.masking import masked
    from wixhttp.project.config import load_config

    project, database_url = context.obj
    config = load_config(project, flags={"database_url": database_url})
    schema = load_schema(config.root)
    store = open_store(config.store_url, config.root)
    try:
        store.declare_links(link_targets(relations_of(schema)))
        yield OpenedStore(store, dict(schema))
    except ProjectError:
        raise
    except WixHTTPError as error:
        raise click.ClickException(masked(str(error))) from None
    finally:
        store.close()


def site_collections(store: Store) -> dict[str, tuple[Index, ...]]:
    """The collections that the site's code can reach; sessions are kept beside them."""
    from wixhttp.data.schema.declarations import COLLECTION_NAME

    return {name: indexes for name, indexes in store.collections().items() if COLLECTION_NAME.fullmatch(name)}
