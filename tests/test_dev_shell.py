"""`wixhttp shell`: programs, and the prompt at a terminal."""

from __future__ import annotations

import importlib.util
import stat
import sys
from pathlib import Path

import pytest

from tests import commands
from tests.servers import clean, project
from tests.terminals import Terminal

FUNCTIONS = """
import asyncio
from wixhttp import ok
from wixhttp import data as wix_data
from wixhttp.errors import WixDataError
from wixhttp.secrets import getSecret

def get_hello(request):
    return ok({"body": {"hello": request.path[0]}})

def get_tea():
    try:
        return ok(body=wix_data.query("tea").count())
    except WixDataError as error:
        return ok(body=str(error)[:7])

def post_tea(request):
    return ok(body=wix_data.insert("tea", request.body.json(), {"suppressAuth": True}))

async def get_later():
    await asyncio.sleep(0)
    return ok("later")

def get_broken():
    raise ValueError(getSecret("SHOP_KEY"))

def helper():
    return 1 / 0
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = project(tmp_path / "site", FUNCTIONS)
    (folder / "data").mkdir()
    (folder / "data/collections.toml").write_text("[tea]\npermissions = 'private'\n")
    (folder / ".env").write_text("SHOP_KEY=s3cret-key\n")
    return folder


def run(site: Path, *options: str, program: str = "") -> tuple[int, str, str]:
    """The exit code, what was printed, and what standard error got."""
    done = commands.run(["shell", *options], cwd=site, env=clean({}), input=program.encode())
    return done.returncode, done.stdout.decode(), done.stderr.decode()


# --- programs --------------------------------------------------------------------------------------------------------


def test_standard_input_is_a_program(site: Path) -> None:
    program = 'answer = client.get("hello/Ada")\nif answer.ok:\n    print(answer.status_code, answer.json())\n1 + 1\n'
    assert run(site, program=program) == (0, "200 {'hello': 'Ada'}\n", "")
    assert run(site) == (0, "", "")


def test_names_are_there(site: Path) -> None:
    program = 'print(site.summary, functions.get_hello.__name__, getSecret("SHOP_KEY"), __name__, wix_data is aio)'
    assert run(site, "-c", program) == (0, "5 functions get_hello s3cret-key __main__ False\n", "")


def test_the_program_has_the_rights_of_the_owner_and_its_requests_have_not(site: Path) -> None:
    program = """
print(client.post("tea", json={"_id": "1"}).status_code, wix_data.query("tea").count(), client.get("tea").text)
"""
    assert run(site, "-c", program) == (0, "200 1 WDE0027\n", "")
    assert run(site, "-c", "print(wix_data.get('tea', '1')['_id'])") == (0, "1\n", "")  # it stays


def test_a_program_awaits(site: Path) -> None:
    program = """
import asyncio
async def count():
    await asyncio.sleep(0)
    return await aio.query("tea").count()
