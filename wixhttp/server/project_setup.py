"""The set-up of a process for a project, before its code is imported: secrets, collections, the verifier of tokens."""

from __future__ import annotations

import gc

from wixhttp.dispatch.site import Site
from wixhttp.metrics.factory import inbox_numbers
from wixhttp.project.active_config import has_collections, open_later
from wixhttp.project.config import Config
from wixhttp.project.opened_database import shared
from wixhttp.secrets import SecretStore, set_default_store

from .readiness import Readiness

_GC_THRESHOLD = 10_000  # objects made and not freed between two looks at the youngest


def set_secrets(config: Config) -> None:
    """Have `getSecret` read the secrets of this project. Raises as `SecretStore.get`."""
    set_default_store(SecretStore.from_config(config))


def set_up(config: Config) -> bool:
    """Make what the project's code may reach, so that an error in it ends the start. Return whether it uses
    collections.

    Raises:
        ProjectError: the declarations of collections, the database or the setting ``auth`` are wrong.
    """
    open_later(config)
    is_used = has_collections(config)
    if is_used:
        _open_collections(config)
    _check_auth(config)
    return is_used


def settle_collector() -> None:
    """The modules loaded by now stay: the garbage collector need not look at them again, nor run every few requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)


def readiness_of(site: Site, *, is_used: bool) -> Readiness:
    """The readiness check of a project that uses collections (``is_used``), or may come to."""
    config, numbers = site.config, inbox_numbers(site)
    # A site without collections is not made a database by being asked for its health.
    opened = shared()
    return Readiness(
        _ping,
        lambda: is_used or config.embedded_database.exists() or (opened is not None and opened.get() is not None),
        facts=numbers.facts if numbers is not None else dict,
    )


def _open_collections(config: Config) -> None:
    """Open the collections that the project declares, so that an error in them ends the start."""
    from wixhttp.data.collections import open_collections, set_default

    set_default(open_collections(config))


def _check_auth(config: Config) -> None:
    """Make the verifier of tokens, so that an error in the setting ends the start."""
    if config.auth is not None:
        from wixhttp.auth.token_verifiers import check_auth

        check_auth(config.auth, config.root)


def _ping() -> None:
    from wixhttp.data.collections import current

    current().store.ping()
