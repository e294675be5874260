"""The command `wixhttp`, run as a user runs it: as a process, in a project's folder."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import commands

ROOT = Path(__file__).parents[1]
WIXHTTP = [sys.executable, "-m", "wixhttp"]
NOT_OURS = ("WIXHTTP_", "GUNICORN_", "NO_COLOR", "FORCE_COLOR", "HOST", "PORT", "WEB_CONCURRENCY", "PYTHONPATH")
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
MADE = [
    ".dockerignore",
    ".gitignore",
    "Dockerfile",
    "backend/http_functions.py",
    "data/collections.toml",
    "pyproject.toml",
    "tests/test_http_functions.py",
    "wixhttp.toml",
]

MADE_ENDPOINTS = [
    ".dockerignore",
    ".gitignore",
    "Dockerfile",
    "data/collections.toml",
    "pyproject.toml",
    "src/middleware.py",
    "src/pages/api/about.json.py",
    "src/pages/api/hello.py",
    "src/pages/api/orders/[id].py",
    "tests/test_endpoints.py",
    "wixhttp.toml",
]

PLUGINS = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]  # the latter is slow to load

Project = Callable[..., Path]


class Outcome:
    """The outcome of a run of the command, whose exit code must be the expected one."""

    def __init__(self, process: subprocess.CompletedProcess[bytes], code: int) -> None:
        self.out = process.stdout.decode()
        self.err = process.stderr.decode()
        assert process.returncode == code, self.out + self.err
        assert "wixhttp/cli/commands.py" not in self.err, "a traceback of our own"

    @property
    def head(self) -> list[str]:
        """The lines of an answer that `call` printed, before its body."""
        return self.out.partition("\n\n")[0].splitlines()

    @property
    def body(self) -> str:
        return self.out.partition("\n\n")[2]


def run(folder: Path, *arguments: str, code: int = 0, stdin: bytes = b"", **environ: str) -> Outcome:
    return Outcome(commands.run(arguments, cwd=folder, env={**ENVIRON, **environ}, input=stdin), code)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Makes a project of the given files; `functions` is that of the HTTP functions."""

    def make(functions: str = "", **files: str) -> Path:
        folder = tmp_path / "site"
        (folder / "backend").mkdir(parents=True)
        for name, text in {"backend/http_functions.py": functions, **files}.items():
            (folder / name).write_text(text)
        return folder

    return make


HELLO = '''from wixhttp import ok, response


def get_hello(request):
    """Say hello.

    At length.
    """
    return ok(body={"path": request.path, "query": request.query_all, "sent": request.headers["X-Sent"]})


async def put_echo(request):
    body = await request.body.buffer()
    return ok(body=body, headers={"X-Type": request.headers["Content-Type"] or "none"})


def use_anything(request):
    return response(status=int(request.query["status"]), body=request.method)


def post_broken(request):
    raise RuntimeError("it broke")
'''


# --- the command itself ----------------------------------------------------------------------------------------------


def test_every_command_has_help_and_the_options_that_are_documented(tmp_path: Path) -> None:
    for command, named in {
        "": ("init", "serve", "routes", "call", "check", "secrets", "--project", "--version"),
        "init": ("[DIR]", "--endpoints", "Nothing that is there is overwritten"),
        "serve": ("--host", "--port", "--workers", "--threads", "--worker-class", "--timeout", "--log-format", "-- "),
        "routes": ("--json",),
        "call": ("METHOD PATH", "--query", "--header", "--data", "--form", "--verbose"),
        "check": ("--show-config", "--strict"),
        "secrets": ("list", "set", "remove"),
        "secrets list": (),
        "secrets set": ("[VALUE]",),
        "secrets remove": ("NAME",),
    }.items():
        shown = " ".join(run(tmp_path, *command.split(), "--help").out.split())
        assert shown.startswith(f"Usage: wixhttp {command}".rstrip())
        assert not [option for option in named if option not in shown], command
    assert run(tmp_path, "check", "-h").out == run(tmp_path, "check", "--help").out


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert run(tmp_path, "--version").out == f"wixhttp, version {version[1]}\n"


