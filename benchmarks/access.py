"""API keys and rate limits: one call of a function without and with them, in process; processor time, and ratios.

    python benchmarks/access.py                 medians over interleaved rounds
    python benchmarks/access.py --rounds 60 --calls 500
    python benchmarks/access.py --redis redis://127.0.0.1:6379/0    counted there, instead of by this machine

Keys are in an embedded database (SQLite). Every function is called in each round, in an order of its own. The processor
time is that of all threads of the process; that of a Redis is not in it. `--wall` prints the time that went by instead.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import report
from asgi_calls import ASGICalls
from workload import Case
from wsgi_calls import WSGICalls

from wixhttp.access import create_key

NAMES = {
    "plain": "nothing",
    "limited": "`@rate_limit`, one limit",
    "limited_twice": "`@rate_limit`, two limits",
    "keyed": "`@require_key`",
    "both": "`@require_key`, and `@rate_limit` by key",
}
_MUCH = "900000000/day"
_DECORATORS = {
    "plain": "",
    "limited": f'@rate_limit("{_MUCH}")',
    "limited_twice": f'@rate_limit("900000000/hour;{_MUCH}")',
    "keyed": "@require_key()",
    "both": f'@require_key()\n@rate_limit("{_MUCH}", key="key")',
}


def source() -> str:
    """The functions, each as a ``def`` and as an ``async def``."""
    lines = ["from wixhttp import ok", "from wixhttp.access import rate_limit, require_key"]
    for name, decorators in _DECORATORS.items():
        for kind, ending in (("def", ""), ("async def", "_async")):
            lines += ["", "", decorators, f"{kind} get_{name}{ending}(request):", '    return ok({"body": {"n": 1}})']
    return "\n".join(lines)


class WithKey:
    """An application that is sent a key with each request: as ASGI's scope has it, or WSGI's environ."""

    def __init__(self, application: Any, key: str) -> None:
        self.application = application
        self.key = key
        self.field = (b"x-api-key", key.encode())

    def __call__(self, call: dict[str, Any], *channels: Any) -> Any:
        if "headers" in call:
            call["headers"].append(self.field)
        else:
            call["HTTP_X_API_KEY"] = self.key
        return self.application(call, *channels)


def measure(rounds: int, calls: int, clock: Callable[[], float]) -> list[tuple[str, dict[str, list[float]]]]:
    """Microseconds per call of each function, by the table that they stand in."""
    from wixhttp.asgi import make_application as make_asgi
    from wixhttp.wsgi import make_application as make_wsgi

    key = create_key("benchmark")
    found = []
    for title, made, ending in (
        ("WSGI, `def`", WSGICalls(WithKey(make_wsgi(), key)), ""),
        ("ASGI, `async def`", ASGICalls(WithKey(make_asgi(), key)), "_async"),
        ("ASGI, `def` on a thread", ASGICalls(WithKey(make_asgi(), key)), ""),
    ):
        cases = {name: Case("GET", f"/_functions/{name}{ending}", "", b"", {"n": 1}) for name in NAMES}
        for name, case in cases.items():
            status, body = made.answer(case)
            assert (status, body) == (200, b'{"n":1}'), (name, status, body)
            made.time(case, calls)
        samples: dict[str, list[float]] = {name: [] for name in NAMES}
        for number in range(rounds):
            for name in report.turned(list(NAMES), number):
                begin = clock()
                made.time(cases[name], calls)
                samples[name].append((clock() - begin) / calls * 1e6)
        made.close()
        found.append((title, samples))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="rounds (default: %(default)s)")
    parser.add_argument(
        "--calls", type=int, default=500, help="calls of each function and round (default: %(default)s)"
    )
    parser.add_argument("--redis", default="auto", metavar="URL", help="where rate limits are counted")
    parser.add_argument("--wall", action="store_true", help="the time that went by, for a machine that is idle")
    options = parser.parse_args()
    clock = perf_counter if options.wall else process_time
    with TemporaryDirectory() as folder:
        (Path(folder) / "backend").mkdir()
        (Path(folder) / "backend" / "http_functions.py").write_text(source(), "utf-8")
        os.environ.update(WIXHTTP_PROJECT=folder, WIXHTTP_ACCESS_LOG="false", WIXHTTP_RATE_LIMIT_STORAGE=options.redis)
        for title, samples in measure(options.rounds, options.calls, clock):
            rows = [
                [what, f"{median(samples[name]):.1f}", f"{report.ratio(samples[name], samples['plain']):.2f}"]
                for name, what in NAMES.items()
            ]
            print(report.table([title, "µs", "of nothing"], rows), end="\n\n")
    print(report.environment_line(report.environment(["wixhttp", "limits", "redis", "apsw"])))


if __name__ == "__main__":
    main()
