"""The documentation, run: every command and file of the README and of the pages in docs/, each page in a new folder.

A python or toml block that begins with `# name` is that file, and so is one that begins with `// backend/jobs.config`.
A line `# ...` in a block of commands is what the commands before it print; three dots stand for anything. A block that
is one command of a server starts it, and the commands after it ask that server instead of port 8080, or 8000 for
`wixhttp dev`; what follows a block that is a file of its site waits until that is served. A line `<!-- checkout -->`
before a block marks commands to be run in this repository, `<!-- docker -->` commands of which those of docker are only
parsed. The database of PostgreSQL that a page names is one for the test.
"""

from __future__ import annotations

import ast
import configparser
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

import wixhttp.context
from tests.commands import ShellCommand
from tests.databases import postgres_url
from tests.dev_servers import DONE
from tests.servers import TIMEOUT, Server, free_port, missing, project, serving
from wixhttp.cli.commands import cli
from wixhttp.dev.traffic.store import RequestStore
from wixhttp.project.config import SETTINGS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text() for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
}
README = PAGES["README.md"]
SCRIPTS = sysconfig.get_path("scripts")
KINDS = {"sh", "sh checkout", "sh docker", "python", "toml", "ini", "nginx", "json", "jsonc", "js"}
SERVERS = re.compile(r"((?:\w+=\S+ )*)((?:wixhttp serve|wixhttp dev|gunicorn |\./scripts/serve).*)")
INSTALLS = re.compile(r"pip install (?:\.|'\.\[dev\]')")
POSTGRES = "postgresql://shop@localhost/shop"
END = "\x1e"  # what separates the output of one command from that of the next

PUBLIC = (
    "wixhttp",
    "wixhttp.endpoints",
    "wixhttp.data",
    "wixhttp.data.aio",
    "wixhttp.data.items",
    "wixhttp.auth",
    "wixhttp.access",
    "wixhttp.inbox",
    "wixhttp.webhooks",
    "wixhttp.fetch",
    "wixhttp.secrets",
    "wixhttp.errors",
    "wixhttp.testing",
    "wixhttp.asgi",
    "wixhttp.wsgi",
)
"""The import paths that users may rely on: docs/architecture.md lists the same."""


class Block(NamedTuple):
    line: int
    kind: str
    text: str

    @property
    def file(self) -> str:
        """The name in its first line."""
        return self.text.partition("\n")[0].removeprefix("# ").removeprefix("// ")


def _blocks(text: str) -> list[Block]:
    found = re.finditer(r"^(?:<!-- (\w+) -->\n)?```([^\n]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(text.count("\n", 0, each.start(2)) + 1, f"{each[2]} {each[1]}" if each[1] else each[2], each[3])
        for each in found
    ]


BLOCKS = {page: found for page, text in PAGES.items() if (found := _blocks(text))}


