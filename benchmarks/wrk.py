"""`wrk`, the load generator: how it is called, and what it says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import workload

_POST = f"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{workload.ORDER_JSON.decode()}]]
"""
# Each thread of wrk has an interpreter of its own, with its own `counts`; `setup` and `done` run in the first one.
_COUNT = """
counts, threads = {}, {}
function setup(thread) table.insert(threads, thread) end
function response(status) counts[status] = (counts[status] or 0) + 1 end
function statuses()
  local pairs_of_all = {}
  for _, thread in ipairs(threads) do
    for status, number in pairs(thread:get("counts")) do
      table.insert(pairs_of_all, string.format('[%d, %d]', status, number))
    end
  end
  return table.concat(pairs_of_all, ", ")
end
"""
_DONE = """
function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  print(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d, "statuses": [%s]}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status, broken,
    statuses and statuses() or ""
  ))
end
"""


class LoadError(Exception):
    """Some answers were no 2xx or 3xx, a connection broke, or `wrk` failed."""


class Load(NamedTuple):
    """The load: threads of `wrk`, connections kept open, seconds."""

    threads: int
    connections: int
    seconds: int


class Answers(NamedTuple):
    """The outcome of a load. Latencies are seconds from request to answer, which half or 99 % of them do not exceed."""

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int
    """Answers that were no 2xx or 3xx."""
    broken: int
    """Connections that failed, and answers that took more than ten seconds."""
    statuses: dict[int, int]
    """Status -> answers; empty unless asked for."""

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def run(url: str, load: Load, *, post: bool = False, statuses: bool = False) -> Answers:
    """Put the load on the URL: GET, or with `post` the order of the workload. `statuses` costs `wrk` some of its time.

    Raises:
        LoadError: `wrk` failed.
    """
    with TemporaryDirectory() as folder:
        script = Path(folder, "script.lua")
        script.write_text((_POST if post else "") + (_COUNT if statuses else "") + _DONE, encoding="utf-8")
        command = ["wrk", f"-t{load.threads}", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout=10s"]
        command += [f"--script={script}", url]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=load.seconds + 60, check=False)
    said = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    if not said:
        raise LoadError(f"wrk on {url}: {ended.stderr.strip() or ended.stdout.strip()}")
    values = json.loads(said[0])
    by_status: dict[int, int] = {}
    for status, number in values["statuses"]:
        by_status[status] = by_status.get(status, 0) + number
    return Answers(
        values["requests"],
        values["microseconds"] / 1e6,
        values["p50"] / 1e6,
        values["p99"] / 1e6,
        values["refused"],
        values["broken"],
        by_status,
    )


def run_cleanly(url: str, load: Load, *, post: bool = False) -> Answers:
    """`run`, where every answer must be a 2xx or 3xx.

    Raises:
        LoadError: one is not, a connection broke, no answer came, or `wrk` failed.
    """
    answers = run(url, load, post=post)
    if answers.refused or answers.broken or not answers.requests:
        counts = f"{answers.refused} of {answers.requests} answers were no 2xx or 3xx, {answers.broken} did not come"
        raise LoadError(f"wrk on {url}: {counts}")
    return answers
