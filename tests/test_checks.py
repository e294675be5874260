"""What ``wixhttp check`` finds beyond the file of the functions: other modules of the backend, and the test site."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.doors import write_project
from wixhttp.checks import check_project
from wixhttp.config import load_config

FINE = "from wixhttp import ok\ndef get_x(): return ok()\n"


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
