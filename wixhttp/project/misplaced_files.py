"""Files and folders that are nearly where they are read: of another name, of another place, in JavaScript.

They are looked for by the listings of a few folders when a project is loaded, and by ``wixhttp check``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .config import Config
from .findings import Finding, below
from .loader import PACKAGE

FUNCTIONS = "http_functions"
_SCRIPTS = (".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx", ".jsw", ".astro")
_SKIPPED = {"node_modules", "venv", "env", "dist", "build", "docs", "tests", "test", "__pycache__", "site-packages"}
_COLLECTIONS = ("collections.toml", "collections.yaml", "collections.yml", "collections.json", "collection.toml")
_JOBS = "jobs.config"
_NEAR_JOBS = ("jobs.json", "jobs.conf", "jobs.cfg", "job.config", "jobs-config", "jobs.config.json", "jobs.config.txt")
_NOT_THERE = {
    "events.js": "events are not sent; the hooks of collections stand in backend/data.py",
    "routers.js": "routers are not there; endpoints in src/pages answer any path",
    "permissions.json": "web methods are not there; HTTP functions and endpoints answer a page's calls",
}


def misplaced_files(config: Config) -> Iterator[Finding]:
    """The files of a project that are not read, where another name or place was meant."""
    root, found = config.root, _Folder(config.root)
    backend = _Folder(root / PACKAGE)
    has_functions = backend.has(f"{FUNCTIONS}.py") or (root / PACKAGE / FUNCTIONS / "__init__.py").is_file()
    yield from _functions(root, found, backend, has_functions=has_functions)
    yield from _of_backend(root, backend)
    yield from _pages(config)
    yield from _settings(root, found, backend)
    yield from _jobs(root, found, backend)


def nothing_to_serve(root: Path) -> str:
    """The error of a folder without functions and endpoints: it names what stands there under another name."""
    near = _nearest_project(root)
    return (
        f"there is no {root / PACKAGE / FUNCTIONS}.py and no folder src/pages; "
        + (f"{near}. " if near else "")
        + "'wixhttp init' makes a project, --project names its folder"
    )


def _nearest_project(root: Path) -> str | None:
    """The nearest to a project that stands in or near a folder, as a sentence; ``None``: nothing."""
    found, backend = _Folder(root), _Folder(root / PACKAGE)
    if (root.name == PACKAGE and found.has(f"{FUNCTIONS}.py")) or (root.name == "src" and found.has("pages")):
        return f"the project's folder is the one above: wixhttp --project {root.parent}"
    for finding in (*_functions(root, found, backend, has_functions=False), *_pages_elsewhere(root)):
        return f"{finding.place} is not read: {finding.message}"
    for child in sorted(found.names):
        folder = root / child
        if child.startswith(".") or child in _SKIPPED or child in (PACKAGE, "src") or not folder.is_dir():
            continue
        if (folder / PACKAGE / f"{FUNCTIONS}.py").is_file() or (folder / "src" / "pages").is_dir():
            return f"there is a project in the folder {child}: wixhttp --project {child}"
    return None


class _Folder:
    """The names in a folder; none where there is no such folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.names = frozenset(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            self.names = frozenset()

    def has(self, name: str) -> bool:
        """Return whether there is a file or folder of that name, in this case."""
        return name in self.names


def _found(path: Path, root: Path, message: str, *, is_folder: bool = False) -> Finding:
    return Finding(below(path, root) + "/" * is_folder, 0, "misplaced-file", message)


def _functions(root: Path, found: _Folder, backend: _Folder, *, has_functions: bool) -> Iterator[Finding]:
    """Files that may be that of the HTTP functions, under another name or in another place."""
    wanted = f"{PACKAGE}/{FUNCTIONS}.py"
    for folder in (backend, found):
        for name in sorted(folder.names):
            if _is_functions(name) and not (folder is backend and name in (f"{FUNCTIONS}.py", FUNCTIONS)):
                yield from _near_functions(root, folder.path / name, wanted, has_functions=has_functions)
    package = backend.path / FUNCTIONS
    if package.is_dir() and not (package / "__init__.py").is_file() and not backend.has(f"{FUNCTIONS}.py"):
        yield _found(package, root, "a package has an __init__.py, where its functions stand", is_folder=True)
    for name in sorted(found.names):
        if name.replace("-", "").replace("_", "").lower() == PACKAGE and name != PACKAGE and (root / name).is_dir():
            yield _found(root / name, root, f"name the folder {PACKAGE}/", is_folder=True)
    second = root / "src" / PACKAGE
    if any(
        _is_functions(name) or name.endswith((".js", ".jsw")) or name in ("data.py", _JOBS)
        for name in _Folder(second).names
    ):
        both = f"{PACKAGE}/ beside src/ is; keep one" if has_functions else f"move it to {PACKAGE}/, beside src/"
        yield _found(second, root, both, is_folder=True)
    if found.has(f"{PACKAGE}.py") and not backend.names:
        yield _found(root / f"{PACKAGE}.py", root, f"move the functions to {wanted}")


def _is_functions(name: str) -> bool:
    stem, _, ending = name.partition(".")
    squashed = stem.replace("-", "").replace("_", "").replace(" ", "").lower()
    return squashed in ("httpfunctions", "httpfunction") and (not ending or f".{ending}" in (".py", ".pyw", *_SCRIPTS))


def _near_functions(root: Path, path: Path, wanted: str, *, has_functions: bool) -> Iterator[Finding]:
    if path.suffix in _SCRIPTS:
        if not has_functions:
            yield _found(path, root, f"it is JavaScript; write the functions in Python, in {wanted}")
    elif has_functions:
        yield _found(path, root, f"{wanted} is; move what is in it there, and remove it")
    elif path.suffix or path.is_dir():
        place = wanted if path.suffix else wanted.removesuffix(".py")
        yield _found(path, root, f"rename it: {place}", is_folder=not path.suffix)


def _of_backend(root: Path, backend: _Folder) -> Iterator[Finding]:
    """Files of a Velo site's backend that are not run here."""
    for name in sorted(backend.names):
        stem, ending = os.path.splitext(name)
        if name in _NOT_THERE:
            yield _found(backend.path / name, root, _NOT_THERE[name])
        elif ending in _SCRIPTS and not _is_functions(name):
            module = stem.partition(".")[0].replace("-", "_")
            if not backend.has(f"{module}.py") and not backend.has(module):
                yield _found(backend.path / name, root, f"it is JavaScript; write {PACKAGE}/{module}.py in Python")


def _pages(config: Config) -> Iterator[Finding]:
    """Files that may be an endpoint or a middleware, in another language or place."""
    root, pages = config.root, config.pages
    for folder, _, names in os.walk(pages):
        for name in sorted(names):
            stem, ending = os.path.splitext(name)
            if ending in _SCRIPTS and not name.startswith("_") and f"{stem}.py" not in names:
                yield _found(Path(folder, name), root, f"it is not Python; write an endpoint {stem}.py")
    for ending in (".js", ".ts", ".mjs"):
        script = pages.parent / f"middleware{ending}"
        if script.is_file() and not (pages.parent / "middleware.py").is_file():
            yield _found(script, root, "it is not Python; write middleware.py with onRequest(context, next)")
    if not pages.is_dir() and config.sources.get("pages", "default") == "default":
        yield from _pages_elsewhere(root)
    wanted, other = pages.parent / "middleware.py", root / PACKAGE / "middleware.py"  # others are errors of the loader
    if pages.is_dir() and other != wanted and other.is_file() and b"def onRequest" in other.read_bytes():
        yield _found(other, root, f"middleware stands in {below(wanted, root)}; move it there")


def _pages_elsewhere(root: Path) -> Iterator[Finding]:
    """A folder of endpoints that is not ``src/pages``."""
    if (root / "src" / "pages").is_dir():
        return
    for name in ("pages", f"{PACKAGE}/pages", "src/page", "app/pages"):
        folder = root / name
        if any(folder.rglob("*.py")):
            yield _found(
                folder, root, f'move it to src/pages/, or write pages = "{name}" in wixhttp.toml', is_folder=True
            )


def _settings(root: Path, found: _Folder, backend: _Folder) -> Iterator[Finding]:
    """Settings, secrets and declarations of collections that are not read where they stand."""
    source = _Folder(root / "src")
    data = _Folder(root / "data")
    for folder in () if data.has("collections.toml") else (found, backend, source, data):
        for name in _COLLECTIONS:
            if folder.has(name):
                yield _found(folder.path / name, root, "collections are declared in data/collections.toml")
    for folder in (backend, source, data):
        for name in sorted(folder.names):
            is_read = name in (".env", "wixhttp.toml", "secrets.env") or name.startswith(".env.")
            if is_read and not name.endswith(".example") and (folder.path / name).is_file():
                yield _found(folder.path / name, root, f"it stands in the project's folder: {name}")
    for name in ("wixhttp.yaml", "wixhttp.yml", "wixhttp.json", "wixhttp.ini", "wix.toml", ".wixhttp.toml"):
        if found.has(name) and not found.has("wixhttp.toml"):
            yield _found(root / name, root, "settings stand in wixhttp.toml")


def _jobs(root: Path, found: _Folder, backend: _Folder) -> Iterator[Finding]:
    """Velo's file of scheduled functions, under another name or in another place."""
    for folder in (found, _Folder(root / "src"), _Folder(root / "data")):
        if folder.has(_JOBS):
            yield _found(folder.path / _JOBS, root, f"scheduled functions stand in {PACKAGE}/{_JOBS}; move it there")
    for name in () if backend.has(_JOBS) else _NEAR_JOBS:
        if backend.has(name):
            yield _found(backend.path / name, root, f"scheduled functions stand in {PACKAGE}/{_JOBS}; rename it")
