"""What ``wixhttp check`` looks at: imports, names, arguments, settings, and secrets that are missing."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .config import Config
from .errors import ProjectError, SecretNotFound
from .functions import PREFIXES, bindings
from .loader import PACKAGE, functions_file, load_module
from .secrets import SecretStore, set_default_store
from .site import load_site


@dataclass
class Report:
    """What was found: ``functions`` is their number; ``problems`` keep the project from being served as it is meant."""

    functions: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_project(config: Config) -> Report:
    """Look at a whole project.

    Raises:
        ProjectError: it cannot be loaded at all.
    """
    report = Report()
    store = SecretStore(config.root, config.mode, config.secrets_file)
    set_default_store(store)
    site = load_site(config)
    report.functions = len(site.functions)
    if not report.functions:
        report.warnings.append(
            f"{functions_file(config.root)} has no function named <prefix>_<name>; prefixes: {', '.join(PREFIXES)}"
        )
    for root in (config.root, config.test_site):
        if root is not None:
            report.warnings.extend(_doubtful_names(functions_file(root)))
            report.problems.extend(_problems_of_files(root, store, config.import_timeout))
    return report


def _problems_of_files(root: Path, store: SecretStore, timeout: float) -> Iterator[str]:
    """What is wrong with the files below ``backend``, those included that are imported late or by nothing."""
    for file in sorted((root / PACKAGE).rglob("*.py")):
        place = file.relative_to(root)
        parts = place.with_suffix("").parts
        try:
            asked = list(_secrets_asked_for(file))
            if file.name != "__main__.py" and all(part.isidentifier() for part in parts):
                load_module(root, ".".join(parts).removesuffix(".__init__"), file, timeout)
        except (SyntaxError, ValueError) as error:  # ValueError: a NUL, before Python 3.12
            yield f"{place}:{getattr(error, 'lineno', None) or 1}: the file is not Python: {error}"
            continue
        except ProjectError as error:
            yield str(error)
            continue
        for name, line in asked:
            try:
                store.get(name)
            except SecretNotFound as error:
                yield f"{place}:{line}: {error}"


def _doubtful_names(file: Path) -> Iterator[str]:
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
