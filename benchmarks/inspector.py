"""The cost of the inspector: requests per second of `wixhttp dev` with 1 000 kept requests and a page of the inspector
that follows them, against the same server without recording.

    python benchmarks/inspector.py
    python benchmarks/inspector.py --rounds 9 --duration 4

Both servers run all the time, with default settings, and take the load in turns, another one first each time. The cost
is one minus the ratio of the medians. Beside it stands the processor time per request of all processes of the server,
which other programs disturb less. It needs `wrk`, and two processors that do nothing else.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import processes
import report
import workload
import wrk
from servers import CASES, GET_ASYNC, GET_DEF, POST_DEF, POSTS, SERVERS, Server, ask, check, running

RECORDED, UNRECORDED = NAMES = ["recorded, followed", "not recorded"]
GET_ITEM = "GET, def, an item of a collection"
ITEM = """

from wixhttp import data

def get_item(request):
    key = request.path[0]
    return ok({"body": data.get("items", key) or data.insert("items", {"_id": key, "name": "a towel"})})
"""
SMALL = SERVERS["wixhttp serve"].targets
TARGETS = {**SMALL, GET_ITEM: "/_functions/item/1"}
ALL_CASES = [*CASES, GET_ITEM]
KEPT = 1000
MOST_COST = 0.05


def server(command: list[str], site: Path) -> Server:
    """A development server of a site."""
    return Server([sys.executable, *command, "--project", str(site), "dev", "--port={port}"], SMALL, logs=True)


def follow(port: int, counted: list[int]) -> None:
    """Read the inspector's events until the server ends, as its page does."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/_wixhttp/requests/events", headers={"Accept": "text/event-stream"})
    response = connection.getresponse()
    assert response.status == 200, response.status
    try:
        while part := response.read1(65_536):
            counted[0] += len(part)
    except (OSError, http.client.HTTPException, ValueError):
        return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--duration", type=int, default=3, help="seconds of each load")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--cases", nargs="+", choices=ALL_CASES, default=[GET_ASYNC, GET_DEF, POST_DEF, GET_ITEM])
    options = parser.parse_args()
    load = wrk.Load(1, options.connections, options.duration)
    samples: dict[str, dict[str, list[float]]] = {case: {name: [] for name in NAMES} for case in options.cases}
    processor: dict[str, dict[str, list[float]]] = {case: {name: [] for name in NAMES} for case in options.cases}
    followed = [0]
    with ExitStack() as stack:
        ports, sessions = {}, {}
        for name, command in (
            (RECORDED, ["-m", "wixhttp"]),
            (UNRECORDED, [str(Path(__file__).with_name("unrecorded.py"))]),
        ):
            site = Path(stack.enter_context(TemporaryDirectory()), "site")
            shutil.copytree(workload.SITE, site)
            with (site / "backend" / "http_functions.py").open("a") as file:
                file.write(ITEM)
            (site / "data").mkdir(exist_ok=True)
            (site / "data" / "collections.toml").write_text("[items]\n")
            started = stack.enter_context(running(server(command, site), 1))
            check(server(command, site), started.port)
            answered = ask(started.port, TARGETS[GET_ITEM])
            assert answered[0] == 200, answered
            ports[name], sessions[name] = started.port, started.session
        for _ in range(KEPT):
            ask(ports[RECORDED], TARGETS[GET_ASYNC])
        threading.Thread(target=follow, args=(ports[RECORDED], followed), daemon=True).start()
        for number in range(options.rounds):
            for case in options.cases:
                for name in report.turned(NAMES, number):
                    url = f"http://127.0.0.1:{ports[name]}{TARGETS[case]}"
                    before = processes.cpu_seconds(sessions[name])
                    answers = wrk.run_cleanly(url, load, post=case in POSTS)
                    spent = processes.cpu_seconds(sessions[name]) - before
                    samples[case][name].append(answers.per_second)
                    processor[case][name].append(spent / answers.requests * 1e6)
    rows, worst = [], 0.0
    for case, by_name in samples.items():
        fast, base = median(by_name[RECORDED]), median(by_name[UNRECORDED])
        cost = 1 - fast / base
        worst = max(worst, cost)
        spread = report.ratio_range(by_name[RECORDED], by_name[UNRECORDED])
        rows.append([f"requests per second, {case}", f"{base:.0f}", f"{fast:.0f}", f"{cost:.1%}", spread])
        few, many = median(processor[case][UNRECORDED]), median(processor[case][RECORDED])
        spread = report.ratio_range(processor[case][RECORDED], processor[case][UNRECORDED])
        rows.append([f"us of processor time, {case}", f"{few:.1f}", f"{many:.1f}", f"{many / few - 1:.1%}", spread])
    print(report.table(["", UNRECORDED, RECORDED, "cost", "ratio (rounds)"], rows))
    print(f"\nThe page was sent {followed[0]} bytes of events.")
    return 0 if worst < MOST_COST and followed[0] else 1


if __name__ == "__main__":
    sys.exit(main())
