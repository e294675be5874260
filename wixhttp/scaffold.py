"""A new project: the files of ``wixhttp init``, copied from the folder ``template``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

TEMPLATE = Path(__file__).parent / "template"

# Names that a package cannot carry as they are: build tools and version control act on them.
_RENAMED = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}


def make_project(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Write the files of a new project into ``folder``; yields each path, and whether it was written.

    What is there already is kept, and nothing is put beside it that would contradict it.

    Raises:
        OSError: a file cannot be written.
    """
    kept = set(_settled(folder))
    for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        name = source.relative_to(TEMPLATE)
        target = folder / name.with_name(_RENAMED.get(name.name, name.name))
        if name.as_posix() in kept:
            yield target, False
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as file:
                file.write(source.read_bytes())
        except FileExistsError:
            yield target, False
        else:
            yield target, True


def _settled(folder: Path) -> Iterator[str]:
    """The files of the template whose matter a project has settled in another way."""
    functions = folder / "backend" / "http_functions"
    if functions.with_suffix(".py").exists() or functions.is_dir():
        yield "backend/http_functions.py"
        yield "tests/test_http_functions.py"  # it tests the functions of the template
    pyproject = folder / "pyproject.toml"
    if pyproject.is_file() and b"[tool.wixhttp" in pyproject.read_bytes():
        yield "wixhttp.toml"
