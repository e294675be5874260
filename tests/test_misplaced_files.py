"""Files, folders and functions that are nearly right: what ``check`` and ``serve`` say of them, and what they leave."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.interfaces import write_project
from tests.test_imports import loaded_by
from wixhttp.cli.project_checks import check_project
from wixhttp.dispatch.site import load_site
from wixhttp.errors import ProjectError
from wixhttp.project.config import load_config

FINE = "from wixhttp import ok\n\n\ndef get_x(request):\n    return ok()\n"
PAGE = "from wixhttp.endpoints import Response\n\n\ndef GET():\n    return Response('x')\n"
FUNCTIONS = "backend/http_functions.py"


def logged(root: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of a load, which are those of a check, too."""
    config = load_config(root, environ={})
    with caplog.at_level(logging.WARNING, "wixhttp"):
        load_site(config)
    texts = [record.getMessage() for record in caplog.records]
    assert check_project(config).warnings == texts
    return texts


# What stands beside a project that is served -> what is said of it.
BESIDE_FUNCTIONS = {
    "backend/http-functions.py": "backend/http-functions.py: backend/http_functions.py is; move what is in it there",
    "backend/httpFunctions.py": "backend/httpFunctions.py: ",
    "http_functions.py": "http_functions.py: backend/http_functions.py is; ",
    "src/backend/http_functions.py": "src/backend/: backend/ beside src/ is; keep one",
    "src/backend/data.js": "src/backend/: ",
    "Backend/data.py": "Backend/: name the folder backend/",
    "backend/data.js": "backend/data.js: it is JavaScript; write backend/data.py in Python",
    "backend/my-lib.jsw": "backend/my-lib.jsw: it is JavaScript; write backend/my_lib.py in Python",
    "jobs.config": "jobs.config: scheduled functions stand in backend/jobs.config; move it there",
    "src/jobs.config": "src/jobs.config: scheduled functions stand in backend/jobs.config; move it there",
    "src/backend/jobs.config": "src/backend/: backend/ beside src/ is; keep one",
    "backend/jobs.json": "backend/jobs.json: scheduled functions stand in backend/jobs.config; rename it",
    "backend/events.js": "backend/events.js: events are not sent; ",
    "src/pages/api/[id].ts": "src/pages/api/[id].ts: it is not Python; write an endpoint [id].py",
    "src/pages/index.astro": "src/pages/index.astro: it is not Python",
    "src/middleware.js": "src/middleware.js: it is not Python; write middleware.py with onRequest(context, next)",
    "collections.toml": "collections.toml: collections are declared in data/collections.toml",
    "backend/collections.toml": "backend/collections.toml: collections are declared in data/collections.toml",
    "data/collections.json": "data/collections.json: collections are declared in data/collections.toml",
    "backend/.env": "backend/.env: it stands in the project's folder: .env",
    "src/.env.local": "src/.env.local: it stands in the project's folder: .env.local",
    "backend/wixhttp.toml": "backend/wixhttp.toml: it stands in the project's folder: wixhttp.toml",
    "wixhttp.yaml": "wixhttp.yaml: settings stand in wixhttp.toml",
    "pages/x.py": 'pages/: move it to src/pages/, or write pages = "pages" in wixhttp.toml',
}


