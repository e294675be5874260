"""Programs that the tests of the stores run as processes, with the arguments URL ROLE WORKER COUNT."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests import commands
from wixhttp.data.stores.contract import Row, Store, Transaction, WriteOutcome
from wixhttp.data.stores.factory import open_store
from wixhttp.errors import StoreUnavailable

THREADS = 4
NOW = "2024-01-01T00:00:00.000Z"


def row(name: str, text: str = "{}") -> Row:
    """A row with the id ``name``."""
    return Row(name, text, NOW, NOW, None)


def add(store: Store, each: Row) -> list[WriteOutcome]:
    """Write one row durably; what became of it."""
    return store.write(lambda changes: changes.insert("c", [each]), single=True)


def insert(store: Store, worker: str, count: str) -> dict[str, float]:
    """Insert ``count`` items one by one, on four threads; the longest wait in seconds."""
    waits: list[float] = []

    def work(thread: int) -> None:
        for number in range(thread, int(count), THREADS):
            text = json.dumps({"n": number, "pad": "x" * 300}, separators=(",", ":"))
            began = time.monotonic()
            assert add(store, row(f"{worker}-{number}", text)) == ["done"]
            waits.append(time.monotonic() - began)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))
    return {"longest": max(waits)}


def same(store: Store, worker: str, count: str) -> dict[str, list[WriteOutcome]]:
    """Insert items that the other processes insert, too; what became of each."""
    return {"outcomes": [each for number in range(int(count)) for each in add(store, row(f"{number}"))]}


def increment(store: Store, worker: str, count: str) -> dict[str, str]:
    """Add one to the same item ``count`` times."""

    def work(changes: Transaction) -> None:
        stored = changes.get("c", ["counter"])["counter"]
        value = json.loads(stored.text)["n"] + 1
        assert changes.update("c", [stored._replace(text=json.dumps({"n": value}, separators=(",", ":")))]) == ["done"]

    for _ in range(int(count)):
        store.write(work)
    return {}


def stream(store: Store, worker: str, count: str) -> dict[str, str]:
    """Insert items until killed; each that is acknowledged is a line on standard output."""
    for number in range(int(count)):
        name = f"{worker}-{number}"
        add(store, row(name, '{"pad":"' + "x" * 300 + '"}'))
        os.write(1, f"{name}\n".encode())
    return {}


def stubborn(store: Store, worker: str, count: str) -> dict[str, str]:
    """As `stream`, but of so many items as each line of standard input says, and what the database refuses is left
    out."""
    numbers = iter(range(int(count)))
    for line in sys.stdin:
        left = int(line)
        while left:
            name = f"{worker}-{next(numbers)}"
            with contextlib.suppress(StoreUnavailable):
                add(store, row(name, '{"pad":"' + "x" * 300 + '"}'))
                os.write(1, f"{name}\n".encode())
                left -= 1
    return {}


def halves(store: Store, worker: str, count: str) -> dict[str, str]:
    """Write two items, and two values in each, always together and alike."""

    def write(text: str) -> None:
        store.write(lambda changes: changes.update("c", [row("left", text), row("right", text)]))

    for number in range(int(count)):
        write(json.dumps({"a": number, "b": number, "pad": "x" * 20_000}, separators=(",", ":")))
    return {}


ROLES: dict[str, Callable[[Store, str, str], object]] = {
    "insert": insert, "same": same, "increment": increment, "stream": stream, "stubborn": stubborn, "halves": halves,
}  # fmt: skip


def main() -> None:
    url, role, worker, count = sys.argv[1:]
    store = open_store(url, Path())
    store.collections()
    if role not in ("stream", "stubborn"):
        print("ready", flush=True)  # noqa: T201  # to the test
        sys.stdin.readline()
    result = ROLES[role](store, worker, count)
    print(json.dumps(result), flush=True)  # noqa: T201  # to the test


class Process:
    """One of these programs, which begins when it is told to."""

    def __init__(self, url: str, role: str, worker: str, count: int) -> None:
        self.process = commands.start_program(__name__, url, role, worker, str(count))

    def line(self) -> str:
        """The next line that it writes."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def order(self, count: int) -> None:
        """Have it insert so many items more."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n".encode())

    def begin(self) -> None:
        """Tell it to begin, once it is ready."""
        assert self.process.stdin is not None
        assert self.line() == "ready"
        self.process.stdin.write(b"\n")

    def rest(self) -> str:
        """Everything that it writes until its end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdin, self.process.stdout as output:
            return output.read().decode()

    def result(self) -> Any:
        """Its report, once it has ended."""
        report = self.rest()
        assert self.process.wait(120) == 0
        return json.loads(report)


def race(url: str, role: str, count: int) -> list[Any]:
    """Run eight processes that do the same at the same time, and return their reports."""
    running = [Process(url, role, f"p{number}", count) for number in range(8)]
    for process in running:
        process.begin()
    return [process.result() for process in running]
