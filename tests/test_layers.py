"""The order of folders, and no import cycle among modules; type-only and late imports are looked at too."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import wixhttp.context

ROOT = Path(wixhttp.__file__).parent

# Lowest first. A folder imports from its own modules and from the rows above it.
REQUEST, SERVICE, TOOL = "request path", "service", "tool"
ORDER = {
    "errors": REQUEST,
    "messages": REQUEST,
    "public_calls": REQUEST,
    "misuse": REQUEST,
    "measurements": REQUEST,
    "promises": REQUEST,
    "context": REQUEST,
    "http": REQUEST,
    "": REQUEST,  # wixhttp/__init__.py
    "logs": REQUEST,
    "project": REQUEST,
    "concurrency": REQUEST,
    "guards": REQUEST,
    "secrets": SERVICE,
    "data.queries": SERVICE,
    "data.stores": SERVICE,
    "data.schema": SERVICE,
    "data.calls": SERVICE,
    "data.files": SERVICE,
    "data": SERVICE,
    "fetch": SERVICE,
    "auth": SERVICE,
    "endpoints.routing": REQUEST,
    "endpoints.web": REQUEST,
    "endpoints.static": REQUEST,
    "endpoints": REQUEST,
    "dispatch": REQUEST,
    "leases": SERVICE,
    "access": SERVICE,
    "webhooks": SERVICE,
    "inbox.stores": SERVICE,
    "inbox.schedules": SERVICE,
    "inbox": SERVICE,
    "metrics": SERVICE,
    "services": SERVICE,
    "wsgi": REQUEST,
    "asgi": REQUEST,
    "testing": TOOL,
    "server": TOOL,
    "dev.traffic": TOOL,
    "dev.web": TOOL,
    "dev.failures": TOOL,
    "dev.inspector": TOOL,
    "dev": TOOL,
    "cli.arguments": TOOL,
    "cli.checks": TOOL,
    "cli.openapi": TOOL,
    "cli": TOOL,
    "cli.data": TOOL,
    "cli.develop": TOOL,
    "cli.receive": TOOL,
    "__main__": TOOL,
}

# A session is kept in the project's data store, which is loaded when a handler first reads its session, and not before.
SESSIONS = {"endpoints.session", "endpoints.session_calls", "endpoints.session_store", "endpoints.session_values"}
# What the settings and the functions of a site ask for beside the dispatcher is loaded once these are, and not before.
LATE = {("endpoints.context", "endpoints.session"), ("asgi", "services"), ("wsgi", "services")}


def module_name(path: Path) -> str:
    """``data.calls.reads``, ``data`` for the ``__init__.py`` of a folder, and the empty string for that of the root."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = {module_name(path): path for path in ROOT.rglob("*.py") if "template" not in path.parts}


def folder_of(module: str) -> str:
    """The row of a module in the order."""
    return module if module in ORDER else module.rpartition(".")[0]


@cache
def nodes_of(module: str) -> list[ast.AST]:
    """The nodes of a module's file."""
    return list(ast.walk(ast.parse(MODULES[module].read_bytes())))


