"""Reloads: the time from a save to the first answer of the new code, and what 200 saves, 50 of them broken, do."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from report import environment, environment_line, table

POLL = 0.005  # seconds from one request to the next, each by a connection of its own
START_SECONDS = 60.0
GIVEN_UP = 15.0  # seconds after a good save in which a server that lives has answered with it
BROKEN = 2.0  # seconds that a broken save has to show, at most
REST = 0.5  # seconds before each save: people do not save twice within milliseconds, and watchers may count on it
EVERY = 4  # of so many saves one is broken
_PYTHON = [sys.executable, "-m"]
_ASTRO = {"type": "module", "dependencies": {"astro": "^7.3.0", "node": "^24.0.0"}}
_ASTRO_COMMAND = ["node_modules/.bin/node", "node_modules/astro/bin/astro.mjs"]
_ALLOWED = {"allowScripts": {"esbuild": True, "node": True}}


@dataclass(frozen=True)
class Peer:
    """A development server: its command (``{port}`` is filled in), the file that is saved, and the path that is asked.

    ``source`` gives the file that answers with a text. ``broken`` are ways to break it, from a good file; ``None``
    deletes it.
    """

    command: list[str]
    file: str
    target: str
    source: Callable[[str], str]
    broken: dict[str, Callable[[str], bytes | None]]
    files: dict[str, str] = field(default_factory=dict)


def _in_front(text: str) -> Callable[[str], bytes]:
    return lambda good: (text + good).encode()


def _half(good: str) -> bytes:
    return good[: good.rindex("(") + 1].encode()


PYTHON_BROKEN: dict[str, Callable[[str], bytes | None]] = {
    "syntax": _in_front("def broken(:\n"),
    "indentation": _in_front("if True:\npass\n"),
    "missing module": _in_front("import a_module_that_is_not_there\n"),
    "missing name": _in_front("from os import a_name_that_is_not_there\n"),
    "exception": _in_front("1 / 0\n"),
    "sys.exit()": _in_front("import sys\nsys.exit(1)\n"),
    "os._exit()": _in_front("import os\nos._exit(1)\n"),
    "not UTF-8": lambda good: b"# \xff\n" + good.encode(),
    "half a file": _half,
    "deleted": lambda good: None,
}
JAVASCRIPT_BROKEN: dict[str, Callable[[str], bytes | None]] = {
    "syntax": _in_front("function broken( {\n"),
    "no end": _in_front("{\n"),
    "missing module": _in_front("import nothing from 'a-module-that-is-not-there';\n"),
    "missing name": _in_front("import { nothing } from 'node:os'; nothing();\n"),
    "exception": _in_front("throw new Error('broken');\n"),
    "process.exit()": _in_front("process.exit(1);\n"),
    "process.abort()": _in_front("process.abort();\n"),
    "not UTF-8": lambda good: b"const \xff;\n" + good.encode(),
    "half a file": _half,
    "deleted": lambda good: None,
}

PEERS = {
    "wixhttp dev": Peer(
        [*_PYTHON, "wixhttp", "dev", "--port", "{port}"],
        "backend/http_functions.py",
        "/_functions/version",
        lambda text: f"from wixhttp import ok\n\n\ndef get_version(request):\n    return ok({text!r})\n",
        PYTHON_BROKEN,
    ),
    "flask run --debug": Peer(
        [*_PYTHON, "flask", "run", "--debug", "--port", "{port}"],
        "app.py",
        "/version",
        lambda text: (
            "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get('/version')\n"
            f"def version():\n    return str({text!r})\n"
        ),
        PYTHON_BROKEN,
    ),
    "fastapi dev": Peer(
        [*_PYTHON, "fastapi", "dev", "main.py", "--port", "{port}"],
        "main.py",
        "/version",
        lambda text: (
            "from fastapi import FastAPI\nfrom fastapi.responses import PlainTextResponse\n\napp = FastAPI()\n\n\n"
            "@app.get('/version', response_class=PlainTextResponse)\n"
            f"def version():\n    return str({text!r})\n"
        ),
        PYTHON_BROKEN,
    ),
    "gunicorn --reload": Peer(
        [*_PYTHON, "gunicorn", "--reload", "--bind", "127.0.0.1:{port}", "app:application"],
        "app.py",
        "/version",
        lambda text: (
            "def application(environ, start_response):\n"
            "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
            f"    return [{text!r}.encode()]\n"
        ),
        PYTHON_BROKEN,
    ),
    "astro dev": Peer(
        [*_ASTRO_COMMAND, "dev", "--host", "127.0.0.1", "--port", "{port}"],
        "src/pages/version.js",
        "/version",
        lambda text: (
            "export const prerender = false;\n\nexport function GET() {\n"
            f"  return new Response(String({text!r}));\n}}\n"
        ),
        JAVASCRIPT_BROKEN,
        {"astro.config.mjs": "export default { output: 'server', devToolbar: { enabled: false } };\n"},
    ),
}  # fmt: skip


class Missing(Exception):
    """A peer that cannot be measured here, and why."""


@dataclass
class Counts:
    """Requests that were asked, refused (no connection, or none that gave an answer), and servers that had died."""

    asked: int = 0
    refused: int = 0
    dead: int = 0


class Running:
    """A development server of a folder; ``start`` may be called again."""

    def __init__(self, peer: Peer, folder: Path, home: Path) -> None:
        self.peer = peer
        self.folder = folder
        self.home = home  # which is not watched
        self.log = home / "server.log"
        self.counts = Counts()
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self, text: str) -> None:
        """Save a good file, start the server, and wait for its first answer."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.save(self.peer.source(text).encode())
        command = [part.format(port=self.port) for part in self.peer.command]
        foreign = (
            "WIXHTTP_",
            "GUNICORN_",
            "UVICORN_",
            "FLASK_",
            "WERKZEUG_",
            "PYTHONDONTWRITEBYTECODE",
            "PORT",
            "HOST",
        )
        environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environ |= {"HOME": str(self.home), "ASTRO_TELEMETRY_DISABLED": "1", "NO_COLOR": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        deadline = monotonic() + START_SECONDS
        while self.ask() != (200, text):
            if self.process.poll() is not None or monotonic() > deadline:
                lines = self.log.read_text(errors="replace").splitlines() or ["it wrote nothing"]
                self.stop()
                raise Missing(f"it does not start: {lines[-1].strip()}")
            sleep(POLL)

    def stop(self) -> None:
        """Leave nothing of the server behind."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def save(self, data: bytes | None) -> None:
        """Save the file as an editor does, or delete it."""
        path = self.folder / self.peer.file
        if data is None:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def ask(self) -> tuple[int, str]:
        """Status and text of an answer; 0 where there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=GIVEN_UP)
        try:
            connection.request("GET", self.peer.target)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def _ask_counted(self) -> tuple[int, str]:
        status, text = self.ask()
        self.counts.asked += 1
        self.counts.refused += not status
        return status, text

    def save_good(self, text: str) -> float | None:
        """Seconds until the first answer of the new code; ``None`` where it does not come: the server has died."""
        sleep(REST)
        begin = monotonic()
        self.save(self.peer.source(text).encode())
        while self._ask_counted() != (200, text):
            has_ended = self.process is not None and self.process.poll() is not None
            if has_ended or monotonic() - begin > GIVEN_UP:
                self.counts.dead += 1
                self.stop()
                self.start(text)
                return None
            sleep(POLL)
        return monotonic() - begin

    def save_broken(self, way: str, good: str) -> None:
        """Ask on until the answer is another than before, or `BROKEN` seconds."""
        sleep(REST)
        end = monotonic() + BROKEN
        self.save(self.peer.broken[way](self.peer.source(good)))
        while True:
            status = self._ask_counted()[0]
            if status >= 400 or monotonic() > end:
                return
            sleep(POLL)


