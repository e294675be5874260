"""wixhttp.endpoints.loader: what stops the load of a project's endpoints, and what it says."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import pytest

from tests.interfaces import Ask, DirectInterface, load_app, write_project
from wixhttp.errors import ProjectError

SEQUENCE = "from wixhttp.endpoints import sequence\n"
OK = "from wixhttp.endpoints import Response\ndef GET(): return Response('x')\n"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"src/pages/[id.py": OK}, ["src/pages/[id.py", "bracket"]),
        ({"src/pages/[a][b].py": OK}, ["src/pages/[a][b].py"]),
        ({"src/pages/[a-b].py": OK}, ["src/pages/[a-b].py"]),
        ({"src/pages/[].py": OK}, ["src/pages/[].py"]),
        ({"src/pages/x.py": "import nothing_of_that_name"}, ["src/pages/x.py", "nothing_of_that_name"]),
        ({"src/pages/x.py": "def GET(:"}, ["src/pages/x.py", "SyntaxError"]),
        ({"src/pages/x.py": "x = '\0'"}, ["src/pages/x.py"]),
        ({"src/pages/x.py": "def get(): ..."}, ["src/pages/x.py", "no handler", "ALL"]),
        ({"src/pages/x.py": "GET = 3"}, ["src/pages/x.py", "GET is a function", "3"]),
        ({"src/pages/x.py": "class GET: ..."}, ["src/pages/x.py", "GET is a function"]),
        ({"src/pages/x.py": "def GET(params, reqest): ..."}, ["src/pages/x.py", "reqest", "'request'", "rewrite"]),
        ({"src/pages/x.py": "def GET(params, *rest): ..."}, ["rest", "params"]),
        ({"src/pages/x.py": "def GET(**members): ..."}, ["members"]),
        ({"src/pages/x.py": "def GET(context, other): ..."}, ["context, other"]),
        ({"src/pages/x.py": OK, "src/pages/x/index.py": OK}, ["x.py", "x/index.py", "/x;"]),
        ({"src/pages/x.py": "prerender = bool(1)\n" + OK}, ["src/pages/x.py:1", "prerender", "literal"]),
        ({"src/pages/x.py": "prerender = 1\n" + OK}, ["src/pages/x.py:1", "literal"]),
        ({"src/pages/x.py": "if True:\n    prerender = True\n" + OK}, ["src/pages/x.py", "prerender", "at its top"]),
        ({"src/pages/[x].py": "prerender = True\n" + OK}, ["src/pages/[x].py", "getStaticPaths"]),
        ({"src/pages/x.py": "prerender = True\ndef POST(): ..."}, ["src/pages/x.py", "no GET"]),
        ({"src/pages/404.py": "prerender = True\n" + OK}, ["src/pages/404.py", "static"]),
        ({"src/pages/x.py": OK, "src/middleware/index.py": OK}, ["src/middleware/index.py", "src/middleware.py"]),
        ({"src/pages/x.py": OK, "src/middleware.py": "x = 1"}, ["src/middleware.py", "onRequest"]),
        ({"src/pages/x.py": OK, "src/middleware.py": "def onRequest(a, b, c): ..."}, ["onRequest", "a, b, c"]),
        ({"src/pages/x.py": OK, "src/middleware.py": f"{SEQUENCE}onRequest = sequence(3)"}, ["sequence", "3"]),
    ],
)  # fmt: skip
def test_a_load_that_stops_says_why(tmp_path: Path, files: dict[str, str], words: list[str]) -> None:
    with pytest.raises(ProjectError) as caught:
        load_app(write_project(tmp_path, files))
    assert [word for word in words if word not in str(caught.value)] == []


def test_two_files_of_one_route_are_a_warning_in_development(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"src/pages/x.py": OK, "src/pages/x/index.py": OK}
    app = load_app(write_project(tmp_path, files), mode="development")
    assert app.site.endpoints is not None
    assert [route.file_name for route in app.site.endpoints.routes] == ["src/pages/x.py"]
    assert "src/pages/x.py and src/pages/x/index.py are both the route /x" in caplog.text


def test_a_project_without_functions_and_endpoints_stops(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="http_functions"):
        load_app(write_project(tmp_path, {"readme.txt": ""}))


def test_what_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {
        f"src/pages/{name}": "raise RuntimeError('not to be imported')"
        for name in ("_x.py", ".y.py", "_z/x.py", ".git/x.py", "a/_b.py", "__pycache__/x.py", "conftest.py", "note.txt")
    }
    app = load_app(write_project(tmp_path, files | {"src/pages/.well-known/x.py": OK}))
    assert app.site.endpoints is not None
    assert app.site.endpoints.patterns == ["/.well-known/x"]


def test_settings_name_folder_and_prefix(tmp_path: Path) -> None:
    app = load_app(write_project(tmp_path, {"routes/x.py": OK}), pages="routes", pages_prefix="/v1")
    assert app.site.endpoints is not None
    assert app.site.endpoints.patterns == ["/v1/x"]


def test_two_projects_in_one_process_import_their_own(tmp_path: Path) -> None:
    source = "from shared import WORD\nfrom wixhttp.endpoints import Response\ndef GET(): return Response(WORD)\n"
    apps = [
        load_app(write_project(tmp_path / name, {"src/pages/x.py": source, "shared.py": f"WORD = {name!r}"}))
        for name in ("one", "two")
    ]
    replies = [DirectInterface(app).ask(Ask(target="/x")).text for app in apps]
    assert replies == ["one", "two"]


def test_lower_case_methods_are_hinted_at(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load_app(write_project(tmp_path, {"src/pages/x.py": OK + "def post(): ...\n"}))
    assert "src/pages/x.py: post is not served; a handler's name is upper case: POST" in caplog.text


def test_a_syntax_error_names_its_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        load_app(write_project(tmp_path, {"src/pages/x.py": "x = 1\ndef GET(: pass\n"}))
    cause = caught.value.__cause__
    assert isinstance(cause, SyntaxError)
    assert (cause.filename, cause.lineno) == (str(tmp_path / "src/pages/x.py"), 2)


def test_a_folder_of_endpoints_that_is_not_there_stops(tmp_path: Path) -> None:
    write_project(tmp_path, {"backend/http_functions.py": "", "src/pages/x.py": OK})
    with pytest.raises(ProjectError, match="flag --pages: pages is the folder of the endpoints, and there is no"):
        load_app(tmp_path, pages="src/page")


def test_pages_that_would_replace_another_package_stand_apart(tmp_path: Path) -> None:
    import json.decoder

    files = {"json/decoder.py": OK, "json/near.py": "from .decoder import GET as other\n" + OK}
    app = load_app(write_project(tmp_path, files), pages="json")
    assert DirectInterface(app).ask(Ask(target="/near")).text == "x"
    assert sys.modules["json.decoder"] is json.decoder


def test_pages_beside_the_project_are_loaded(tmp_path: Path) -> None:
    write_project(tmp_path, {"pages/x.py": OK, "site/readme.txt": ""})
    assert DirectInterface(load_app(tmp_path / "site", pages="../pages")).ask(Ask(target="/x")).text == "x"


def test_a_project_is_found_whatever_package_backend_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path / "host", {"backend/__init__.py": ""})
    monkeypatch.syspath_prepend(str(tmp_path / "host"))
    importlib.import_module("backend")
    files = {"mod.py": "WORD = 'x'\n", "src/pages/x.py": "from mod import WORD\n" + OK.replace("'x'", "WORD")}
    assert DirectInterface(load_app(write_project(tmp_path / "site", files))).ask(Ask(target="/x")).text == "x"


def test_a_folder_with_middleware_alone_is_one_of_endpoints(tmp_path: Path) -> None:
    write_project(tmp_path, {"web/middleware.py": "def onRequest(c, next): return next()\n"})
    assert load_app(tmp_path, pages="web/pages").site.endpoints is not None