@cache
def imports(module: str) -> tuple[str, ...]:
    """The modules that a module imports, wherever in its file."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[str]:
    package = MODULES[module].relative_to(ROOT).parent.parts
    for node in nodes_of(module):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                assert node.level == 1, f"{module}:{node.lineno}: across folders, import by the full name"
                whole = ".".join([*package, *([node.module] if node.module else [])])
            elif (node.module or "").partition(".")[0] == "wixhttp":
                whole = (node.module or "").partition(".")[2]
            else:
                continue
            for alias in node.names:
                name = f"{whole}.{alias.name}".removeprefix(".")
                yield name if name in MODULES else whole
        elif isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.partition(".")[0] == "wixhttp"], module


def test_every_folder_stands_in_the_order() -> None:
    assert {folder_of(module) for module in MODULES} == set(ORDER)


def test_imports_run_one_way_between_folders() -> None:
    rank = {folder: place for place, folder in enumerate(ORDER)}
    wrong = [
        f"{module} imports {imported}"
        for module in MODULES
        for imported in imports(module)
        if rank[folder_of(imported)] > rank[folder_of(module)]
    ]
    assert wrong == []


def test_there_is_no_cycle_of_modules() -> None:
    graph = {module: set(imports(module)) - {module} for module in MODULES}
    assert set(TopologicalSorter(graph).static_order()) == set(MODULES)


def group_of(module: str) -> str:
    """The request path, a service or a tool."""
    return SERVICE if module in SESSIONS else ORDER[folder_of(module)]


def test_the_request_path_imports_no_service_and_no_tool_and_services_no_tool() -> None:
    allowed = {REQUEST: {REQUEST}, SERVICE: {REQUEST, SERVICE}, TOOL: {REQUEST, SERVICE, TOOL}}
    wrong = {
        (module, imported)
        for module in MODULES
        for imported in imports(module)
        if group_of(imported) not in allowed[group_of(module)]
    }
    assert wrong == LATE


def test_a_session_is_imported_late() -> None:
    for module, late in LATE:
        at_once = [node for node in ast.parse(MODULES[module].read_bytes()).body if isinstance(node, ast.ImportFrom)]
        assert late.rpartition(".")[2] not in {node.module for node in at_once}


def test_only_the_command_line_imports_the_root() -> None:
    tellers = {folder_of(module) for module in MODULES if "" in set(imports(module))}
    assert tellers == {"cli", "cli.develop"}  # of its version


def test_third_parties_stay_in_their_modules() -> None:
    found: dict[str, set[str]] = {}
    for module in MODULES:
        for node in nodes_of(module):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(module)
    assert found["werkzeug"] == {
        "endpoints.context", "endpoints.static.conditional_requests", "endpoints.static.files",
        "http.forms",
    }  # fmt: skip
    assert found["multipart"] == {"http.forms"}
    assert found["pydantic"] == {"http.validation", "cli.openapi.schemas"}
    assert found["pydantic_core"] == {"http.forms"}
    assert found["dotenv"] == {"project.dotenv"}
    assert found["jwt"] <= {"auth.signing_keys", "auth.token_verifiers", "webhooks.signing", "webhooks.wix_tokens"}
    assert found["requests"] <= {"auth.access", "auth.signing_keys", "auth.token_verifiers", "fetch.transport"}
    assert found["urllib3"] == {"fetch.transport"}
    servers = found["gunicorn"] | found["uvicorn"] | found["httptools"]
    assert {folder_of(module) for module in servers} <= {"server", "dev"}
    assert found["jinja2"] == {"dev.web.templates"}
    assert found["prometheus_client"] == {
        "metrics.inbox_numbers", "metrics.meter", "metrics.running_requests", "metrics.shared_values",
        "metrics.worker_files",
    }  # fmt: skip
    assert found["watchfiles"] == {"dev.watching"}
    assert {folder_of(module) for module in found["click"]} == {
        "cli", "cli.arguments", "cli.data", "cli.develop", "cli.receive",
    }  # fmt: skip
    assert found["limits"] == {"access.rate_limits"}
    assert found["redis"] == {"access.counters"}
    assert found["pytest"] == {"testing.plugin"}
    assert found["apsw"] == {
        f"data.stores.{name}"
        for name in ("sqlite", "sqlite_connections", "sqlite_dialect", "sqlite_errors", "sqlite_file")
    } | {"inbox.stores.memory", "inbox.stores.sqlite"}
    clients = found["psycopg"] | found["psycopg_pool"]
    assert all(module.startswith(("data.stores.postgres", "inbox.stores.postgres")) for module in clients)


def test_the_environment_is_read_in_six_modules() -> None:
    readers = set()
    for module in MODULES:
        for node in nodes_of(module):
            is_read = isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv")
            if is_read and ast.unparse(node).startswith("os."):
                readers.add(module)
    # The settings; the secrets; NO_COLOR, twice; WIXHTTP_PROJECT; PROMETHEUS_MULTIPROC_DIR, which is set there, too.
    assert readers == {
        "project.config", "secrets", "cli.commands", "logs.terminal", "testing.plugin", "metrics.worker_files",
    }  # fmt: skip


def test_one_module_lists_the_context_variables_and_the_process_globals() -> None:
    listed = set(re.findall(r"``wixhttp\.([a-z_.]+)``", wixhttp.context.__doc__ or ""))
    found = set()
    for module in MODULES:
        for node in nodes_of(module):
            if isinstance(node, ast.Global):
                found |= {f"{module}.{name}" for name in node.names}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ContextVar":
                assert module == "context", f"{module}:{node.lineno}: context variables stand in wixhttp/context.py"
        tree = nodes_of(module)[0]
        assert isinstance(tree, ast.Module)
        for statement in tree.body:  # what starts empty at the top of a module is filled later
            value = getattr(statement, "value", None)
            if isinstance(value, ast.List | ast.Dict | ast.Call) and ast.unparse(value) in ("[]", "{}", "set()"):
                target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]  # type: ignore[attr-defined]  # one of the two
                if not ast.unparse(target).isupper() and ast.unparse(target) != "__all__":
                    found.add(f"{module}.{ast.unparse(target)}")
    assert found <= listed
    for name in listed:
        module, _, variable = name.rpartition(".")
        assert hasattr(importlib.import_module(f"wixhttp.{module}"), variable), name
