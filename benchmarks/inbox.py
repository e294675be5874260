"""Deferred work against DBOS and procrastinate: accepting, running to the end, and what a `kill -9` costs.

    python benchmarks/inbox.py                    all engines, three rounds
    python benchmarks/inbox.py --only wixhttp     those whose name has it
    python benchmarks/inbox.py --rounds 1 --seconds 1 --no-kills --no-server     less, sooner

PostgreSQL is that of WIXHTTP_TEST_POSTGRES_URL, or the one on this machine; each engine has a database of its own
there. Everything is measured in each round, in turn, in processes of their own. *Insert* is a durable insert of an item
of the same size in a collection of wixhttp, in the same round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import report

DISTRIBUTIONS = ["wixhttp", "apsw", "psycopg", "dbos", "procrastinate"]
URL = os.environ.get("WIXHTTP_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
PROGRAM = Path(__file__).parent / "peers" / "inbox_engines.py"
PATIENCE = 40.0  # seconds in which a job whose process died has to be started again
HANGS = "-1"
CONNECTIONS = 16


class Candidate(NamedTuple):
    """An engine on a database."""

    engine: str
    database: str

    @property
    def name(self) -> str:
        return f"{self.engine}, {self.database}"


CANDIDATES = [
    Candidate("wixhttp", "SQLite"),
    Candidate("dbos", "SQLite"),
    Candidate("wixhttp", "PostgreSQL"),
    Candidate("dbos", "PostgreSQL"),
    Candidate("procrastinate", "PostgreSQL"),
]


@contextlib.contextmanager
def database_of(candidate: Candidate, folder: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if candidate.database == "SQLite":
        yield f"sqlite:///{folder / 'site.sqlite3'}"
        return
    import psycopg

    name = f"wixhttp_inbox_{os.getpid()}_{candidate.engine}"
    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield URL.rpartition("/")[0] + f"/{name}"
    finally:
        with psycopg.connect(URL, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


class Bench:
    """A candidate with its database, and what it is asked to do."""

    def __init__(self, candidate: Candidate, url: str, folder: Path) -> None:
        self.candidate = candidate
        self._where = [url, str(folder)]
        self.ran = folder / "ran"
        self.folder = folder
        self.url = url

    def _command(self, role: str, *arguments: object) -> list[str]:
        return [sys.executable, str(PROGRAM), self.candidate.engine, role, *self._where, *map(str, arguments)]

    def ask(self, role: str, *arguments: object) -> dict[str, float]:
        done = subprocess.run(
            self._command(role, *arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return answer

    @contextlib.contextmanager
    def working(self) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(
            self._command("work"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def events(self) -> list[list[str]]:
        text = self.ran.read_text() if self.ran.exists() else ""
        return [line.split() for line in text.splitlines()]

    def run_to_end(self, jobs: int) -> float:
        """Jobs a second from the first to the last of those that wait when a process begins."""
        self.ask("fill", 0, jobs)
        with self.working():
            while len(self.events()) < jobs:
                time.sleep(0.05)
        times = sorted(float(each[2]) for each in self.events())
        return (len(times) - 1) / (times[-1] - times[0])

    def pick_up(self) -> float | None:
        """Seconds from the kill of a process to the second start of its job in another one; ``None``: too long."""
        self.ran.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "hung", ignore_errors=True)
        with self.working() as one, self.working() as other:
            time.sleep(5)
            self.ask("fill", HANGS, "0")
            while not (begun := [each for each in self.events() if each[0] == HANGS]):
                time.sleep(0.01)
            killed = next(each for each in (one, other) if os.getsid(int(begun[0][1])) == each.pid)
            os.killpg(killed.pid, signal.SIGKILL)
            at = time.time()
            while time.time() - at < PATIENCE:
                again = [each for each in self.events() if each[0] == HANGS][1:]
                if again:
                    return float(again[0][2]) - at
                time.sleep(0.01)
        return None


SERVED = {
    "an insert": ("insert", "4"),
    "accepted, run by others": ("deferred", "0"),
    "accepted, and run there too": ("deferred", "4"),
}
"""What is asked of the server: the function, and inbox_concurrency."""


def answered_by_server(bench: Bench, function: str, concurrency: str, seconds: float) -> dict[str, float]:
    """Requests to `wixhttp serve` with one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "WIXHTTP_DATABASE_URL": bench.url,
        "WIXHTTP_LOG_LEVEL": "error",
        "WIXHTTP_INBOX_CONCURRENCY": concurrency,
    }
    arguments = ["wixhttp", "serve", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--no-access-log"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        arguments, cwd=bench.folder, env=environment, stdout=quiet, stderr=quiet, start_new_session=True
    ) as server:
        try:
            wait_for(port)
            load(port, f"/_functions/{function}", 0.5)  # what it needs is loaded, and its files are there
            return load(port, f"/_functions/{function}", seconds)
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def load(port: int, path: str, seconds: float) -> dict[str, float]:
    """Requests one after the other on each of several connections, from a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--load", str(port), path, str(seconds)], stdout=subprocess.PIPE, check=True
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def send(port: int, path: str, seconds: float) -> dict[str, float]:
    from concurrent.futures import ThreadPoolExecutor

    body = b"x" * 400
    request = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body

    def go(_: int) -> list[float]:
        waits = []
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            end = time.perf_counter() + seconds
            while (began := time.perf_counter()) < end:
                connection.sendall(request)
                answer = connection.recv(65536)
                assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")), answer
                waits.append(time.perf_counter() - began)
        return waits

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        every = sorted(wait for waits in pool.map(go, range(CONNECTIONS)) for wait in waits)
    return {"per_second": len(every) / seconds, "p50": median(every), "p99": every[int(len(every) * 0.99)]}


Results = dict[str, dict[str, list[Any]]]


def measure(bench: Bench, options: argparse.Namespace, results: dict[str, list[Any]]) -> None:
    """One round of one candidate."""
    results["run"].append(bench.run_to_end(options.jobs if bench.candidate.engine != "dbos" else options.jobs // 10))
    if options.kills:
        results["pick up"].append(bench.pick_up())
    if options.server and bench.candidate.engine == "wixhttp":
        for name, (function, concurrency) in SERVED.items():
            answers = answered_by_server(bench, function, concurrency, options.seconds)
            results[f"server {name}"].append(answers)
    for threads in (1, 8):
        for role in ("accept", "insert") if bench.candidate.engine == "wixhttp" else ("accept",):
            results[f"{role} {threads}"].append(bench.ask(role, threads, options.seconds))
    if bench.candidate.engine != "dbos":
        for count, wait in bench.ask("claims", 20, 20_000).items():
            results[f"claims {count}"].append(wait)


def show(results: Results) -> None:
    """Print the tables."""

    def of(samples: list[dict[str, float]], what: str) -> float:
        return median(each[what] for each in samples)

    rows = []
    for name, each in results.items():
        for role in ("accept", "insert"):
            if f"{role} 1" in each:
                one, eight = each[f"{role} 1"], each[f"{role} 8"]
                rows.append(
                    [
                        f"{name}: {role}",
                        f"{of(one, 'p50') * 1000:.2f}", f"{of(one, 'p99') * 1000:.1f}", f"{of(one, 'per_second'):,.0f}",
                        f"{of(eight, 'p50') * 1000:.2f}", f"{of(eight, 'p99') * 1000:.1f}",
                        f"{of(eight, 'per_second'):,.0f}",
                    ]
                )  # fmt: skip
    print(report.table(["", "p50, ms", "p99, ms", "per second", "8 threads: p50", "p99", "per second"], rows), "\n")
    rows = []
    for name, each in results.items():
        claims = [f"{median(each[f'claims {n}']) * 1000:.2f}" if f"claims {n}" in each else "" for n in (20, 20_000)]
        picked = each.get("pick up", [])
        late = [one for one in picked if one is None]
        shown = "" if not picked else f"not within {PATIENCE:.0f}" if late else f"{median(picked):.1f}"
        rows.append([name, f"{median(each['run']):,.0f}", *claims, shown])
    head = ["", "jobs run per second", "claim and end, 20 wait", "20,000 wait, ms", "picked up after a kill, s"]
    print(report.table(head, rows), "\n")
    rows = []
    for name, each in results.items():
        inserts = [one["per_second"] for one in each.get("server an insert", [])]
        for role in SERVED:
            if samples := each.get(f"server {role}"):
                shown = [f"{of(samples, what) * 1000:.1f}" for what in ("p50", "p99")]
                cost = report.ratio_range(inserts, [one["per_second"] for one in samples])
                rows.append([f"{name}: {role}", *shown, f"{of(samples, 'per_second'):,.0f}", cost])
    if rows:
        head = [f"wixhttp serve, {CONNECTIONS} connections", "p50, ms", "p99, ms", "per second", "cost"]
        print(report.table(head, rows), "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--no-kills", dest="kills", action="store_false")
    parser.add_argument("--no-server", dest="server", action="store_false")
    parser.add_argument("--json", action="store_true", help="print every sample")
    parser.add_argument("--load", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        port, path, seconds = options.load
        print(json.dumps(send(int(port), path, float(seconds))))
        return
    chosen = {each.name: each for each in CANDIDATES if options.only in each.name}
    results: Results = {name: defaultdict(list) for name in chosen}
    for number in range(options.rounds):
        for name in report.turned(list(chosen), number):
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as text, database_of(chosen[name], Path(text)) as url:
                bench = Bench(chosen[name], url, Path(text))
                bench.ask("set-up")
                measure(bench, options, results[name])
                print(name, json.dumps(results[name]), file=sys.stderr)
    if options.json:
        print(json.dumps(results))
    else:
        show(results)
    print(json.dumps(report.environment(DISTRIBUTIONS)))


if __name__ == "__main__":
    main()
