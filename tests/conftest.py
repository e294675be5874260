"""Fixtures that the tests share: a project made from text or a folder, served through each of the three interfaces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.interfaces import INTERFACES, Interface, Served, forget_projects, load_app, write_project

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def own_import_state() -> Iterator[None]:
    """Each test loads its projects as a new process would: none of another's modules, finders or folders is left."""
    path, finders = list(sys.path), list(sys.meta_path)
    forget_projects()
    yield
    forget_projects()
    sys.path[:], sys.meta_path[:] = path, finders


@pytest.fixture(params=list(INTERFACES))
def interface(request: pytest.FixtureRequest) -> type[Interface]:
    """Each of the three interfaces in turn."""
    return INTERFACES[request.param]


@pytest.fixture
def serve(interface: type[Interface], tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """``serve(files, **settings)``: a project made from text, from files by their paths, or a folder as it stands."""
    with ExitStack() as stack:

        def make(files: str | dict[str, str] | Path, **settings: object) -> Served:
            folder = files if isinstance(files, Path) else write_project(tmp_path / "site", files)
            return Served(stack.enter_context(closing(interface(load_app(folder, **settings)))))

        yield make