@pytest.mark.parametrize("name", BESIDE_FUNCTIONS)
def test_a_file_that_is_not_read_is_told(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {FUNCTIONS: FINE, name: PAGE if name.startswith("pages/") else ""}
    if name.startswith("src/pages"):
        files["src/pages/other.py"] = PAGE
    [found] = logged(write_project(tmp_path, files), caplog)
    assert found.startswith(BESIDE_FUNCTIONS[name])
    assert found.endswith(" [misplaced-file]")


def test_middleware_in_another_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"src/pages/x.py": PAGE, "backend/middleware.py": "def onRequest(context, next):\n    return next()\n"}
    assert logged(write_project(tmp_path, files), caplog) == [
        "backend/middleware.py: middleware stands in src/middleware.py; move it there [misplaced-file]"
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("backend/orders.py", "backend/http_functions.js", "backend/orders.js"),  # ported already
        ("src/pages/x.py", "src/pages/x.ts", "src/pages/_draft.ts", "src/pages/readme.md"),
        ("src/backend/shared.py",),
        ("data/collections.toml", "collections.toml"),
        ("backend/.env/pyvenv.cfg",),  # a virtual environment
        ("backend/.env.example",),
        ("pages/index.html", "middleware.py"),
        ("backend/lib/x.js", "node_modules/backend/http_functions.py"),
    ],
)
def test_files_that_are_left_alone(tmp_path: Path, names: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    files = {FUNCTIONS: FINE, **{name: PAGE if name == "src/pages/x.py" else "" for name in names}}
    assert logged(write_project(tmp_path, files), caplog) == []


# What stands in a folder where nothing can be served -> what the error says.
ALONE = {
    "backend/http-functions.py": "backend/http-functions.py is not read: rename it: backend/http_functions.py",
    "backend/httpFunctions.py": "rename it: backend/http_functions.py",
    "backend/http_functions.js": "it is JavaScript; write the functions in Python, in backend/http_functions.py",
    "backend/http-functions.js": "it is JavaScript; write the functions in Python",
    "backend/http_functions/orders.py": "backend/http_functions/ is not read: a package has an __init__.py",
    "http_functions.py": "http_functions.py is not read: rename it: backend/http_functions.py",
    "backend.py": "backend.py is not read: move the functions to backend/http_functions.py",
    "src/backend/http_functions.py": "src/backend/ is not read: move it to backend/, beside src/",
    "Backend/http_functions.py": "Backend/ is not read: name the folder backend/",
    "pages/x.py": "pages/ is not read: move it to src/pages/",
    "shop/backend/http_functions.py": "there is a project in the folder shop: wixhttp --project shop",
    "shop/src/pages/x.py": "there is a project in the folder shop: wixhttp --project shop",
}


@pytest.mark.parametrize("name", ALONE)
def test_an_error_names_what_is_nearly_a_project(tmp_path: Path, name: str) -> None:
    config = load_config(write_project(tmp_path, {name: FINE}), environ={})
    for load in (load_site, check_project):
        with pytest.raises(ProjectError) as caught:
            load(config)
        assert ALONE[name] in str(caught.value)
        assert f"there is no {tmp_path}/backend/http_functions.py" in str(caught.value)


def test_from_inside_a_project_the_error_names_the_folder_above(tmp_path: Path) -> None:
    write_project(tmp_path, {FUNCTIONS: FINE, "src/pages/x.py": PAGE})
    for name in ("backend", "src"):
        with pytest.raises(ProjectError, match=rf"wixhttp --project {tmp_path}\."):
            load_site(load_config(tmp_path / name, environ={}))


def test_a_module_behind_a_package_is_told_by_check(tmp_path: Path) -> None:
    files = {FUNCTIONS: FINE, "backend/orders.py": "", "backend/orders/__init__.py": ""}
    report = check_project(load_config(write_project(tmp_path, files), environ={}))
    message = "the package backend/orders/ is imported in its place; keep one"
    assert report.warnings == [f"backend/orders.py: {message} [misplaced-file]"]


# --- functions that are not served -----------------------------------------------------------------------------------

ORDERS = "from wixhttp import ok\n\n\ndef get_orders(request):\n    return ok()\n\n\ndef get_total():\n    return 5\n"


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        (
            "from backend.orders import get_orders\n",
            1,
            "get_orders is imported, so it is not served; import the module",
        ),
        ("from .orders import get_orders as get_all\n", 1, "write get_all = orders.get_orders"),
        (
            "\ndef getHello(request): ...\n",
            2,
            "getHello is no HTTP function, so it is not served; did you mean get_hello?",
        ),
        ("def Post_x(): ...\n", 1, "did you mean post_x?"),
        ("async def postOrders(req): ...\n", 1, "did you mean post_orders?"),
        (
            "from wixhttp import ok\ndef hello(request): return ok()\n",
            2,
            "begins with its method: get_hello, or post_, ",
        ),
        ("from wixhttp import ok, Request\ndef hello(r: Request): return ok()\n", 2, "get_hello"),
        (
            "def get_y(request): ...\n__all__ = ['get_x']\n",
            1,
            "get_y is not in __all__, so it is not served; add it there",
        ),
        ("__all__ = ['get_x', 'hello']\n", 1, "__all__ names 'hello', which the file does not define"),
        ("from os import getcwd as get_y\ndef get_y(request): ...\n", 2, "get_y is imported as well as defined"),
    ],
)
def test_a_function_that_is_not_served_is_told(
    tmp_path: Path, source: str, line: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = {FUNCTIONS: source + "def get_x(request): ...\n", "backend/orders.py": ORDERS}
    [found] = logged(write_project(tmp_path, files), caplog)
    assert found.startswith(f"{FUNCTIONS}:{line}: ")
    assert words in found
    assert found.endswith(" [not-served]")


@pytest.mark.parametrize(
    "source",
    [
        "from backend.orders import get_total\n",
        "from backend.orders import get_orders\nget_all = get_orders\n",
        "from backend import orders\nget_orders = orders.get_orders\n",
        "from wixhttp.secrets import getSecret\n",
        "from wixhttp import ok\ndef answer(request): return ok()\ndef get_y(request): return answer(request)\n",
        "def is_member(request): ...\n",
        "def getPrice(item, count): ...\n",
        "def _hello(request): ...\n",
        "def optionsOf(book): ...\n",
        "POST_MAX = 5\nputty = 3\n",
        "def getHello(request): ...  # wixhttp: ignore[not-served]\n",
        "class Getter: ...\n",
    ],
)
def test_helpers_are_left_alone(tmp_path: Path, source: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {FUNCTIONS: source + "def get_x(request): ...\n", "backend/orders.py": ORDERS}
    assert logged(write_project(tmp_path, files), caplog) == []


def test_a_load_imports_no_rule_and_no_command(tmp_path: Path) -> None:
    root = write_project(tmp_path, {FUNCTIONS: FINE, "backend/http-functions.py": "", "src/pages/x.py": PAGE})
    code = (
        "import wixhttp.cli.serve, wixhttp.server.serve, wixhttp.server.worker, wixhttp.asgi, wixhttp.wsgi\n"
        "from wixhttp.dispatch.site import load_site\nfrom wixhttp.project.config import load_config\n"
        f"load_site(load_config({str(root)!r}))"
    )
    loaded = loaded_by(code)
    assert [name for name in loaded if name.startswith(("wixhttp.cli.checks", "wixhttp.cli.project_checks"))] == []
    assert "wixhttp.project.misplaced_files" in loaded
