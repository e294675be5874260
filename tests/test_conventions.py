"""Conventions of names and docstrings in the package: one name, one meaning; a docstring says what the thing is."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import wixhttp

ROOT = Path(wixhttp.__file__).parent
REPOSITORY = Path(__file__).parents[1]


@cache
def trees() -> dict[str, ast.Module]:
    """The files of the package, parsed."""
    paths = [path for path in ROOT.rglob("*.py") if "template" not in path.parts]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_bytes()) for path in paths}


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """The node and the statements in it, at any depth: where classes and functions stand."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from statements(child)


# The web's types beside Velo's: their docstrings say which they are.
COUNTERPARTS = {"AsyncRequest", "Request", "Response"}


def test_no_class_name_occurs_twice_but_those_of_counterparts() -> None:
    files = defaultdict(list)
    for file, tree in trees().items():
        for node in statements(tree):
            if isinstance(node, ast.ClassDef):
                files[node.name.lstrip("_")].append(file)
    assert {name for name, places in files.items() if len(places) > 1} == COUNTERPARTS
    for name in COUNTERPARTS:
        assert sorted(files[name]) == sorted(
            [f"http/{name.removeprefix('Async').lower()}.py", f"endpoints/web/{name.removeprefix('Async').lower()}.py"]
        )


def test_docstrings_begin_with_what_the_thing_is_or_does() -> None:
    question = re.compile(r"(What|Who|Whose|How|Whether|Where|When|Which)\b")
    beside = [
        path for folder in ("tests", "benchmarks", "backend", "src") for path in REPOSITORY.glob(f"{folder}/**/*.py")
    ]
    files = trees() | {
        path.relative_to(REPOSITORY).as_posix(): ast.parse(path.read_bytes())
        for path in beside
        if not {"sites", "node_modules"} & set(path.parts)
    }
    wrong = [
        f"{file}:{node.lineno if not isinstance(node, ast.Module) else 1}"
        for file, tree in files.items()
        for node in statements(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and question.match(ast.get_docstring(node) or "")
    ]
    assert wrong == []


def test_a_folder_has_at_most_twenty_modules() -> None:
    modules = defaultdict(list)
    for file in trees():
        if not file.endswith("__init__.py"):
            modules[file.rpartition("/")[0]].append(file)
    assert {folder: len(files) for folder, files in modules.items() if len(files) > 20} == {}


def test_names_in_backticks_exist() -> None:
    known = {"convert_to", "wixhttp"}  # the first is PostgreSQL's
    for file, tree in trees().items():
        known |= {part.removesuffix(".py") for part in file.split("/")}
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                known.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                known.add(node.id if isinstance(node, ast.Name) else node.attr)
            elif isinstance(node, ast.arg):
                known.add(node.arg)
    stale = [
        f"{file}: `{name}`"
        for file in trees()
        for name in re.findall(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)", (ROOT / file).read_text())
        if not known.issuperset(name.split("."))
    ]
    assert stale == []
