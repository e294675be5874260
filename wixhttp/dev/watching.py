"""The process that watches the project's files: told by the system (watchfiles), or by looking four times a second.

What the system tells is only a hint to look: the comparison with what was seen before decides. So it is all one how an
editor saves: by a temporary name, by renaming over, by deleting first, by moving a whole folder.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from wixhttp.errors import ProjectError
from wixhttp.project.config import load_development_config

from .watched_files import WatchedFiles, WatchPlan, is_watched_name

POLL = 0.25  # seconds between two looks where the system does not tell
_STEP = 5  # milliseconds without a further change after which changes are told
_DEBOUNCE = 100  # milliseconds after which they are told in any case
_AT_LEAST = 1_000  # milliseconds after which files are looked at untold: not every file system tells

_Hints = Iterator[set[str]]


def is_installed() -> bool:
    """Return whether the system's notifications can be had: watchfiles is part of the extra ``dev``."""
    return find_spec("watchfiles") is not None


def watch(files: WatchedFiles, told: int) -> None:
    """Watch until the process that started this one has ended. Each change is a line of JSON to the descriptor
    ``told``: ``changed`` has the paths, as they are below the project's folder, and ``at`` the time of
    ``time.monotonic``. The first line is ``by``: how changes are noticed, and ``why`` not better."""
    is_told, why = is_installed(), "" if is_installed() else "watchfiles is not installed"
    parent = os.getppid()
    untold = True
    while True:
        try:
            for suspects in _told(files) if is_told else _polled():
                if os.getppid() != parent:
                    return
                if untold:
                    _tell(told, {"by": "watchfiles" if is_told else "polling", "why": why})
                    untold = False
                if not _look(files, suspects, told):
                    break  # the system is asked to tell of others
        except BrokenPipeError:
            return
        except FileNotFoundError:  # a folder went while the system was asked
            time.sleep(POLL)
        except OSError as error:  # the system has no more watches
            is_told, why, untold = False, f"the system does not tell of changes: {error}", True


def _look(files: WatchedFiles, suspects: set[str], told: int) -> bool:
    """Look, and tell of changes; return whether the folders are the same as before."""
    at, folders = time.monotonic(), files.folders
    if changed := files.look(suspects):
        root = str(files.plan.root) + os.sep
        _tell(told, {"changed": [path.removeprefix(root) for path in changed], "at": at})
        if any(path.endswith(".toml") for path in changed):
            files.plan = _plan_again(files.plan)  # what is new in it is noticed at the next look
    return files.folders == folders


def _told(files: WatchedFiles) -> _Hints:
    """Hints of the system: the paths that it names. The first, of none, comes once it tells; one also comes each
    second. Each folder is watched by itself, so that those that are left out cost nothing."""
    from watchfiles import watch as hints

    logging.getLogger("watchfiles").setLevel(logging.WARNING)

    wanted = tuple(sorted(files.folders))
    options: dict[str, Any] = {"watch_filter": None, "recursive": False, "ignore_permission_denied": True}
    options |= {"debounce": _DEBOUNCE, "step": _STEP, "rust_timeout": _AT_LEAST, "yield_on_timeout": True}
    changes = hints(*wanted, **options)
    named = {str(place) for place in files.plan.places}
    yield set()
    for told in changes:
        paths = {path for _, path in told}
        if not paths or not named.isdisjoint(paths) or any(map(_is_of_interest, paths)):
            yield paths


def _is_of_interest(path: str) -> bool:
    """Return whether a path that the system names may be a watched file, or a folder: a database beside them may be
    written all the time. A folder with a dot in its name is seen a second later."""
    name = os.path.basename(path)
    return is_watched_name(name) or "." not in name or f"{os.sep}public{os.sep}" in path


def _polled() -> _Hints:
    while True:
        yield set()
        time.sleep(POLL)


def _plan_again(plan: WatchPlan) -> WatchPlan:
    """The plan by the settings as they are now; the same one where these are wrong."""
    try:
        return WatchPlan.of(load_development_config(plan.root))
    except ProjectError:
        return plan


def _tell(told: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(told, data) :]
