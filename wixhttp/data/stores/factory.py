"""A store by its URL; what a database needs is loaded when it is asked for."""

from __future__ import annotations

from pathlib import Path

from wixhttp.errors import ConfigError
from wixhttp.logs.masking import masked_url

from .contract import Store
from .memory import MemoryStore

_SQLITE = "sqlite:///"


def open_store(url: str, root: Path) -> Store:
    """The store that ``url`` names; no file is made and no connection before it is used.

    ``memory://`` is empty and ends with the process. ``sqlite:///data/site.sqlite3`` is below ``root``, with one more
    slash, ``sqlite:////var/site.sqlite3``, it is absolute. ``postgresql://...`` needs the extra.

    Raises:
        ConfigError: the URL is none of these, or what it needs is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "memory" and not rest:
        return MemoryStore()
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        from .sqlite import SQLiteStore

        return SQLiteStore((root / url[len(_SQLITE) :]).absolute())
    if separator and scheme in ("postgresql", "postgres") and rest:
        try:
            from .postgres import PostgresStore
        except ImportError as error:
            raise ConfigError(
                f"database_url is on PostgreSQL, and {error.name} is not installed; "
                "run: pip install 'wixhttp[postgres]'"
            ) from error
        return PostgresStore(url)
    raise ConfigError(
        f"database_url is sqlite:///path, postgresql://host/database or memory://, not {masked_url(url)!r}"
    )
