"""Jobs that are enqueued by literal names and are not declared."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from wixhttp.messages import nearest
from wixhttp.project.config import Config
from wixhttp.project.findings import Finding

from .file_rules import project_files
from .sources import Source

_ENQUEUING = ("wixhttp.inbox.enqueue", "wixhttp.inbox.job_call")


def job_findings(config: Config, names: Collection[str]) -> Iterator[Finding]:
    """Findings about jobs that the files of a project enqueue, where ``names`` are those that it has."""
    for file in sorted(project_files(config.root, config)):
        text = file.read_bytes()
        if b"enqueue" not in text and b"job_call" not in text:
            continue
        source = Source.read(file, config.root)
        if isinstance(source, Source):
            yield from (each for each in _in_source(source, names) if not each.is_ignored(source.lines))


def _in_source(source: Source, names: Collection[str]) -> Iterator[Finding]:
    for call in source.tree.calls():
        name = call.args[0] if call.args and source.origin(call.func) in _ENQUEUING else None
        if not isinstance(name, ast.Constant) or not isinstance(name.value, str) or name.value in names:
            continue
        way_out = nearest(name.value, names) if names else "the project has no @job"
        yield Finding(
            source.place, name.lineno, "missing-job",
            f"{name.value!r} is no job of the project, and waits until one of that name is there; {way_out}",
        )  # fmt: skip
