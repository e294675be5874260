"""Metrics: right over the workers of a server and after some died, bounded in their labels, and shown to whom they are
for."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import wixhttp
from tests.interfaces import Interface, Served, write_project
from tests.servers import TIMEOUT, Server, ask, connect, failed_start, project, serving
from wixhttp.cli.commands import cli
from wixhttp.data.stores.contract import Store
from wixhttp.data.stores.factory import open_store
from wixhttp.dispatch.app import App
from wixhttp.errors import ConfigError, StoreUnavailable
from wixhttp.http.request_head import PlainHead
from wixhttp.inbox.stores.contract import NewJob, Stats
from wixhttp.inbox.stores.factory import open_inbox
from wixhttp.measurements import count_with, counted
from wixhttp.metrics.inbox_numbers import InboxNumbers
from wixhttp.metrics.meter import EVENTS, METHODS, SiteMeter
from wixhttp.project.config import load_config
from wixhttp.services import load_served_site

DASHBOARD = Path(__file__).parents[1] / "docs" / "grafana-dashboard.json"
WORKERS = 2
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

SOURCE = """
import os
import time

from prometheus_client import Counter

from wixhttp import limits, ok
from wixhttp.inbox import Dead, deferred

ORDERS = Counter("shop_orders", "Orders", ["kind"])


def get_pid(request):
    ORDERS.labels("book").inc()
    return ok(body={"pid": os.getpid()})


async def post_echo(request):
    return ok(body=await request.body.text())


def get_broken(request):
    raise ValueError("broken")


@limits(timeout=0.05)
def get_late(request):
    time.sleep(0.2)
    return ok()


def get_wait(request):
    while not os.path.exists(request.query["until"]):
        time.sleep(0.01)
    return ok()


@deferred()
def post_later(request):
    return ok()


@deferred()
def post_dead(request):
    raise Dead("it is no use")
"""


def samples_of(text: str) -> Samples:
    """The samples of a page, by name and labels; the page passes the library's own parser, and none is there twice."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, key
            found[key] = sample.value
    return found


