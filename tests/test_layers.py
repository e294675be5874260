"""Which room may import which: the table as data, compared with what ``ast`` finds, type-only and late imports too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import wixhttp

ROOT = Path(wixhttp.__file__).parent
ROOMS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") or "__init__": path
    for path in (*ROOT.glob("*.py"), *ROOT.glob("data/*.py"), *ROOT.glob("endpoints/*.py"))
}

SESSIONS = {"endpoints.session", "endpoints.sessionstate"}
REQUEST_ROOMS = set(
    "errors url jsontext head request response encoding functions loader site policy settings config dotenv logs "
    "printing health app direct loop threads deadlines runner sending wsgi asgi proxies tomlfile readiness bodies "
    "bridge authconfig".split()
) | {room for room in ROOMS if room.partition(".")[0] == "endpoints" and room not in SESSIONS}
SERVICES = (
    {"opening", "secrets", "auth", "callers", "keys", "tokens"}
    | SESSIONS
    | {room for room in ROOMS if room.partition(".")[0] == "data"}
)
TOOLS = set(
    "testing endpoint_checks fakedata fakecontexts fakerequests pytest_plugin data_commands cli calls checks routes "
    "scaffold server worker building buildfolder migrating __main__".split()
)

# A session is kept in the project's data store, which is loaded when a handler first reads its session, and not before.
LATE = {("endpoints.context", "endpoints.session")}

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
    "tomlfile": "errors",
    "config": "authconfig errors policy settings tomlfile",
    "loader": "errors",
    "functions": "errors policy response",
    "site": "config endpoints.loading endpoints.table errors functions loader",
    "logs": "head",
    "readiness": "logs",
    "proxies": "head",
    "health": "config errors head response",
    "printing": "head logs",
    "app": (
        "bodies encoding endpoints.exchange endpoints.handlers endpoints.table errors functions head health logs "
        "policy proxies request response site url"
    ),
    "direct": "app bodies encoding errors head logs loop printing response",
    "wsgi": "app bodies config direct encoding errors head loop site url",
    "deadlines": "errors loop",
    "runner": "deadlines logs loop threads",
    "sending": "app direct encoding loop runner threads",
    "asgi": (
        "app bodies bridge config deadlines encoding errors head logs loop printing response runner sending site url"
    ),
    "secrets": "config dotenv errors logs",
    "data.ambient": "",
    "data.writer": "",
    "data.postgres_pool": "errors",
    "data.values": "errors",
    "data.failures": "errors",
    "data.tree": "data.values errors",
    "data.identifiers": "data.failures errors",
    "data.hooks": "errors functions loader loop",
    "data.filters": "data.tree data.values errors",
    "data.evaluate": "data.tree data.values",
    "data.store": "data.tree data.values errors",
    "data.query": "data.filters data.tree data.values errors",
    "data.modifications": "data.evaluate data.failures data.tree errors",
    "data.sql": "data.evaluate data.store data.tree data.values",
    "data.schema": "data.store data.tree errors policy tomlfile",
    "data.memory": "data.evaluate data.store data.tree data.values errors",
    "data.formats": "data.store data.values errors",
    "data.builds": "data.failures data.query",
    "data.results": "data.query errors",
    "data.options": "data.failures data.filters data.query data.tree errors",
    "data.postgres_dialect": "data.evaluate data.sql data.store data.tree data.values",
    "data.sqlite_dialect": "data.evaluate data.sql data.store data.tree data.values",
    "data.permissions": "data.schema errors",
    "data.relations": "data.schema data.store",
    "data.exports": "data.filters data.formats data.schema data.store data.tree data.values",
    "data.postgres_changes": "data.postgres_dialect data.postgres_pool data.store data.tree data.values",
    "data.sqlite": "data.sql data.sqlite_dialect data.store data.tree data.values data.writer errors",
    "data.actor": (
        "data.failures data.hooks data.options data.permissions data.relations data.schema data.store data.tree errors"
    ),
    "data.imports": "data.exports data.formats data.store data.tree data.values errors",
    "data.postgres": (
        "data.postgres_changes data.postgres_dialect data.postgres_pool data.sql data.store data.tree errors"
    ),
    "data.operation": "data.actor data.ambient data.failures data.hooks data.options",
    "data.stores": "data.memory data.postgres data.sqlite data.store errors",
    "data.aggregates": (
        "data.actor data.builds data.evaluate data.operation data.options data.query data.results data.store data.tree"
    ),
    "data.references": (
        "data.actor data.failures data.identifiers data.operation data.options data.query data.relations "
        "data.results data.store errors"
    ),
    "data.reads": (
        "data.actor data.builds data.evaluate data.identifiers data.operation data.options data.query "
        "data.references data.results data.store data.tree"
    ),
    "data.drafts": (
        "data.actor data.failures data.identifiers data.options data.references data.relations data.store "
        "data.values errors"
    ),
    "data.writes": (
        "data.actor data.drafts data.evaluate data.failures data.identifiers data.operation data.options "
        "data.reads data.store data.tree errors"
    ),
    "data.patches": (
        "data.actor data.drafts data.failures data.identifiers data.modifications data.operation data.options "
        "data.store data.tree data.values data.writes errors"
    ),
    "data.bulk": (
        "data.actor data.drafts data.failures data.identifiers data.operation data.options data.patches "
        "data.reads data.results data.store data.writes errors"
    ),
    "data.collections": (
        "config data.actor data.aggregates data.ambient data.bulk data.hooks data.options data.patches "
        "data.permissions data.query data.reads data.references data.results data.schema data.stores data.writes "
        "opening"
    ),
    "data.runners": "data.ambient data.collections data.options data.patches data.query",
    "data.velo": "data.collections data.options data.query data.results data.runners",
    "data.threaded": "data.ambient data.patches data.query data.results data.runners",
    "data.items": "data.collections data.options data.patches data.query data.results data.runners",
    "data": "data.velo",
    "data.aio_items": "data.items data.patches data.query data.runners data.threaded",
    "data.aio": "data.aio_items data.query data.threaded data.velo",
    "auth": "authconfig callers data.collections errors keys policy settings",
    "fakedata": (
        "config data data.ambient data.collections data.formats data.hooks data.imports data.memory "
        "data.permissions data.schema data.store data.values errors"
    ),
    "testing": (
        "app authconfig callers config data.ambient direct encoding errors fakecontexts fakedata fakerequests "
        "head secrets site"
    ),
    "pytest_plugin": "auth endpoints.context endpoints.responses request secrets testing",
    "routes": "endpoints.table functions site",
    "scaffold": "",
    "checks": (
        "config data.collections data.hooks data.schema endpoint_checks endpoints.loading endpoints.table errors "
        "functions loader secrets site tokens"
    ),
    "calls": "app config data.ambient data.collections encoding fakerequests logs loop secrets site testing",
    "data_commands": (
        "config data.evaluate data.exports data.filters data.formats data.imports data.schema data.store "
        "data.stores data.tree errors logs"
    ),
    "server": "app asgi config data.collections direct errors logs opening printing readiness secrets site tokens wsgi",
    "worker": "",
    "cli": (
        "__init__ building calls checks config data_commands endpoints.loading errors logs migrating routes "
        "scaffold secrets server site"
    ),
    "__main__": "cli",
    "opening": "config loader",
    "bodies": "errors",
    "endpoints.paths": "errors url",
    "endpoints.cookies": "jsontext response",
    "authconfig": "dotenv policy settings",
    "endpoints.matching": "endpoints.paths",
    "endpoints.static": "encoding endpoints.conditions endpoints.manifest endpoints.paths errors head response",
    "endpoints.forms": "endpoints.sharedfile errors request",
    "endpoints.responses": "encoding endpoints.headers endpoints.urls errors jsontext request response",
    "endpoints.routes": "endpoints.matching endpoints.paths errors",
    "fakerequests": "config head jsontext request url",
    "bridge": "errors loop threads",
    "endpoints.requests": (
        "endpoints.forms endpoints.headers endpoints.responses endpoints.sharedfile endpoints.urls errors head "
        "jsontext request response"
    ),
    "endpoints.middleware": "endpoints.responses errors functions",
    "endpoints.adapter": "endpoints.paths endpoints.responses functions head policy request",
    "endpoints.entries": "endpoints.paths endpoints.routes errors functions",
    "keys": "errors secrets",
    "endpoints.exchange": (
        "bodies bridge config endpoints.cookies endpoints.requests endpoints.responses endpoints.urls errors head "
        "response"
    ),
    "tokens": "authconfig errors keys secrets",
    "callers": "authconfig config head keys logs loop opening tokens",
    "endpoints.session": "endpoints.exchange endpoints.sessionstate",
    "endpoints.context": (
        "endpoints.cookies endpoints.exchange endpoints.requests endpoints.responses endpoints.session "
        "endpoints.urls errors functions policy"
    ),
    "endpoints": (
        "endpoints.adapter endpoints.context endpoints.cookies endpoints.entries endpoints.forms "
        "endpoints.headers endpoints.middleware endpoints.requests endpoints.responses endpoints.urls"
    ),
    "endpoints.handlers": (
        "endpoints.context endpoints.exchange endpoints.middleware endpoints.responses errors functions policy"
    ),
    "endpoints.table": (
        "bridge config endpoints.context endpoints.entries endpoints.exchange endpoints.handlers "
        "endpoints.manifest endpoints.middleware endpoints.paths endpoints.responses endpoints.routes "
        "endpoints.static endpoints.urls errors functions head url"
    ),
    "endpoints.loading": (
        "config endpoints.entries endpoints.handlers endpoints.middleware endpoints.routes endpoints.static "
        "endpoints.table errors functions loader"
    ),
    "fakecontexts": (
        "app callers config data.ambient endpoints.context endpoints.exchange endpoints.handlers "
        "endpoints.loading endpoints.responses endpoints.sessionstate endpoints.table errors fakedata "
        "fakerequests functions head loader logs response secrets site"
    ),
    "building": (
        "app buildfolder config data.ambient data.collections direct encoding endpoints.manifest endpoints.paths "
        "endpoints.table errors head logs loop secrets site"
    ),
    "endpoints.manifest": "encoding errors response",
    "endpoints.conditions": "endpoints.manifest errors head",
    "endpoint_checks": "config endpoints.context endpoints.loading endpoints.routes endpoints.table errors functions",
    "migrating": "config endpoints.loading endpoints.paths endpoints.routes functions loader site",
    "endpoints.sharedfile": "",
    "endpoints.headers": "response",
    "endpoints.urls": "endpoints.paths url",
    "buildfolder": "config endpoints.manifest errors",
    "endpoints.sessionstate": (
        "data.collections data.store data.tree data.values endpoints.cookies endpoints.exchange errors"
    ),
}


def imports(room: str) -> Iterator[str]:
    """The rooms that a room imports, wherever in its file; ``data.query`` is the room of ``data/query.py``."""
    folder = ROOMS[room].relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(ROOMS[room].read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            package = folder[: len(folder) + 1 - node.level]
            whole = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                name = ".".join(filter(None, (whole, alias.name)))
                yield name if name in ROOMS else whole or "__init__"
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
            late = {imported for importer, imported in LATE if importer == room}
            assert set(allowed.split()) <= REQUEST_ROOMS | late, room
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
    cold = {"endpoints.conditions", "endpoints.context", "endpoints.forms", "endpoints.static"}
    assert found["werkzeug"] == {"proxies"} | cold
    assert found["jwt"] <= {"keys", "tokens"}
    assert found["requests"] <= {"auth", "keys", "tokens"}
    assert found["gunicorn"] <= {"server", "worker"}
    assert found["click"] <= {"cli", "calls", "data_commands"}
    assert found["pytest"] == {"pytest_plugin"}
    assert found["apsw"] == {"data.sqlite", "data.sqlite_dialect"}
    assert {room for room in found["psycopg"] | found["psycopg_pool"] if not room.startswith("data.postgres")} == set()


def test_the_environment_is_read_in_four_rooms() -> None:
    readers = set()
    for room, path in ROOMS.items():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv"):
                readers.add(room)
    # The settings; the secrets; NO_COLOR; WIXHTTP_PROJECT.
    assert readers == {"config", "secrets", "cli", "pytest_plugin"}
