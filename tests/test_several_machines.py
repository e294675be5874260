"""Two servers of one site behind nginx, on one PostgreSQL: what docs/several-machines.md says of them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
import requests

from tests.databases import postgres_url
from tests.servers import TIMEOUT, Server, free_port, missing, project, serving

PAGE = Path(__file__).parents[1] / "docs" / "several-machines.md"
SOURCE = """
import os
import time

from wixhttp import data as wix_data
from wixhttp import ok
from wixhttp.inbox import deferred


@deferred(dedup="X-Delivery-Id")
def post_delivery(request):
    time.sleep(0.01)
    wix_data.insert("runs", {"delivery": request.body.json()["id"], "job": request.deferredId})
    return ok()


def get_runs(request):
    return ok(body=[item["delivery"] for item in wix_data.query("runs").limit(1000).find().items])


def get_machine(request):
    return ok(body=os.environ["MACHINE"])
"""
VISITS = """
def GET(session, url):
    visits = (session.get("visits") or 0) + 1
    session.set("visits", visits)
    from wixhttp.endpoints import Response
    return Response.json(visits)
"""
DELIVERIES = 120


class Machines(NamedTuple):
    """Two servers, the address of nginx in front of them, those of their health pages, the URL of their database, and
    what starts one of them."""

    servers: list[Server]
    url: str
    health: list[str]
    database: str
    start: Callable[[int], Server]


def nginx_program() -> str:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        missing("nginx is not installed")
    return program


def block_of(kind: str) -> str:
    """The one block of a kind on the page."""
    [block] = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert isinstance(block, str)
    return block


def settings(health_port: int) -> str:
    """The settings of a machine that the page shows, for two machines on one, whose one client is in a hurry."""
    text = block_of("toml")
    for shown, own in (("9090", str(health_port)), ("100/minute", "100000/minute")):
        assert shown in text
        text = text.replace(shown, own)
    return text + "graceful_timeout = 5\n"


def configuration(port: int, ports: list[int], folder: Path) -> str:
    """The configuration of nginx that the page shows, for these ports."""
    text = block_of("nginx").replace("listen 80;", f"listen 127.0.0.1:{port};")
    for address, its in zip(("10.0.0.11:8080", "10.0.0.12:8080"), ports, strict=True):
        assert address in text
        text = text.replace(address, f"127.0.0.1:{its}")
    paths = "".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    log = f"daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;"
    return f"{log} events {{}} http {{ access_log off; {paths}\n{text}}}"


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    nginx, folder = nginx_program(), tmp_path_factory.mktemp("machines")
    ports, health_ports = [free_port(), free_port()], [free_port(), free_port()]
    with ExitStack() as stack:
        database = stack.enter_context(postgres_url())

        def start(index: int) -> Server:
            site = project(folder / str(index), SOURCE, settings(health_ports[index]))
            (site / "data").mkdir(exist_ok=True)
            (site / "data" / "collections.toml").write_text("[runs]\n")
            (site / "src" / "pages").mkdir(parents=True, exist_ok=True)
            (site / "src" / "pages" / "visits.py").write_text(VISITS)
            machine = f"machine {index}"
            return stack.enter_context(
                serving(site, "--workers", "2", port=ports[index], WIXHTTP_DATABASE_URL=database, MACHINE=machine)
            )

        servers = [start(0), start(1)]
        port = free_port()
        (folder / "nginx.conf").write_text(configuration(port, ports, folder))
        command = [nginx, "-e", "stderr", "-p", str(folder), "-c", "nginx.conf"]
        subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=TIMEOUT)
        process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_answered(f"{url}/_functions/machine"))
        yield Machines(servers, url, [f"http://127.0.0.1:{each}" for each in health_ports], database, start)


def is_answered(url: str) -> bool:
    try:
        return requests.get(url, timeout=TIMEOUT).status_code == 200
    except requests.ConnectionError:
        return False


def wait_until(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Deliveries:
    """Deliveries sent by four senders at once. ``answers``: by the id of a delivery, its status and that of its job."""

    def __init__(self, url: str, names: list[str]) -> None:
        self.url = url
        self.answers: dict[str, tuple[int, str]] = {}
        self._names = iter(names)
        self._lock = threading.Lock()
        self.arrived = threading.Condition()
        self._senders = [threading.Thread(target=self._send) for _ in range(4)]
        for sender in self._senders:
            sender.start()

    def _send(self) -> None:
        with requests.Session() as session:
            while True:
                with self._lock:
                    name = next(self._names, None)
                if name is None:
                    return
                answer = session.post(
                    f"{self.url}/_functions/delivery",
                    json={"id": name},
                    headers={"X-Delivery-Id": name},
                    timeout=TIMEOUT,
                )
                with self.arrived:
                    self.answers[name] = answer.status_code, answer.json().get("id", "") if answer.ok else answer.text
                    self.arrived.notify_all()

    def wait_for(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.answers) >= count, TIMEOUT)

    def end(self) -> None:
        for sender in self._senders:
            sender.join(TIMEOUT)


def states(database: str) -> Counter[str]:
    """The number of jobs by their states."""
    with psycopg.connect(database) as connection:
        return Counter(dict(connection.execute("SELECT state, count(*) FROM wixhttp_inbox GROUP BY state").fetchall()))


def let_leases_run_out(database: str) -> None:
    """Let the time pass in which those that have jobs running are not known to be dead."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE wixhttp_inbox_owners SET lease_until = now() - interval '1 second' WHERE owner IN"
            " (SELECT owner FROM wixhttp_inbox WHERE state = 'running')"
        )


