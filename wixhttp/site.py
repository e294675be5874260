"""A project folder, loaded: its settings and its closed table of functions, and those of its test site."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .config import Config
from .functions import FunctionTable, functions_of
from .loader import load_functions_module


@dataclass(frozen=True)
class Site:
    """What the dispatcher serves. ``test_functions`` is the table of the test site, or that of the site itself."""

    config: Config
    functions: FunctionTable
    test_functions: FunctionTable


def load_site(config: Config) -> Site:
    """Import the user's files and build their tables.

    Raises:
        ProjectError: a file cannot be imported, or a function takes what it will not be given.
    """
    functions = _load_functions(config.root, config)
    if config.test_site is None:
        return Site(config, functions, functions)
    return Site(config, functions, _load_functions(config.test_site, config))


def _load_functions(root: Path, config: Config) -> FunctionTable:
    return functions_of(load_functions_module(root, config.import_timeout))
