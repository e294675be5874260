"""A project folder, loaded: its settings and its closed table of functions, and those of its test site."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wixhttp.errors import ConfigError, ProjectError
from wixhttp.project.config import Config
from wixhttp.project.findings import below
from wixhttp.project.function_table import TEST_SITE, Function, FunctionTable, functions_of
from wixhttp.project.loader import has_functions, load_functions_module
from wixhttp.project.misplaced_files import misplaced_files, nothing_to_serve

from .background_work import BackgroundWork

if TYPE_CHECKING:  # a site without endpoints or guards does not load them
    from wixhttp.endpoints.endpoint_table import Endpoints
    from wixhttp.endpoints.handlers import EndpointHandler
    from wixhttp.guards import Guard

    from .meter import Meter

logger = logging.getLogger("wixhttp")


@dataclass(frozen=True)
class Site:
    """A loaded project. ``test_functions`` is the table of the test site, or that of the site itself where it has none.
    ``endpoints`` are the files below ``src/pages`` and in ``public``, ``None`` where there is no such folder.
    ``guards`` are those that the settings ask for, of all handlers that have none of the kind. ``background`` is the
    work of each process beside requests. ``meter`` counts, where the settings ask for metrics."""

    config: Config
    functions: FunctionTable
    test_functions: FunctionTable
    endpoints: Endpoints | None = None
    guards: tuple[Guard, ...] = ()
    background: tuple[BackgroundWork, ...] = ()
    meter: Meter | None = None

    def with_guards(self, guards: tuple[Guard, ...]) -> Site:
        """The same site with guards around all handlers that have none of the kind."""
        if self.endpoints is not None:
            self.endpoints.guard(guards)
        return replace(self, guards=guards)

    def with_background(self, *work: BackgroundWork) -> Site:
        """The same site with more work beside requests."""
        return replace(self, background=(*self.background, *work))

    def with_meter(self, meter: Meter) -> Site:
        """The same site, measured."""
        return replace(self, meter=meter)

    def handlers(self) -> Iterator[Function | EndpointHandler]:
        """All functions, those of the test site, and the handlers of the endpoints, each once."""
        yield from self.functions
        if self.test_functions is not self.functions:
            yield from self.test_functions
        for route in self.endpoints.routes if self.endpoints is not None else ():
            yield from dict.fromkeys(route.methods.values())

    def place_of(self, handler: Function | EndpointHandler) -> str:
        """The place of a handler, as messages begin with it: ``"backend/http_functions.py:5"``."""
        return f"{below(Path(handler.file), self.config.root)}:{handler.line}"

    @property
    def summary(self) -> str:
        """Its functions and endpoints, counted: ``"2 functions"``, ``"1 endpoint"``, ``"2 functions, 3 endpoints"``."""
        functions, endpoints = len(self.functions), len(self.endpoints.routes) if self.endpoints is not None else 0
        counts = [(functions, "function")] if functions or not endpoints else []
        counts += [(endpoints, "endpoint")] if endpoints else []
        return ", ".join(f"{count} {name}{'s' * (count != 1)}" for count, name in counts)


def load_site(config: Config, *, needs_pages: bool = True, problems: list[ProjectError] | None = None) -> Site:
    """Import the user's files and build their tables. With ``needs_pages`` a folder of endpoints that a setting names
    has to exist. With ``problems`` what cannot be loaded is left out, and its error is there.

    Raises:
        ProjectError: a file cannot be imported, or a function takes what it will not be given.
        ConfigError: the setting ``pages`` names no folder.
    """
    endpoints = _load_endpoints(config, problems)
    is_empty = endpoints is None or not (config.pages.is_dir() or endpoints.middleware)
    if is_empty and needs_pages and config.sources.get("pages", "default") != "default":
        raise ConfigError(
            f"{config.sources['pages']}: pages is the folder of the endpoints, and there is no {str(config.pages)!r}; "
            "make it, or leave the setting out"
        )
    if has_functions(config.root):
        functions = _load_functions(config.root, config, problems)
    elif endpoints is None:
        raise ProjectError(nothing_to_serve(config.root))
    else:
        functions = FunctionTable()
    for finding in misplaced_files(config):
        logger.warning("%s", finding)
    if config.test_site is None:
        return Site(config, functions, functions, endpoints)
    return Site(config, functions, _load_functions(config.test_site, config, problems, TEST_SITE), endpoints)


def _load_functions(root: Path, config: Config, problems: list[ProjectError] | None, place: str = "") -> FunctionTable:
    try:
        return functions_of(load_functions_module(root, config.import_timeout), place)
    except ProjectError as error:
        if problems is None:
            raise
        problems.append(error)
        return FunctionTable()


def _load_endpoints(config: Config, problems: list[ProjectError] | None) -> Endpoints | None:
    places = (config.pages, config.pages.parent / "middleware.py", config.root / "public")
    if not any(place.exists() for place in places):
        return None
    from wixhttp.endpoints.loader import load_endpoints

    return load_endpoints(config, problems)
