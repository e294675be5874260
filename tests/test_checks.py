"""``wixhttp check`` beyond the file of the functions: modules of the backend, the test site, endpoints."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interfaces import write_project
from wixhttp.cli.commands import main
from wixhttp.cli.project_checks import check_project
from wixhttp.errors import ProjectError
from wixhttp.project.config import load_config

FINE = "from wixhttp import ok\ndef get_x(): return ok()\n"


def warnings(root: Path) -> list[str]:
    return check_project(load_config(root, environ={})).warnings


def problems(root: Path, test_site: Path | None = None) -> list[str]:
    return check_project(replace(load_config(root, environ={}), test_site=test_site)).problems


def test_a_module_that_is_imported_late_is_imported_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_project(tmp_path, {"backend/http_functions.py": FINE, "backend/late.py": "import nothing_there\n"})
    (found,) = problems(root)
    assert "late.py cannot be imported: ModuleNotFoundError" in found
    assert found.endswith("(backend/late.py:1)")
    with pytest.raises(SystemExit):
        main(["--project", str(root), "check"])
    assert "Error: backend/late.py cannot be imported: " in capsys.readouterr().err


def test_a_package_of_the_backend_is_imported(tmp_path: Path) -> None:
    files = {
        "backend/http_functions.py": FINE,
        "backend/shop/__init__.py": "from backend.shop.prices import TEA\n",
        "backend/shop/prices.py": "TEA = 4.5\n",
        "backend/shop/__main__.py": "raise SystemExit(1)\n",
    }
    assert problems(write_project(tmp_path, files)) == []


def test_the_test_site_is_looked_at_too(tmp_path: Path) -> None:
    live = write_project(tmp_path / "live", {"backend/http_functions.py": FINE})
    asks = FINE + "from wixhttp.secrets import getSecret\ndef get_y(): return ok(getSecret('NOT_THERE'))\n"
    test = write_project(tmp_path / "test", {"backend/http_functions.py": asks})
    (found,) = problems(live, test)
    assert found.startswith("backend/http_functions.py:4: there is no secret 'NOT_THERE'")


def test_the_declared_collections_are_looked_at(tmp_path: Path) -> None:
    files = {"backend/http_functions.py": FINE, "data/collections.toml": "[books]\nindexs = []\n"}
    (found,) = problems(write_project(tmp_path, files))
    assert found.startswith("data/collections.toml:2: books.indexs: 'indexs' is not a key of a collection")


def test_a_database_that_everybody_may_read_is_warned_of(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"backend/http_functions.py": FINE, "data/wixhttp.sqlite3": ""})
    database = root / "data" / "wixhttp.sqlite3"
    database.chmod(0o600)
    assert warnings(root) == []
    database.chmod(0o644)
    assert warnings(root) == [f"every user of this machine may read the database; run: chmod o-rwx {database}*"]


def test_the_hooks_are_looked_at(tmp_path: Path) -> None:
    hooks = "def books_beforeInsert(item, context, more): ..."
    (found,) = problems(write_project(tmp_path, {"backend/http_functions.py": FINE, "backend/data.py": hooks}))
    assert "books_beforeInsert" in found
    assert "the hook beforeInsert takes (item, context)" in found


def test_a_file_of_hooks_that_cannot_be_imported_is_told_once(tmp_path: Path) -> None:
    files = {"backend/http_functions.py": FINE, "backend/data.py": "import nothing_there\n"}
    (found,) = problems(write_project(tmp_path, files))
    assert "data.py cannot be imported: ModuleNotFoundError" in found


def test_names_that_look_like_hooks(tmp_path: Path) -> None:
    hooks = """
        def books_beforInsert(item): ...
        def books_before_insert(item): ...
        def books_beforeSave(item): ...
        def books_onfailure(error): ...
        def books_afterGet(item): ...
        def my_count(): ...
        def look_after_(): ...
        LIMIT_before = 3
    """
    found = warnings(write_project(tmp_path, {"backend/http_functions.py": FINE, "backend/data.py": hooks}))
    assert [each.partition(";")[0] for each in found] == [
        f"data.py: books_{name} is no hook" for name in ("beforInsert", "before_insert", "beforeSave", "onfailure")
    ]
    assert [each.rpartition(" ")[2] for each in found if "did you mean" in each] == [
        "books_beforeInsert?",
        "books_beforeInsert?",
        "books_onFailure?",
    ]


def test_hooks_of_a_collection_that_is_not_declared(tmp_path: Path) -> None:
    files = {
        "backend/http_functions.py": FINE,
        "backend/data.py": "def boks_afterGet(item): ...\ndef a_b_afterGet(item): ...\n",
        "data/collections.toml": "[books]\n['a/b']\n",
    }
    (found,) = warnings(write_project(tmp_path, files))
    assert found == "backend/data: boks_... are hooks of a collection that data/collections.toml does not declare"
    (tmp_path / "data/collections.toml").unlink()
    assert warnings(tmp_path) == []


def test_a_check_makes_no_database(tmp_path: Path) -> None:
    files = {"backend/http_functions.py": FINE, "data/collections.toml": "[books]\n"}
    assert problems(write_project(tmp_path, files)) == []
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["collections.toml"]


# --- endpoints ---

ENDPOINT = "from wixhttp.endpoints import Response\ndef GET(): return Response('x')\n"


@pytest.mark.parametrize("mode", ["production", "development"])
def test_endpoints_that_are_fine(tmp_path: Path, mode: str) -> None:
    files = {
        "src/middleware.py": "from src.shared import log\ndef onRequest(context, next): return next()\n",
        "src/shared.py": "def log(): ...\n",
        "src/pages/api/users/[id].py": ENDPOINT.replace("GET()", "GET(params)"),
        "src/pages/api/all.py": ENDPOINT.replace("GET()", "GET(context)"),
        "src/pages/api/mine.py": ENDPOINT.replace("GET()", "GET(api, /)"),
        "src/pages/[page].json.py": "prerender = True\ndef getStaticPaths(): return []\n" + ENDPOINT,
        "src/pages/404.py": ENDPOINT,
        "src/pages/_draft.py": "def get(): ...",
    }
    root = write_project(tmp_path, files)
    report = check_project(replace(load_config(root, environ={}), mode=mode))
    assert (report.summary, report.problems, report.warnings) == ("4 endpoints", [], [])


def test_functions_and_endpoints_are_counted(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"backend/http_functions.py": FINE, "src/pages/x.py": ENDPOINT})
    assert check_project(load_config(root, environ={})).summary == "1 function, 1 endpoint"
    (root / "src/pages/x.py").unlink()
    assert warnings(root) == ["src/pages has no endpoint"]


def test_a_project_of_nothing_is_told_both_ways(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"http_functions\.py and no folder .*src/pages; 'wixhttp init'"):
        check_project(load_config(tmp_path, environ={}))


def test_all_broken_endpoints_are_told_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {
        "src/pages/a.py": "import nothing_there\n" + ENDPOINT,
        "src/pages/b.py": "x = 1\ndef GET(:\n",
        "src/pages/c.py": "x = 1\n",
        "src/pages/d.py": "\n\nx = undefined\n",
        "src/pages/e.py": "from src.shared import HALF\n" + ENDPOINT,
        "src/pages/f.py": ENDPOINT,
        "src/shared.py": "HALF = 1 / 0\n",
        "src/never.py": "def broken(:\n",
    }
    found = sorted(problems(write_project(tmp_path, files)))
    texts = (
        ("src/pages/a.py cannot be imported: ModuleNotFoundError", "(src/pages/a.py:1)"),
        ("src/pages/b.py:2: the file is not Python: ", "[syntax]"),
        ("src/pages/d.py cannot be imported: NameError", "(src/pages/d.py:3)"),
        ("src/pages/e.py cannot be imported: ZeroDivisionError", "(src/shared.py:1)"),
    )
    assert len(found) == 7  # d.py is told by its text, too: what to write for undefined
    for text, place in texts:
        (problem,) = [each for each in found if text in each]
        assert problem.endswith(place)
    assert any(each.startswith("src/pages/c.py has no handler") for each in found)
    assert any(each.startswith("src/never.py:1: the file is not Python") for each in found)
    assert caplog.records == []
    assert logging.getLogger("wixhttp").propagate


@pytest.mark.parametrize("name", ["backend/http_functions.py", "src/middleware.py", "src/pages/x.py"])
def test_a_file_that_is_not_python_is_told_once_with_what_to_write(tmp_path: Path, name: str) -> None:
    files = {"src/pages/a.py": ENDPOINT, name: "x = a === b\n"}
    report = check_project(load_config(write_project(tmp_path, files), environ={}))
    [problem] = report.problems
    assert problem.startswith(f"{name}:1: the file is not Python")
    assert "write ==" in problem
    assert report.summary


def test_an_endpoint_whose_only_handler_is_lower_case_is_told_once(tmp_path: Path) -> None:
    report = check_project(load_config(write_project(tmp_path, {"src/pages/a.py": "\ndef get(): ...\n"}), environ={}))
    assert (report.warnings, len(report.problems)) == ([], 1)
    assert report.problems[0].startswith("src/pages/a.py:2: get is not served; a handler's name is upper case: GET [")


@pytest.mark.parametrize("mode", ["production", "development"])
def test_two_files_of_one_route_are_a_problem(tmp_path: Path, mode: str) -> None:
    root = write_project(tmp_path, {"src/pages/x.py": ENDPOINT, "src/pages/x/index.py": ENDPOINT})
    report = check_project(replace(load_config(root, environ={}), mode=mode))
    assert report.problems == ["src/pages/x.py and src/pages/x/index.py are both the route /x; remove one"]
    assert report.warnings == []


@pytest.mark.parametrize("name", ["[id.py", "[a][b].py", "[a-b].py"])
def test_a_name_that_is_no_route_is_a_problem_beside_others(tmp_path: Path, name: str) -> None:
    root = write_project(tmp_path, {f"src/pages/{name}": ENDPOINT, "src/pages/x.py": "def GET(: ..."})
    first, second = problems(root)
    assert name in first
    assert "src/pages/x.py:1: the file is not Python" in second


def test_a_build_that_serve_would_refuse_is_told(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"src/pages/x.py": ENDPOINT, "dist/manifest.json": "{}"})
    with pytest.raises(ProjectError, match="remove the folder and run 'wixhttp build'"):
        problems(root)


STATIC_PATHS = "def getStaticPaths(): return []\n"


@pytest.mark.parametrize(
    ("name", "text", "starts", "says"),
    [
        ("x", "def get(): ...\n" + ENDPOINT, "src/pages/x.py:1: get is not served", "upper case: GET"),
        ("x", "def Post(): ...\n" + ENDPOINT, "src/pages/x.py:1: Post is not served", "POST"),
        ("x", "from src.shared import POST\n" + ENDPOINT, "src/pages/x.py: POST is imported", "__all__"),
        ("x", "def GET(reqest): ...", "src/pages/x.py:1: GET(reqest) is given the whole context", "mean request?"),
        ("x", "async def GET(req): ...", "src/pages/x.py:1: GET(req) ", "mean request?"),
        ("x", "\ndef ALL(param, /): ...", "src/pages/x.py:2: ALL(param) ", "mean params?"),
        ("x", "prerendered = True\n" + ENDPOINT, "src/pages/x.py: prerendered means nothing", "mean prerender?"),
        ("x", "preRender = True\n" + ENDPOINT, "src/pages/x.py: preRender means nothing", "mean prerender?"),
        ("[x]", STATIC_PATHS + ENDPOINT, "src/pages/[x].py: getStaticPaths is asked of static", "prerender = True"),
        ("x", "def get_static_paths(): ...\n" + ENDPOINT, "src/pages/x.py: get_static_paths", "mean getStaticPaths?"),
    ],
)
def test_names_that_are_nearly_right(tmp_path: Path, name: str, text: str, starts: str, says: str) -> None:
    files = {f"src/pages/{name}.py": text, "src/shared.py": "def POST(): ...\n"}
    report = check_project(load_config(write_project(tmp_path, files), environ={}))
    (found,) = report.warnings
    assert found.startswith(starts)
    assert says in found
    assert report.problems == []


def test_a_route_that_is_never_asked(tmp_path: Path) -> None:
    files = {"src/pages/[id].py": ENDPOINT, "src/pages/[name].py": ENDPOINT, "src/pages/[...id].py": ENDPOINT}
    (found,) = warnings(write_project(tmp_path, files))
    assert found.startswith("src/pages/[name].py is never asked, because src/pages/[id].py matches the same paths")


def test_secrets_that_endpoints_ask_for(tmp_path: Path) -> None:
    asks = "from wixhttp.secrets import getSecret\ndef key(): return getSecret('%s')\n"
    files = {
        "src/pages/x.py": ENDPOINT + asks % "GONE",
        "src/shared.py": asks % "DEEP",
        "src/middleware.py": asks % "HERE" + "def onRequest(context, next): ...\n",
        ".env": "HERE=1\n",
    }
    first, second = problems(write_project(tmp_path, files))
    assert first.startswith("src/pages/x.py:4: there is no secret 'GONE'")
    assert second.startswith("src/shared.py:2: there is no secret 'DEEP'")


def test_endpoints_elsewhere_are_looked_at_too(tmp_path: Path) -> None:
    files = {
        "wixhttp.toml": 'pages = "site/routes"\n',
        "site/routes/x.py": ENDPOINT + "from wixhttp.secrets import getSecret\ndef key(): return getSecret('GONE')\n",
        "site/middleware.py": "from wixhttp import secrets\ndef onRequest(context, next): secrets.getSecret('MORE')\n",
    }
    found = problems(write_project(tmp_path, files))
    assert [each.partition(": ")[0] for each in found] == ["site/middleware.py:2", "site/routes/x.py:4"]


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ('{issuer = "https://a", audience = "b", secret = "NOPE"}', "there is no secret 'NOPE'"),
        ('{issuer = "https://a", audience = "b", key_file = "nope.pem"}', "nope.pem"),
    ],
)
def test_auth_that_cannot_work_is_a_problem(tmp_path: Path, auth: str, words: str) -> None:
    root = write_project(tmp_path, {"backend/http_functions.py": "def get_x(): ...", "wixhttp.toml": f"auth = {auth}"})
    report = check_project(load_config(root, environ={}))
    assert [words in problem for problem in report.problems] == [True]


def test_names_that_are_nearly_something_are_told(tmp_path: Path) -> None:
    source = "check_origin = False\ndef GET(): ...\ndef DELTE(): ...\ndef SQL(): ...\n"
    report = check_project(load_config(write_project(tmp_path, {"src/pages/x.py": source}), environ={}))
    variable = "a variable check_origin means nothing here; write @check_origin(False) in front of the handler"
    assert report.warnings == [
        f"src/pages/x.py: {variable}",
        "src/pages/x.py:3: DELTE is not served; did you mean DELETE?",
    ]
