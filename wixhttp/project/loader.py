"""The user's code: ``backend.http_functions`` and the files of ``src/pages``, imported once per process.

The first project of a process is imported as Python imports: its folder goes in front of ``sys.path``. A further one
(a test site beside the published one) has modules of the same names; it is imported apart, and its own
``import backend.x`` reach its own files, inside functions too.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import importlib.util
import os
import signal
import sys
import threading
import traceback
import types
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from wixhttp.errors import ProjectError
from wixhttp.public_calls import nearest_module

from . import javascript_habits  # noqa: F401  # whose advice stands below the traceback of what cannot be imported

PACKAGE = "backend"
MODULE = "backend.http_functions"
NOT_LOADED = 3  # the exit code of a project that cannot be loaded
_MOST_SWALLOWED = 5  # time-outs that a file may catch before the process is ended
_AGAIN = 0.5  # seconds between them: more than the first needs to get out, on a machine that is busy
_OWN = __name__.partition(".")[0]

_home: Path | None = None  # the first project of this process


class ImportTimeout(BaseException):
    """The user's file did not end its import in time. No ``Exception``, so that ``except Exception`` lets it pass."""


def load_functions_module(root: Path, timeout: float) -> types.ModuleType:
    """The module ``backend.http_functions`` of the folder ``root``, imported within ``timeout`` seconds (0: no limit).

    Raises:
        ProjectError: there is no such file, or it cannot be imported; the user's own error is its ``__cause__``.
    """
    return load_module(root, MODULE, functions_file(root), timeout)


def load_module(root: Path, name: str, file: Path, timeout: float) -> types.ModuleType:
    """The module ``name`` below ``backend`` of the folder ``root``; ``file`` is what an error names.

    Raises:
        ProjectError: it cannot be imported; the user's own error is its ``__cause__``.
    """
    importlib.invalidate_caches()
    _put_on_path(root)
    if _belongs_elsewhere(root):
        name = f"{_isolated(root)}.{name}"
    before = set(sys.modules)
    try:
        with _time_limit(timeout):
            return importlib.import_module(name)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            raise  # Ctrl-C; in a server's worker only the file itself can raise it
        for loaded in set(sys.modules) - before:
            if loaded == PACKAGE or loaded.startswith((PACKAGE + ".", "wixhttp_site_")):
                del sys.modules[loaded]
        raise ProjectError(_explain(file, error, timeout)) from error


