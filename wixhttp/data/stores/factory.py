"""A store by its URL; what a database needs is loaded when it is asked for."""

from __future__ import annotations

from pathlib import Path

from wixhttp.errors import ConfigError
from wixhttp.logs.masking import masked_url
from wixhttp.project.opened_database import shared

from .contract import Store
from .memory import MemoryStore

_SQLITE = "sqlite:///"


def sqlite_path(url: str, root: Path) -> Path | None:
    """The file of the embedded database that ``url`` names; ``None`` where it names another store."""
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return (root / url[len(_SQLITE) :]).absolute()
    return None


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
    if (path := sqlite_path(url, root)) is not None:
        from .sqlite import SQLiteStore

        return SQLiteStore(path, shared())
    if separator and scheme in ("postgresql", "postgres") and rest:
        try:
            from .postgres import PostgresStore
        except ImportError as error:
            fault = f"{error.name} is not installed" if isinstance(error, ModuleNotFoundError) else str(error)
            raise ConfigError(
                f"database_url is on PostgreSQL, and {fault}; run: pip install 'wixhttp[postgres]'"
            ) from None
        return PostgresStore(url)
    raise ConfigError(
        f"database_url is sqlite:///path, postgresql://host/database or memory://, not {masked_url(url)!r}"
    )