def test_the_installed_command_is_the_same(tmp_path: Path) -> None:
    installed = Path(sysconfig.get_path("scripts")) / "wixhttp"
    shown = subprocess.run([installed, "--help"], capture_output=True, check=True, env=ENVIRON, timeout=60).stdout
    assert shown.decode() == run(tmp_path, "--help").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["--nothing"],
        ["check", "--nothing"],
        ["check", "more"],
        ["init", "one", "two"],
        ["routes", "--jsn"],
        ["call", "GET"],
        ["call", "GET", "hello", "-q", "novalue"],
        ["call", "GET", "hello", "-H", "novalue"],
        ["call", "GET", "hello", "-d", "@missing.json"],
        ["call", "GET", "hello", "-F", "file=@missing.json"],
        ["call", "GET", "hello", "-F", "novalue"],
        ["call", "GET", "hello", "-F", "a=b", "-d", "c"],
        ["call", "G ET", "hello"],
        ["secrets", "set"],
        ["secrets", "set", "NOT A NAME", "value"],
        ["secrets", "set", "1ST", "value"],
        ["secrets", "remove", "a=b"],
        ["serve", "--port", "many"],
        ["serve", "--", "--nothing"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(project: Project, arguments: list[str]) -> None:
    failed = run(project(HELLO), *arguments, code=2)
    assert failed.out == ""
    assert "rror: " in failed.err
    assert "Traceback" not in failed.err


@pytest.mark.parametrize("command", [["check"], ["routes"], ["call", "GET", "hello"], ["serve", "--port", "0"]])
def test_a_project_that_cannot_be_loaded_exits_with_3(project: Project, command: list[str]) -> None:
    folder = project("def get_hello(request)\n    return 1\n")
    failed = run(folder, *command, code=3)
    assert "expected ':'" in failed.err
    assert "http_functions.py" in failed.err
    assert command == ["check"] or "def get_hello(request)" in failed.err
    assert "importlib" not in failed.err
    empty = run(folder.parent, *command, code=3)
    assert f"there is no {folder.parent}/backend/http_functions.py" in empty.err
    assert f"there is a project in the folder {folder.name}: wixhttp --project {folder.name}. " in empty.err
    assert "'wixhttp init' makes a project, --project names its folder" in empty.err


@pytest.mark.parametrize("async_", ["", "async "])
def test_an_interrupted_command_exits_with_130(project: Project, async_: str) -> None:
    wait = "import asyncio; await asyncio.sleep(30)" if async_ else "time.sleep(30)"
    functions = f"import os, time\n{async_}def get_slow():\n    os.write(2, b'on\\n'); {wait}\n"
    folder = project(functions)
    # As at a prompt: what a shell starts in the background ignores SIGINT, and so would all that these tests start.
    main = (
        "import signal as s; s.signal(s.SIGINT, s.default_int_handler); from wixhttp.cli.commands import main; main()"
    )
    command = [sys.executable, "-c", main, "call", "GET", "slow"]
    with subprocess.Popen(command, cwd=folder, env=ENVIRON, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"on\n"
        process.send_signal(signal.SIGINT)
        text = process.stderr.read().decode()
        assert process.wait(20) == 130
    assert text.strip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in text


def test_a_reader_that_leaves_is_no_error_message(project: Project) -> None:
    functions = "".join(f"def get_f{number}(): ...\n" for number in range(5000))
    folder = project(functions)
    command = ["sh", "-c", f"{' '.join(WIXHTTP)} routes | head -1"]
    shown = subprocess.run(command, cwd=folder, env=ENVIRON, capture_output=True, timeout=60, check=True)
    assert shown.stdout.startswith(b"GET  /_functions/f0 ")
    assert shown.stderr == b""


def test_the_project_is_named_by_option_environment_or_folder(project: Project, tmp_path: Path) -> None:
    folder = project(HELLO)
    here = run(folder, "routes").out
    assert "/_functions/hello" in here
    assert run(tmp_path, "--project", str(folder), "routes").out == here
    assert run(tmp_path, "--project", "site", "routes").out == here
    assert run(tmp_path, "routes", WIXHTTP_PROJECT=str(folder)).out == here
    missing = run(tmp_path, "--project", "nowhere", "routes", code=3)
    assert "nowhere" in missing.err


# --- colours ---------------------------------------------------------------------------------------------------------


def _on_a_terminal(folder: Path, *arguments: str, **environ: str) -> str:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*WIXHTTP, *arguments], cwd=folder, env={**ENVIRON, "TERM": "xterm", **environ}, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        shown = b""
        while select.select([master], [], [], 30)[0]:
            try:
                piece = os.read(master, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            if not piece:
                break
            shown += piece
        process.wait(20)
    os.close(master)
    return shown.decode()


def test_colours_are_for_terminals_that_want_them(project: Project) -> None:
    folder = project(HELLO)
    call = ["call", "GET", "hello", "-v"]
    assert "\x1b[" in _on_a_terminal(folder, *call)
    assert "\x1b[" not in _on_a_terminal(folder, *call, NO_COLOR="1")
    assert "\x1b[" not in _on_a_terminal(folder, "--project", "nowhere", "check", NO_COLOR="1")
    piped = run(folder, *call)
    assert "\x1b" not in piped.out + piped.err
    failed = run(folder, "--project", "nowhere", "check", code=3)
    assert "\x1b" not in failed.out + failed.err


# --- init ------------------------------------------------------------------------------------------------------------


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_init_makes_a_project_that_passes_its_own_test_and_check(tmp_path: Path) -> None:
    made = run(tmp_path, "init", "my site")
    for name in (".gitignore", ".dockerignore"):
        ignored = (tmp_path / "my site" / name).read_text().splitlines()
        assert "data/*.sqlite3*" in ignored
        assert ".wixhttp" in [each.rstrip("/") for each in ignored]
    folder = tmp_path / "my site"
    assert _files(folder) == MADE
    assert sorted(made.out.splitlines()[:8]) == sorted(f"made  my site/{name}" for name in MADE)
    assert "cd 'my site' && wixhttp dev" in made.out

    checked = run(folder, "check")
    assert (checked.out, checked.err) == ("2 functions, no problems\n", "")
    assert run(folder, "call", "GET", "hello").body == '{"message":"Hello, world!"}'
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *PLUGINS],
        cwd=folder, env=ENVIRON, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    run(tmp_path, "init")
    for name in MADE:
        (tmp_path / name).write_text(f"mine: {name}")
    (tmp_path / "Dockerfile").unlink()
    again = run(tmp_path, "init", ".").out
    assert re.findall(r"^made  (\S+)", again, re.MULTILINE) == ["Dockerfile"]
    assert len(re.findall(r"^kept  ", again, re.MULTILINE)) == 7
    assert "FROM python" in (tmp_path / "Dockerfile").read_text()
    for name in set(MADE) - {"Dockerfile"}:
        assert (tmp_path / name).read_text() == f"mine: {name}"


def test_init_puts_nothing_beside_what_would_contradict_it(tmp_path: Path) -> None:
    package = tmp_path / "backend/http_functions"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def get_mine(): ...\n")
    (tmp_path / "pyproject.toml").write_text("[tool.wixhttp]\nport = 1234\n")
    run(tmp_path, "init")
    assert _files(tmp_path) == [
        ".dockerignore", ".gitignore", "Dockerfile", "backend/http_functions/__init__.py", "data/collections.toml",
        "pyproject.toml",
    ]  # fmt: skip
    assert (
        "--find-links /build wixhttp" in (tmp_path / "Dockerfile").read_text()
    )  # nobody knows what the other installs
    assert run(tmp_path, "check").out == "1 function, no problems\n"


def test_init_makes_a_project_of_endpoints(tmp_path: Path) -> None:
    made = run(tmp_path, "init", "--endpoints", "shop")
    folder = tmp_path / "shop"
    assert _files(folder) == MADE_ENDPOINTS
    assert "cd shop && wixhttp dev, then open http://localhost:8000/api/hello" in made.out
    for name, line in ((".gitignore", "dist/"), (".dockerignore", "dist"), ("Dockerfile", "RUN wixhttp build")):
        assert line in (folder / name).read_text().splitlines()

    checked = run(folder, "check")
    assert (checked.out, checked.err) == ("3 endpoints, no problems\n", "")
    assert run(folder, "call", "GET", "/api/hello", "-q", "name=Ada").body == '{"message":"Hello, Ada!"}'
    run(folder, "build")
    assert (folder / "dist/api/about.json").read_text() == '{"name":"My site","version":1}'
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *PLUGINS],
        cwd=folder, env=ENVIRON, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout
    assert "4 passed" in tested.stdout