def runs(machines: Machines) -> Counter[str]:
    """The number of runs of each delivery."""
    return Counter(requests.get(f"{machines.url}/_functions/runs", timeout=TIMEOUT).json())


def test_requests_go_to_both_and_sessions_and_collections_are_shared(machines: Machines) -> None:
    asked = Counter(requests.get(f"{machines.url}/_functions/machine", timeout=TIMEOUT).text for _ in range(6))
    assert asked == {"machine 0": 3, "machine 1": 3}
    first = requests.get(f"{machines.url}/visits", timeout=TIMEOUT)
    cookie = first.headers["set-cookie"].partition(";")[0]
    visits = [
        requests.get(f"{machines.url}/visits", headers={"Cookie": cookie}, timeout=TIMEOUT).json() for _ in range(4)
    ]
    assert [first.json(), *visits] == [1, 2, 3, 4, 5]


def test_health_and_metrics_are_each_machines_own_and_not_in_front(machines: Machines) -> None:
    for path in ("health/ready", "metrics"):
        assert requests.get(f"{machines.url}/_wixhttp/{path}", timeout=TIMEOUT).status_code == 404
        for address in machines.health:
            assert requests.get(f"{address}/_wixhttp/{path}", timeout=TIMEOUT).status_code == 200


def test_a_machine_that_is_killed_loses_nothing_and_no_client_sees_it(machines: Machines) -> None:
    names = [f"killed-{number}" for number in range(DELIVERIES)]
    deliveries = Deliveries(machines.url, names)
    deliveries.wait_for(DELIVERIES // 3)
    os.killpg(machines.servers[0].process.pid, signal.SIGKILL)
    deliveries.end()
    assert {status for status, _ in deliveries.answers.values()} == {202}, deliveries.answers
    assert len({job for _, job in deliveries.answers.values()}) == DELIVERIES  # none stands for another
    wait_until(lambda: not states(machines.database)["waiting"])
    left = states(machines.database)["running"]
    let_leases_run_out(machines.database)
    wait_until(lambda: states(machines.database) == {"done": DELIVERIES})
    counts = runs(machines)
    assert counts.keys() == set(names)
    assert counts.total() - DELIVERIES <= left  # those that ran when it was killed, at most


def test_a_machine_that_is_stopped_loses_nothing_and_no_client_sees_it(machines: Machines) -> None:
    machines.servers[0] = machines.start(0)
    wait_until(lambda: requests.get(f"{machines.url}/_functions/machine", timeout=TIMEOUT).text == "machine 0")
    before = states(machines.database)["done"]
    names = [f"stopped-{number}" for number in range(DELIVERIES)]
    deliveries = Deliveries(machines.url, names)
    deliveries.wait_for(DELIVERIES // 3)
    assert machines.servers[1].stop() == 0
    deliveries.end()
    assert {status for status, _ in deliveries.answers.values()} == {202}, deliveries.answers
    wait_until(lambda: states(machines.database) == {"done": before + DELIVERIES})
    assert {name: count for name, count in runs(machines).items() if name in names} == dict.fromkeys(names, 1)
