"""Fixtures that the tests share: a project made from text or a folder, served through each of the three interfaces."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.interfaces import INTERFACES, Interface, Served, ServedAlike, forget_projects, load_app, write_project
from wixhttp.dispatch.app import App
from wixhttp.dispatch.site import load_site
from wixhttp.logs.setup import OWN_LOGGERS
from wixhttp.project.config import load_config

pytest_plugins = ["pytester"]

# A machine that does other work makes no example wrong. In CI the examples are those of each other run, so that what a
# change is told of is the change's; elsewhere they are new ones each time.
settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("suite")

# What takes longest begins first, so that no process is left alone with one of these files at the end.
LONGEST = (
    "test_server", "test_docs", "test_install", "test_inspector", "test_server_endpoints", "test_server_abuse",
    "test_server_protocol", "test_data_postgres", "test_worker_classes", "test_cli", "test_dev_reload", "test_migrate",
    "test_regular_expressions", "test_types", "test_data_stores", "test_schedules_zones", "test_data_agreement",
    "test_build", "test_auth", "test_promises", "test_data_transfer", "test_data_commands", "test_server_data",
    "test_dev_traffic_secrets", "test_dev_inspect", "test_behaviour_errors", "test_inbox_runner", "test_inbox_kills",
    "test_guards", "test_metrics", "test_dev_server", "test_dev_traffic_tests", "test_logs", "test_sample_site",
    "test_endpoint_session",
)  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest in front."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    """Let no search for garbage go through the thousands of tests and their modules again: many tests ask for one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_bytecode() -> Iterator[None]:
    """Each test's project is imported once, by this process. What pytest made of the tests themselves is kept."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    yield
    sys.dont_write_bytecode = before


@pytest.fixture(autouse=True)
def own_import_state() -> Iterator[None]:
    """Each test loads its projects as a new process would: none of another's modules, finders or folders is left."""
    path, finders, folders = list(sys.path), list(sys.meta_path), set(sys.path_importer_cache)
    forget_projects()
    yield
    forget_projects()
    sys.path[:], sys.meta_path[:] = path, finders
    for folder in sys.path_importer_cache.keys() - folders:
        del sys.path_importer_cache[folder]


@pytest.fixture(autouse=True)
def plain_loggers() -> Iterator[None]:
    """Loggers are as they were again, once a test ends that runs a command in this process."""
    yield
    for name in OWN_LOGGERS:
        logger = logging.getLogger(name)
        if type(logger) is not logging.Logger:
            logger.__class__ = logging.Logger
            logger.setLevel(logging.NOTSET)


@pytest.fixture(params=list(INTERFACES))
def interface(request: pytest.FixtureRequest) -> type[Interface]:
    """Each of the three interfaces in turn."""
    return INTERFACES[request.param]


@pytest.fixture
def has_short_path() -> bool:
    """True; the tests of HTTP functions replace it by both, and so send everything both ways."""
    return True


@pytest.fixture
def serve(interface: type[Interface], has_short_path: bool, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """``serve(files, **settings)``: a project made from text, from files by their paths, or a folder as it stands."""
    with ExitStack() as stack:

        def make(files: str | dict[str, str] | Path, **settings: object) -> Served:
            folder = files if isinstance(files, Path) else write_project(tmp_path / "site", files)
            return Served(
                stack.enter_context(closing(interface(load_app(folder, has_short_path=has_short_path, **settings))))
            )

        yield make


@pytest.fixture
def serve_alike(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServedAlike]]:
    """As ``serve``, of every interface at once: for what is answered alike, and changes nothing in the project."""
    with ExitStack() as stack:

        def make(files: str | dict[str, str] | Path, **settings: object) -> ServedAlike:
            folder = files if isinstance(files, Path) else write_project(tmp_path_factory.mktemp("site"), files)
            forget_projects()
            site = load_site(load_config(folder, environ={}, flags=settings))
            apps = [App(site, has_short_path=has_short_path) for has_short_path in (True, False)]
            return ServedAlike(
                [stack.enter_context(closing(kind(app))) for kind in INTERFACES.values() for app in apps]
            )

        yield make
