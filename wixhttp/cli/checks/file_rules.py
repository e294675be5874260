"""All rules over all files of a project: what ``wixhttp check`` finds in their text."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from wixhttp.data.schema.declarations import load_schema
from wixhttp.errors import ProjectError
from wixhttp.project.config import Config
from wixhttp.project.findings import Finding, below
from wixhttp.project.loader import PACKAGE
from wixhttp.secrets import SecretStore

from .answers import answer_findings
from .asked_collections import collection_findings
from .asked_secrets import secret_findings
from .habits import habit_findings, syntax_finding
from .promises import promise_findings
from .returns import return_findings
from .scheduled import schedule_findings
from .sources import Project, Source, Unparsed


def find_in_files(config: Config, secrets: SecretStore) -> list[Finding]:
    """The findings in the files of a project and of its test site, by place and line; not those that a comment on their
    line says to ignore."""
    found: set[Finding] = set()
    declared = _declared(config)
    for root in (config.root, config.test_site):
        if root is not None:
            files = sorted(project_files(root, config if root == config.root else None))
            with _without_collection():
                found.update(_in_sources([Source.read(file, root) for file in files], secrets, declared))
            found.update(_modules_behind_packages(files, root))
    return sorted(found, key=lambda each: (each.place, each.line, each.code, each.message))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Let no garbage collection run: trees have no reference cycles, and looking at them takes most of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def project_files(root: Path, config: Config | None) -> set[Path]:
    """The files of Python that are the user's: those that are served or imported, and those that nothing imports."""
    files = {*(root / PACKAGE).rglob("*.py")}
    if config is not None:
        files.update((root / "src").rglob("*.py"))
        files.update(config.pages.rglob("*.py"))
        files.update(config.pages.parent.glob("middleware.py"))
    return {file for file in files if file.is_file() and "node_modules" not in file.parts}


def _declared(config: Config) -> Collection[str]:
    """The names of the declared collections; none where others may be used, or the file is a problem by itself."""
    if config.strict_collections is False:
        return ()
    try:
        return load_schema(config.root).keys()
    except ProjectError:
        return ()


def _in_sources(sources: list[Source | Unparsed], secrets: SecretStore, declared: Collection[str]) -> Iterator[Finding]:
    project = Project(source for source in sources if isinstance(source, Source))
    for source in sources:
        if isinstance(source, Unparsed):
            yield syntax_finding(source)
            continue
        for finding in (
            *habit_findings(source, project),
            *answer_findings(source),
            *promise_findings(source, project),
            *secret_findings(source, secrets),
            *collection_findings(source, declared),
            *return_findings(source),
            *schedule_findings(source),
        ):
            if not finding.is_ignored(source.lines):
                yield finding


def _modules_behind_packages(files: list[Path], root: Path) -> Iterator[Finding]:
    there = set(files)
    for file in files:
        package = file.with_suffix("") / "__init__.py"
        if package in there and file.name != "__init__.py":
            message = f"the package {below(package.parent, root)}/ is imported in its place; keep one"
            yield Finding(below(file, root), 0, "misplaced-file", message)