def test_init_leaves_endpoints_that_are_there_alone(tmp_path: Path) -> None:
    page = tmp_path / "src/pages/[...all].py"
    page.parent.mkdir(parents=True)
    page.write_text("def GET(): ...\n")
    run(tmp_path, "init", "--endpoints")
    common = [".dockerignore", ".gitignore", "Dockerfile", "data/collections.toml", "pyproject.toml"]
    assert _files(tmp_path) == [*common, "src/pages/[...all].py", "wixhttp.toml"]
    assert run(tmp_path, "check").out == "1 endpoint, no problems\n"


def test_init_of_both_kinds_in_one_folder(tmp_path: Path) -> None:
    run(tmp_path, "init")
    assert "RUN wixhttp build" not in (tmp_path / "Dockerfile").read_text().splitlines()
    (tmp_path / "Dockerfile").unlink()
    run(tmp_path, "init", "--endpoints")
    assert _files(tmp_path) == sorted({*MADE, *MADE_ENDPOINTS})
    assert run(tmp_path, "check").out == "2 functions, 3 endpoints, no problems\n"
    (tmp_path / "Dockerfile").unlink()
    run(tmp_path, "init")
    assert "RUN wixhttp build" in (tmp_path / "Dockerfile").read_text().splitlines()


def test_init_where_it_cannot_write_says_where(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    failed = run(tmp_path, "init", "taken", code=1)
    assert re.fullmatch(r"Error: taken\S*: .+\n", failed.err)
    assert (tmp_path / "taken").read_text() == "a file"


# --- routes ----------------------------------------------------------------------------------------------------------


def test_routes_lists_every_function(project: Project) -> None:
    folder = project(HELLO)
    assert run(folder, "routes").out.splitlines() == [
        "ANY   /_functions/anything  backend/http_functions.py:17",
        "POST  /_functions/broken    backend/http_functions.py:21",
        "PUT   /_functions/echo      backend/http_functions.py:12",
        "GET   /_functions/hello     backend/http_functions.py:4   Say hello.",
    ]
    (folder / "wixhttp.toml").write_text('base_path = "/mysite"\n')
    found = json.loads(run(folder, "routes", "--json").out)
    assert [route["function"] for route in found] == ["use_anything", "post_broken", "put_echo", "get_hello"]
    assert found[2:] == [
        {
            "method": "PUT", "url": "/mysite/_functions/echo", "function": "put_echo",
            "file": "backend/http_functions.py", "line": 12, "async": True, "summary": "",
        },
        {
            "method": "GET", "url": "/mysite/_functions/hello", "function": "get_hello",
            "file": "backend/http_functions.py", "line": 4, "async": False, "summary": "Say hello.",
        },
    ]  # fmt: skip


def test_routes_of_a_project_without_functions(project: Project) -> None:
    folder = project()
    assert run(folder, "routes").out == "no functions and no endpoints\n"
    assert json.loads(run(folder, "routes", "--json").out) == []


def test_routes_lists_what_it_can_where_a_file_is_broken(project: Project) -> None:
    ok = "from wixhttp.endpoints import Response\ndef GET(): return Response('x')\n"
    folder = project(HELLO)
    for name, text in {"good.py": ok, "bad.py": "import nothing_x\n", "[id.py": ok, "good/index.py": ok}.items():
        path = folder / "src/pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = run(folder, "routes", code=3)
    listed = [line.split()[:2] for line in done.out.splitlines()]
    assert ["GET", "/_functions/hello"] in listed
    assert listed[-2:] == [["ANY", "/bad"], ["GET", "/good"]]
    assert "(broken) " in done.out
    for said in ("nothing_x", "src/pages/[id.py: brackets are not balanced", "are both the route /good; remove one"):
        assert said in done.err
    (folder / "backend/http_functions.py").write_text("def get_x(:\n")
    (folder / "src/middleware.py").write_text("onRequest = None\n")
    done = run(folder, "routes", "--json", code=3)
    assert [route["url"] for route in json.loads(done.out)] == ["/bad", "/good"]
    assert "http_functions.py cannot be imported" in done.err
    assert "src/middleware.py has no function onRequest" in done.err


ENDPOINTS = {
    "src/middleware.py": "def onRequest(context, next): return next()\n",
    "src/pages/users/[id].py": '''from wixhttp.endpoints import Response


def GET(params, cookies):
    """Show a user.

    At length.
    """
    cookies.set("a", "1")
    cookies.set("b", "2")
    return Response.json(params)


async def ALL(request):
    form = await request.formData()
    return Response.json([value if isinstance(value, str) else [value.name, value.size] for _, value in form])
''',
    "src/pages/index.py": "from wixhttp.endpoints import Response\ndef HEAD(): ...\ndef GET(): ...\n",
    "src/pages/now.py": (
        "from wixhttp.endpoints import Response\nprerender = True\n"
        "def GET():\n    'When it was built.'\n    return Response('x')\n"
    ),
}


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A project of endpoints alone."""
    for name, text in ENDPOINTS.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "site"


def test_routes_lists_endpoints_in_the_order_in_which_they_are_asked(pages: Path) -> None:
    assert run(pages, "routes").out.splitlines() == [
        "GET   /users/[id]  src/pages/users/[id].py:4   Show a user.",
        "ANY   /users/[id]  src/pages/users/[id].py:14",
        "GET   /now         src/pages/now.py:3          (static) When it was built.",
        "HEAD  /            src/pages/index.py:2",
        "GET   /            src/pages/index.py:3",
        "src/middleware.py runs in front of every endpoint",
    ]
    (pages / "wixhttp.toml").write_text('base_path = "/site"\npages_prefix = "/v1"\n')
    found = json.loads(run(pages, "routes", "--json").out)
    assert found[1:3] == [
        {
            "method": "ANY", "url": "/site/v1/users/[id]", "function": "ALL", "file": "src/pages/users/[id].py",
            "line": 14, "async": True, "summary": "", "static": False,
        },
        {
            "method": "GET", "url": "/site/v1/now", "function": "GET", "file": "src/pages/now.py", "line": 3,
            "async": False, "summary": "When it was built.", "static": True,
        },
    ]  # fmt: skip
    (pages / "backend").mkdir()
    (pages / "backend/http_functions.py").write_text(HELLO)
    assert [route["url"] for route in json.loads(run(pages, "routes", "--json").out)[3:5]] == [
        "/site/_functions/hello",
        "/site/v1/users/[id]",
    ]


def test_routes_names_what_is_broken_in_development(pages: Path) -> None:
    (pages / "src/pages/now.py").write_text("import nothing_there\n")
    done = run(pages, "routes", WIXHTTP_MODE="development", code=3)
    assert "nothing_there" in done.err
    shown = done.out.splitlines()[2]
    assert shown.startswith("ANY   /now         src/pages/now.py:1          (broken) ")


# --- call ------------------------------------------------------------------------------------------------------------


def test_call_prints_status_headers_and_body(project: Project) -> None:
    folder = project(HELLO)
    for path in ("hello/a/b%2Fc?q=0", "/_functions/hello/a/b%2Fc?q=0"):
        answer = run(folder, "call", "get", path, "-q", "q=1 & 2", "--query", "r==", "-H", "x-sent: yes:no")
        assert answer.head[:2] == ["HTTP/1.1 200 OK", "Content-Type: application/json"]
        read = {"path": ["a", "b/c"], "query": {"q": ["0", "1 & 2"], "r": ["="]}, "sent": "yes:no"}
        assert json.loads(answer.body) == read
        assert answer.err == ""


def test_call_sends_text_a_file_or_standard_input(project: Project) -> None:
    folder = project(HELLO)
    (folder / "body.json").write_bytes(b'{"a": 1}\n')
    text = run(folder, "call", "PUT", "echo", "-d", "tea & cups")
    assert (text.body, "X-Type: text/plain; charset=utf-8" in text.head) == ("tea & cups", True)
    file = run(folder, "call", "PUT", "echo", "--data", "@body.json")
    assert (file.body, "X-Type: application/json" in file.head) == ('{"a": 1}\n', True)
    piped = run(folder, "call", "PUT", "echo", "-d", "@-", "-H", "Content-Type:x/y", stdin="é\r\n".encode())
    assert (piped.body, "X-Type: x/y" in piped.head) == ("é\r\n", True)
    none = run(folder, "call", "PUT", "echo")
    assert (none.body, "X-Type: none" in none.head) == ("", True)


def test_call_shows_the_request_when_asked(project: Project) -> None:
    shown = run(project(HELLO), "call", "PUT", "echo", "-v", "-q", "a=b", "-H", "X-A:1", "-d", '{"a":1}').out
    sent, _, answer = shown.partition("\n\n")
    assert sent.splitlines()[:2] == ["> PUT /_functions/echo?a=b HTTP/1.1", "> X-A: 1"]
    assert {"> Content-Type: application/json", "> Content-Length: 7", "> Host: localhost"} < set(sent.splitlines())
    assert answer.startswith('{"a":1}\nHTTP/1.1 200 OK\n')
    assert answer.endswith('\n\n{"a":1}')


def test_call_asks_an_endpoint_by_its_path(pages: Path) -> None:
    answer = run(pages, "call", "GET", "/users/a%20b")
    assert answer.body == '{"id":"a b"}'
    assert [line for line in answer.head if line.startswith("Set-Cookie")] == ["Set-Cookie: a=1", "Set-Cookie: b=2"]
    assert run(pages, "call", "GET", "/none").head[0] == "HTTP/1.1 404 Not Found"


def test_call_sends_forms_and_files(pages: Path) -> None:
    (pages / "notes.txt").write_bytes(b"four")
    plain = run(pages, "call", "POST", "/users/1", "-F", "a=1=2", "--form", "a=ü", "-v")
    assert (plain.body.partition("HTTP/1.1")[0].strip(), plain.body.rpartition("\n")[2]) == (
        "a=1%3D2&a=%C3%BC",
        '["1=2","ü"]',
    )
    assert {"> Content-Type: application/x-www-form-urlencoded", "> Origin: http://localhost"} < set(plain.head)
    sent = run(pages, "call", "POST", "/users/1", "-F", "file=@notes.txt", "-F", "a=1")
    assert sent.body == '["1",["notes.txt",4]]'


def test_call_exits_with_1_when_the_site_failed_and_with_0_when_it_refused(project: Project) -> None:
    folder = project(HELLO)
    for status in (201, 299, 302, 404, 418, 499):
        answer = run(folder, "call", "PATCH", "anything", "-q", f"status={status}")
        assert answer.head[0].startswith(f"HTTP/1.1 {status}")
    for status in (500, 503, 599):
        run(folder, "call", "GET", "anything", "-q", f"status={status}", code=1)
    assert run(folder, "call", "GET", "nothing").head[0] == "HTTP/1.1 404 Not Found"
    assert "Did you mean hello?" in run(folder, "call", "GET", "helo").body
    assert run(folder, "call", "DELETE", "anything", "-d", "x").head[0] == "HTTP/1.1 400 Bad Request"


def test_call_shows_the_users_traceback_apart_from_the_answer(project: Project) -> None:
    failed = run(project(HELLO), "call", "POST", "broken", code=1)
    assert failed.head[0] == "HTTP/1.1 500 Internal Server Error"
    assert json.loads(failed.body)["detail"] == "post_broken raised RuntimeError: it broke"
    assert 'raise RuntimeError("it broke")' in failed.err
    assert "wixhttp/dispatch/blocking.py" not in failed.err


def test_commands_read_the_secrets_of_the_project_where_it_is_and_as_it_is_served(
    project: Project, tmp_path: Path
) -> None:
    functions = (
        "from wixhttp import ok\nfrom wixhttp.secrets import getSecret\n"
        "FIRST = getSecret('FIRST')\ndef get_it(): return ok(FIRST + getSecret('KEY'))\n"
    )
    folder = project(functions, **{".env": "FIRST=a \nKEY=b\n", ".env.production": "KEY=c\n"})
    elsewhere = ("--project", str(folder))
    assert run(tmp_path, *elsewhere, "call", "GET", "it").body == "ac"
    assert run(tmp_path, *elsewhere, "call", "GET", "it", KEY="from outside").body == "afrom outside"
    assert run(tmp_path, *elsewhere, "check").out == "1 function, no problems\n"
    assert "/_functions/it" in run(tmp_path, *elsewhere, "routes").out


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_prints_every_setting_and_where_it_comes_from(project: Project) -> None:
    folder = project(HELLO, **{"wixhttp.toml": '# ours\nmax_body = "1MB"\ntimeout = 5\n'})
    shown = run(folder, "check", "--show-config", WIXHTTP_TIMEOUT="6", PORT="9000").out
    lines = {line.split()[0]: line.split(None, 2)[2] for line in shown.splitlines()[:-1]}
    assert lines["max_body"].split(None, 1) == ["1048576", "wixhttp.toml:2"]
    assert lines["timeout"].split(None, 1) == ["6.0", "environment WIXHTTP_TIMEOUT"]
    assert lines["port"].split(None, 1) == ["9000", "environment PORT"]
    assert lines["threads"].split(None, 1) == ["40", "default"]
    assert shown.endswith("\n4 functions, no problems\n")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("\nmaxbody = 5\n", "wixhttp.toml:2: 'maxbody' is not a setting; did you mean 'max_body'?"),
        ("timeout = 'soon'\n", "wixhttp.toml:1: timeout is a number of seconds"),
        ("port = 70000\n", "wixhttp.toml:1: port is a whole number from 0 to 65535, not 70000"),
        ("port = \n", "wixhttp.toml:1: the file is not TOML"),
        ("[cors]\norigins = ['*']\ncredentials = true\n", "wixhttp.toml:3: cors.credentials excludes '*'"),
    ],
)
def test_check_names_the_line_of_a_wrong_setting(project: Project, settings: str, message: str) -> None:
    failed = run(project(HELLO, **{"wixhttp.toml": settings}), "check", code=3)
    assert failed.err.startswith(f"Error: {message}")
    assert failed.out == ""


def test_check_names_an_unknown_variable_with_the_nearest(project: Project) -> None:
    failed = run(project(HELLO), "check", code=3, WIXHTTP_MAXBODY="5")
    assert "'WIXHTTP_MAXBODY' is not a setting; did you mean 'WIXHTTP_MAX_BODY'?" in failed.err


def test_check_names_secrets_that_are_missing_with_their_place(project: Project) -> None:
    asks = "from wixhttp import secrets\nfrom wixhttp.secrets import getSecret\n\n\n"
    more = "async def more():\n    return await secrets.getSecret('DEEP'), getSecret(name_of_it())\n"
    folder = project(asks + "def get_a():\n    print(getSecret('HERE'), getSecret('GONE'))\n", **{".env": "HERE=1\n"})
    (folder / "backend/more.py").write_text(asks + more)
    failed = run(folder, "check", code=3)
    assert failed.out == "1 function, 2 errors\n"
    first, second = failed.err.splitlines()
    assert first.startswith("Error: backend/http_functions.py:6: there is no secret 'GONE'; looked at: the process")
    assert first.endswith("missing, write try and except SecretNotFound [missing-secret]")
    assert second.startswith("Error: backend/more.py:6: there is no secret 'DEEP'")
    run(folder, "secrets", "set", "GONE", "value")
    assert run(folder, "check", DEEP="value").out == "1 function, no problems\n"


def test_check_reports_files_that_are_no_python_though_nothing_imports_them(project: Project) -> None:
    folder = project(HELLO, **{"backend/aside.py": "x = 1\ndef broken(:\n"})
    failed = run(folder, "check", code=3)
    assert failed.err.startswith("Error: backend/aside.py:2: the file is not Python: ")


def test_check_warns_of_doubtful_names_and_exits_with_0(project: Project) -> None:
    folder = project("import os as get_env\ndef get_env(): ...\ndef Get_hello(): ...\nPOST_MAX = 5\n")
    warned = run(folder, "check")
    assert warned.out == "0 functions, 3 warnings\n"
    assert "has no function named <prefix>_<name>; prefixes: get, post, put, delete, patch, options, use" in warned.err
    assert "Get_hello is no HTTP function, so it is not served; did you mean get_hello?" in warned.err
    assert "get_env is imported as well as defined, so it is not served" in warned.err
    assert run(folder, "check", "--strict", code=3).out == warned.out


def test_check_tells_of_the_text_of_files_before_the_error_of_a_load(project: Project) -> None:
    folder = project("import nothing_there\n\n\nasync def get_a():\n    return null\n")
    (folder / "backend/more.py").write_text("const x = 1\n")
    failed = run(folder, "check", code=3)
    first, second, *_, last = failed.err.splitlines()
    assert first.startswith("Error: backend/http_functions.py:5: 'null' is JavaScript's: write None [javascript]")
    assert second.startswith("Error: backend/more.py:1: the file is not Python: ")
    assert "'const' is JavaScript's: leave it out" in second
    assert "cannot be imported: ModuleNotFoundError: No module named 'nothing_there'" in last
    assert failed.out == ""


def test_check_names_a_function_that_takes_too_much(project: Project) -> None:
    failed = run(project("def get_a(request, more): ...\n"), "check", code=3)
    assert "get_a (" in failed.err
    assert "http_functions.py:1) needs 2 arguments (request, more)" in failed.err


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_secrets_are_set_listed_and_removed_and_never_shown(project: Project) -> None:
    folder = project(HELLO, **{".env": "FROM_ENV=hidden-1\n"})
    file = folder / "secrets.env"
    shown = [
        run(folder, "secrets", "set", "GIVEN", "hidden-2"),
        run(folder, "secrets", "set", "PIPED", stdin=b"hidden-3 # $x\n\n"),
        run(folder, "secrets", "set", "GIVEN", "hidden-4"),
        run(folder, "secrets", "list"),
        run(folder, "check", "--show-config"),
    ]
    assert [line for each in shown for line in (each.out + each.err).splitlines() if "hidden" in line] == []
    assert shown[3].out == "FROM_ENV  (.env)\nGIVEN  (secrets.env)\nPIPED  (secrets.env)\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == 'GIVEN=hidden-4\nPIPED="hidden-3 # $x\\n"\n'

    removed = run(folder, "secrets", "remove", "GIVEN")
    assert removed.out == f"removed GIVEN from {file}\n"
    assert run(folder, "secrets", "list").out == "FROM_ENV  (.env)\nPIPED  (secrets.env)\n"
    again = run(folder, "secrets", "remove", "GIVEN", code=1)
    assert again.err == f"Error: there is no secret 'GIVEN' in {file}\n"


def test_secrets_that_others_may_read_are_refused(project: Project) -> None:
    folder = project(HELLO)
    run(folder, "secrets", "set", "KEY", "hidden")
    (folder / "secrets.env").chmod(0o644)
    for command in (["secrets", "list"], ["check"]):
        failed = run(folder, *command, code=3)
        assert f"run: chmod 600 {folder}/secrets.env" in failed.err
    run(folder, "secrets", "set", "KEY", "hidden")
    assert stat.S_IMODE((folder / "secrets.env").stat().st_mode) == 0o600


def test_a_value_that_is_no_text_is_refused_without_being_shown(project: Project) -> None:
    folder = project(HELLO)
    failed = run(folder, "secrets", "set", "KEY", code=2, stdin=b"hidden\xff")
    assert "a secret is text in UTF-8" in failed.err
    assert "hidden" not in failed.err
    assert not (folder / "secrets.env").exists()
    assert "NUL" in run(folder, "secrets", "set", "KEY", code=2, stdin=b"hid\0den").err


def test_a_secrets_file_that_is_broken_is_named_with_its_line_and_left_alone(project: Project) -> None:
    folder = project(HELLO)
    file = folder / "secrets.env"
    file.write_text("A=1\nhidden value\n")
    file.chmod(0o600)
    for command in (["list"], ["set", "B", "2"], ["remove", "A"]):
        failed = run(folder, "secrets", *command, code=3)
        assert f"{file}:2: " in failed.err
        assert "hidden" not in failed.err
    assert file.read_text() == "A=1\nhidden value\n"


# --- serve (what it answers is tested with the server) ---------------------------------------------------------------


def test_serve_says_that_a_port_is_in_use(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        failed = run(project(HELLO), "serve", "--host", "127.0.0.1", "--port", port, code=1)
    assert failed.err.startswith(f"Error: port {port} on 127.0.0.1 is in use; stop what uses it")


def test_serve_refuses_a_wrong_setting(project: Project) -> None:
    folder = project(HELLO)
    failed = run(folder, "serve", "--worker-class", "eventlet", code=3)
    assert "flag --worker-class: worker_class is one of" in failed.err
    failed = run(folder, "serve", "--timeout", "-1", code=3)
    assert "flag --timeout: timeout is a number" in failed.err


@pytest.mark.parametrize(
    ("lines", "is_checkout", "is_told"),
    [
        (None, True, True),
        ("*.env\n", True, False),
        ("other\n", True, True),
        (None, False, True),
        ("a\nsecrets.env\n", False, False),
        ("other\n", False, True),
    ],
)
def test_a_new_secrets_file_that_version_control_would_take_is_told_once(
    project: Project, lines: str | None, is_checkout: bool, is_told: bool
) -> None:
    folder = project(HELLO)
    if is_checkout:
        if shutil.which("git") is None:
            pytest.skip("git is not installed")
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    if lines is not None:
        (folder / ".gitignore").write_text(lines)
    done = run(folder, "secrets", "set", "KEY", "hidden", GIT_CEILING_DIRECTORIES=str(folder.parent))
    said = f"add the line secrets.env to {folder / '.gitignore'}\n"
    assert done.err.endswith(said) if is_told else done.err == ""
    assert run(folder, "secrets", "set", "KEY", "hidden2").err == ""