def answered(url: str) -> requests.Response:
    """The answer to a GET. A worker that is being killed may take a connection and not answer."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return requests.get(url, timeout=TIMEOUT)
        except requests.ConnectionError:
            assert time.monotonic() < deadline


class Page:
    """The page of a server: asked until it says what is waited for, since a request is counted once it is answered."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def read(self) -> Samples:
        answer = answered(f"{self.server.url}/_wixhttp/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        return samples_of(answer.text)

    def get(self, name: str, /, **labels: str) -> float:
        return self.read().get((f"wixhttp_{name}", frozenset(labels.items())), 0.0)

    def wait(self, wanted: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not wanted():
            assert time.monotonic() < deadline, self.read()
            time.sleep(0.02)

    def wait_for(self, value: float, name: str, /, **labels: str) -> None:
        """Wait until a sample has a value. It never has a greater one before."""

        def reached() -> bool:
            found = self.get(name, **labels)
            assert name.endswith(("in_flight", "workers")) or found <= value, (name, labels, found)
            return found == value

        self.wait(reached)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = project(tmp_path_factory.mktemp("measured"), SOURCE, "metrics = true\nmax_body = 100\n")
    with serving(folder, "--workers", f"{WORKERS}") as server:
        yield server


@pytest.fixture
def page(server: Server) -> Page:
    return Page(server)


def ask_pids(server: Server, count: int) -> set[int]:
    """The workers that answered so many requests, each by a connection of its own."""
    return {requests.get(f"{server.url}/_functions/pid", timeout=TIMEOUT).json()["pid"] for _ in range(count)}


PID = {"function": "get_pid", "method": "GET", "status": "200"}


def test_totals_are_exact_over_workers_kills_and_reloads(server: Server, page: Page) -> None:
    page.wait_for(WORKERS, "workers")
    count, pids = 0, set[int]()
    while count < 40 or len(pids) < 2:  # more than one worker has something to tell
        pids |= ask_pids(server, 10)
        count += 10
    page.wait_for(count, "requests_total", **PID)
    os.kill(pids.pop(), signal.SIGKILL)
    server.wait_for_message("Booting worker", WORKERS + 1)
    page.wait_for(WORKERS, "workers")
    ask_pids(server, 10)
    page.wait_for(count + 10, "requests_total", **PID)
    before = set(server.workers())
    os.kill(server.process.pid, signal.SIGHUP)
    page.wait(lambda: len(now := set(server.workers())) == WORKERS and not now & before)
    page.wait_for(WORKERS, "workers")
    assert not before & ask_pids(server, 10)
    page.wait_for(count + 20, "requests_total", **PID)
    page.wait_for(count + 20, "request_duration_seconds_count", function="get_pid", method="GET")
    own = page.read()["shop_orders_total", frozenset({("kind", "book")})]  # what the project itself counts
    assert own == count + 20


def test_files_are_as_many_as_workers_were_at_once_and_private(server: Server, page: Page) -> None:
    page.wait_for(WORKERS, "workers")
    [folder] = folders_of(server)
    assert folder.stat().st_mode & 0o777 == 0o700
    places = {path.stem.rpartition("_")[2] for path in folder.glob("*.db")}
    assert places <= {f"w{place}" for place in range(2 * WORKERS)}


def folders_of(server: Server) -> list[Path]:
    """The folders of metrics that the workers of a server have files of open."""
    lines = [line for pid in server.workers() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    names = {line.split(maxsplit=5)[5] for line in lines if "wixhttp-metrics-" in line}
    return sorted({Path(name).parent for name in names})


def test_requests_bodies_errors_and_limits_are_counted(server: Server, page: Page) -> None:
    echo = f"{server.url}/_functions/echo"
    for size, status in ((100, 200), (40, 200), (101, 413)):
        assert requests.post(echo, data=b"x" * size, timeout=TIMEOUT).status_code == status
    assert requests.get(f"{server.url}/_functions/broken", timeout=TIMEOUT).status_code == 500
    assert requests.get(f"{server.url}/_functions/late", timeout=TIMEOUT).status_code == 504
    for name in ("a", "b"):
        assert requests.request("BREW", f"{server.url}/_functions/{name}", timeout=TIMEOUT).status_code == 404
    assert ask(server.port, b"GET / HTTP/1.1\r\n\r\n").status == 400
    page.wait_for(2, "requests_total", function="post_echo", method="POST", status="200")
    page.wait_for(1, "requests_total", function="post_echo", method="POST", status="413")
    page.wait_for(140, "request_body_bytes_total", function="post_echo")
    page.wait_for(1, "handler_errors_total", function="get_broken")
    page.wait_for(1, "limits_hit_total", limit="body")
    page.wait_for(1, "limits_hit_total", limit="time")
    page.wait_for(2, "requests_total", function="unknown", method="other", status="404")


def test_deferred_work_is_counted_and_told_by_the_probe(server: Server, page: Page) -> None:
    for name, count in (("later", 3), ("dead", 2)):
        for _ in range(count):
            answer = requests.post(f"{server.url}/_functions/{name}", timeout=TIMEOUT)
            assert answer.status_code == 202, server.lines[-20:]
    page.wait_for(3, "jobs_accepted_total", name="post_later", result="new")
    page.wait_for(3, "job_runs_total", name="post_later", outcome="done")
    page.wait_for(2, "job_runs_total", name="post_dead", outcome="failed")
    page.wait_for(3, "inbox_jobs", state="done")
    page.wait_for(2, "inbox_jobs", state="dead")
    assert page.get("inbox_jobs", state="waiting") == page.get("inbox_oldest_seconds") == 0
    assert page.get("inbox_up") == 1
    ready = requests.get(f"{server.url}/_wixhttp/health/ready", timeout=TIMEOUT).json()
    assert ready == {"status": "ok", "inbox": {"oldest_seconds": None, "dead": 2}}


def test_malformed_requests_are_counted(server: Server, page: Page) -> None:
    before = page.get("refusals_total", status="400")
    assert ask(server.port, b"GET / HTTP/1.1\r\nHost x\r\n\r\n").status == 400
    page.wait_for(before + 1, "refusals_total", status="400")


def test_requests_in_flight_of_a_killed_worker_are_gone(server: Server, page: Page, tmp_path: Path) -> None:
    until = tmp_path / "end"
    running = [connect(server.port) for _ in range(3)]
    for connection in running:
        connection.sendall(f"GET /_functions/wait?until={until} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    page.wait_for(3, "requests_in_flight", kind="def")
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    page.wait_for(0, "requests_in_flight", kind="def")
    page.wait_for(WORKERS, "workers")
    connection = connect(server.port)
    connection.sendall(f"GET /_functions/wait?until={until} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    page.wait_for(1, "requests_in_flight", kind="def")
    until.touch()
    page.wait_for(0, "requests_in_flight", kind="def")
    for each in (*running, connection):
        each.close()


@pytest.mark.parametrize("worker_class", ["gthread", "gevent", "sync"])
def test_workers_of_other_classes_count_together_and_the_folder_goes(tmp_path: Path, worker_class: str) -> None:
    source = "from wixhttp import ok\ndef get_pid(request):\n    import os\n    return ok(body={'pid': os.getpid()})\n"
    folder = project(tmp_path, source, 'metrics = true\naccess_log = false\nhealth = "public"\n')
    with serving(folder, "--workers", "2", "--worker-class", worker_class) as server:
        page = Page(server)
        ask_pids(server, 8)
        page.wait_for(8, "requests_total", **PID)
        page.wait_for(2, "workers")
        [shared] = folders_of(server)
        assert server.stop() == 0
    assert not shared.exists()


def test_another_server_counts_in_its_one_process(tmp_path: Path) -> None:
    folder = project(tmp_path, SOURCE, "metrics = true\n")
    command = [sys.executable, "-m", "uvicorn", "--port", "{port}", "wixhttp.asgi:application"]
    with serving(folder, command=command, WIXHTTP_PROJECT=str(folder)) as server:
        page = Page(server)
        ask_pids(server, 3)
        page.wait_for(3, "requests_total", **PID)
        assert page.read()["shop_orders_total", frozenset({("kind", "book")})] == 3
        assert page.get("build_info", version=wixhttp.__version__, python=sys.version.split()[0]) == 1


# --- who may read them ---

OPEN = "def get_x(request): return ok()"


@pytest.fixture
def measured(tmp_path: Path, interface: type[Interface]) -> Iterator[Callable[..., Served]]:
    opened: list[Interface] = []

    def serve(**settings: Any) -> Served:
        config = load_config(write_project(tmp_path, OPEN), environ={}, flags={"metrics": True, **settings})
        opened.append(interface(App(load_served_site(config))))
        return Served(opened[-1])

    yield serve
    count_with(None)
    for each in opened:
        each.close()


def test_metrics_are_for_whom_health_pages_are_for(measured: Callable[..., Served]) -> None:
    served = measured()
    assert served("/_wixhttp/metrics").status == 200
    assert served("/_wixhttp/metrics").header("cache-control") == "no-store"
    assert served("/_wixhttp/metrics", "HEAD").content == b""
    assert served("/_wixhttp/metrics", "POST").status == 405
    assert served("/_wixhttp/metrics", client="8.8.8.8").status == 403
    assert served("/_wixhttp/metrics", "GET", ("X-Forwarded-For", "8.8.8.8")).status == 403
    assert measured(health="public")("/_wixhttp/metrics", client="8.8.8.8").status == 200
    assert measured(health="off")("/_wixhttp/metrics").status == 404
    assert measured(health_port=9999)("/_wixhttp/metrics").status == 404


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"metrics": False}, "metrics are off; set metrics = true"),
        ({"health": "off"}, 'health = "off"'),
        ({"health_port": 9999}, "metrics are on port 9999 (setting health_port)"),
    ],
)
def test_the_log_says_why_there_are_none(
    measured: Callable[..., Served], caplog: pytest.LogCaptureFixture, settings: dict[str, Any], reason: str
) -> None:
    assert measured(**settings)("/_wixhttp/metrics").status == 404
    assert f"GET /_wixhttp/metrics: {reason}" in caplog.messages


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=x", "text/plain; version=0.0.4"),
        ("text/plain; version=\u00e9;;=", "text/plain; version=0.0.4"),
        ("a" * 9000, "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
    ],
)
def test_the_format_is_what_the_client_accepts(measured: Callable[..., Served], accept: str, content_type: str) -> None:
    answer = measured()("/_wixhttp/metrics", "GET", ("Accept", accept))
    assert answer.status == 200
    assert (answer.header("content-type") or "").startswith(content_type)
    assert (b"# EOF" in answer.content) == ("openmetrics" in content_type)


