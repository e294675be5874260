"""The checks of ``wixhttp check``: imports, names, arguments, settings, routes, collections, missing secrets."""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from wixhttp.auth.token_verifiers import check_auth
from wixhttp.data.calls.hooks import HOOKS, Hooks, prefix_of, split_name
from wixhttp.data.collections import open_collections, set_default
from wixhttp.data.schema.declarations import FILE, load_schema
from wixhttp.dispatch.site import Site, load_site
from wixhttp.endpoints.endpoint_table import Endpoints
from wixhttp.endpoints.loader import shown
from wixhttp.errors import ProjectError, SecretNotFound
from wixhttp.project.config import Config
from wixhttp.project.function_table import PREFIXES, bindings
from wixhttp.project.loader import PACKAGE, backend_file, functions_file, has_functions, load_module
from wixhttp.secrets import SecretStore, set_default_store

from .endpoint_checks import broken_routes, endpoint_problems, endpoint_warnings, warnings_kept


@dataclass
class Report:
    """The findings: ``summary`` says how much is served; ``problems`` keep the project from being served as it is
    meant."""

    summary: str = ""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_project(config: Config) -> Report:
    """Look at a whole project.

    Raises:
        ProjectError: it cannot be loaded at all.
    """
    report = Report()
    store = SecretStore.from_config(config)
    set_default_store(store)
    set_default(lambda: open_collections(config))
    site = _load(config, report)
    report.summary = site.summary
    file = backend_file(config.root, "http_functions")
    if file is not None and not len(site.functions):
        report.warnings.append(f"{file} has no function named <prefix>_<name>; prefixes: {', '.join(PREFIXES)}")
    for root in (config.root, config.test_site):
        if root is not None:
            if has_functions(root):
                report.warnings.extend(_misspelt_names(functions_file(root)))
            report.problems.extend(_problems_of_files(root, store, config.import_timeout))
    if site.endpoints is not None:
        report.problems.extend(_problems_of_sources(site.endpoints, store))
    _check_collections(config, report)
    if config.auth is not None:
        try:
            check_auth(config.auth, config.root)
        except ProjectError as error:
            report.problems.append(str(error))
    if not report.problems:
        with warnings_kept():
            load_site(config)  # as it is served, with what else is refused then
    return report


def _load(config: Config, report: Report) -> Site:
    """The site, where endpoints that cannot be loaded are problems, each by itself.

    Raises:
        ProjectError: something else cannot be loaded, or there is nothing.
    """
    if not has_functions(config.root) and not config.pages.is_dir() and config.sources.get("pages") == "default":
        raise ProjectError(
            f"there is no {config.root / PACKAGE / 'http_functions.py'} and no folder {config.pages}; "
            "'wixhttp init' makes a project, --project names its folder"
        )
    with warnings_kept() as warned:
        site = load_site(replace(config, mode="development"))
    if site.endpoints is not None:
        report.problems.extend(endpoint_problems(site.endpoints))
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
        if str(error) not in report.problems:  # that of a file that cannot be imported is there
            report.problems.append(str(error))
        return
    if file is not None:
        report.warnings.extend(_misspelt_hooks(file))
    if schema:
        for prefix in sorted(hooks.prefixes - {prefix_of(name) for name in schema}):
            report.warnings.append(
                f"{PACKAGE}/data: {prefix}_... are hooks of a collection that {FILE} does not declare"
            )


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


def _problems_of_files(root: Path, store: SecretStore, timeout: float) -> Iterator[str]:
    """The problems of the files below ``backend``, those included that are imported late or by nothing."""
    for file in sorted((root / PACKAGE).rglob("*.py")):
        place = file.relative_to(root)
        parts = place.with_suffix("").parts
        load = None
        if file.name != "__main__.py" and all(part.isidentifier() for part in parts):
            load = partial(load_module, root, ".".join(parts).removesuffix(".__init__"), file, timeout)
        yield from _problems_of_file(file, str(place), store, load)


def _problems_of_sources(endpoints: Endpoints, store: SecretStore) -> Iterator[str]:
    """The problems of the files below ``src`` as they stand, those included that nothing imports."""
    config = endpoints.config
    pages = config.pages
    files = {*(config.root / "src").rglob("*.py"), *pages.rglob("*.py"), *pages.parent.glob("middleware.py")}
    for file in sorted(files - {route.file for route in broken_routes(endpoints)}):
        yield from _problems_of_file(file, shown(file, config), store)


def _problems_of_file(
    file: Path, place: str, store: SecretStore, load: Callable[[], object] | None = None
) -> Iterator[str]:
    try:
        asked = list(_secrets_asked_for(file))
        if load is not None:
            load()
    except (SyntaxError, ValueError) as error:  # ValueError: a NUL, before Python 3.12
        yield f"{place}:{getattr(error, 'lineno', None) or 1}: the file is not Python: {error}"
        return
    except ProjectError as error:
        yield str(error)
        return
    for name, line in asked:
        try:
            store.get(name)
        except SecretNotFound as error:
            yield f"{place}:{line}: {error}"


def _misspelt_names(file: Path) -> Iterator[str]:
    """Names that look like functions and are none: a prefix in other case, or one that an import binds."""
    bound, imported = bindings(ast.parse(file.read_bytes()))
    for name in bound:
        prefix, _, rest = name.partition("_")
        if rest and prefix not in PREFIXES and prefix.lower() in PREFIXES:
            yield f"{file.name}: {name} is no HTTP function; prefixes are lower case: {prefix.lower()}_{rest}"
    for name in sorted(imported):
        prefix, _, rest = name.partition("_")
        if rest and prefix in PREFIXES and name in bound:
            yield f"{file.name}: {name} is imported as well as defined, so it is not served; name one of them otherwise"


def _secrets_asked_for(file: Path) -> Iterator[tuple[str, int]]:
    """Every ``getSecret("NAME")`` with a literal name: name and line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the user's files were given when they were imported
        tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _called(node) == "getSecret":
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value, node.lineno


def _called(node: ast.Call) -> str:
    function = node.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
