"""Real servers on loopback under `wrk`: requests per second. And how long they take to start: milliseconds.

    python benchmarks/server.py
    python benchmarks/server.py --workers 2 --rounds 3 --duration 10
    python benchmarks/server.py --rounds 0          start-up times alone

All servers are up at once, and idle but one: every round loads each of them in turn, so that a slow spell of the
machine falls on all. Each serves with the same number of workers; `wrk` needs a core of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import report
import startup
import wrk
from servers import CASES, GET_ASYNC, GET_DEF, POST, SERVERS, ServerError, check, check_log, running

BASE = "bare, gunicorn gthread"
BASE_CASES = {GET_DEF: GET_DEF, GET_ASYNC: GET_DEF, POST: POST}  # the bare application has no `async def`
FUNCTIONS, ENDPOINTS = "wixhttp serve, beside endpoints", "wixhttp serve, endpoints"
SAME_CASES = {case: case for case in CASES}
DISTRIBUTIONS = [
    *("wixhttp", "gunicorn", "gunicorn_h1c", "uvloop", "orjson", "falcon", "uvicorn", "httptools", "bottle", "flask"),
    *("functions-framework", "werkzeug", "click"),
]

Throughput = dict[str, dict[str, list[float]]]
"""Server -> case -> requests per second, one figure per round."""


class Results(NamedTuple):
    throughput: Throughput
    servers: startup.Samples
    processes: startup.Samples
    missing: dict[str, str]
    """Server, command or import -> why it has no figures."""


def measure_throughput(rounds: int, workers: int, load: wrk.Load, missing: dict[str, str]) -> Throughput:
    """Requests per second, each round in an order of its own. A second of load on each before the first warms up."""
    figures: Throughput = {}
    with ExitStack() as stack, TemporaryDirectory() as folder:
        post, ports = wrk.script(Path(folder)), {}
        for name, server in SERVERS.items():
            try:
                if server.logs is not None:
                    check_log(server)
                ports[name] = stack.enter_context(running(server, workers)).port
                check(server, ports[name])
                figures[name] = {case: [] for case in server.targets}
            except ServerError as error:
                missing[name] = str(error)
        for number in range(rounds + 1):
            for name in report.turned(list(figures), number):
                try:
                    for case, samples in figures[name].items():
                        url = f"http://127.0.0.1:{ports[name]}{SERVERS[name].targets[case]}"
                        once = load if number else load._replace(seconds=1)
                        figure = wrk.requests_per_second(url, once, post if case == POST else None)
                        samples += [figure] if number else []
                except wrk.LoadError as error:
                    missing[name] = str(error)
                    del figures[name]
    return figures


def throughput_rows(
    figures: Throughput, names: Iterable[str] = SERVERS, base_name: str = BASE, base_cases: dict[str, str] = BASE_CASES
) -> list[list[str]]:
    rows = []
    for name in names:
        row = [name]
        for case in CASES:
            samples, base = figures.get(name, {}).get(case, []), figures.get(base_name, {}).get(base_cases[case], [])
            row.append(f"{median(samples):,.0f}" if samples else "missing" if case in SERVERS[name].targets else "")
            row.append(report.ratio_range(samples, base) if samples and base else "")
        rows.append(row)
    return rows


def time_rows(samples: startup.Samples, names: list[str], base: str) -> list[list[str]]:
    rows = []
    for name in names:
        if samples.get(name):
            against = f"{report.ratio(samples[name], samples[base]):.2f}" if samples.get(base) else ""
            rows.append([name, f"{median(samples[name]) * 1000:,.0f}", against])
        else:
            rows.append([name, "missing", ""])
    return rows


def markdown(results: Results, about: dict[str, str], load: wrk.Load, workers: int) -> str:
    head, beside = ["Server"], ["Endpoints, of the same function"]
    for case in CASES:
        head += [f"{case}, requests/s", "of bare"]
        beside += [f"{case}, requests/s", "of function"]
    peer, click = "functions-framework", "`python -c 'import click'`"
    blocks = [
        report.table(head, throughput_rows(results.throughput)),
        report.table(beside, throughput_rows(results.throughput, [FUNCTIONS, ENDPOINTS], FUNCTIONS, SAME_CASES)),
        f"Workers: {workers}; `wrk` with {load.threads} thread(s), {load.connections} connections, {load.seconds} s.",
        report.table(
            ["Start to first 200", "ms", f"of {peer}"],
            time_rows(results.servers, startup.STARTED, peer),
        ),
        report.table(
            ["Fresh process, start to end", "ms", f"of {click}"],
            time_rows(results.processes, list(startup.PROCESSES), click),
        ),
        *(f"Missing: {name} ({reason})." for name, reason in results.missing.items()),
        report.environment_line(about),
    ]
    return "\n\n".join(blocks)


def main() -> None:
    options = _options()
    if options.rounds and not shutil.which("wrk"):
        sys.exit("wrk is not installed. Debian: apt-get install wrk")
    load = wrk.Load(options.threads, options.connections, options.duration)
    missing: dict[str, str] = {}
    with startup.bytecode_kept():
        throughput = measure_throughput(options.rounds, options.workers, load, missing) if options.rounds else {}
        starts = startup.servers(options.starts, missing)
        processes = startup.processes(options.processes, missing)
    results = Results(throughput, starts, processes, missing)
    about = report.environment(DISTRIBUTIONS)
    if options.json:
        print(json.dumps({"environment": about, "workers": options.workers, **results._asdict()}, indent=2))
    else:
        print(markdown(results, about, load, options.workers))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, meaning in [
        ("rounds", 5, "rounds of load; 0: none"),
        ("workers", 1, "worker processes of each server"),
        ("threads", 1, "threads of wrk"),
        ("connections", 64, "connections that wrk keeps open"),
        ("duration", 5, "seconds of each load"),
        ("starts", 7, "starts of each server"),
        ("processes", 20, "fresh processes of each command and import"),
    ]:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print every sample, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