# --- what is not used, and what is missing ---


def test_without_the_extra_the_start_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    config = load_config(write_project(tmp_path, OPEN), environ={}, flags={"metrics": True})
    with pytest.raises(ConfigError, match=re.escape("run: pip install 'wixhttp[metrics]'")):
        load_served_site(config)


def test_without_the_extra_check_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    (write_project(tmp_path, OPEN) / "wixhttp.toml").write_text("metrics = true\n")
    done = CliRunner().invoke(cli, ["--project", str(tmp_path), "check"])
    assert done.exit_code == 3
    assert "pip install 'wixhttp[metrics]'" in done.output


def test_without_the_extra_serve_ends(tmp_path: Path) -> None:
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text("import sys\nsys.modules['prometheus_client'] = None\n")
    folder = project(tmp_path, "def get_x(request): ...", "metrics = true\n")
    code, errors, _ = failed_start(folder, PYTHONPATH=str(tmp_path / "blocked"))
    assert code == 3
    assert "pip install 'wixhttp[metrics]'" in errors


def test_a_site_without_metrics_loads_nothing_of_them(tmp_path: Path) -> None:
    source = "import sys\nfrom wixhttp import ok\ndef get_loaded(request):\n    return ok(body=sorted(sys.modules))\n"
    with serving(project(tmp_path, source), "--workers", "1") as server:
        loaded = set(requests.get(f"{server.url}/_functions/loaded", timeout=TIMEOUT).json())
        assert not {name for name in loaded if name.startswith(("prometheus", "wixhttp.metrics.meter"))}
        assert "PROMETHEUS_MULTIPROC_DIR" not in Path(f"/proc/{server.workers()[0]}/environ").read_text()


