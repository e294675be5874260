"""`wrk`, the load generator: how it is called, and what it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import workload


class LoadError(Exception):
    """Some answers were no 2xx, or `wrk` failed."""


class Load(NamedTuple):
    """The load: threads of `wrk`, connections kept open, seconds."""

    threads: int
    connections: int
    seconds: int


def script(folder: Path) -> Path:
    """A file that makes `wrk` send the order of the workload by POST."""
    file = folder / "post.lua"
    lines = ['wrk.method = "POST"', 'wrk.headers["Content-Type"] = "application/json"']
    file.write_text("\n".join([*lines, f"wrk.body = [[{workload.ORDER_JSON.decode()}]]\n"]), encoding="utf-8")
    return file


def requests_per_second(url: str, load: Load, post: Path | None) -> float:
    """Put the load on the URL.

    Raises:
        LoadError: an answer was no 2xx or 3xx, a connection broke, or `wrk` gave no figure.
    """
    command = ["wrk", f"-t{load.threads}", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout=10s"]
    command += [f"--script={post}"] if post else []
    run = subprocess.run([*command, url], capture_output=True, text=True, timeout=load.seconds + 60, check=False)
    trouble = re.findall(r"Non-2xx.*|Socket errors.*", run.stdout)
    figure = re.search(r"Requests/sec:\s*([\d.]+)", run.stdout)
    if trouble or not figure:
        raise LoadError(f"wrk on {url}: {'; '.join(trouble) or run.stderr.strip() or run.stdout.strip()}")
    return float(figure[1])
