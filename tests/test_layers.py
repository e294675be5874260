"""Which room may import which: the table as data, compared with what ``ast`` finds, type-only and late imports too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import wixhttp

ROOT = Path(wixhttp.__file__).parent
ROOMS = {path.stem: path for path in ROOT.glob("*.py")}

REQUEST_ROOMS = set(
    "errors url jsontext head request response encoding functions loader site policy settings config dotenv logs "
    "printing health app direct loop threads deadlines runner sending wsgi asgi proxies".split()
)
SERVICES = {"secrets"}
TOOLS = set("testing pytest_plugin cli calls checks routes scaffold server worker __main__".split())

ALLOWED = {
    "__init__": "errors policy request response",
    "errors": "",
    "url": "",
    "policy": "",
    "response": "",
    "loop": "",
    "jsontext": "errors",
    "head": "url",
    "request": "head jsontext url",
    "threads": "loop printing",
    "encoding": "errors jsontext response",
    "dotenv": "errors",
    "settings": "policy",
    "config": "errors policy settings",
    "loader": "errors",
    "functions": "errors policy",
    "site": "config functions loader",
    "logs": "head",
    "proxies": "head",
    "health": "config errors head response",
    "printing": "head logs",
    "app": "encoding errors functions head health logs policy proxies request response site url",
    "direct": "app encoding errors head logs loop printing response",
    "wsgi": "app config direct encoding errors head loop site url",
    "deadlines": "errors loop",
    "runner": "deadlines logs loop threads",
    "sending": "app direct encoding loop runner threads",
    "asgi": "app config deadlines encoding errors head logs loop printing response runner sending site url",
    "secrets": "config dotenv errors logs",
    "testing": "app config direct encoding errors head jsontext loader request secrets site url",
    "pytest_plugin": "request secrets testing",
    "routes": "functions site",
    "scaffold": "",
    "checks": "config errors functions loader secrets site",
    "calls": "app config encoding logs loop secrets site testing",
    "server": "app asgi config direct errors logs printing secrets site wsgi",
    "worker": "",
    "cli": "__init__ calls checks config errors logs routes scaffold secrets server site",
    "__main__": "cli",
}


def imports(room: str) -> Iterator[str]:
    """The rooms that a room imports, wherever in its file."""
    for node in ast.walk(ast.parse(ROOMS[room].read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 1:
            yield from (alias.name if alias.name in ROOMS else "__init__" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "wixhttp":
            yield "wixhttp, by its full name"
        elif isinstance(node, ast.Import):
            yield from (f"{alias.name}, by its full name" for alias in node.names if alias.name.startswith("wixhttp"))


def test_every_room_stands_in_the_table_and_in_one_group() -> None:
    assert set(ROOMS) == set(ALLOWED)
    assert sorted([*REQUEST_ROOMS, *SERVICES, *TOOLS, "__init__"]) == sorted(ROOMS)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_what_the_table_says(room: str) -> None:
    assert set(imports(room)) == set(ALLOWED[room].split())


def test_there_is_no_circle() -> None:
    order = list(TopologicalSorter({room: set(imports(room)) for room in ROOMS}).static_order())
    assert set(order) == set(ROOMS)


def test_request_rooms_import_no_service_and_no_tool_and_services_no_tool() -> None:
    for room, allowed in ALLOWED.items():
        if room in REQUEST_ROOMS | {"__init__"}:
            assert set(allowed.split()) <= REQUEST_ROOMS, room
        elif room in SERVICES:
            assert set(allowed.split()) <= REQUEST_ROOMS | SERVICES, room


def test_only_the_command_line_imports_the_root() -> None:
    assert {room for room in ROOMS if "__init__" in set(imports(room))} <= {"cli"}  # for its version


def test_third_parties_stay_in_their_rooms() -> None:
    found: dict[str, set[str]] = {}
    for room, path in ROOMS.items():
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(room)
    assert found["werkzeug"] == {"proxies"}
    assert found["gunicorn"] <= {"server", "worker"}
    assert found["click"] <= {"cli", "calls"}
    assert found["pytest"] == {"pytest_plugin"}


def test_the_environment_is_read_in_four_rooms() -> None:
    readers = set()
    for room, path in ROOMS.items():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv"):
                readers.add(room)
    # The settings; the secrets; NO_COLOR; WIXHTTP_PROJECT.
    assert readers == {"config", "secrets", "cli", "pytest_plugin"}
