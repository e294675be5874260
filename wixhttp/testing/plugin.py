"""The fixtures for a user's tests, found by pytest by itself: ``client``, ``fake_request``, ``fake_context``,
``call_endpoint``, ``load_endpoint``, ``fake_caller``, ``secrets``, ``wix_data``.

The project is the folder of ``WIXHTTP_PROJECT``, else the nearest one, from where pytest was called upwards, with a
folder ``backend`` or ``src/pages``. It is put on the import path, so that a test can ``from backend.http_functions
import get_hello``.
"""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wixhttp.auth import TokenInfo
    from wixhttp.endpoints.context import Context
    from wixhttp.endpoints.web.response import Response
    from wixhttp.http.request import Request

    from . import FakeData, TestClient


def _project(config: pytest.Config) -> Path:
    if named := os.environ.get("WIXHTTP_PROJECT"):
        return Path(named).absolute()
    here = config.invocation_params.dir
    return next((folder for folder in (here, *here.parents) if _is_project(folder)), config.rootpath)


def _is_project(folder: Path) -> bool:
    return (folder / "backend").is_dir() or (folder / "src/pages").is_dir()


def pytest_configure(config: pytest.Config) -> None:
    """Put the project on the import path."""
    project = _project(config)
    if _is_project(project) and str(project) not in sys.path:
        sys.path.insert(0, str(project))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Say below a failure by what decorators would have noted, which a direct call has none of, how to give it."""
    outcome = yield
    hint = advice(call.excinfo.value) if call.excinfo is not None else ""
    if hint:
        outcome.get_result().sections.append(("wixhttp", hint))


def advice(error: BaseException) -> str:
    """Advice on ``request.webhook.event`` and ``request.api_key.name`` of a request without; ``""`` for other
    errors."""
    if not isinstance(error, AttributeError) or error.obj is not None or error.__traceback__ is None:
        return ""
    line = traceback.extract_tb(error.__traceback__)[-1].line or ""
    for noted, decorator, example in (
        ("webhook", "@verified", 'webhook={"id": "evt_1", "event": "paid"}'),
        ("api_key", "@require_key", 'api_key="shop"'),
    ):
        if f".{noted}.{error.name}" in line:
            return (
                f"request.{noted} is None: a function that is called directly has no {decorator} in front of it; give "
                f"it, fake_request(..., {example}), or send the request by the fixture client"
            )
    return ""


@pytest.fixture
def client(pytestconfig: pytest.Config) -> TestClient:
    """A ``TestClient`` of the project."""
    from . import TestClient

    return TestClient(_project(pytestconfig))


@pytest.fixture(name="fake_request")
def fake_request_fixture() -> Callable[..., Request]:
    """The function ``wixhttp.testing.fake_request``."""
    from . import fake_request

    return fake_request


@pytest.fixture(name="fake_context")
def fake_context_fixture(pytestconfig: pytest.Config) -> Callable[..., Context]:
    """The function ``wixhttp.testing.fake_context``, for the project."""
    from . import fake_context

    return functools.partial(fake_context, project=_project(pytestconfig))


@pytest.fixture(name="call_endpoint")
def call_endpoint_fixture(pytestconfig: pytest.Config) -> Callable[..., Response]:
    """The function ``wixhttp.testing.call_endpoint``, for the project."""
    from . import call_endpoint

    return functools.partial(call_endpoint, project=_project(pytestconfig))


@pytest.fixture(name="load_endpoint")
def load_endpoint_fixture(pytestconfig: pytest.Config) -> Callable[..., ModuleType]:
    """The function ``wixhttp.testing.load_endpoint``, for the project."""
    from . import load_endpoint

    return functools.partial(load_endpoint, project=_project(pytestconfig))


@pytest.fixture(name="fake_caller")
def fake_caller_fixture() -> Callable[..., AbstractContextManager[TokenInfo]]:
    """The function ``wixhttp.testing.fake_caller``: ``with fake_caller("MEMBER", "ada"): client.get("orders")``."""
    from . import fake_caller

    return fake_caller


@pytest.fixture
def secrets() -> Iterator[dict[str, Any]]:
    """A dict that holds the only secrets of the test: ``secrets["KEY"] = "value"``, read by ``getSecret("KEY")``."""
    from wixhttp.secrets import SecretStore, override

    values: dict[str, Any] = {}
    with override(SecretStore.from_mapping(values)):
        yield values


@pytest.fixture
def wix_data(pytestconfig: pytest.Config) -> Iterator[FakeData]:
    """The only collections of the test, in memory: ``wix_data.seed("books", [{"title": "Emma"}])``, and what
    `wixhttp.data` can do."""
    from . import fake_data

    with fake_data(_project(pytestconfig)) as data:
        yield data