@contextmanager
def running(name: str) -> Iterator[Running]:
    """The server of a peer, in a folder that is thrown away.

    Raises:
        Missing: it is not installed.
    """
    peer = PEERS[name]
    with TemporaryDirectory() as place, TemporaryDirectory() as home:
        folder = Path(place)
        for file, text in peer.files.items():
            (folder / file).write_text(text)
        if name.startswith("astro"):
            _install_astro(folder)
        server = Running(peer, folder, Path(home))
        try:
            server.start("begin")
            yield server
        finally:
            server.stop()


def _install_astro(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("npm is not installed")
    (folder / "package.json").write_text(json.dumps({**_ASTRO, **_ALLOWED}))
    done = subprocess.run([npm, "install", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise Missing(f"npm install failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1]}")


def measure(name: str, saves: int, many: int) -> tuple[list[float], Counts, Counts]:
    """The seconds of each of ``saves`` good saves, what was counted meanwhile, and what over ``many`` further ones."""
    with running(name) as server:
        seconds = [took for number in range(saves) if (took := server.save_good(f"save {number}")) is not None]
        first, server.counts = server.counts, Counts()
        ways = list(server.peer.broken)
        text = "begin"
        for number in range(many):
            if number % EVERY == EVERY - 1:
                server.save_broken(ways[number // EVERY % len(ways)], text)
            else:
                text = f"further {number}"
                server.save_good(text)
        if many and many % EVERY == 0:
            server.save_good("end")  # whether the last broken save was survived
        return seconds, first, server.counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=list(PEERS), help="peers, by name or a part of it")
    parser.add_argument("--saves", type=int, default=20, help="good saves that are timed")
    parser.add_argument("--many", type=int, default=200, help="further saves, of which every fourth is broken")
    parser.add_argument("--json", action="store_true", help="print every sample")
    options = parser.parse_args()
    names = [name for name in PEERS if any(part in name for part in options.only)]
    results, missing = {}, {}
    for name in names:
        try:
            results[name] = measure(name, options.saves, options.many)
        except Missing as error:
            missing[name] = str(error)
    if options.json:
        print(json.dumps({name: [seconds, vars(a), vars(b)] for name, (seconds, a, b) in results.items()}))
        return
    head = ["Save to first answer", "median, ms", "worst, ms", "refused", f"refused of {options.many} saves", "dead"]
    rows = [
        [name, f"{median(seconds) * 1000:,.0f}", f"{max(seconds) * 1000:,.0f}", f"{first.refused} of {first.asked:,}",
         f"{further.refused:,} of {further.asked:,}", str(further.dead)]
        for name, (seconds, first, further) in results.items()
    ]  # fmt: skip
    rows += [[name, *["missing"] * 5] for name in missing]
    print(table(head, rows))
    for name, reason in missing.items():
        print(f"\n{name}: {reason}")
    about = environment(["wixhttp", "watchfiles", "flask", "werkzeug", "fastapi", "uvicorn", "gunicorn"])
    print(f"\n{environment_line(about)}")


if __name__ == "__main__":
    main()
