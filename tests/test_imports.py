"""Lazy loading, seen in fresh processes, and the public names."""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import wixhttp
from tests.interfaces import write_project

PUBLIC = [
    "ok", "created", "badRequest", "forbidden", "notFound", "serverError", "response", "Response", "Request",
    "AsyncRequest", "limits", "cors", "check_origin", "stringify", "WixHTTPError", "HTTPError", "InvalidJSON",
    "ValidationError", "EncodeError", "ProjectError", "ConfigError", "SecretNotFound",
]  # fmt: skip
HEAVY = {
    "click",
    "gunicorn",
    "uvicorn",
    "httptools",
    "asyncio",
    "sqlite3",
    "werkzeug",
    "pytest",
    "concurrent.futures",
    "apsw",
    "psycopg",
    "pydantic",
    "multipart",
    "dotenv",
}
PACKAGE = Path(wixhttp.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__main__" and "template" not in path.parts
)


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh process has loaded after ``code``."""
    end = "\nimport json, sys; sys.stdout.write(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + end], capture_output=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


def test_the_public_names() -> None:
    assert wixhttp.__all__ == PUBLIC
    assert [name for name in PUBLIC if not hasattr(wixhttp, name)] == []


def test_import_wixhttp_loads_nothing_heavy() -> None:
    loaded = loaded_by("import wixhttp")
    assert loaded & HEAVY == set()
    assert "wixhttp.http.request" in loaded
    assert "wixhttp.data" not in loaded


def test_import_of_the_data_modules_loads_no_database() -> None:
    loaded = loaded_by("from wixhttp import data; from wixhttp.data import aio, collections, items, stores")
    assert loaded & {"apsw", "psycopg", "psycopg_pool", "click", "gunicorn", "pytest"} == set()


ASK_OVER_WSGI = """
import io
from wixhttp.wsgi import make_application
application = make_application({project!r})
for target in {targets!r}:
    environ = {{"REQUEST_METHOD": "GET", "PATH_INFO": target, "HTTP_HOST": "a", "wsgi.url_scheme": "http",
               "wsgi.input": io.BytesIO(), "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "a", "SERVER_PORT": "80"}}
    statuses = []
    body = b"".join(application(environ, lambda status, headers, exc_info=None: statuses.append(status)))
    assert statuses[0][:3] == ("404" if "none" in target else "200"), statuses
"""


def test_def_functions_over_wsgi_load_no_asyncio_and_no_endpoints(tmp_path: Path) -> None:
    write_project(
        tmp_path, "def get_x(request): return ok(request.path)\ndef get_s(request): return ok(body=iter(['a']))"
    )
    targets = ("/_functions/x/a", "/_functions/s", "/_functions/none")
    loaded = loaded_by(ASK_OVER_WSGI.format(project=str(tmp_path), targets=targets))
    assert loaded & (HEAVY - {"concurrent.futures"}) == set()
    assert "wixhttp.endpoints" not in loaded


def test_def_endpoints_over_wsgi_load_no_asyncio_no_werkzeug_and_no_data(tmp_path: Path) -> None:
    source = "from wixhttp.endpoints import Response\ndef GET(params, url, cookies): return Response.json(params)\n"
    middleware = "def onRequest(context, next): return next()\n"
    write_project(tmp_path, {"src/pages/x/[id].py": source, "src/middleware.py": middleware})
    loaded = loaded_by(ASK_OVER_WSGI.format(project=str(tmp_path), targets=("/x/1", "/x/2", "/none")))
    assert loaded & (HEAVY - {"concurrent.futures"}) == set()
    assert "wixhttp.data" not in loaded


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
