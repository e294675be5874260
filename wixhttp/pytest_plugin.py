"""The fixtures for a user's tests, found by pytest by itself: ``client``, ``fake_request``, ``fake_caller``,
``secrets``, ``wix_data``.

The project is the folder of ``WIXHTTP_PROJECT``, else the nearest one, from where pytest was called upwards, with a
``backend`` folder. It is put on the import path, so that a test
can ``from backend.http_functions import get_hello``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .auth import TokenInfo
    from .request import Request
    from .testing import FakeData, TestClient


def _project(config: pytest.Config) -> Path:
    if named := os.environ.get("WIXHTTP_PROJECT"):
        return Path(named).absolute()
    here = config.invocation_params.dir
    return next((folder for folder in (here, *here.parents) if (folder / "backend").is_dir()), config.rootpath)


def pytest_configure(config: pytest.Config) -> None:
    """Put the project on the import path."""
    project = _project(config)
    if (project / "backend").is_dir() and str(project) not in sys.path:
        sys.path.insert(0, str(project))


@pytest.fixture
def client(pytestconfig: pytest.Config) -> TestClient:
    """A ``TestClient`` of the project."""
    from .testing import TestClient

    return TestClient(_project(pytestconfig))


@pytest.fixture(name="fake_request")
def fake_request_fixture() -> Callable[..., Request]:
    """The function ``wixhttp.testing.fake_request``."""
    from .testing import fake_request

    return fake_request


@pytest.fixture(name="fake_caller")
def fake_caller_fixture() -> Callable[..., AbstractContextManager[TokenInfo]]:
    """The function ``wixhttp.testing.fake_caller``: ``with fake_caller("MEMBER", "ada"): client.get("orders")``."""
    from .testing import fake_caller

    return fake_caller


@pytest.fixture
def secrets() -> Iterator[dict[str, Any]]:
    """A dict that holds the only secrets of the test: ``secrets["KEY"] = "value"``, read by ``getSecret("KEY")``."""
    from .secrets import SecretStore, override

    values: dict[str, Any] = {}
    with override(SecretStore.from_mapping(values)):
        yield values


@pytest.fixture
def wix_data(pytestconfig: pytest.Config) -> Iterator[FakeData]:
    """The only collections of the test, in memory: ``wix_data.seed("books", [{"title": "Emma"}])``, and what
    `wixhttp.data` can do."""
    from .testing import fake_data

    with fake_data(_project(pytestconfig)) as data:
        yield data
