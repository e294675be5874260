"""Real servers on loopback under `wrk`: requests per second, and processor time per request. And how long they take to
start: milliseconds.

    python benchmarks/server.py
    python benchmarks/server.py --workers 2 --rounds 3 --duration 10
    python benchmarks/server.py --only "wixhttp serve" Starlette
    python benchmarks/server.py --rounds 0          start-up times alone

All servers are up at once, and idle but one: every round loads each of them in turn, so that a slow spell of the
machine falls on all. Each serves with the same number of workers; `wrk` needs a core of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

import processes
import report
import startup
import wrk
from servers import CASES, POSTS, SERVERS, Running, ServerError, check, check_log, running

BASE = "wixhttp serve"  # it has every case, and its own figure is in every ratio that is asked for
FUNCTIONS, ENDPOINTS = "wixhttp serve, beside endpoints", "wixhttp serve, endpoints"
DISTRIBUTIONS = [
    *("wixhttp", "gunicorn", "uvicorn", "httptools", "uvloop", "orjson", "falcon", "bottle", "flask"),
    *("functions-framework", "starlette", "blacksheep", "granian", "werkzeug", "click"),
]
NODE_PACKAGES = {"astro": ["astro", "@astrojs/node", "node"], "fastify": ["fastify"]}

PER_SECOND, CPU = "requests/s", "CPU per request, µs"

Figures = dict[str, dict[str, dict[str, list[float]]]]
"""Server -> case -> `PER_SECOND` and `CPU` -> one figure per round."""


class Results(NamedTuple):
    load: Figures
    servers: startup.Samples
    processes: startup.Samples
    missing: dict[str, str]
    """Server, command or import -> why it has no figures."""


def measure_load(names: list[str], rounds: int, workers: int, load: wrk.Load, missing: dict[str, str]) -> Figures:
    """Both figures, each round in an order of its own. A second of load on each before the first warms up."""
    figures: Figures = {}
    with ExitStack() as stack:
        servers: dict[str, Running] = {}
        for name in names:
            server = SERVERS[name]
            try:
                if server.logs is not None:
                    check_log(server)
                servers[name] = stack.enter_context(running(server, workers))
                check(server, servers[name].port)
                figures[name] = {case: {PER_SECOND: [], CPU: []} for case in server.targets}
            except ServerError as error:
                missing[name] = str(error)
        for number in range(rounds + 1):
            for name in report.turned(list(figures), number):
                try:
                    for case, samples in figures[name].items():
                        once = load if number else load._replace(seconds=1)
                        per_second, cpu = measure(servers[name], SERVERS[name].targets[case], once, case in POSTS)
                        samples[PER_SECOND] += [per_second] if number else []
                        samples[CPU] += [cpu] if number else []
                except wrk.LoadError as error:
                    missing[name] = str(error)
                    del figures[name]
    return figures


def measure(server: Running, target: str, load: wrk.Load, post: bool) -> tuple[float, float]:
    """Requests per second, and microseconds that all of the server's processes spent for each.

    Raises:
        LoadError: an answer was no 2xx or 3xx, a connection broke, or `wrk` failed.
    """
    before = processes.cpu_seconds(server.session)
    answers = wrk.run_cleanly(f"http://127.0.0.1:{server.port}{target}", load, post=post)
    spent = processes.cpu_seconds(server.session) - before
    return answers.per_second, spent / answers.requests * 1e6


def load_cells(figures: Figures, case: str, name: str, base: str) -> list[str]:
    """Both figures of a server in a case, each with its ratio to the base."""
    cells = []
    for unit, digits in ((PER_SECOND, 0), (CPU, 1)):
        samples = figures.get(name, {}).get(case, {}).get(unit, [])
        against = figures.get(base, {}).get(case, {}).get(unit, [])
        cells.append(f"{median(samples):,.{digits}f}" if samples else "missing")
        cells.append(report.ratio_range(samples, against) if samples and against else "")
    return cells


def load_tables(figures: Figures, names: list[str], base: str) -> list[str]:
    """A table for each case, of the servers that answer it, and one of endpoints beside the functions they repeat."""
    tables = []
    for case in CASES:
        rows = [[name, *load_cells(figures, case, name, base)] for name in names if case in SERVERS[name].targets]
        tables += [report.table([case, PER_SECOND, f"of {base}", CPU, f"of {base}"], rows)] if rows else []
    if FUNCTIONS in figures and ENDPOINTS in figures:
        rows = [[case, *load_cells(figures, case, ENDPOINTS, FUNCTIONS)] for case in CASES]
        head = ["Endpoints, of the same function", PER_SECOND, "of function", CPU, "of function"]
        tables.append(report.table(head, rows))
    return tables


def time_rows(samples: startup.Samples, names: list[str], base: str) -> list[list[str]]:
    rows = []
    for name in names:
        if samples.get(name):
            against = f"{report.ratio(samples[name], samples[base]):.2f}" if samples.get(base) else ""
            rows.append([name, f"{median(samples[name]) * 1000:,.0f}", against])
        else:
            rows.append([name, "missing", ""])
    return rows


def markdown(results: Results, names: list[str], base: str, about: dict[str, str], load: wrk.Load, workers: int) -> str:
    blocks = []
    if results.load:
        blocks += load_tables(results.load, names, base)
        tool = f"`wrk` with {load.threads} thread(s), {load.connections} connections, {load.seconds} s"
        blocks.append(f"Workers: {workers}; {tool}.")
    peer, click = "functions-framework", "`python -c 'import click'`"
    if results.servers:
        started = time_rows(results.servers, startup.STARTED, peer)
        blocks.append(report.table(["Start to first 200", "ms", f"of {peer}"], started))
    if results.processes:
        fresh = time_rows(results.processes, list(startup.PROCESSES), click)
        blocks.append(report.table(["Fresh process, start to end", "ms", f"of {click}"], fresh))
    blocks += [f"Missing: {name} ({reason})." for name, reason in results.missing.items()]
    return "\n\n".join([*blocks, report.environment_line(about)])


def main() -> None:
    options = _options()
    if options.rounds and not shutil.which("wrk"):
        sys.exit("wrk is not installed. Debian: apt-get install wrk")
    names = _chosen(options.only)
    load = wrk.Load(options.threads, options.connections, options.duration)
    missing: dict[str, str] = {}
    with startup.bytecode_kept():
        figures = measure_load(names, options.rounds, options.workers, load, missing) if options.rounds else {}
        starts = startup.servers(options.starts, missing) if options.starts else {}
        fresh = startup.processes(options.processes, missing) if options.processes else {}
    results = Results(figures, starts, fresh, missing)
    about = report.environment(DISTRIBUTIONS) | report.node_environment(NODE_PACKAGES)
    if options.json:
        print(json.dumps({"environment": about, "workers": options.workers, **results._asdict()}, indent=2))
    else:
        print(markdown(results, names, options.base, about, load, options.workers))


def _chosen(parts: list[str] | None) -> list[str]:
    """The servers that are named so, or else whose names contain the text, whatever its case; None: all."""
    if parts is None:
        return list(SERVERS)
    chosen: set[str] = set()
    for part in parts:
        found = [part] if part in SERVERS else [name for name in SERVERS if part.lower() in name.lower()]
        if not found:
            sys.exit(f"--only {part!r}: no server is named so. There are: {'; '.join(SERVERS)}")
        chosen.update(found)
    return [name for name in SERVERS if name in chosen]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, meaning in [
        ("rounds", 5, "rounds of load; 0: none"),
        ("workers", 1, "worker processes of each server"),
        ("threads", 1, "threads of wrk"),
        ("connections", 64, "connections that wrk keeps open"),
        ("duration", 3, "seconds of each load"),
        ("starts", 7, "starts of each server; 0: none"),
        ("processes", 20, "fresh processes of each command and import; 0: none"),
    ]:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="servers to load, by name or a part of it")
    parser.add_argument(
        "--base", default=BASE, choices=SERVERS, metavar="SERVER", help="what ratios are to (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print every sample, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
