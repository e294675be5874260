"""Engines of deferred work, each by its public interface: ``ENGINE ROLE URL FOLDER [ARGUMENT ...]``.

Roles: ``set-up``; ``accept THREADS SECONDS``, ``insert THREADS SECONDS`` (into a collection of wixhttp) and ``fill
COUNT`` print a line of JSON; ``work`` runs jobs, four at once, until it is killed, and appends a line to FOLDER/ran as
each begins; ``claims COUNT ...`` times taking and ending one of so many waiting jobs of one key,
in turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

PLACES = 4
HANGS = -1  # the job with this number hangs the first time
BODY = "x" * 400
CLAIMED = 15  # jobs that are timed


def ran(folder: Path, number: int) -> None:
    """A job: a line, and the one that is to hang does so once."""
    line = f"{number} {os.getpid()} {time.time()}\n"
    file = os.open(folder / "ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)
    if number == HANGS:
        with contextlib.suppress(FileExistsError):
            (folder / "hung").mkdir()
            time.sleep(3600)


class Wixhttp:
    """The project in FOLDER, whose database is URL."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "WIXHTTP_DATABASE_URL": url, "WIXHTTP_LOG_LEVEL": "error"}
        os.environ |= self.environment

    def set_up(self) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        (self.folder / "data" / "collections.toml").write_text("[c]\n")
        (self.folder / "backend").mkdir(exist_ok=True)
        (self.folder / "backend" / "http_functions.py").write_text(
            "import sys\nfrom pathlib import Path\n"
            f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "from inbox_engines import ran\n"
            "from wixhttp import ok\nfrom wixhttp import data\nfrom wixhttp.inbox import deferred, job\n\n\n"
            "@job('note')\ndef note(number, body):\n    ran(Path(__file__).parents[1], number)\n\n\n"
            "@deferred()\ndef post_deferred(request):\n    pass\n\n\n"
            "def post_insert(request):\n"
            "    data.insert('c', {'body': request.body.text()})\n    return ok()\n"
        )
        self.opened()

    def opened(self) -> None:
        from wixhttp.project.config import load_config
        from wixhttp.services import load_served_site

        os.chdir(self.folder)
        load_served_site(load_config(self.folder))

    def accept(self) -> Callable[[int], object]:
        from wixhttp.inbox import enqueue

        self.opened()
        return lambda number: enqueue("note", number, BODY)

    def insert(self) -> Callable[[int], object]:
        from wixhttp import data

        self.opened()
        return lambda number: data.insert("c", {"number": number, "body": BODY}, suppressAuth=True)

    def work(self) -> None:
        arguments = ["wixhttp", "work", "--concurrency", str(PLACES)]
        os.chdir(self.folder)
        os.execvpe(arguments[0], arguments, self.environment)  # noqa: S606

    def claims(self, counts: list[int]) -> dict[int, list[float]]:
        from wixhttp.data.stores.factory import open_store
        from wixhttp.inbox.stores.contract import Done, NewJob
        from wixhttp.inbox.stores.factory import make_inbox

        inbox = make_inbox(open_store(os.environ["WIXHTTP_DATABASE_URL"], self.folder))
        for count in counts:
            for _ in range(0, count, 20):
                inbox.accept([NewJob(f"claimed-{count}", key="one")] * 20)
        waits: dict[int, list[float]] = {count: [] for count in counts}
        for _ in range(CLAIMED):
            for count in counts:
                began = time.perf_counter()
                [job] = inbox.claim([f"claimed-{count}"], PLACES)
                assert inbox.finish(job, Done())
                waits[count].append(time.perf_counter() - began)
        return waits


class DBOSEngine:
    """DBOS with a queue; an executor's id is its process's own, unless one is given."""

    def __init__(self, url: str, folder: Path) -> None:
        from dbos import DBOS

        self.dbos: Any = DBOS
        self.folder = folder

        @DBOS.workflow()
        def note(number: int, body: str) -> None:
            ran(folder, number)

        self.note = note
        DBOS(
            config={
                "name": "benchmark",
                "system_database_url": url,
                "executor_id": f"executor-{os.getpid()}",
                "application_version": "1",
                "log_level": "CRITICAL",
            }
        )

    def _queue(self, *, runs: bool) -> Any:
        self.dbos.listen_queues(["benchmark"] if runs else ["none"])
        self.dbos.launch()
        return self.dbos.register_queue("benchmark", worker_concurrency=PLACES, polling_interval_sec=0.1)

    def set_up(self) -> None:
        self._queue(runs=False)

    def accept(self) -> Callable[[int], object]:
        queue = self._queue(runs=False)
        return lambda number: queue.enqueue(self.note, number, BODY)

    def work(self) -> None:
        self._queue(runs=True)
        threading.Event().wait()


