"""Findings in a user's files: what is wrong, or does not do what it seems to, with its place and a stable code.

``wixhttp check`` lists them; those that are known when a project is loaded are logged by the server, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CODES = {
    "unsent-option": 'an answer is given an option that is not sent, such as ok({"Body": ...})',
    "wrong-argument": "a call raises: an argument that there is not, or a value that cannot be sent",
    "no-answer": "a handler returns what is no answer",
    "not-awaited": "a promise is used or dropped, where its value is meant: await is missing",
    "awaited-value": "await stands before what is no promise",
    "async-in-def": "a def handler calls what only an async def can await",
    "blocking-call": "a call in an async def holds up all other requests of the process",
    "misplaced-file": "a file or a folder is not read, because of its name or its place",
    "not-served": "a function looks like a handler, and is not served",
    "javascript": "a name, an attribute or a token of JavaScript's; the message says what to write",
    "no-attribute": "an attribute that a request, an item or a result does not have",
    "missing-secret": "a secret that is asked for is not set",
    "missing-collection": "a collection that is asked for is not declared",
    "missing-job": "a job that is enqueued is not declared",
    "schedule": "a scheduled function is not run, or not at all the times that are written",
    "syntax": "a file is not Python",
}
"""Code -> what a finding of that code is about."""

_IGNORED = re.compile(r"# ?wixhttp: ?ignore\b(?:\[([a-z, -]*)\])?")


@dataclass(frozen=True)
class Finding:
    """Something at a ``place`` (a path as messages name it) and ``line`` (0: the whole file), of one of the `CODES`.

    ``is_error``: it cannot work. Otherwise it runs, and something is lost, slow or not what it seems to be.
    """

    place: str
    line: int
    code: str
    message: str
    is_error: bool = False

    def __str__(self) -> str:
        where = f"{self.place}:{self.line}" if self.line else self.place
        return f"{where}: {self.message} [{self.code}]"

    def is_ignored(self, lines: Sequence[str]) -> bool:
        """Return whether its line, one of the ``lines`` of its file, ends with ``# wixhttp: ignore`` of every code or
        of its own: ``# wixhttp: ignore[not-awaited]``."""
        text = lines[self.line - 1] if 0 < self.line <= len(lines) else ""
        found = _IGNORED.search(text) if "wixhttp" in text else None
        return found is not None and (found[1] is None or self.code in re.split(r"[, ]+", found[1]))


def below(file: Path, root: Path) -> str:
    """The path of a file as findings name it: below the project, where it is."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