def load_file(root: Path, file: Path, timeout: float) -> types.ModuleType:
    """The module of a file below the folder ``root`` whose path need not be made of identifiers, imported once.

    It imports as the modules of the project do, and relatively, where it is below the project and no folder has a dot:
    its package is its folder.

    Raises:
        ProjectError: it cannot be imported; the user's own error is its ``__cause__``.
    """
    _put_on_path(root)
    parts = (
        file.relative_to(root).parts if file.is_relative_to(root) else ("wixhttp_pages", file.parent.name, file.name)
    )
    name = ".".join((*parts[:-1], file.name.removesuffix(".py").replace(".", "%2E")))
    isolated = _isolated(root) if _belongs_elsewhere(root) or _is_taken(parts[0], root) else None
    if isolated is not None:
        name = f"{isolated}.{name}"
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file):
        return loaded
    loader = SourceFileLoader(name, str(file)) if isolated is None else _finder_of(root).loader(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None:
        raise ProjectError(f"{file} cannot be imported: it is no file of Python")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _time_limit(timeout):
            loader.exec_module(module)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            raise
        sys.modules.pop(name, None)
        raise ProjectError(_explain(file, error, timeout)) from error
    return module


def _is_taken(package: str, root: Path) -> bool:
    """Return whether there is a package of that name outside of the project: its modules are not to be replaced."""
    loaded = sys.modules.get(package)
    spec = PathFinder.find_spec(package) if loaded is None else loaded.__spec__
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return bool(folders) and Path(folders[0]).resolve() != (root / package).resolve()


def functions_file(root: Path) -> Path:
    """The file of the HTTP functions: ``backend/http_functions.py``, or ``__init__.py`` of the package of that name.

    Raises:
        ProjectError: there is none, or there are both.
    """
    file = backend_file(root, "http_functions")
    if file is None:
        missing = root / PACKAGE / "http_functions.py"
        raise ProjectError(
            f"there is no {missing} and no folder src/pages; 'wixhttp init' makes a project, --project names its folder"
        )
    return file


def has_functions(root: Path) -> bool:
    """Return whether a project has HTTP functions. Raises as `backend_file`."""
    return backend_file(root, "http_functions") is not None


def backend_file(root: Path, name: str) -> Path | None:
    """The file of a module below ``backend``: ``name.py``, or ``__init__.py`` of the package; ``None`` without one.

    Raises:
        ProjectError: there are both.
    """
    module = root / PACKAGE / f"{name}.py"
    package = root / PACKAGE / name / "__init__.py"
    if module.is_file() and package.is_file():
        raise ProjectError(f"{module} and {package} are both there; keep one")
    return next((file for file in (module, package) if file.is_file()), None)


def _explain(file: Path, error: BaseException, timeout: float) -> str:
    if isinstance(error, ImportTimeout):
        return f"{file} cannot be imported: it did not end within {timeout:g} seconds (setting import_timeout)"
    if isinstance(error, SystemExit):
        return f"{file} cannot be imported: it calls sys.exit({error.code!r}) at import"
    text = str(error)
    if isinstance(error, ModuleNotFoundError) and (hint := nearest_module(error.name or "")):
        text += f"; {hint}"
    return f"{file} cannot be imported: {type(error).__name__}" + (f": {text}" if text else "")


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise ImportTimeout in this thread after ``seconds``; only a main thread can be interrupted so."""
    if not seconds or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    swallowed = 0

    def expired(signum: int, frame: types.FrameType | None) -> None:
        nonlocal swallowed
        if swallowed == _MOST_SWALLOWED:  # a loop around a bare "except:", which no exception can end
            stack = "".join(traceback.format_stack(frame))
            os.write(
                2,
                f"{stack}\n{MODULE} cannot be imported: it does not end, and catches all that would end it\n".encode(),
            )
            os._exit(NOT_LOADED)
        swallowed += 1
        raise ImportTimeout

    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _put_on_path(root: Path) -> None:
    global _home  # noqa: PLW0603  # the import path is the process's, too
    if PACKAGE not in sys.modules and _home in (None, root) and sys.path[:1] != [str(root)]:
        sys.path.insert(0, str(root))
    _home = _home or root


def _belongs_elsewhere(root: Path) -> bool:
    """Return whether ``import backend`` means another folder: of a project loaded before, or of a package on the path.

    A namespace package has several folders; the first one is where its modules are looked for first.
    """
    if not (root / PACKAGE).is_dir():
        return _home != root or str(root) not in sys.path
    loaded = sys.modules.get(PACKAGE)
    spec = PathFinder.find_spec(PACKAGE) if loaded is None else loaded.__spec__
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return not folders or Path(folders[0]).resolve() != (root / PACKAGE).resolve()


# --- a second project in one process ---------------------------------------------------------------------------------


def _isolated(root: Path) -> str:
    """The name of the package that stands for the folder ``root``, made on first use."""
    return _finder_of(root).alias


def _finder_of(root: Path) -> _Finder:
    finder: _Finder | None
    for finder in sys.meta_path:  # type: ignore[assignment]  # filtered on the next line
        if isinstance(finder, _Finder) and finder.root == root:
            return finder
    alias = f"wixhttp_site_{sum(isinstance(entry, _Finder) for entry in sys.meta_path) + 1}"
    finder = _Finder(alias, root)
    parent = types.ModuleType(alias, f"The modules of {root}, apart from other projects of this process.")
    parent.__path__ = [str(root)]
    sys.modules[alias] = parent
    sys.meta_path.insert(0, finder)
    return finder


class _Finder:
    """Finds the modules below an alias, and gives them an ``__import__`` that knows their own project's names."""

    def __init__(self, alias: str, root: Path) -> None:
        self.alias = alias
        self.root = root
        self.builtins = {**vars(builtins), "__import__": self._import}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(self.alias + "."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = self.loader(spec.loader.name, spec.loader.path)
        return spec

    def loader(self, name: str, path: str) -> _Loader:
        """The loader of a file of this project."""
        return _Loader(name, path, self.builtins)

    def _import(
        self,
        name: str,
        globals: dict[str, Any] | None = None,
        locals: dict[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        top = name.partition(".")[0]
        if level or not self._is_local(top):
            return builtins.__import__(name, globals, locals, fromlist, level)
        module = builtins.__import__(f"{self.alias}.{name}", globals, locals, fromlist, 0)
        return module if fromlist else sys.modules[f"{self.alias}.{top}"]

    def _is_local(self, top: str) -> bool:
        if top == _OWN:  # even where its source stands in the project's folder: there is one wixhttp in a process
            return False
        spec = PathFinder.find_spec(top, [str(self.root)])
        return spec is not None and (spec.origin is not None or top == PACKAGE)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, builtins: dict[str, Any]) -> None:
        super().__init__(name, path)
        self.builtins = builtins

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__builtins__"] = self.builtins
        super().exec_module(module)
