"""Processor time and memory of the processes of a session, as Linux counts them. Each server has its own session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_ENDED = (FileNotFoundError, ProcessLookupError)  # how a process that has ended meanwhile is told


def cpu_seconds(session: int) -> float:
    """User and system time that all processes of the session have used, in ticks of (usually) 10 ms.

    With that of children that have ended, which count for their parent then, it only grows.
    """
    return sum(sum(map(int, fields[11:15])) for _, fields in _stats(session)) / TICKS_PER_SECOND


def memory_bytes(session: int) -> tuple[int, int]:
    """Resident memory now, and the most that it has been: of the process of the session that has had most."""
    return max((_memory(process) for process, _ in _stats(session)), key=lambda pair: pair[1], default=(0, 0))


def _stats(session: int) -> Iterator[tuple[Path, list[str]]]:
    """The folder and the fields of `/proc/PID/stat` (proc(5)) of each process, from its third field on."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                text = (process / "stat").read_text(encoding="utf-8", errors="replace")
            except _ENDED:
                continue
            fields = text.rpartition(")")[2].split()  # the second is a name, which may have spaces
            if int(fields[3]) == session:
                yield process, fields


def _memory(process: Path) -> tuple[int, int]:
    """`VmRSS` and `VmHWM` of `/proc/PID/status`; a process that has ended has none."""
    values = dict.fromkeys(("VmRSS", "VmHWM"), 0)
    try:
        text = (process / "status").read_text(encoding="utf-8", errors="replace")
    except _ENDED:
        text = ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in values:
            values[name] = int(value.split()[0]) * 1024  # "kB" there is 1,024 bytes
    return values["VmRSS"], values["VmHWM"]
