"""`wixhttp dev` as a real process, whose files the tests save as editors do, and whose lines they wait for."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.servers import TIMEOUT, Server, serving

WAIT = TIMEOUT  # seconds until a save that is not served is a failure
FUNCTIONS = "backend/http_functions.py"
DONE = ("reloaded ", "waiting for it to be mended: ", "the project is served again")


class Development:
    """A development server of a project folder."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder

    @property
    def port(self) -> int:
        return self.server.port

    def reloads(self) -> list[str]:
        """The lines that were written about reloads until now."""
        return [message for message in self.server.messages("wixhttp") if message.startswith(DONE)]

    @contextlib.contextmanager
    def reloading(self, *parts: str) -> Iterator[None]:
        """Wait, behind the block, for a line about a reload, which holds these parts."""
        before = len(self.server.lines)
        yield
        self.server.wait_for(
            lambda line: (
                any(line is each for each in self.server.lines[before:])
                and isinstance(line, dict)
                and line["message"].startswith(DONE)
                and all(part in line["message"] for part in parts)
            ),
            timeout=WAIT,
        )

    def save(self, text: str, name: str = FUNCTIONS) -> None:
        """Save a file, and wait until it is served, or the reason why not."""
        with self.reloading(name):
            save_at_once(self.folder / name, text)

    def get(self, path: str = "/_functions/version", **headers: str) -> tuple[int, str]:
        """Status and text of an answer, by a connection of its own."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def failure(self, path: str = "/_functions/version") -> dict[str, Any]:
        """The problem document of a 500."""
        status, text = self.get(path)
        assert status == 500, text
        document: dict[str, Any] = json.loads(text)
        return document


def save_at_once(path: Path, text: str, modified: float | None = None) -> None:
    """Save a file so that nobody sees half of it: a test may be held up between the two steps of `Path.write_text`,
    and an empty file be loaded meanwhile. ``modified`` is the time that it shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp()
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(name, path.stat().st_mode if path.exists() else 0o644)
    if modified is not None:
        os.utime(name, (modified, modified))
    os.replace(name, os.path.realpath(path))


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what no line of the log tells."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def returning(value: object, before: str = "") -> str:
    """The source of a function that answers with a value."""
    return f"{before}from wixhttp import ok\n\n\ndef get_version(request):\n    return ok({str(value)!r})\n"


def command_of(project: Path, *flags: str, start: Sequence[str] = (sys.executable, "-m", "wixhttp")) -> list[str]:
    """The command line of `wixhttp dev`."""
    return [*start, "--project", str(project), "dev", "--port", "{port}", *flags]


@contextlib.contextmanager
def developing(project: Path, *flags: str, start: Sequence[str] | None = None, **environ: Any) -> Iterator[Development]:
    """`wixhttp dev` for a project folder, serving."""
    command = command_of(project, *flags, start=start) if start else command_of(project, *flags)
    with serving(project, command=command, **environ) as server:
        server.wait_for_message("the inspector is at")
        yield Development(server, project)
