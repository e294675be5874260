"""The README, run: every command and every file that it shows, section by section, each in a new folder.

A python, toml or json block that begins with `# name` is that file. A line `# ...` in a block of commands is what the
commands before it print; three dots stand for anything. A block that is one command of a server starts it, and the
commands after it ask that server instead of port 8080. `checkout` marks commands to be run in this repository. The
database of PostgreSQL that it names is one for the test.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from tests.databases import postgres_url
from tests.servers import TIMEOUT, Server, free_port, missing, project, serving
from wixhttp.project.config import SETTINGS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SCRIPTS = sysconfig.get_path("scripts")
KINDS = {"sh", "sh checkout", "sh docker", "python", "toml", "ini", "nginx", "json"}
SERVERS = re.compile(r"((?:\w+=\S+ )*)((?:wixhttp serve|gunicorn |\./scripts/serve).*)")
POSTGRES = "postgresql://shop@localhost/shop"
END = "\x1e"  # what separates the output of one command from that of the next


class Block(NamedTuple):
    line: int
    kind: str
    text: str

    @property
    def file(self) -> str:
        """The name in its first line."""
        return self.text.partition("\n")[0].removeprefix("# ")


def _blocks(text: str) -> list[Block]:
    found = re.finditer(r"^```([^\n]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(text.count("\n", 0, each.start()) + 1, each[1], each[2]) for each in found]


def _sections() -> Iterator[tuple[str, list[Block]]]:
    for part in re.split(r"^(?=## )", README, flags=re.MULTILINE):
        title = part.partition("\n")[0].lstrip("# ")
        if found := _blocks(part):
            yield title, found


SECTIONS = dict(_sections())


class Reader:
    """Somebody who does what the README says, in a folder, with at most one server running."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.folder = folder
        self.start = folder
        self.servers = servers
        self.server: Server | None = None
        self.environ = {
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
            "HOST": "127.0.0.1",
            "VENV": ".venv",  # that of the checkout, wherever the one of these tests is
            "PYTHONDONTWRITEBYTECODE": "1",
            "PIP_NO_INDEX": "1",  # what is to be installed is there
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def write(self, block: Block) -> None:
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)

    def serve(self, variables: str, command: str, folder: Path) -> None:
        self.servers.close()
        port = free_port()
        own = dict(each.split("=", 1) for each in variables.split())
        environ: dict[str, Any] = {**self.environ, **own, "PORT": str(port)}
        shell = ["bash", "-c", f"exec {command.replace('8080', str(port))}"]
        self.server = self.servers.enter_context(serving(folder, command=shell, port=port, **environ))

    def run(self, block: Block, folder: Path) -> None:
        """Run the commands of a block, and compare what they print with the lines of comment below them."""
        steps = re.findall(r"((?:^[^#].*\n)+)((?:^#.*\n)*)", block.text, re.MULTILINE)
        assert "".join(map("".join, steps)) == block.text, "a block begins with a command"
        script = "set -euo pipefail\n" + "".join(f"{commands}printf '{END}'\n" for commands, _ in steps) + "pwd\n"
        if self.server is not None:
            script = script.replace("localhost:8080", f"localhost:{self.server.port}")
        used = {tool for tool in ("curl", "openssl") if re.search(rf"\b{tool} ", script)}
        for tool in sorted(used):
            if shutil.which(tool) is None:
                missing(f"{tool} is not installed")
        process = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=self._environ(), capture_output=True, text=True, timeout=TIMEOUT,
            check=False,
        )  # fmt: skip
        assert process.returncode == 0, f"line {block.line}: {process.stdout}{process.stderr}"
        *outputs, after = process.stdout.split(END)
        for (commands, expected), output in zip(steps, outputs, strict=True):
            if expected:
                printed = output.replace("\r", "").strip().replace(f":{self.port}/", ":8080/")
                assert re.fullmatch(_pattern(expected), printed, re.DOTALL), f"line {block.line}: {commands}{printed}"
        if folder == self.folder:
            self.folder = Path(after.strip())

    @property
    def port(self) -> int | None:
        return self.server.port if self.server is not None else None

    def _environ(self) -> dict[str, str]:
        names = ("WIXHTTP_", "GUNICORN_", "PYTEST_", "PORT", "WEB_CONCURRENCY", "NO_COLOR", "FORCE_COLOR")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        return environ | self.environ


