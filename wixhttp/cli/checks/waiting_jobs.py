"""Deferred functions and jobs that wait in the inbox, and that the project does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from wixhttp.data.stores.factory import open_store, sqlite_path
from wixhttp.errors import StoreUnavailable
from wixhttp.inbox.stores.contract import InboxVersion
from wixhttp.inbox.stores.factory import open_inbox
from wixhttp.project.config import Config


def unknown_jobs(known: Collection[str], config: Config) -> Iterator[str]:
    """Warnings of jobs that wait, and whose name is none of the ``known`` ones, and of an inbox of another version. A
    database is not made for it."""
    path = sqlite_path(config.store_url, config.root)
    if config.store_url == "memory://" or (path is not None and not path.exists()):
        return
    store = open_store(config.store_url, config.root)
    try:
        unknown = open_inbox(store).unknown_names(known)
    except InboxVersion as error:
        yield str(error)
        return
    except StoreUnavailable:  # whether it can be reached is asked elsewhere, where the site is to run
        return
    finally:
        store.close()
    for name, count in sorted(unknown.items()):
        yield (
            f"{count} deferred functions or jobs named {name!r} wait in the inbox, and the project has none of that "
            "name; see: wixhttp inbox list"
        )