class Procrastinate:
    """procrastinate, with the task that its documentation has one write for jobs whose worker died, each second."""

    def __init__(self, url: str, folder: Path) -> None:
        from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

        self.app = App(connector=PsycopgConnector(conninfo=url, max_size=10))
        self.url = url
        self._sync = SyncPsycopgConnector(conninfo=url, max_size=10)

        @self.app.task(name="note", queue="benchmark")
        def note(number: int, body: str) -> None:
            ran(folder, number)

        self.note = note

    def set_up(self) -> None:
        with self.app.replace_connector(self._sync) as app, app.open():
            app.schema_manager.apply_schema()

    def accept(self) -> Callable[[int], object]:
        self.app.connector = self._sync
        self.app.job_manager.connector = self._sync
        self.app.open()
        return lambda number: self.note.defer(number=number, body=BODY)

    def work(self) -> None:
        async def rescue() -> None:
            while True:
                await asyncio.sleep(1)
                for job in await self.app.job_manager.get_stalled_jobs():
                    await self.app.job_manager.retry_job(job)

        async def run() -> None:
            async with self.app.open_async():
                task = asyncio.create_task(rescue())
                await self.app.run_worker_async(concurrency=PLACES, fetch_job_polling_interval=1.0)
                task.cancel()

        asyncio.run(run())

    def claims(self, counts: list[int]) -> dict[int, list[float]]:
        from procrastinate.jobs import Status

        async def run() -> dict[int, list[float]]:
            waits: dict[int, list[float]] = {count: [] for count in counts}
            async with self.app.open_async():
                manager = self.app.job_manager
                for count in counts:
                    task = self.note.configure(lock=f"claimed-{count}", queue=f"claimed-{count}")
                    for _ in range(0, count, 20):
                        await task.batch_defer_async(*[{"number": 0, "body": ""}] * 20)
                worker = await manager.register_worker()
                for _ in range(CLAIMED):
                    for count in counts:
                        began = time.perf_counter()
                        job = await manager.fetch_job(queues=[f"claimed-{count}"], worker_id=worker)
                        assert job is not None
                        await manager.finish_job(job, status=Status.SUCCEEDED, delete_job=False)
                        waits[count].append(time.perf_counter() - began)
            return waits

        return asyncio.run(run())


ENGINES: dict[str, Any] = {"wixhttp": Wixhttp, "dbos": DBOSEngine, "procrastinate": Procrastinate}


def timed(call: Callable[[int], object], threads: int, seconds: float) -> dict[str, float]:
    """The calls of threads for so long, after a first one each."""
    waits: list[list[float]] = [[] for _ in range(threads)]
    ready = threading.Barrier(threads)

    def go(thread: int) -> None:
        call(thread)
        ready.wait()
        end = time.perf_counter() + seconds
        number = thread
        while (began := time.perf_counter()) < end:
            number += threads
            call(number)
            waits[thread].append(time.perf_counter() - began)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(go, range(threads)))
    every = sorted(wait for each in waits for wait in each)
    return {"per_second": len(every) / seconds, "p50": median(every), "p99": every[int(len(every) * 0.99)]}


def main() -> None:
    engine_name, role, url, folder, *arguments = sys.argv[1:]
    engine = ENGINES[engine_name](url, Path(folder))
    result: dict[str, float] = {}
    if role == "set-up":
        engine.set_up()
    elif role in ("accept", "insert"):
        result = timed(getattr(engine, role)(), int(arguments[0]), float(arguments[1]))
    elif role == "fill":
        call = engine.accept()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(call, numbers(arguments)))
    elif role == "work":
        engine.work()
    else:
        result = {str(count): median(waits) for count, waits in engine.claims(list(map(int, arguments))).items()}
    print(json.dumps(result), flush=True)
    os._exit(0)  # their threads are not waited for


def numbers(arguments: list[str]) -> Iterator[int]:
    first, last = map(int, arguments)
    yield from range(first, last)


if __name__ == "__main__":
    main()