class Reader:
    """Somebody who does what a page says, in a folder, with at most one server running."""

    def __init__(self, folder: Path, servers: ExitStack, programs: Path) -> None:
        self.folder = folder
        self.start = folder
        self.servers = servers
        self.server: Server | None = None
        self.is_development = False
        self.kept: list[str] = []  # the id of the last request that is known to be kept
        self.environ = {
            "PATH": os.pathsep.join((str(programs), SCRIPTS, os.environ["PATH"])),
            "HOST": "127.0.0.1",
            "VENV": ".venv",  # that of the checkout, wherever the one of these tests is
            "PYTHONDONTWRITEBYTECODE": "1",
            "PIP_NO_INDEX": "1",  # what is to be installed is there
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTEST_ADDOPTS": "-p no:hypothesispytest",  # which a user need not have, and which is slow to load
        }

    def write(self, block: Block) -> None:
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        before = len(self._reloads())
        written = self.start.parent / "written"
        written.write_text(block.text)
        written.replace(path)  # at once, so that it is one reload
        if self.server is not None and self.is_development and block.file.startswith(("backend/", "src/")):
            self.server.wait_for(_is_reload, before + 1)

    def _reloads(self) -> list[Any]:
        return [line for line in self.server.lines if _is_reload(line)] if self.server is not None else []

    def serve(self, variables: str, command: str, folder: Path) -> None:
        self.servers.close()
        port = free_port()
        self.is_development = command.startswith("wixhttp dev")
        own = dict(each.split("=", 1) for each in variables.split())
        environ: dict[str, Any] = {**self.environ, **own, "PORT": str(port)}
        environ["WIXHTTP_GRACEFUL_TIMEOUT"] = "1"  # one page leaves a stream that goes on without its reader
        if command.startswith("wixhttp "):
            words = [sys.executable, "-m", "wixhttp", *shlex.split(command)[1:]]
        else:
            words = ["bash", "-c", f"exec {command.replace('8080', str(port))}"]
        self.server = self.servers.enter_context(serving(folder, command=words, port=port, **environ))

    def run(self, block: Block, folder: Path) -> None:
        """Run the commands of a block, and compare what they print with the lines of comment below them."""
        steps = re.findall(r"((?:^[^#].*\n)+)((?:^#.*\n)*)", block.text, re.MULTILINE)
        assert "".join(map("".join, steps)) == block.text, "a block begins with a command"
        script = "set -euo pipefail\n" + "".join(f"{commands}printf '{END}'\n" for commands, _ in steps) + "pwd\n"
        if self.server is not None:
            if "wixhttp inspect" in script or "wixhttp webhooks explain" in script:
                self._await_kept(folder)
            script = script.replace(f"localhost:{self.shown_port}", f"localhost:{self.server.port}")
        used = {tool for tool in ("curl", "openssl") if re.search(rf"\b{tool} ", script)}
        for tool in sorted(used):
            if shutil.which(tool) is None:
                missing(f"{tool} is not installed")
        process = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=self._environ(), capture_output=True, text=True,
            timeout=5 * TIMEOUT, check=False,
        )  # fmt: skip
        assert process.returncode == 0, f"line {block.line}: {process.stdout}{process.stderr}"
        *outputs, after = process.stdout.split(END)
        for (commands, expected), output in zip(steps, outputs, strict=True):
            if expected:
                printed = output.replace("\r", "").strip().replace(f":{self.port}/", f":{self.shown_port}/")
                assert re.fullmatch(_pattern(expected), printed, re.DOTALL), f"line {block.line}: {commands}{printed}"
        if folder == self.folder:
            self.folder = Path(after.strip())

    def _await_kept(self, folder: Path) -> None:
        """Wait until the last request that was answered is kept: that is written soon after."""
        assert self.server is not None
        access = [line for line in self.server.lines if isinstance(line, dict) and line["logger"] == "wixhttp.access"]
        last = [line["request_id"] for line in access if not line["path"].startswith("/_wixhttp/")][-1:]
        if last == self.kept:
            return
        self.kept = last
        store = RequestStore(folder / ".wixhttp")
        deadline = time.monotonic() + TIMEOUT
        while store.get(*last) is None:
            assert time.monotonic() < deadline, f"not kept: {access}"
            time.sleep(0.02)
        store.close()

    @property
    def port(self) -> int | None:
        return self.server.port if self.server is not None else None

    @property
    def shown_port(self) -> int:
        """The port of that server, as the page has it."""
        return 8000 if self.is_development else 8080

    def _environ(self) -> dict[str, str]:
        names = ("WIXHTTP_", "GUNICORN_", "PYTEST_", "PORT", "WEB_CONCURRENCY", "NO_COLOR", "FORCE_COLOR")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        return environ | self.environ


def _is_reload(line: Any) -> bool:
    return isinstance(line, dict) and line["message"].startswith(DONE)


