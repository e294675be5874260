"""A new project: the files of ``wixhttp init``, copied from the folder ``template``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

TEMPLATE = Path(__file__).parent / "template"  # the files of every project, and a folder for each kind of its own

# Names that a package cannot carry as they are: build tools and version control act on them.
_RENAMED = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}
_BUILD = b"RUN wixhttp build"
_FROM_PYPROJECT, _WIXHTTP_ALONE = b"--find-links /build /build", b"--find-links /build wixhttp"


def make_project(folder: Path, *, endpoints: bool = False) -> Iterator[tuple[Path, bool]]:
    """Write the files of a new project, of HTTP functions or of ``endpoints``, into ``folder``; yields each path, and
    whether it was written.

    What is there already is kept, and nothing is put beside it that would contradict it.

    Raises:
        OSError: a file cannot be written.
    """
    kind = TEMPLATE / ("endpoints" if endpoints else "functions")
    sources = {path.name: path for path in TEMPLATE.iterdir() if path.is_file()}
    sources["data/collections.toml"] = TEMPLATE / "data" / "collections.toml"
    for path in kind.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            sources[path.relative_to(kind).as_posix()] = path
    has_pages = endpoints or (folder / "src/pages").is_dir()
    packages = folder / "pyproject.toml"
    lacks_wixhttp = packages.is_file() and b'"wixhttp' not in packages.read_bytes()
    kept = set(_settled(folder, sources))
    for name, source in sorted(sources.items()):
        target = folder / _RENAMED.get(name, name)
        if name in kept:
            yield target, False
            continue
        content = source.read_bytes()
        if name == "Dockerfile" and has_pages:
            content = content.replace(b"# " + _BUILD, _BUILD)
        if name == "Dockerfile" and lacks_wixhttp:
            content = content.replace(_FROM_PYPROJECT, _WIXHTTP_ALONE)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as file:
                file.write(content)
        except FileExistsError:
            yield target, False
        else:
            yield target, True


def _settled(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """The files of the template whose matter a project has settled in another way."""
    functions = folder / "backend" / "http_functions"
    if functions.with_suffix(".py").exists() or functions.is_dir():
        yield "backend/http_functions.py"
        yield "tests/test_http_functions.py"  # it tests the functions of the template
    if (folder / "src/middleware.py").exists() or any((folder / "src/pages").rglob("*.py")):
        yield from (name for name in names if name.startswith("src/"))
        yield "tests/test_endpoints.py"
    pyproject = folder / "pyproject.toml"
    if pyproject.is_file() and b"[tool.wixhttp" in pyproject.read_bytes():
        yield "wixhttp.toml"
