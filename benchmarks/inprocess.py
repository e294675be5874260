"""One call of the WSGI or ASGI application, without a server: microseconds, or processor instructions, per call.

    python benchmarks/inprocess.py                  microseconds, medians over interleaved rounds
    python benchmarks/inprocess.py --instructions   instructions, which other load on the machine does not change
    python benchmarks/inprocess.py --tables asgi asgi-def
    python benchmarks/inprocess.py --one flask get 2000

Every candidate runs in its own process, so none shares a heap, a garbage collector or an import with another.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from statistics import median
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import calls
import report

DISTRIBUTIONS = [
    *("wixhttp", "falcon", "bottle", "werkzeug", "flask", "functions-framework", "starlette", "blacksheep", "orjson"),
    "uvloop",
]


class Result(NamedTuple):
    """Samples of one candidate in one case, one per round, in the unit of the run; or why there are none."""

    samples: list[float]
    error: str | None = None


class Section(NamedTuple):
    """One table: candidates against cases. The first candidate is what the ratios are to."""

    title: str
    candidates: list[str]
    cases: list[str]


SECTIONS = {
    "frameworks": Section("Candidate", list(calls.FRAMEWORKS), ["get", "post"]),
    "endpoints": Section(
        "Endpoints, of the same function", ["wixhttp", "wixhttp-endpoint", *calls.ENDPOINTS], ["get", "post"]
    ),
    "asgi": Section("ASGI, `async def`", list(calls.ASGI), ["get", "post"]),
    "asgi-def": Section("ASGI, `def` on a thread", list(calls.ASGI_DEF), ["get"]),
    "metrics": Section("With and without metrics", list(calls.METRICS), ["get", "post"]),
    "functions": Section("Functions in the project", ["wixhttp-1-function", "wixhttp-10000-functions"], ["last"]),
    "routes": Section("Routes `/api/r17/[id]` in the project", ["wixhttp-1-route", "wixhttp-1000-routes"], ["route"]),
    "siblings": Section(
        "Routes `/p17-[id]` in the project", ["wixhttp-1-sibling", "wixhttp-1000-siblings"], ["sibling"]
    ),
}


def asked(sections: list[Section]) -> dict[str, list[str]]:
    """Case -> the candidates that are asked it, each once for all tables."""
    names: dict[str, list[str]] = {}
    for section in sections:
        for case in section.cases:
            known = names.setdefault(case, [])
            known += [name for name in section.candidates if name not in known]
    return names


class Worker:
    """A process that makes a batch of calls whenever it is asked; the first batch, its warm-up, at once."""

    def __init__(self, name: str, case: str, batch: int) -> None:
        self.process = subprocess.Popen(
            _one(name, case, batch), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.error: str | None = self._read().get("error")

    def batch(self) -> float:
        """Microseconds per call."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        return float(self._read()["microseconds"])

    def close(self) -> None:
        self.process.communicate(timeout=60)

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"error": "the process ended"}')
        return answer


def measure_time(names: list[str], case: str, rounds: int, batch: int) -> dict[str, Result]:
    """Microseconds per call. Every round asks all candidates, in an order of its own."""
    workers = {name: Worker(name, case, batch) for name in names}
    results = {name: Result([], worker.error) for name, worker in workers.items()}
    try:
        for number in range(rounds):
            for name in report.turned([name for name in names if not results[name].error], number):
                results[name].samples.append(workers[name].batch())
    finally:
        for worker in workers.values():
            worker.close()
    return results


def measure_instructions(names: list[str], case: str, batch: int) -> dict[str, Result]:
    """Instructions in user space per call: a run of twice the calls less one of once, so that start-up cancels."""
    count = _perf if _perf_works() else _callgrind
    results = {}
    for name in names:
        error = _first_line(_one(name, case, 1)).get("error")
        samples = [] if error else [(count(_one(name, case, 2 * batch)) - count(_one(name, case, batch))) / batch]
        results[name] = Result(samples, error)
    return results