def _pattern(expected: str) -> str:
    lines = [line.removeprefix("#").removeprefix(" ") for line in expected.splitlines()]
    return ".*".join(map(re.escape, "\n".join(lines).split("...")))


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with ExitStack() as servers:
        folder = tmp_path / "new"
        folder.mkdir()
        yield Reader(folder, servers)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this repository, whose virtual environment is, to its scripts, the one that runs these tests."""
    folder = tmp_path / "checkout"
    for name in ("scripts", "backend", "data", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    for name in (".env", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    environment = folder / ".venv"
    environment.mkdir()
    (environment / "bin").symlink_to(SCRIPTS)
    for stamp in (".installed", ".installed-test", ".installed-postgres"):
        (environment / stamp).write_text(f"{folder}\n")
    return folder


# --- the blocks ------------------------------------------------------------------------------------------------------


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {block.kind for block in _blocks(README)} <= KINDS
    assert README.count("```") == 2 * len(_blocks(README))
    prose = re.sub(r"^```.+?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^(?: {4}|\t)\S.*", prose, re.MULTILINE), "an indented block would not be run"


@pytest.fixture
def postgres() -> Iterator[str]:
    with postgres_url() as url:
        yield url


def _follow(title: str, reader: Reader, checkout: Path, database: str = POSTGRES) -> None:
    for block in SECTIONS[title]:
        folder = checkout if block.kind == "sh checkout" else reader.folder
        block = block._replace(text=block.text.replace(POSTGRES, database))
        if block.kind in ("python", "toml"):
            reader.write(block)
        elif block.kind == "sh docker":
            own = re.sub(r"^docker .*\n", "", block.text, flags=re.MULTILINE)
            subprocess.run(["bash", "-n", "-c", block.text], check=True)
            reader.run(block._replace(text=own), folder)
        elif block.kind.startswith("sh"):
            command = block.text.strip()
            if server := SERVERS.fullmatch(command):
                reader.serve(server[1], server[2], folder)
            elif command == "./scripts/test":  # these tests: only begun here
                reader.run(block._replace(text="./scripts/test --version\n# pytest ...\n"), folder)
            else:
                reader.run(block, folder)


@pytest.mark.parametrize("title", SECTIONS)
def test_the_commands_of_the_readme_do_what_it_says(
    title: str, reader: Reader, checkout: Path, request: pytest.FixtureRequest
) -> None:
    is_named = any(POSTGRES in block.text for block in SECTIONS[title])
    _follow(title, reader, checkout, request.getfixturevalue("postgres") if is_named else POSTGRES)


def test_the_sample_site_serves_a_second_time_and_with_four_workers_on_either_database(
    reader: Reader, checkout: Path, postgres: str
) -> None:
    there = _files(checkout / "data")
    reader.environ["WEB_CONCURRENCY"] = "4"
    for _ in range(2):
        _follow("Two commands", reader, checkout)
    reader.environ["WIXHTTP_DATABASE_URL"] = postgres
    for _ in range(2):
        _follow("Two commands", reader, checkout)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/data/*.sqlite3*" in ignored
    assert {name: text for name, text in _files(checkout / "data").items() if ".sqlite3" not in name} == there


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_python_of_the_readme_is_formatted_as_ours() -> None:
    for block in _blocks(README):
        if block.kind == "python":
            assert max(map(len, block.text.splitlines())) <= 120
            compile(block.text, f"README.md:{block.line}", "exec")


def test_the_log_line_has_the_keys_of_a_real_one(tmp_path: Path) -> None:
    [block] = [block for block in _blocks(README) if block.kind == "json"]
    shown = json.loads(block.text)
    folder = project(tmp_path, "def get_hello(): ...\n")
    with serving(folder, "--workers", "1") as server:
        requests.get(f"{server.url}/_functions/hello", timeout=TIMEOUT)
        [line] = server.wait_for_message("GET /_functions/hello", logger="wixhttp.access")
    assert list(shown) == list(line)
    assert re.fullmatch(r"[0-9a-f]{16}-\d+", shown["request_id"])
    assert re.fullmatch(r"[0-9a-f]{16}-\d+", line["request_id"])


def test_the_unit_is_of_the_form_that_systemd_reads() -> None:
    [block] = [block for block in _blocks(README) if block.kind == "ini"]
    unit = configparser.ConfigParser(interpolation=None)  # strict: no section and no key stands there twice
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
    unit.read_string(block.text)
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    assert service["ExecStart"] == "/srv/shop/.venv/bin/wixhttp serve --host 127.0.0.1"
    assert service["ReadWritePaths"] == "-/srv/shop/data"
    assert int(service["TimeoutStopSec"]) > SETTINGS["graceful_timeout"].default


def test_nginx_hands_on_who_asked(tmp_path: Path) -> None:
    [block] = [block for block in _blocks(README) if block.kind == "nginx"]
    assert block.text.count("{") == block.text.count("}") == 2
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        missing("nginx is not installed")
    port = free_port()
    [whoami] = [each for each in SECTIONS["Deploy"] if each.kind == "python"]
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
                seen = _patiently(url, headers).json()
            finally:
                process.terminate()
    assert seen == {"ip": "127.0.0.1", "url": "http://www.example.com/_functions/whoami"}


def _patiently(url: str, headers: dict[str, str]) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        retries = requests.adapters.Retry(connect=10, backoff_factor=0.05)
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
        return session.get(url, headers=headers, timeout=TIMEOUT)


# --- what it says ----------------------------------------------------------------------------------------------------


def test_the_table_of_settings_is_that_of_the_code() -> None:
    section = README.partition("## Configure")[2].partition("\n## ")[0]
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


def test_what_it_links_to_and_names_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
    functions = (ROOT / "backend/http_functions.py").read_text()
    for name in re.findall(r"`((?:get|post|put|delete)_(?!hello|secret|`)\w+)`", README):
        assert f"def {name}(" in functions, name
    secrets = (ROOT / ".env").read_text()
    for name in ("GITHUB_SECRET", "STRIPE_SECRET", "SLACK_SECRET", "ZAPIER_KEY"):
        assert f"{name}=" in secrets
        assert name in README


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
    [run] = [line for line in README.splitlines() if line.startswith("docker run")]
    assert f":{volume} " in run
