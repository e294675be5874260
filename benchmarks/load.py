"""Many clients at once against one worker: requests per second, latencies, and answers by status. And clients that do
not read large answers: the worker's memory, and what others notice of it.

    python benchmarks/load.py
    python benchmarks/load.py --connections 64 2000 --rounds 1 --duration 10
    python benchmarks/load.py --unread 0            without the large answers

Servers have default settings, but for the access log, which stands in the row's name. An answer that is no 2xx or 3xx,
or that does not come, fails its row, and the program ends with status 1.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import selectors
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

import processes
import report
import workload
import wrk
from servers import GET_DEF, SERVERS, ServerError, ask, check, running

NAMES = ["wixhttp serve", "wixhttp serve, access log on", "Starlette, uvicorn"]
BASE = "wixhttp serve"
DISTRIBUTIONS = ["wixhttp", "gunicorn", "uvicorn", "httptools", "uvloop", "starlette"]

WAITING_CLIENTS = 2000
OPEN_FILES = 8192  # descriptors of each process that is started here
FIRST_BYTES_SECONDS = 20
MIB = 1024 * 1024


class Scenario(NamedTuple):
    """So many clients, each of which asks for the target again as soon as it is answered."""

    title: str
    target: str
    clients: int


class Samples(NamedTuple):
    """One server in one scenario: a figure per round, latencies in milliseconds, and the answers of all rounds."""

    per_second: list[float]
    p50: list[float]
    p99: list[float]
    answers: Counter[str]
    """Status -> answers; `none`: that did not come."""


class Unread(NamedTuple):
    """One server while clients do not read its answers: a figure per round, memory in MiB, p99 in milliseconds."""

    memory_before: list[float]
    memory_peak: list[float]
    p99_before: list[float]
    p99: list[float]
    answers: Counter[str]
    """Of the clients that do not read: status -> answers; `none`: that had not begun."""
    others: Counter[str]
    """The same of the other clients."""


def measure(
    scenarios: list[Scenario], rounds: int, seconds: int, missing: dict[str, str]
) -> dict[str, dict[str, Samples]]:
    """Scenario -> server -> its samples. Every round loads all servers in turn; a second on each before warms up."""
    results: dict[str, dict[str, Samples]] = {scenario.title: {} for scenario in scenarios}
    with ExitStack() as stack:
        ports = {}
        for name in NAMES:
            try:
                ports[name] = stack.enter_context(running(SERVERS[name], workers=1)).port
                check_both(name, ports[name])
            except ServerError as error:
                missing[name] = str(error)
                ports.pop(name, None)
        for scenario in scenarios:
            results[scenario.title] = {name: Samples([], [], [], Counter()) for name in ports}
            for number in range(rounds + 1):
                for name in report.turned(list(results[scenario.title]), number):
                    load = wrk.Load(1, scenario.clients, seconds if number else 1)
                    try:
                        answers = wrk.run(f"http://127.0.0.1:{ports[name]}{scenario.target}", load, statuses=True)
                    except wrk.LoadError as error:
                        missing[f"{name}, {scenario.title}"] = str(error)
                        del results[scenario.title][name]
                        continue
                    if number:
                        add(results[scenario.title][name], answers)
    return results


def check_both(name: str, port: int) -> None:
    """Ask for every case of the server, and for what is asked here alone.

    Raises:
        ServerError: an answer is not a 200 with what it must have.
    """
    check(SERVERS[name], port)
    status, body = ask(port, workload.WAIT_PATH)
    if status != 200 or json.loads(body) != workload.WAITED:
        raise ServerError(f"{workload.WAIT_PATH} answered {status} {body[:200]!r}")
    status, body = ask(port, workload.LARGE_PATH)
    if status != 200 or len(body) != workload.LARGE_BYTES:
        raise ServerError(f"{workload.LARGE_PATH} answered {status} with {len(body)} bytes")


def add(samples: Samples, answers: wrk.Answers) -> None:
    samples.per_second.append(answers.per_second)
    samples.p50.append(answers.p50 * 1000)
    samples.p99.append(answers.p99 * 1000)
    samples.answers.update(counted(answers))


def counted(answers: wrk.Answers) -> Counter[str]:
    counts = Counter({str(status): number for status, number in answers.statuses.items()})
    return counts + Counter(none=answers.broken)


def measure_unread(clients: int, rounds: int, seconds: int, missing: dict[str, str]) -> dict[str, Unread]:
    """Server -> its samples, in turns. Each round starts each server anew: a peak of memory is one of a whole life."""
    results = {name: Unread([], [], [], [], Counter(), Counter()) for name in NAMES if name not in missing}
    for number in range(rounds):
        for name in report.turned(list(results), number):
            try:
                add_unread(results[name], name, clients, seconds)
            except (ServerError, wrk.LoadError) as error:
                missing[f"{name}, unread answers"] = str(error)
                del results[name]
    return results


def add_unread(samples: Unread, name: str, clients: int, seconds: int) -> None:
    """Load a fresh server with 64 connections that read, first alone, then beside the clients that do not."""
    with running(SERVERS[name], workers=1) as server:
        check_both(name, server.port)
        url, load = f"http://127.0.0.1:{server.port}{SERVERS[name].targets[GET_DEF]}", wrk.Load(1, 64, seconds)
        before = wrk.run(url, load, statuses=True)
        memory_before, _ = processes.memory_bytes(server.session)
        with unread(server.port, clients) as answers:
            during = wrk.run(url, load, statuses=True)
        _, memory_peak = processes.memory_bytes(server.session)
    samples.memory_before.append(memory_before / MIB)
    samples.memory_peak.append(memory_peak / MIB)
    samples.p99_before.append(before.p99 * 1000)
    samples.p99.append(during.p99 * 1000)
    samples.answers.update(answers)
    samples.others.update(counted(before) + counted(during))


@contextmanager
def unread(port: int, clients: int) -> Iterator[Counter[str]]:
    """So many clients that have asked for the large answer and read nothing of it; inside the block they wait.

    Yields their answers by status, as far as they had begun within `FIRST_BYTES_SECONDS`.
    """
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(clients):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that little of it waits in the kernel
            client.settimeout(FIRST_BYTES_SECONDS)
            client.connect(("127.0.0.1", port))
            client.sendall(f"GET {workload.LARGE_PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            selector.register(client, selectors.EVENT_READ)
        answers: Counter[str] = Counter()
        end = monotonic() + FIRST_BYTES_SECONDS
        while selector.get_map() and (left := end - monotonic()) > 0:
            for key, _ in selector.select(left):
                answers[_status(key.fileobj)] += 1
                selector.unregister(key.fileobj)
        yield answers + Counter(none=len(selector.get_map()))


def _status(client: Any) -> str:
    """The status of an answer that has begun, which stays unread."""
    try:
        line = client.recv(16, socket.MSG_PEEK)
    except ConnectionError:
        return "none"
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", line)
    return found[1].decode() if found else "none"


def failures(results: dict[str, dict[str, Samples]], unread_results: dict[str, Unread]) -> list[str]:
    """Each row with an answer that is no 2xx or 3xx; the clients that do not read may be refused, the others not."""
    found = [
        f"{title}, {name}: {_answers(samples.answers)}"
        for title, by_name in results.items()
        for name, samples in by_name.items()
        if _failed(samples.answers)
    ]
    return found + [
        f"Others of unread answers, {name}: {_answers(samples.others)}"
        for name, samples in unread_results.items()
        if _failed(samples.others)
    ]


def _failed(answers: Counter[str]) -> bool:
    return not answers or any(status[0] not in "23" for status in answers)


def _answers(answers: Counter[str]) -> str:
    return ", ".join(f"{status}: {number:,}" for status, number in sorted(answers.items())) or "none"


def load_table(title: str, by_name: dict[str, Samples]) -> str:
    base, rows = by_name.get(BASE), []
    for name in NAMES:
        if name not in by_name:
            rows.append([name, "missing", *[""] * 5])
            continue
        samples = by_name[name]
        rows.append(
            [
                name,
                f"{median(samples.per_second):,.0f}" + (" (failed)" if _failed(samples.answers) else ""),
                report.ratio_range(samples.per_second, base.per_second) if base else "",
                f"{median(samples.p50):,.1f}",
                f"{median(samples.p99):,.1f}",
                report.ratio_range(samples.p99, base.p99) if base else "",
                _answers(samples.answers),
            ]
        )
    return report.table([title, "requests/s", f"of {BASE}", "p50, ms", "p99, ms", f"of {BASE}", "answers"], rows)


def unread_table(clients: int, results: dict[str, Unread]) -> str:
    rows = []
    for name in NAMES:
        if name not in results:
            rows.append([name, "missing", *[""] * 5])
            continue
        samples = results[name]
        figures = [f"{median(column):,.1f}" for column in samples[:4]]
        rows.append([name, *figures, _answers(samples.answers), _answers(samples.others)])
    return report.table(
        [
            *(f"{clients:,} answers of {workload.LARGE_BYTES / 1e6:.0f} MB, unread", "memory before, MiB", "peak, MiB"),
            *("p99 of others before, ms", "meanwhile, ms", "answers begun", "answers to others"),
        ],
        rows,
    )


def main() -> None:
    options = _options()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed. Debian: apt-get install wrk")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))
    target = SERVERS[BASE].targets[GET_DEF]
    scenarios = [Scenario(f"{GET_DEF}, {clients:,} connections", target, clients) for clients in options.connections]
    if options.waiting:
        title = f"GET, async def that waits 100 ms, {options.waiting:,} connections"
        scenarios.append(Scenario(title, workload.WAIT_PATH, options.waiting))
    missing: dict[str, str] = {}
    results = measure(scenarios, options.rounds, options.duration, missing)
    unread_results: dict[str, Unread] = {}
    if options.unread:
        unread_results = measure_unread(options.unread, options.rounds, options.duration, missing)
    about = report.environment(DISTRIBUTIONS)
    if options.json:
        plain = {title: {name: each._asdict() for name, each in by_name.items()} for title, by_name in results.items()}
        hung = {name: each._asdict() for name, each in unread_results.items()}
        print(json.dumps({"environment": about, "results": plain, "unread": hung, "missing": missing}, indent=2))
    else:
        blocks = [load_table(title, by_name) for title, by_name in results.items()]
        blocks += [unread_table(options.unread, unread_results)] if options.unread else []
        blocks.append(f"Workers: 1; `wrk` with 1 thread, {options.duration} s, {options.rounds} round(s).")
        blocks += [f"Missing: {name} ({reason})." for name, reason in missing.items()]
        print("\n\n".join([*blocks, report.environment_line(about)]))
    if failed := failures(results, unread_results):
        sys.exit("\n".join(["Failed:", *failed]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--connections", type=int, nargs="*", default=[64, 256, 512, 2000], metavar="N",
        help="connections of the plain load, each number a table (default: 64 256 512 2000)",
    )  # fmt: skip
    for name, default, meaning in [
        ("waiting", 2000, "clients of the function that waits; 0: none"),
        ("unread", 600, "clients that do not read large answers; 0: none"),
        ("rounds", 3, "rounds of load"),
        ("duration", 3, "seconds of each load"),
    ]:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print every sample, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
