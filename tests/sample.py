"""The sample site of this repository, on a running server, for the tests that ask it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.servers import TIMEOUT, Server, clean, serving

ROOT = Path(__file__).parents[1]


class Site:
    """The sample site on a running server, and requests to it: to paths behind ``prefix``."""

    prefix = ""

    def __init__(self, server: Server, session: requests.Session) -> None:
        self.server = server
        self.url = server.url
        self.session = session
        session.trust_env = False

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + self.prefix + path, **{"timeout": TIMEOUT, **options})

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.ask("POST", path, **options)


@contextmanager
def sample_server(workers: int, environ: dict[str, Any], port: int | None = None) -> Iterator[Server]:
    """The site, with the items of ``data/sample`` in the collections that ``environ`` names."""
    command = [sys.executable, "-m", "wixhttp", "data", "import", "data/sample"]
    subprocess.run(command, cwd=ROOT, env=clean(environ), check=True, timeout=TIMEOUT)
    with serving(ROOT, "--workers", str(workers), port=port, **environ) as server:
        yield server


def own(item: dict[str, Any]) -> dict[str, Any]:
    """The fields of an item that the site has given it."""
    return {name: value for name, value in item.items() if not name.startswith("_")}
