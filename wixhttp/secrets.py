"""Secrets by name, from the environment, ``.env`` files or a file of mode 0600, and masked in every log line::

from wixhttp.secrets import getSecret

key = getSecret("PAYMENT_KEY")  # or: await getSecret("PAYMENT_KEY"), as in Velo's wix-secrets-backend
"""

from __future__ import annotations

import functools
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from wixhttp.context import current_secrets, using, using_by_default
from wixhttp.logs.masking import mask_with
from wixhttp.logs.secret_spellings import SecretPattern
from wixhttp.project.config import Config, load_config
from wixhttp.project.dotenv import check_name, format_line, format_value, parse, scan
from wixhttp.project.unfinished_files import named_as

from .errors import ConfigError, ProjectError, SecretNotFound

__all__ = ["Secret", "getSecret"]

_LEAST_MASKED = 4
# Settings stand in .env files beside secrets; to mask these words would make every log unreadable.
_NEVER_MASKED = frozenset({"true", "True", "false", "False", "null", "none", "None"})


class Secret(str):
    """The value of a secret: text whose ``repr`` is masked. ``str()`` and f-strings give the value.

    It can be awaited, which gives itself, so that code written for Velo's ``await getSecret()`` works.

    >>> Secret("s3cret")
    Secret('***')
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"

    def __await__(self) -> Generator[None, None, Secret]:
        yield from ()
        return self


class SecretStore:
    """A lookup of secrets: in the environment, then the ``.env`` files of ``root``, then ``secrets_file``.

    Of the ``.env`` files the most special wins: ``.env.<mode>.local``, ``.env.<mode>``, ``.env.local``, ``.env``. Files
    are read when they are asked for, and again when they have changed. ``environ`` is the process environment where it
    is ``None``. Threads may share a store.
    """

    def __init__(self, root: Path, mode: str, secrets_file: Path, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._files: dict[str, Callable[[], Mapping[str, str]]] = {
            name: functools.partial(self._read, root / name, private=False)
            for name in (f".env.{mode}.local", f".env.{mode}", ".env.local", ".env")
        }
        path = root / secrets_file
        label = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        self._files[label] = functools.partial(self._read, path, private=True)
        self._cache: dict[Path, tuple[tuple[int, ...], Mapping[str, str]]] = {}
        self._lock = threading.Lock()
        self._known: frozenset[str] = frozenset()
        self._pattern: SecretPattern | None = None

    @classmethod
    def from_config(cls, config: Config) -> SecretStore:
        """The store of a project: its environment, its ``.env`` files and its secrets file."""
        return cls(config.root, config.mode, config.secrets_file)

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> SecretStore:
        """A store that looks at ``values``, as they are by then, and nowhere else. For tests."""
        store = cls(Path(), "production", Path("secrets.env"), {})
        store._files = {"the values of the test": lambda: values}
        store._learn(values.values())
        return store

    def get(self, name: str) -> Secret:
        """The secret called ``name``.

        Raises:
            SecretNotFound: it is in none of the places.
            ConfigError: a file that was looked at has a line that python-dotenv cannot read.
            ProjectError: others than its owner may read the secrets file, or a file cannot be read.
        """
        value = self._environ.get(name)
        if value is None:
            value = next((found[name] for read in self._files.values() if name in (found := read())), None)
        if value is None:
            raise SecretNotFound(name, ("the process environment", *self._files))
        if value not in self._known:
            self._learn([value])
        return Secret(value)

    def names(self) -> dict[str, str]:
        """The names in the files, each with the file it is taken from, and never a value. Raises as `get`."""
        found: dict[str, str] = {}
        for place, read in self._files.items():
            for name in read():
                found.setdefault(name, place)
        return found

    def values(self) -> frozenset[str]:
        """The values known so far: those in files that were read, and those handed out."""
        return self._known

    def mask(self, text: str) -> str:
        """``text`` with ``***`` for every known value of at least 4 characters, plain or spelled as the usual
        encodings do: ``repr``, JSON, HTML, percent-encoded; and, from 8 bytes on, base64 and hexadecimal."""
        pattern = self._pattern
        return text if pattern is None else pattern.replaced(text, "***")

    def _learn(self, values: Iterable[str]) -> None:
        with self._lock:
            known = self._known.union(values)
            if known == self._known:
                return
            self._known = known
            secret = {value for value in known if len(value) >= _LEAST_MASKED} - _NEVER_MASKED
            self._pattern = SecretPattern(secret) if secret else None

    def _read(self, path: Path, *, private: bool) -> Mapping[str, str]:
        try:
            state = path.stat()
            # A folder called .env is a virtual environment.
            if not stat.S_ISREG(state.st_mode):
                return {}
            if private and os.name == "posix" and state.st_mode & 0o077:
                mode = f"{stat.S_IMODE(state.st_mode):04o}"
                raise ProjectError(f"only its owner may read {str(path)!r}, its mode is {mode}; run: chmod 600 {path}")
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            cached = self._cache.get(path)
            if cached is not None and cached[0] == stamp:
                return cached[1]
            values = parse(_decoded(path), str(path), self._environ)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ProjectError(f"{str(path)!r} cannot be read: {error.strerror}; let this user read it") from error
        self._learn(values.values())
        self._cache[path] = (stamp, values)
        return values


def _decoded(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Without its cause: that holds the whole file.
        raise ConfigError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from None


_default: SecretStore | None = None


def set_default_store(store: SecretStore | None) -> None:
    """Make ``store`` the one of this process; ``None`` builds it anew at the next `getSecret`.

    Its files are read at once, so that their values are masked from the first line of the log on. Raises as
    `SecretStore.get`.
    """
    global _default  # noqa: PLW0603 - one of the two ambient values: users' functions have no object in hand
    if store is not None:
        store.names()
    _default = store


def override(store: SecretStore) -> AbstractContextManager[SecretStore]:
    """Use ``store`` instead of the process's, in this context and the tasks that it starts, until the block ends."""
    return using(current_secrets, store)