print(await count(), client.get("later").text)
"""
    assert run(site, "-c", program) == (0, "0 later\n", "")


def test_an_error_is_shown_with_its_lines_and_exits_with_1(site: Path) -> None:
    code, printed, errors = run(site, program="print('first')\nfunctions.helper()\nprint('never')\n")
    assert (code, printed) == (1, "first\n")
    assert errors.startswith('Traceback (most recent call last):\n  File "<stdin>", line 2, in <module>\n')
    assert "    functions.helper()\n" in errors
    assert errors.endswith("ZeroDivisionError: division by zero\n")
    assert "frames of wixhttp" not in errors
    code, _, errors = run(site, "-c", "raise ValueError(getSecret('SHOP_KEY'))")
    assert (code, errors.splitlines()[-1]) == (1, "ValueError: ***")
    assert run(site, "-c", "a b")[0] == 1


def test_an_error_of_a_function_is_logged_and_answered(site: Path) -> None:
    code, printed, errors = run(site, "-c", "print(client.get('broken').status_code)")
    assert (code, printed) == (0, "500\n")
    assert "ValueError: ***" in errors


@pytest.mark.parametrize(("program", "code"), [("exit()", 0), ("exit(7)", 7), ("raise SystemExit('no')", 1)])
def test_a_program_that_exits_has_its_exit_code(site: Path, program: str, code: int) -> None:
    assert run(site, "-c", program)[0] == code


def test_a_site_that_cannot_be_loaded_is_an_error_as_for_other_commands(tmp_path: Path) -> None:
    code, printed, errors = run(project(tmp_path, "1 / 0\n"), "-c", "print('never')")
    assert (code, printed) == (3, "")
    assert "ZeroDivisionError" in errors
    assert "http_functions.py" in errors.splitlines()[-1]


def test_a_site_of_endpoints_has_no_functions(tmp_path: Path) -> None:
    (tmp_path / "src/pages").mkdir(parents=True)
    (tmp_path / "src/pages/a.py").write_text(
        "from wixhttp.endpoints import Response\ndef GET(): return Response('a')\n"
    )
    assert run(tmp_path, "-c", "print(client.get('/a').text, 'functions' in globals())") == (0, "a False\n", "")


def test_a_program_that_is_interrupted_exits_with_130(site: Path) -> None:
    with Terminal([sys.executable, "-m", "wixhttp", "shell", "-c", WAITING], site, clean({})) as shell:
        shell.await_text("waiting")
        shell.press("\x03")
        shell.await_text("interrupted")
        assert shell.wait() == 130


WAITING = "import asyncio; print('waiting', flush=True); await asyncio.sleep(600)"


# --- the prompt ------------------------------------------------------------------------------------------------------


def test_the_prompt(site: Path) -> None:
    with Terminal([sys.executable, "-m", "wixhttp", "shell", "--plain"], site, clean({"TERM": "dumb"})) as shell:
        banner = shell.await_text(">>> ")
        assert "in development: 5 functions" in banner
        assert "sqlite:///data/wixhttp.sqlite3" in banner
        shell.press("client.get('hello/Ada').json()\n")
        shell.await_text("{'hello': 'Ada'}\r\n>>> ")
        shell.press("client.delet\t'hello').status_code\n")  # completed
        shell.await_text("405\r\n>>> ")
        shell.press("await aio.query('tea').count()\n")
        shell.await_text("0\r\n>>> ")
        shell.press("functions.helper()\n")
        assert "frames of wixhttp" not in shell.await_text("ZeroDivisionError: division by zero\r\n>>> ")
        shell.press("import asyncio; print('wait' + 'ing'); await asyncio.sleep(600)\n")
        shell.await_text("waiting\r\n")
        shell.interrupt("KeyboardInterrupt\r\n>>> ")
        shell.press("half a line")
        shell.await_text("half a line")
        shell.interrupt("KeyboardInterrupt\r\n>>> ")
        shell.press("1 + 1\n")
        shell.await_text("2\r\n>>> ")
        shell.press("\x04")
        assert shell.wait() == 0
    history = site / ".wixhttp/shell_history"
    assert "client.get('hello/Ada').json()\n" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert (site / ".wixhttp/.gitignore").read_text() == "*\n"
    with Terminal([sys.executable, "-m", "wixhttp", "shell", "--plain"], site, clean({"TERM": "dumb"})) as shell:
        shell.await_text(">>> ")
        shell.press("\x10")  # Ctrl-P: the line before
        shell.await_text("1 + 1")
        shell.press("\nexit(5)\n")
        assert shell.wait() == 5


@pytest.mark.skipif(importlib.util.find_spec("IPython") is None, reason="IPython is not installed")
def test_ipython_is_used_where_it_is_installed(site: Path, tmp_path: Path) -> None:
    environ = clean({"TERM": "dumb", "IPYTHONDIR": str(tmp_path / "ipython")})
    with Terminal([sys.executable, "-m", "wixhttp", "shell"], site, environ) as shell:
        assert "in development: 5 functions" in shell.await_text("In [")
        shell.press("print(client.post('tea', json={}).status_code, await aio.query('tea').count())\n")
        shell.await_text("200 1")
        shell.await_text("In [")
        shell.press("%timeit?\nprint(client.get('tea').text)\n")
        shell.await_text("WDE0027")
        shell.press("exit\n")
        assert shell.wait() == 0
