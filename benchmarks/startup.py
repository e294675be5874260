"""Start-up times: servers until their first 200, commands and imports in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from time import perf_counter

import workload
from servers import SERVERS, ServerError, running

STARTED = ["bare, gunicorn gthread", "wixhttp serve", "wixhttp serve, endpoints", "functions-framework"]
PROCESSES = {
    "`python -c pass`": ["-c", "pass"],
    "`python -c 'import click'`": ["-c", "import click"],
    "`wixhttp --help`": ["-m", "wixhttp", "--help"],
    "`python -c 'import werkzeug.wrappers'`": ["-c", "import werkzeug.wrappers"],
    "`python -c 'import wixhttp'`": ["-c", "import wixhttp"],
}

Samples = dict[str, list[float]]
"""What was started -> seconds, one figure per run."""


@contextmanager
def bytecode_kept() -> Iterator[None]:
    """All processes inside share one folder of compiled modules, which the turns that warm up fill.

    Else a source tree would be compiled at every start wherever PYTHONDONTWRITEBYTECODE is set, installed peers not.
    """
    with TemporaryDirectory() as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        yield


def servers(runs: int, missing: dict[str, str]) -> Samples:
    """Seconds from the start of a server with one worker to its first 200, in turns. The first turn warms up."""
    seconds: Samples = {name: [] for name in STARTED if name not in missing}
    for number in range(runs + 1):
        for name in list(seconds):
            try:
                with running(SERVERS[name], workers=1) as server:
                    seconds[name] += [server.seconds] if number else []
            except ServerError as error:
                missing[name] = str(error)
                del seconds[name]
    return seconds


def processes(runs: int, missing: dict[str, str]) -> Samples:
    """Seconds from the start of a process to its end, in turns. A run before the first warms up."""
    seconds: Samples = {name: [] for name in PROCESSES}
    for number in range(runs + 1):
        for name in list(seconds):
            begin = perf_counter()
            run = subprocess.run(
                [sys.executable, *PROCESSES[name]], cwd=workload.BENCHMARKS, capture_output=True, text=True, check=False
            )
            end = perf_counter()
            if run.returncode:
                missing[name] = (run.stderr.splitlines() or [f"ended with status {run.returncode}"])[-1]
                del seconds[name]
            else:
                seconds[name] += [end - begin] if number else []
    return seconds