def _pattern(expected: str) -> str:
    lines = [line.removeprefix("#").removeprefix(" ") for line in expected.splitlines()]
    return ".*".join(map(re.escape, "\n".join(lines).split("...")))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `wixhttp`, forked."""
    folder = tmp_path_factory.mktemp("programs")
    command = ShellCommand(folder, Path(SCRIPTS, "wixhttp"))
    yield folder
    command.close()


@pytest.fixture
def reader(tmp_path: Path, programs: Path) -> Iterator[Reader]:
    with ExitStack() as servers:
        folder = tmp_path / "new"
        folder.mkdir()
        yield Reader(folder, servers, programs)


@pytest.fixture
def checkout(tmp_path: Path, programs: Path) -> Path:
    """A copy of this repository, whose virtual environment is, to its scripts, the one that runs these tests."""
    folder = tmp_path / "checkout"
    for name in ("scripts", "backend", "data", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    for name in (".env", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    environment = folder / ".venv"
    environment.mkdir()
    (environment / "bin").mkdir()
    for program in Path(SCRIPTS).iterdir():
        (environment / "bin" / program.name).symlink_to(program)
    (environment / "bin/wixhttp").unlink()
    (environment / "bin/wixhttp").symlink_to(programs / "wixhttp")
    for stamp in (".installed", ".installed-test", ".installed-postgres"):
        (environment / stamp).write_text(f"{folder}\n")
    return folder


# --- the blocks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_run(page: str) -> None:
    text, blocks = PAGES[page], _blocks(PAGES[page])
    assert {block.kind for block in blocks} <= KINDS
    assert text.count("```") == 2 * len(blocks)
    prose = re.sub(r"^```.+?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^::: .+\n(?: {4}.*\n)*", "", prose, flags=re.MULTILINE)  # what the reference is generated from
    assert not re.findall(r"^(?: {4}|\t)\S.*", prose, re.MULTILINE), "an indented block would not be run"


@pytest.fixture
def postgres() -> Iterator[str]:
    with postgres_url() as url:
        yield url


def _follow(page: str, reader: Reader, checkout: Path, database: str = POSTGRES) -> None:
    for block in BLOCKS[page]:
        folder = checkout if block.kind == "sh checkout" else reader.folder
        block = block._replace(text=block.text.replace(POSTGRES, database))
        if block.kind in ("python", "toml") or block.file == "backend/jobs.config":
            reader.write(block)
        elif block.kind == "sh docker":
            own = re.sub(r"^docker .*\n", "", block.text, flags=re.MULTILINE)
            subprocess.run(["bash", "-n", "-c", block.text], check=True)
            reader.run(block._replace(text=own), folder)
        elif block.kind.startswith("sh"):
            command = block.text.strip()
            if server := SERVERS.fullmatch(command):
                reader.serve(server[1], server[2], folder)
            elif INSTALLS.search(command):  # test_install.py does so, in an environment of its own
                assert block.kind == "sh checkout"
            elif command == "./scripts/test":  # these tests: only begun here
                reader.run(block._replace(text="./scripts/test --version\n# pytest ...\n"), folder)
            else:
                reader.run(block, folder)


@pytest.mark.parametrize("page", BLOCKS)
def test_the_commands_of_the_page_do_what_it_says(
    page: str, reader: Reader, checkout: Path, request: pytest.FixtureRequest
) -> None:
    is_named = any(POSTGRES in block.text for block in BLOCKS[page])
    _follow(page, reader, checkout, request.getfixturevalue("postgres") if is_named else POSTGRES)


def test_the_sample_site_serves_a_second_time_and_with_four_workers_on_either_database(
    reader: Reader, checkout: Path, postgres: str
) -> None:
    there = _files(checkout / "data")
    reader.environ["WEB_CONCURRENCY"] = "4"
    for _ in range(2):
        _follow("docs/sample-site.md", reader, checkout)
    reader.environ["WIXHTTP_DATABASE_URL"] = postgres
    for _ in range(2):
        _follow("docs/sample-site.md", reader, checkout)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/data/*.sqlite3*" in ignored
    assert {name: text for name, text in _files(checkout / "data").items() if ".sqlite3" not in name} == there


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("page", BLOCKS)
def test_the_python_of_the_page_is_formatted_as_ours(page: str) -> None:
    for block in BLOCKS[page]:
        if block.kind == "python":
            assert max(map(len, block.text.splitlines())) <= 120
            compile(block.text, f"{page}:{block.line}", "exec")


def _of_kind(kind: str) -> list[Block]:
    return [block for blocks in BLOCKS.values() for block in blocks if block.kind == kind]


def test_the_log_line_has_the_keys_of_a_real_one(tmp_path: Path) -> None:
    [block] = _of_kind("json")
    shown = json.loads(block.text)
    folder = project(tmp_path, "def get_hello(): ...\n")
    with serving(folder, "--workers", "1") as server:
        requests.get(f"{server.url}/_functions/hello", timeout=TIMEOUT)
        [line] = server.wait_for_message("GET /_functions/hello", logger="wixhttp.access")
    assert list(shown) == list(line)
    assert re.fullmatch(r"[0-9a-f]{16}-\d+", shown["request_id"])
    assert re.fullmatch(r"[0-9a-f]{16}-\d+", line["request_id"])


def test_the_unit_is_of_the_form_that_systemd_reads() -> None:
    [block] = _of_kind("ini")
    unit = configparser.ConfigParser(interpolation=None)  # strict: no section and no key stands there twice
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
    unit.read_string(block.text)
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    assert service["ExecStart"] == "/srv/shop/.venv/bin/wixhttp serve --host 127.0.0.1"
    assert service["ReadWritePaths"] == "-/srv/shop/data"
    assert int(service["TimeoutStopSec"]) > SETTINGS["graceful_timeout"].default


def test_nginx_passes_the_client_on(tmp_path: Path) -> None:
    [block] = [each for each in BLOCKS["docs/deployment.md"] if each.kind == "nginx"]
    assert block.text.count("{") == block.text.count("}") == 2
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        missing("nginx is not installed")
    port = free_port()
    [whoami] = [each for each in BLOCKS["docs/deployment.md"] if each.kind == "python"]
    with serving(project(tmp_path / "site", whoami.text, "trusted_proxies = 1\n"), "--workers", "1") as server:
        text = block.text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("8080", str(server.port))
        paths = "".join(
            f"{name}_temp_path {tmp_path};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {paths}\n{text}}}"
        )
        command = [nginx, "-e", "stderr", "-p", str(tmp_path), "-c", "nginx.conf"]
        subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=TIMEOUT)
        with subprocess.Popen(command) as process:
            try:
                url = f"http://127.0.0.1:{port}/_functions/whoami"
                headers = {
                    "Host": "www.example.com",
                    "X-Forwarded-For": "203.0.113.9",
                    "X-Forwarded-Proto": "https",
                    "X-Forwarded-Host": "evil.example",
                    "X-Forwarded-Port": "666",
                    "X-Forwarded-Prefix": "/evil",
                }
                seen = _get_with_retries(url, headers).json()
            finally:
                process.terminate()
    assert seen == {"ip": "127.0.0.1", "url": "http://www.example.com/_functions/whoami"}


def _get_with_retries(url: str, headers: dict[str, str]) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        retries = requests.adapters.Retry(connect=10, backoff_factor=0.05)
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
        return session.get(url, headers=headers, timeout=TIMEOUT)


# --- what it says ----------------------------------------------------------------------------------------------------


def test_the_table_of_settings_is_that_of_the_code() -> None:
    section = PAGES["docs/configuration.md"].partition("## Settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE)
    assert [(key, text) for key, _, text in rows] == [(setting.key, setting.help) for setting in SETTINGS.values()]
    for key, shown, _ in rows:
        default = SETTINGS[key].default
        if key == "workers":
            assert shown == "one per core"
        else:
            assert shown.strip("`") == _toml(default), key


def _toml(value: object) -> str:
    if value is None:
        return "none"
    if value == ():
        return "[]"
    if isinstance(value, float):
        return f"{value:.15g}"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def test_the_functions_and_secrets_that_pages_name_are_in_the_sample_site() -> None:
    functions = (ROOT / "backend/http_functions.py").read_text()
    text = PAGES["docs/webhooks.md"] + PAGES["docs/zapier.md"] + PAGES["docs/sample-site.md"]
    names = re.findall(r"`((?:get|post|put|delete)_(?!hello|secret|`)\w+)`", text)
    assert len(set(names)) == 8
    for name in names:
        assert f"def {name}(" in functions, name
    secrets = (ROOT / ".env").read_text()
    for name in ("GITHUB_SECRET", "STRIPE_SECRET", "SLACK_SECRET", "TWILIO_SECRET", "ZAPIER_KEY"):
        assert f"{name}=" in secrets
        assert name in text


def test_the_table_of_commands_is_that_of_the_code() -> None:
    listed = re.findall(r"^\| `wixhttp (\w+)` \|", PAGES["docs/command-line.md"], re.MULTILINE)
    assert sorted(listed) == sorted(cli.modules)


def test_the_table_of_fixtures_is_that_of_the_plugin() -> None:
    section = PAGES["docs/testing.md"].partition("## Fixtures")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)", row)]
    plugin = ast.parse((ROOT / "wixhttp/testing/plugin.py").read_bytes())
    functions = [node for node in plugin.body if isinstance(node, ast.FunctionDef)]
    fixtures = [each for each in functions if each.decorator_list and "fixture" in ast.unparse(each.decorator_list[0])]
    assert sorted(set(listed)) == sorted(each.name.removesuffix("_fixture") for each in fixtures)


# --- how the pages hang together -------------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def _title(page: str) -> str:
    return PAGES[page].partition("\n")[0].removeprefix("# ")


def _table(page: str) -> dict[str, str]:
    """The pages that the tables of a page link to in their first column, with the text of the link."""
    found = re.findall(r"^\| \[([^]]+)\]\(([^)#]+\.md)\) \|", PAGES[page], re.MULTILINE)
    return {str((ROOT / page).parent.joinpath(target).relative_to(ROOT)): title for title, target in found}


def test_each_page_is_in_the_navigation_and_in_the_tables_under_its_title() -> None:
    pages = {page for page in PAGES if page.startswith("docs/")}
    config = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    assert sorted(f"docs/{page}" for page in _leaves(config["nav"])) == sorted(pages)
    senders = {page: _title(page) for page in pages if page.startswith("docs/webhooks/")}
    assert _table("docs/webhooks.md") == senders
    guides = {page: _title(page) for page in pages - senders.keys() if not page.startswith("docs/reference/")} | {
        "docs/reference/index.md": _title("docs/reference/index.md")
    }
    del guides["docs/index.md"]
    assert _table("README.md") == guides
    assert _table("docs/index.md") == guides


def _leaves(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from _leaves(each)


OTHERS = ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_links_and_their_anchors_resolve(page: str) -> None:
    text = (ROOT / page).read_text()
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]+)?\)", text):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if page.startswith("docs/"):
            assert path.resolve().is_relative_to(ROOT / "docs"), f"{target} is not in the built site"
        assert not anchor or anchor in _anchors(path.read_text()), f"{target}{anchor}"


def _anchors(text: str) -> list[str]:
    prose = re.sub(r"^```.+?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return ["#" + re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles]


def test_the_map_names_every_folder_and_module_of_the_top() -> None:
    section = PAGES["docs/architecture.md"].partition("## Map of the packages")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ((?:`[\w./]+`(?:, )?)+) \|", section, re.MULTILINE)
    named = [name.rstrip("/") for cell in cells for name in re.findall(r"`([\w./]+)`", cell)]
    package = ROOT / "wixhttp"
    folders = {str(path.parent.relative_to(package)) for path in package.glob("**/__init__.py")} - {"."}
    modules = {path.name for path in package.glob("*.py")}
    assert sorted(named) == sorted(folders | modules)


def test_the_table_of_context_variables_is_that_of_the_code() -> None:
    section = PAGES["docs/architecture.md"].partition("## Where state lives")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert listed == [name for name, value in vars(wixhttp.context).items() if isinstance(value, ContextVar)]


# --- what is public --------------------------------------------------------------------------------------------------


def _listed() -> dict[str, list[str]]:
    """The public import paths of docs/architecture.md, and the names that it gives for each."""
    section = PAGES["docs/architecture.md"].partition("## Public names")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(wixhttp[\w.]*)` \| (.+) \|$", section, re.MULTILINE)
    return {path: re.findall(r"`(\w+)`", names) for path, names in rows}


def test_the_public_import_paths_are_those_of_the_architecture_page() -> None:
    assert tuple(_listed()) == PUBLIC


def _names(path: str) -> set[str]:
    return {*getattr(importlib.import_module(path), "__all__", ()), *_listed()[path]}


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_module_says_what_its_names_are(path: str) -> None:
    module = importlib.import_module(path)
    assert module.__doc__
    names = _names(path)
    assert names
    for name in names - {"application"}:  # which loads the project of the current folder
        assert hasattr(module, name), name
    [page] = [page for page, text in PAGES.items() if f"\n::: {path}\n" in text]
    assert page.startswith("docs/reference/")


def _examples() -> Iterator[tuple[str, str]]:
    yield from PAGES.items()
    for folder in ("backend", "src", "wixhttp/cli/template"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


@pytest.mark.parametrize(("name", "text"), [pytest.param(*each, id=each[0]) for each in _examples()])
def test_pages_and_samples_import_what_is_public(name: str, text: str) -> None:
    for module, names in re.findall(r"\bfrom (wixhttp[\w.]*) import ([\w, ]+)", text):
        assert module in PUBLIC, f"{name}: from {module} import {names}"
        for each in names.split(","):
            each = each.strip().partition(" ")[0]
            assert each in _names(module) or f"{module}.{each}" in PUBLIC, f"{name}: from {module} import {each}"
    for module in re.findall(r"\bimport (wixhttp[\w.]*)", text):
        assert module in PUBLIC, f"{name}: import {module}"


# --- the image -------------------------------------------------------------------------------------------------------


def test_the_docker_image_is_checked_where_it_serves() -> None:
    lines = (ROOT / "wixhttp/cli/template/Dockerfile").read_text().splitlines()
    check = next(line for line in lines if line.startswith("HEALTHCHECK CMD "))
    [_, option, program] = json.loads(check.removeprefix("HEALTHCHECK CMD "))
    assert option == "-c"
    with serving(ROOT, "--workers", "1", WIXHTTP_DATABASE_URL="memory://") as server:
        environ = {**os.environ, "PORT": str(server.port), "no_proxy": "*"}
        subprocess.run([sys.executable, "-c", program], env=environ, check=True, timeout=TIMEOUT)
    assert json.loads(lines[-1].removeprefix("CMD ")) == ["wixhttp", "serve"]


def test_the_docker_image_keeps_collections_in_its_volume() -> None:
    lines = (ROOT / "wixhttp/cli/template/Dockerfile").read_text().splitlines()
    [volume] = [line.removeprefix("VOLUME ") for line in lines if line.startswith("VOLUME ")]
    [url] = [line.partition("=")[2] for line in lines if line.startswith("ENV WIXHTTP_DATABASE_URL=")]
    assert url == f"sqlite:///{volume}/wixhttp.sqlite3"
    assert any(line.endswith(f"&& mkdir {volume} && chown site {volume}") for line in lines)
    assert lines.index("USER site") > lines.index("COPY . .")
    [run] = [line for line in PAGES["docs/deployment.md"].splitlines() if line.startswith("docker run")]
    assert f":{volume} " in run