def fallback(store: SecretStore) -> AbstractContextManager[None]:
    """Use ``store`` as `override` does, unless a store is in use by `override` already."""
    return using_by_default(current_secrets, store)


def _current_store() -> SecretStore:
    store: SecretStore | None = current_secrets.get() or _default
    if store is None:
        config = load_config()
        store = SecretStore.from_config(config)
        set_default_store(store)
    return store


def getSecret(name: str) -> Secret:
    """The secret called ``name`` (Velo: ``wix-secrets-backend``). Raises as `SecretStore.get`."""
    return _current_store().get(name)


def mask(text: str) -> str:
    """``text`` with ``***`` for every secret that the current store knows. Reads no file and does not raise."""
    store: SecretStore | None = current_secrets.get() or _default
    return text if store is None else store.mask(text)


def set_secret(path: Path, name: str, value: str) -> None:
    """Write ``name`` into the secrets file at ``path``, and leave its other lines and comments as they are.

    The file is made where it is missing, replaced in one step, and has mode 0600 afterwards.

    Raises:
        ValueError: `wixhttp.project.dotenv.check_name`, or a NUL character in ``value``.
        ConfigError: the file has a line that python-dotenv cannot read; it is not touched.
    """
    check_name(name)
    text = _existing(path)
    for entry in reversed(list(scan(text, str(path)))):  # the last one counts
        if entry.name == name:
            start, end = entry.spelled
            gap = " " if text[end : end + 1] == "#" else ""  # behind a quote a comment needs none
            return _write(path, text[:start] + format_value(value) + gap + text[end:])
    gap = "" if not text or text.endswith("\n") else "\n"
    return _write(path, f"{text}{gap}{format_line(name, value)}\n")


def remove_secret(path: Path, name: str) -> bool:
    """Take ``name`` out of the secrets file at ``path``, wherever it stands; return whether it was there. Raises as
    `set_secret`."""
    check_name(name)
    text = _existing(path)
    found = [entry for entry in scan(text, str(path)) if entry.name == name]
    for entry in reversed(found):
        text = text[: entry.start] + text[entry.end :]
    if found:
        _write(path, text)
    return bool(found)


def _existing(path: Path) -> str:
    try:
        return _decoded(path)
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    # A link is followed: to replace it would leave the file that it names as it was.
    target = Path(os.path.realpath(path))
    # mkstemp makes files of mode 0600.
    with named_as(path, target.parent / ".wixhttp-"):
        handle, name = tempfile.mkstemp(prefix=".wixhttp-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if hasattr(os, "chown") and target.exists():
            # Root edits for the user that serves.
            owner = target.stat()
            os.chown(temporary, owner.st_uid, owner.st_gid)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


mask_with(mask)
