"""wixhttp.endpoints.loader: what stops the load of a project's endpoints, and what it says."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.interfaces import Ask, DirectInterface, load_app, write_project
from wixhttp.cli.project_checks import check_project
from wixhttp.errors import ProjectError
from wixhttp.project.config import load_config

TURN = "def onRequest(context, next): return next()\n"
SEQUENCE = "from wixhttp.endpoints import sequence\n"
OK = "from wixhttp.endpoints import Response\ndef GET(): return Response('x')\n"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"src/pages/[id.py": OK}, ["src/pages/[id.py", "bracket"]),
        ({"src/pages/[a][b].py": OK}, ["src/pages/[a][b].py"]),
        ({"src/pages/[a-b].py": OK}, ["src/pages/[a-b].py"]),
        ({"src/pages/[].py": OK}, ["src/pages/[].py"]),
        ({"src/pages/100%25.py": OK}, ["src/pages/100%25.py", "no request has such a path", "100%25"]),
        ({"src/pages/caf%C3%A9.py": OK}, ["src/pages/caf%C3%A9.py", "no request has such a path"]),
        ({"src/pages/%2e%2e/x.py": OK}, ["src/pages/%2e%2e/x.py", "no request has such a path", "'%2e%2e'"]),
        ({"src/pages/[id]%41.py": OK}, ["src/pages/[id]%41.py", "no request has such a path", "'x%41'"]),
        ({"src/pages/a\\b.py": OK}, ["no request has such a path"]),
        ({"src/pages/a\nb.py": OK}, ["'src/pages/a\\nb.py'", "no request has such a path"]),
        ({"src/pages/x.py": "import nothing_of_that_name"}, ["src/pages/x.py", "nothing_of_that_name"]),
        ({"src/pages/x.py": "def GET(:"}, ["src/pages/x.py", "SyntaxError"]),
        ({"src/pages/x.py": "x = '\0'"}, ["src/pages/x.py"]),
        ({"src/pages/x.py": "x = 1"}, ["src/pages/x.py", "no handler", "ALL"]),
        ({"src/pages/x.py": "def get(): ..."}, ["src/pages/x.py:1: get is not served", "GET"]),
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
        ({"src/pages/x.py": OK, "middleware.py": TURN}, ["middleware.py is not run", "src/middleware.py; move it"]),
        ({"src/pages/x.py": OK, "src/pages/_middleware.py": TURN}, ["src/pages/_middleware.py is not run", "move it"]),
        ({"src/pages/middleware.py": TURN}, ["src/pages/middleware.py has no handler", "src/middleware.py; move it"]),
        ({"src/pages/x.py": "def default(request): ...\ndef handler(request): ..."}, ["no handler", "GET", "ALL"]),
        ({"src/pages/x.py": "class Handler:\n    def GET(self): ..."}, ["no handler", "GET", "ALL"]),
        ({"src/pages/x.py": "def GET():\n    yield 'x'"}, ["GET is a generator", "return Response(rows())"]),
        ({"src/pages/x.py": "async def GET():\n    yield 'x'"}, ["GET is a generator", "return Response(rows())"]),
        ({"src/pages/x.py": 'prerender = "true"\n' + OK}, ["src/pages/x.py:1", "prerender", "True or False"]),
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
    assert "post is not served; a handler's name is upper case: POST" in caplog.text


SILENT = [
    (
        {"src/pages/x.py": OK + TURN},
        "src/pages/x.py: onRequest is never called here; middleware stands in src/middleware.py",
    ),
    (
        {"src/pages/[x].py": OK + "def getStaticPaths(): return []\n"},
        "getStaticPaths is asked of static endpoints only; add",
    ),
    (
        {"src/pages/x.py": "prerender = True\n" + OK + "def getStaticPaths(): return []\n"},
        "getStaticPaths is asked of routes with parameters only, such as [id].py; remove it",
    ),
    ({"src/pages/x.py": OK + "def Post(): ...\n"}, "Post is not served; a handler's name is upper case: POST"),
    (
        {"src/pages/x.py": OK + "def POST(): ...\n__all__ = ['GET']\n"},
        "POST is left out of __all__, so it is not served",
    ),
    (
        {"lib.py": "def POST(): ...", "src/pages/x.py": OK + "from lib import POST\n"},
        "POST is imported, so it is not served",
    ),
    (
        {"src/pages/x.py": OK, "src/middleware.py": "from wixhttp import limits\n@limits(timeout=1)\n" + TURN},
        "src/middleware.py: @limits, @cors and @check_origin in front of onRequest have no effect",
    ),
]


@pytest.mark.parametrize(("files", "said"), SILENT)
def test_what_would_do_nothing_is_told_at_load_and_by_check(
    tmp_path: Path, files: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_project(tmp_path, files)
    load_app(folder)
    assert [said in record.getMessage() for record in caplog.records] == [True]
    report = check_project(load_config(folder))
    assert report.problems == []
    assert [said in warning for warning in report.warnings] == [True]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"src/pages/x.py": OK + OK},
            "src/pages/x.py:4: GET is defined a second time, so the one in line 2 is never called",
        ),
        (
            {"src/pages/api/404.py": OK},
            "src/pages/api/404.py answers /api/404 alone: the page for errors stands in src/pages/404.py",
        ),
        ({"src/pages/500/index.py": OK}, "src/pages/500/index.py answers /500 alone"),
        (
            {"src/pages/x.py": OK, "src/pages/b.PY": ""},
            "src/pages/b.PY: no endpoint",
        ),
        (
            {"src/pages/x.py": OK, "public/x": ""},
            "public/x is not sent at /x: src/pages/x.py has that path; rename one",
        ),
        (
            {"src/pages/x.py": OK, "public/100%25": ""},
            "public/100%25 is never sent: no request has such a path; rename it",
        ),
    ],
)
def test_what_check_tells_besides(tmp_path: Path, files: dict[str, str], said: str) -> None:
    report = check_project(load_config(write_project(tmp_path, files)))
    assert report.problems == []
    assert [said in warning for warning in report.warnings] == [True]


def test_middleware_that_another_file_imports_is_no_mistake(tmp_path: Path) -> None:
    files = {"middleware.py": TURN, "src/middleware.py": "from middleware import onRequest\n", "src/pages/x.py": OK}
    assert DirectInterface(load_app(write_project(tmp_path, files))).ask(Ask(target="/x")).text == "x"


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


REACHABLE = [
    "a b", "a+b", "a;b", "a?b", "a#b", "a&b=c", "a@b:c,d$e", "100%", "%", "a%", "a%zz", "a%2Bb", "a%2Fb", "é",
    "e\u0301", "日本", "x.", "~", "'\"<>`{}|^", "👩\u200d🚀", "A", "a", "x" * 250,
]  # fmt: skip


@pytest.mark.parametrize("name", REACHABLE)
def test_every_file_that_is_loaded_is_reachable(tmp_path: Path, name: str) -> None:
    raw = quote(unicodedata.normalize("NFC", name), safe="%" if "%2" in name else "")
    app = load_app(write_project(tmp_path, {f"src/pages/{name}.py": OK, f"src/pages/f/{name}/[id].py": OK}))
    ask = DirectInterface(app).ask
    assert [ask(Ask(target=f"/{raw}")).text, ask(Ask(target=f"/f/{raw}/7")).text] == ["x", "x"]


def test_names_that_normalise_to_one_another_are_one_route(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="are both the route /é; remove one"):
        load_app(write_project(tmp_path, {"src/pages/é.py": OK, "src/pages/e\u0301.py": OK}))


def test_a_name_that_is_not_utf8_stops(tmp_path: Path) -> None:
    folder = write_project(tmp_path, {"src/pages/x.py": OK})
    (folder / "src/pages" / os.fsdecode(b"\xff.py")).write_text(OK)
    with pytest.raises(ProjectError, match="no request has such a path") as caught:
        load_app(folder)
    str(caught.value).encode()


def test_linked_folders_and_files_are_routes(tmp_path: Path) -> None:
    shared = write_project(
        tmp_path / "shared",
        {
            "near.py": OK,
            "deep/far.py": "from ._part import WORD\n" + OK.replace("'x'", "WORD"),
            "deep/_part.py": "WORD = 'far'",
        },
    )
    folder = write_project(tmp_path / "site", {"src/pages/x.py": OK})
    (folder / "src/pages/linked").symlink_to(shared)
    (folder / "src/pages/again").symlink_to("linked")
    (folder / "src/pages/file.py").symlink_to(shared / "near.py")
    app = load_app(folder)
    assert app.site.endpoints is not None
    assert sorted(app.site.endpoints.patterns) == [
        "/again/deep/far", "/again/near", "/file", "/linked/deep/far", "/linked/near", "/x",
    ]  # fmt: skip
    ask = DirectInterface(app).ask
    assert [ask(Ask(target=f"/{path}")).text for path in ("linked/near", "again/deep/far", "file")] == ["x", "far", "x"]
    assert check_project(load_config(folder)).problems == []


@pytest.mark.parametrize(
    ("link", "target", "said"),
    [
        ("a/again", "..", "src/pages/a/again: the folder is linked from below itself; remove the link"),
        ("gone.py", "no such file.py", "src/pages/gone.py is a link to nothing; mend it, or remove it"),
        ("self.py", "self.py", "src/pages/self.py is a link to nothing"),
    ],
)
def test_links_that_lead_nowhere_are_refused(tmp_path: Path, link: str, target: str, said: str) -> None:
    folder = write_project(tmp_path, {"src/pages/a/x.py": OK})
    (folder / "src/pages" / link).symlink_to(target)
    with pytest.raises(ProjectError) as caught:
        load_app(folder)
    assert said in str(caught.value)
    assert [said in problem for problem in check_project(load_config(folder)).problems] == [True]


def test_links_that_are_no_routes_are_nothing(tmp_path: Path) -> None:
    folder = write_project(tmp_path, {"src/pages/x.py": OK})
    for name, target in (("_again", "."), (".#x.py", "nobody@host:1"), ("notes.md", "nowhere")):
        (folder / "src/pages" / name).symlink_to(target)
    app = load_app(folder)
    assert app.site.endpoints is not None
    assert app.site.endpoints.patterns == ["/x"]
