"""Deliveries to the workers of a real server: one of them runs, and none that was killed keeps the others from it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.databases import postgres_url
from tests.servers import TIMEOUT, Answer, Server, connect, project, read_answer, serving
from wixhttp.data.queries.tree import EVERYTHING
from wixhttp.data.queries.values import decode, encode
from wixhttp.data.stores.contract import Transaction
from wixhttp.data.stores.factory import open_store
from wixhttp.webhooks.once_claims import COLLECTION

SOURCE = """
import asyncio, os, time
from pathlib import Path
from wixhttp import created
from wixhttp.webhooks import once

folder = Path(__file__).parent.parent

def run(request):
    with open(folder / "runs", "a") as runs:
        runs.write(f"{request.headers['x-id']} {os.getpid()}\\n")

def answer():
    return created(body={"pid": os.getpid()}, headers={"X-Run": str(os.getpid())})

@once(key=lambda request: request.headers["x-id"], wait=60)
def post_slow(request):
    run(request)
    time.sleep(0.5)
    return answer()

@once(key=lambda request: request.headers["x-id"], wait=60)
async def post_async(request):
    run(request)
    await asyncio.sleep(0.5)
    return answer()

@once(key=lambda request: request.headers["x-id"], wait=0.2)
def post_killed(request):
    run(request)
    while (folder / "hangs").exists():
        time.sleep(0.01)
    return answer()
"""
SETTINGS = 'timeout = 0\nqueue_timeout = 0\nworkers = 4\ndatabase_url = "{url}"\n'


class Site(NamedTuple):
    server: Server
    folder: Path
    url: str
    kind: str

    def ask(self, name: str, id: str) -> socket.socket:
        connection = connect(self.server.port)
        head = f"POST /_functions/{name} HTTP/1.1\r\nHost: localhost\r\nX-Id: {id}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())
        return connection

    def answer(self, name: str, id: str) -> Answer:
        with self.ask(name, id) as connection:
            return read_answer(connection)

    def runs(self, id: str) -> list[int]:
        """The processes in which the handler ran."""
        file = self.folder / "runs"
        lines = file.read_text().splitlines() if file.exists() else []
        return [int(line.split()[1]) for line in lines if line.split()[0] == id]

    def wait_for_runs(self, id: str, count: int) -> list[int]:
        deadline = time.monotonic() + TIMEOUT
        while len(runs := self.runs(id)) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return runs

    def lapse(self) -> None:
        """Let the leases of all claims run out."""
        with contextlib.closing(open_store(self.url, self.folder)) as store:

            def work(changes: Transaction) -> None:
                rows = [row for row in store.find(COLLECTION, EVERYTHING) if "until" in decode(row.text)]
                ended = [row._replace(text=encode({**decode(row.text), "until": 0.0})) for row in rows]
                changes.update(COLLECTION, ended)

            store.write(work)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        is_sqlite = request.param == "sqlite"
        url = "sqlite:///data/site.sqlite3" if is_sqlite else stack.enter_context(postgres_url())
        folder = project(tmp_path_factory.mktemp("site"), SOURCE, SETTINGS.format(url=url))
        yield Site(stack.enter_context(serving(folder)), folder, url, request.param)


@pytest.mark.parametrize("name", ["slow", "async"])
def test_200_deliveries_at_once_over_four_processes_run_once_and_have_one_answer(site: Site, name: str) -> None:
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(site.ask(name, name)) for _ in range(200)]
        answers = [read_answer(each) for each in asked]
    [pid] = site.runs(name)
    assert {each.body for each in answers} == {json.dumps({"pid": pid}).replace(" ", "").encode()}
    fields = {
        tuple((key, value) for key, value in sorted(each.headers.items()) if key not in ("x-request-id", "date"))
        for each in answers
    }
    assert len(fields) == 1
    assert {(each.status, each.headers["x-run"]) for each in answers} == {(201, str(pid))}


def test_a_process_that_is_killed_in_the_handler_gives_its_delivery_to_the_next(site: Site) -> None:
    hangs = site.folder / "hangs"
    hangs.touch()
    with site.ask("killed", "k"):
        [pid] = site.wait_for_runs("k", 1)
        assert site.answer("killed", "k").status == 409
        os.kill(pid, signal.SIGKILL)
        hangs.unlink()
        while pid in site.server.workers():
            time.sleep(0.01)
        answer = site.answer("killed", "k")
        if site.kind == "postgres" and answer.status == 409:  # nobody knows that it is dead before its lease is over
            assert answer.headers["retry-after"] == "5"
            site.lapse()
            answer = site.answer("killed", "k")
    assert answer.status == 201
    [_, second] = site.runs("k")
    assert second != pid
    assert site.answer("killed", "k").body == answer.body
    assert len(site.runs("k")) == 2