def _one(name: str, case: str, batch: int) -> list[str]:
    return [sys.executable, __file__, "--one", name, case, str(batch)]


def _first_line(command: list[str]) -> dict[str, Any]:
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def _perf_works() -> bool:
    """True if `perf` is here and may read the processor's counters; many virtual machines do not hand them on."""
    if not shutil.which("perf"):
        return False
    try:
        return _perf(["true"]) > 0
    except (ValueError, subprocess.CalledProcessError):
        return False


def _perf(command: list[str]) -> float:
    with NamedTemporaryFile("r", encoding="utf-8") as file:
        _run_counted(
            ["perf", "stat", "--field-separator=,", "--event=instructions:u", f"--output={file.name}", *command]
        )
        return float(re.findall(r"^([^,#\n]+),", file.read(), re.MULTILINE)[0])


def _callgrind(command: list[str]) -> float:
    if not shutil.which("valgrind"):
        sys.exit("--instructions needs valgrind, or perf with access to the processor's counters")
    with NamedTemporaryFile("r", encoding="utf-8") as file:
        _run_counted(["valgrind", "--tool=callgrind", f"--callgrind-out-file={file.name}", *command])
        return float(re.findall(r"^(?:summary|totals): (\d+)", file.read(), re.MULTILINE)[-1])


def _run_counted(command: list[str]) -> None:
    """Run with a fixed hash seed, so that the same work costs the same twice."""
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=True)


def rows(section: Section, results: dict[str, dict[str, Result]], digits: int) -> Iterable[list[str]]:
    base_name = section.candidates[0]
    for name in section.candidates:
        row = [name]
        for case in section.cases:
            result, base = results[case][name], results[case][base_name]
            row.append(f"{median(result.samples):,.{digits}f}" if result.samples else "missing")
            row.append(f"{report.ratio(result.samples, base.samples):.2f}" if result.samples and base.samples else "")
        yield row


def markdown(sections: list[Section], results: dict[str, dict[str, Result]], unit: str, about: dict[str, str]) -> str:
    """One table per section, what is missing and why, and what the figures belong to."""
    blocks = []
    for section in sections:
        base = section.candidates[0]
        head = [section.title]
        for case in section.cases:
            head += [f"{case}, {unit}", f"of {base}"]
        blocks.append(report.table(head, rows(section, results, 1 if unit == "µs" else 0)))
    missing = {name: result.error for case in results.values() for name, result in case.items() if result.error}
    blocks += [f"Missing: {name} ({reason})." for name, reason in missing.items()]
    return "\n\n".join([*blocks, report.environment_line(about)])


def main() -> None:
    options = _options()
    if options.one:
        name, case, batch = options.one
        calls.serve(name, case, int(batch))
        return
    unit = "instructions" if options.instructions else "µs"
    sections = [SECTIONS[name] for name in options.tables]
    results = {
        case: measure_instructions(names, case, options.calls)
        if options.instructions
        else measure_time(names, case, options.rounds, options.calls)
        for case, names in asked(sections).items()
    }
    about = report.environment(DISTRIBUTIONS)
    if options.json:
        samples = {case: {n: r._asdict() for n, r in by_name.items()} for case, by_name in results.items()}
        print(json.dumps({"unit": unit, "environment": about, "results": samples}, indent=2))
    else:
        print(markdown(sections, results, unit, about))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="rounds of timing (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=2000, help="calls per candidate and round (default: %(default)s)")
    parser.add_argument("--instructions", action="store_true", help="count instructions with perf, else valgrind")
    parser.add_argument(
        "--tables", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="TABLE",
        help=f"of {', '.join(SECTIONS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print every sample, as JSON")
    parser.add_argument(
        "--one", nargs=3, metavar=("CANDIDATE", "CASE", "CALLS"), help="one batch; one more per input line"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
