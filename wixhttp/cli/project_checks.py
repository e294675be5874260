"""The checks of ``wixhttp check``: imports, names, arguments, settings, routes, collections, missing secrets."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from wixhttp.access.site_guards import access_guards
from wixhttp.auth.token_verifiers import check_auth
from wixhttp.data.calls.hooks import HOOKS, Hooks, prefix_of, split_name
from wixhttp.data.collections import open_collections, set_default
from wixhttp.data.schema.declarations import FILE, load_schema
from wixhttp.data.stores.factory import sqlite_path
from wixhttp.data.stores.private_files import is_readable_by_all
from wixhttp.dispatch.site import Site, load_site
from wixhttp.errors import ProjectError
from wixhttp.inbox.service import jobs_of
from wixhttp.metrics.installed import check_installed
from wixhttp.project.config import Config
from wixhttp.project.findings import Finding, below
from wixhttp.project.function_table import PREFIXES, bindings
from wixhttp.project.inbox_files import uses_inbox
from wixhttp.project.loader import PACKAGE, backend_file, load_module
from wixhttp.secrets import SecretStore, set_default_store
from wixhttp.services import load_served_site, missing_for_senders

from .checks.asked_jobs import job_findings
from .checks.file_rules import find_in_files
from .checks.waiting_jobs import unknown_jobs
from .endpoint_checks import endpoint_problems, endpoint_warnings, raising_line, warnings_kept


@dataclass
class Report:
    """The findings of a check: ``summary`` says how much is served; ``problems`` keep the project from being served as
    it is meant."""

    summary: str = ""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, findings: Iterable[Finding]) -> None:
        """Add what was found in files: errors to the problems, the rest to the warnings."""
        for finding in findings:
            (self.problems if finding.is_error else self.warnings).append(str(finding))

    def has(self, error: ProjectError) -> bool:
        """Return whether an error is among the problems, with the line that raised it or without."""
        return any(problem.startswith(str(error)) for problem in self.problems)

    @property
    def counts(self) -> str:
        """Its problems and warnings, counted: ``"no problems"``, ``"2 errors, 1 warning"``."""
        counts = ((len(self.problems), "error"), (len(self.warnings), "warning"))
        return ", ".join(f"{count} {name}{'s' * (count != 1)}" for count, name in counts if count) or "no problems"


def check_project(config: Config, report: Report | None = None) -> Report:
    """Look at a whole project. The ``report`` is filled, even where it is raised:

    Raises:
        ProjectError: it cannot be loaded at all.
    """
    report = Report() if report is None else report
    store = SecretStore.from_config(config)
    set_default_store(store)
    set_default(lambda: open_collections(config))
    found = find_in_files(config, store)
    not_python = {finding.place for finding in found if finding.code == "syntax"}
    try:
        site = _load(config, report, not_python)
    except ProjectError as error:
        report.add(found)
        if _file_of_syntax(error, config) not in not_python:
            raise
        report.summary = "nothing can be served"
        return report
    report.summary = site.summary
    path = sqlite_path(config.store_url, config.root)
    if path is not None and is_readable_by_all(path):
        report.warnings.append(f"every user of this machine may read the database; run: chmod o-rwx {path}*")
    file = backend_file(config.root, "http_functions")
    if file is not None and not len(site.functions):
        report.warnings.append(f"{file} has no function named <prefix>_<name>; prefixes: {', '.join(PREFIXES)}")
    for root in (config.root, config.test_site):
        if root is not None:
            report.problems.extend(_problems_of_modules(root, config))
    report.add(found)
    _check_collections(config, report)
    _check_schedules(config, report)
    if config.auth is not None:
        try:
            check_auth(config.auth, config.root)
        except ProjectError as error:
            report.problems.append(str(error))
    if config.metrics:
        try:
            check_installed()
        except ProjectError as error:
            report.problems.append(str(error))
    missing = {finding.message for finding in found}
    report.problems.extend(each for each in missing_for_senders(site) if not any(told in each for told in missing))
    if not report.problems:
        _check_served(config, report)
    return report


def _check_served(config: Config, report: Report) -> None:
    """Load the site as it is served, with what else is refused then."""
    with warnings_kept():
        site = load_site(config)
    try:
        access_guards(site)
        with warnings_kept():
            served = load_served_site(config)
        service = jobs_of(served)
        names = [] if service is None else service.table.names
        report.add(job_findings(config, names))
        report.warnings.extend(unknown_jobs(names, config))
    except ProjectError as error:
        report.problems.append(str(error))


def _file_of_syntax(error: ProjectError, config: Config) -> str | None:
    """The file that is not Python, where that is the reason of an error."""
    cause = error.__cause__
    return below(Path(cause.filename), config.root) if isinstance(cause, SyntaxError) and cause.filename else None


def _load(config: Config, report: Report, not_python: Collection[str]) -> Site:
    """The site, where endpoints that cannot be loaded are problems, each by itself.

    Raises:
        ProjectError: something else cannot be loaded, or there is nothing.
    """
    found: list[ProjectError] = []
    with warnings_kept() as warned:
        site = load_site(replace(config, mode="development"), problems=found)
    for error in found:
        if error.__cause__ is not None:
            raise error  # of functions or middleware: what was raised is shown with its lines
        report.problems.append(str(error))
    if site.endpoints is not None:
        report.problems.extend(endpoint_problems(site.endpoints, not_python))
        report.warnings.extend(endpoint_warnings(site.endpoints))
    report.warnings[:0] = warned
    return site


def _check_collections(config: Config, report: Report) -> None:
    """Look at ``data/collections.toml`` and ``backend/data.py``."""
    schema, hooks = None, Hooks()
    try:
        schema = load_schema(config.root)
    except ProjectError as error:
        report.problems.append(str(error))
    try:
        hooks = Hooks.load(config.root, config.import_timeout)
        file = backend_file(config.root, "data")
    except ProjectError as error:
        if not report.has(error):  # that of a file that cannot be imported is there
            report.problems.append(str(error))
        return
    if file is not None:
        report.warnings.extend(_misspelt_hooks(file))
    if schema:
        for prefix in sorted(hooks.prefixes - {prefix_of(name) for name in schema}):
            report.warnings.append(
                f"{PACKAGE}/data: {prefix}_... are hooks of a collection that {FILE} does not declare"
            )


def _check_schedules(config: Config, report: Report) -> None:
    """Look at ``backend/jobs.config`` and at functions with ``@scheduled``."""
    if not uses_inbox(config.root):
        return
    from wixhttp.inbox.schedules.loading import load_schedules  # not for projects that schedule nothing

    errors: list[ProjectError] = []
    warnings: list[Finding] = []
    load_schedules(config.root, config.import_timeout, errors, warnings)
    for error in errors:
        if not report.has(error) and not isinstance(error.__cause__, SyntaxError):
            report.problems.append(str(error))
    report.add(warnings)


def _misspelt_hooks(file: Path) -> Iterator[str]:
    """Names that look like hooks and are none: a hook that is misspelt."""
    bound, _ = bindings(ast.parse(file.read_bytes()))
    by_lower = {hook.lower(): hook for hook in HOOKS}
    for name in bound:
        if split_name(name) is not None:
            continue
        match = re.fullmatch(r"(.+?)_((?:before|after)_?[A-Za-z]+)|(.+)_(.+)", name)
        prefix, given = (match[1] or match[3], match[2] or match[4]) if match else ("", "")
        near = difflib.get_close_matches(given.replace("_", "").lower(), by_lower, 1, cutoff=0.85)
        if near:
            yield f"{file.name}: {name} is no hook; did you mean {prefix}_{by_lower[near[0]]}?"
        elif match and match[2]:
            yield f"{file.name}: {name} is no hook; the hooks are {', '.join(HOOKS)}"


def _problems_of_modules(root: Path, config: Config) -> Iterator[str]:
    """The problems of importing the files below ``backend``, those included that are imported late or by nothing."""
    for file in sorted((root / PACKAGE).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if file.name != "__main__.py" and all(part.isidentifier() for part in parts):
            try:
                load_module(root, ".".join(parts).removesuffix(".__init__"), file, config.import_timeout)
            except ProjectError as error:
                if not isinstance(error.__cause__, SyntaxError):  # that is told with its line
                    yield f"{error}{raising_line(error, config)}"
