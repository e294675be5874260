"""wixhttp.project.loader: the user's file, and what can go wrong with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interfaces import TIMEOUT, load_app, write_project
from wixhttp.errors import ProjectError
from wixhttp.project.loader import load_functions_module

NAME = "from wixhttp import ok\ndef get_name(): return ok({!r})\n"


def failure(folder: Path, source: str, timeout: float = 5.0) -> ProjectError:
    write_project(folder, {"backend/http_functions.py": source})
    with pytest.raises(ProjectError) as caught:
        load_functions_module(folder, timeout)
    assert not [name for name in sys.modules if name.startswith("backend")]
    return caught.value


def test_a_syntax_error(tmp_path: Path) -> None:
    error = failure(tmp_path, "def get_x(:\n")
    assert isinstance(error.__cause__, SyntaxError)
    assert "http_functions.py cannot be imported: SyntaxError" in str(error)


def test_an_import_error(tmp_path: Path) -> None:
    assert "ModuleNotFoundError: No module named 'no_such_module'" in str(failure(tmp_path, "import no_such_module"))
    assert str(failure(tmp_path, "import wixhttp.webhook")).endswith("; did you mean 'wixhttp.webhooks'?")
    assert str(failure(tmp_path, "from wixhttp.jobs import job")).endswith("; did you mean 'wixhttp.inbox'?")
    assert "known are wixhttp.auth, " in str(failure(tmp_path, "import wixhttp.xyz"))


def test_sys_exit_at_import(tmp_path: Path) -> None:
    assert "it calls sys.exit(3) at import" in str(failure(tmp_path, "import sys; sys.exit(3)"))


# A loop that catches calls something: Python 3.10 looks for signals at calls, and never in a loop around a bare `try:`.
WORK = "def work(): pass\n"


@pytest.mark.parametrize(
    "loop", ["while True: pass", WORK + "while True:\n    try: work()\n    except Exception: pass"]
)
def test_an_endless_loop_at_import(tmp_path: Path, loop: str) -> None:
    before = signal.getsignal(signal.SIGALRM)
    error = failure(tmp_path, loop, 0.2)
    assert "did not end within 0.2 seconds (setting import_timeout)" in str(error)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_an_endless_loop_that_swallows_the_time_out_ends_the_process(tmp_path: Path) -> None:
    loop = WORK + "while True:\n    try: work()\n    except: pass\n"
    write_project(tmp_path, {"backend/http_functions.py": loop})
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WIXHTTP_")}
    process = subprocess.run(
        [sys.executable, "-m", "wixhttp", "--project", str(tmp_path), "check"], capture_output=True, text=True,
        env={**environ, "WIXHTTP_IMPORT_TIMEOUT": "0.5"}, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert process.returncode == 3, process.stdout + process.stderr
    assert str(tmp_path / "backend/http_functions.py") in process.stderr


@pytest.mark.parametrize("source", ["1 / 0", "raise BaseException('x')", "raise ValueError"])
def test_any_error_at_import(tmp_path: Path, source: str) -> None:
    assert failure(tmp_path, source).__cause__ is not None


def test_a_file_that_is_mended_loads(tmp_path: Path) -> None:
    failure(tmp_path, "1 / 0  # longer than what follows it, so that no cached bytecode fits" * 3)
    write_project(tmp_path, {"backend/http_functions.py": NAME.format("mended")})
    assert load_app(tmp_path).site.functions.names == ["name"]


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="wixhttp init"):
        load_functions_module(tmp_path, 1)


def test_a_module_and_a_package_are_one_too_many(tmp_path: Path) -> None:
    write_project(tmp_path, {"backend/http_functions.py": "", "backend/http_functions/__init__.py": ""})
    with pytest.raises(ProjectError, match="are both there; keep one"):
        load_functions_module(tmp_path, 1)


def test_a_project_is_imported_once(tmp_path: Path) -> None:
    write_project(tmp_path, {"backend/http_functions.py": NAME.format("x")})
    assert load_functions_module(tmp_path, 1) is load_functions_module(tmp_path, 1)
    other = write_project(tmp_path / "other", {"backend/http_functions.py": NAME.format("y")})
    assert load_functions_module(other, 1) is load_functions_module(other, 1)


@pytest.mark.parametrize("init", [True, False], ids=["package", "namespace"])
def test_another_backend_on_the_path_is_not_mistaken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, init: bool
) -> None:
    mine = write_project(tmp_path / "mine", {"backend/http_functions.py": NAME.format("mine")})
    other = write_project(tmp_path / "other", {"backend/http_functions.py": NAME.format("other")})
    if init:
        write_project(other, {"backend/__init__.py": ""})
    monkeypatch.setattr(sys, "path", [str(other), str(mine), *sys.path])
    assert load_functions_module(mine, 1).__file__ == str(mine / "backend/http_functions.py")
    assert load_functions_module(other, 1).__file__ == str(other / "backend/http_functions.py")


def test_a_project_that_holds_wixhttps_source_uses_the_one_wixhttp(tmp_path: Path) -> None:
    first = write_project(tmp_path / "first", {"backend/http_functions.py": NAME.format("first")})
    second = write_project(
        tmp_path / "second",
        {"backend/http_functions.py": NAME.format("second"), "wixhttp/__init__.py": "raise ImportError('another one')"},
    )
    load_functions_module(first, 1)
    assert load_functions_module(second, 1).ok is load_functions_module(first, 1).ok
