"""What ``wixhttp check`` finds beyond the file of the functions: other modules of the backend, and the test site."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.doors import write_project
from wixhttp.checks import check_project
from wixhttp.config import load_config

FINE = "from wixhttp import ok\ndef get_x(): return ok()\n"


def warnings(root: Path) -> list[str]:
    return check_project(load_config(root, environ={})).warnings


def problems(root: Path, test_site: Path | None = None) -> list[str]:
    return check_project(replace(load_config(root, environ={}), test_site=test_site)).problems


def test_a_module_that_is_imported_late_is_imported_now(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"backend/http_functions.py": FINE, "backend/late.py": "import nothing_there\n"})
    (found,) = problems(root)
    assert "late.py cannot be imported: ModuleNotFoundError" in found


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
