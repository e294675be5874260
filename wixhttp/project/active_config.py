"""The settings with which a process opens its collections at first use.

The server notes them before it loads users' code, and `wixhttp.data` asks for them when a collection is first called: a
site that has none never loads that package.
"""

from __future__ import annotations

from .config import Config, load_config
from .loader import backend_file

_noted: Config | None = None


def open_later(config: Config | None) -> None:
    """Note the settings, for collections that are opened lazily; ``None`` forgets them."""
    global _noted  # noqa: PLW0603  # a part of an ambient value, the collections: how they are opened
    _noted = config


def config_to_open() -> Config:
    """The settings that were noted, or those of the project in the current folder, or in ``WIXHTTP_PROJECT``.

    Raises:
        ConfigError: nothing was noted, and there a setting is wrong.
    """
    return load_config() if _noted is None else _noted


def has_collections(config: Config) -> bool:
    """Return whether a project uses collections: declares some, has hooks, or names a database.

    Raises:
        ProjectError: there are two files of hooks.
    """
    return (
        config.database_url is not None
        or (config.root / "data" / "collections.toml").exists()
        or backend_file(config.root, "data") is not None
    )