# --- labels and events ---


@settings(max_examples=20)
@given(st.lists(st.tuples(st.text(), st.text(), st.sampled_from([404, 405, 400])), min_size=5))
def test_no_label_holds_what_a_client_sends(sent: list[tuple[str, str, int]]) -> None:
    for method, path, status in sent:
        head = PlainHead(method, "/" + path, "", [])
        head.function = ""
        METER.watching(None).line(head, status, 0.0, 5)
    for metric in METER.collect():
        for sample in metric.samples:
            if metric.name.startswith("wixhttp_request"):
                assert sample.labels.get("function", "unknown") in ("unknown", "/_wixhttp")
                assert sample.labels.get("method", "other") in {*METHODS, "other"}


METER = SiteMeter()


def test_each_event_that_the_package_tells_is_counted_with_its_labels() -> None:
    told = set()
    for path in Path(wixhttp.__file__).parent.rglob("*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "counted(" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "counted":
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: the event is a literal"
                event = node.args[0].value
                labels = {keyword.arg for keyword in node.keywords}
                told.add(event)
                assert event in EVENTS, f"{path}:{node.lineno}: metrics do not know {event!r}"
                for counter in EVENTS[event]:
                    wanted = set(counter.labels) - dict(counter.implied).keys()
                    assert wanted <= labels, f"{path}:{node.lineno}: {wanted} are its labels"
    assert told <= EVENTS.keys()
    assert {"handler_error", "limit_hit", "refusal"} <= told


def test_events_are_counted_once_somebody_counts() -> None:
    meter = SiteMeter()
    count_with(meter.count_event)
    try:
        counted("job_run", name="mail", outcome="done")
        counted("job_run", name="mail", outcome="done")
        counted("an event that metrics do not know")
    finally:
        count_with(None)
    counted("job_run", name="mail", outcome="done")
    found = samples_of(page_of(meter))
    assert found["wixhttp_job_runs_total", frozenset({("name", "mail"), ("outcome", "done")})] == 2


def page_of(meter: SiteMeter) -> str:
    body = meter.page("").body
    assert isinstance(body, bytes)
    return body.decode()


# --- the numbers of the inbox ---


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(open_store("memory://", Path())) as store:
        yield store


def test_the_age_of_the_oldest_is_told(store: Store) -> None:
    inbox = open_inbox(store)
    inbox.accept([NewJob("a"), NewJob("b", delay=1000)])
    numbers = InboxNumbers(inbox.stats)
    [up, jobs, oldest] = [family.samples for family in numbers.metrics()]
    assert (up[0].value, len(jobs), oldest[0].value >= 0) == (1, 6, True)
    assert {sample.labels["state"]: sample.value for sample in jobs}["waiting"] == 2
    facts = numbers.facts()["inbox"]
    assert isinstance(facts["oldest_seconds"], float)
    assert facts["dead"] == 0


def test_numbers_that_cannot_be_told_are_left_out_and_nobody_waits_for_them(caplog: pytest.LogCaptureFixture) -> None:
    lets_go = threading.Event()

    def ask() -> Stats:
        assert lets_go.wait(TIMEOUT)
        raise StoreUnavailable("the database is away")

    numbers = InboxNumbers(ask)
    assert numbers.get(0.01) is None
    assert numbers.facts() == {}
    lets_go.set()
    assert numbers.get(TIMEOUT) is None
    assert [(family.name, family.samples[0].value) for family in numbers.metrics()] == [("wixhttp_inbox_up", 0)]
    [message] = caplog.messages
    assert message.endswith("the database is away")


# --- the dashboard, and the page ---


@pytest.fixture
def shown(store: Store) -> set[str]:
    """The names of all samples that a page can have."""
    inbox = open_inbox(store)
    inbox.accept([NewJob("a")])
    text = page_of(SiteMeter(InboxNumbers(inbox.stats).metrics))
    kinds = dict(re.findall(r"^# TYPE (wixhttp_\w+) (\w+)$", text, re.MULTILINE))
    names = set(kinds)
    for name, kind in kinds.items():
        if kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


def test_the_dashboard_asks_for_metrics_that_exist(shown: set[str]) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    queries += [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    ]
    asked = {name for query in queries for name in re.findall(r"\bwixhttp_\w+", query)}
    assert asked - shown == set()
    sums = {f"wixhttp_request_duration_seconds{end}" for end in ("", "_sum", "_count")}
    assert shown - asked == {*sums, "wixhttp_rate_limit_storage_failures_total"}


def test_the_dashboard_has_the_form_that_grafana_reads() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert (dashboard["schemaVersion"], dashboard["title"]) == (39, "wixhttp")
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        assert max(x for x, _ in own) < 24
        cells |= own
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["expr"].count("(") == target["expr"].count(")")
            assert target["expr"].count("{") == target["expr"].count("}")


def test_the_page_of_the_documentation_lists_every_metric(shown: set[str]) -> None:
    text = (DASHBOARD.parent / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `(wixhttp_\w+)` \|", text, re.MULTILINE))
    assert listed == {name for name in shown if not name.endswith(("_bucket", "_sum", "_count"))}
