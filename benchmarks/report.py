"""Helpers that the programs share: the order of a round, ratios, markdown tables, and versions."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median

import workload


def turned(names: list[str], number: int) -> list[str]:
    """The order of a round: another one first each time, every other round backwards."""
    start = number % len(names) if names else 0
    order = names[start:] + names[:start]
    return order[::-1] if number % 2 else order


def ratio(samples: list[float], base: list[float]) -> float:
    """The median of the ratios within each round, which a slow spell of the machine leaves as they are."""
    return median(sample / other for sample, other in zip(samples, base, strict=True))


def ratio_range(samples: list[float], base: list[float]) -> str:
    """`ratio`, with the lowest and highest of the rounds: what lies inside that range is no difference."""
    if samples is base:
        return "1.00"
    each = [sample / other for sample, other in zip(samples, base, strict=True)]
    return f"{ratio(samples, base):.2f} ({min(each):.2f} to {max(each):.2f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def installed(distribution: str) -> str:
    """The distribution's version, or why there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed as a package"


def environment(distributions: Iterable[str]) -> dict[str, str]:
    """The machine, the interpreter and the versions a result belongs to."""
    about = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": str(os.cpu_count()),
    }
    return about | {name: installed(name) for name in distributions}


def node_environment(packages: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The versions of the packages that `npm install` put beside each peer on Node: peer -> packages."""
    about = {}
    for peer, names in packages.items():
        for name in names:
            file = workload.BENCHMARKS / "peers" / peer / "node_modules" / name / "package.json"
            about[name] = json.loads(file.read_bytes())["version"] if file.exists() else "not installed"
    return about


def environment_line(about: dict[str, str]) -> str:
    """`environment` in one sentence."""
    return ", ".join(f"{name} {value}" for name, value in about.items()) + "."
