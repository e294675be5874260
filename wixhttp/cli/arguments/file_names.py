"""Names of files as arguments: as they are given, and completed by the shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_MOST = 500  # names that are completed


class FileName(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click alone
    """A text that may be the name of a file or a folder. ``name`` is its kind for the shell: ``file`` or ``dir``."""

    def __init__(self, kind: str = "file") -> None:
        self.name = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click: the text itself; the command looks at the file."""
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """See click: the shell completes it."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type=self.name)]


class TextOrFile(FileName):
    """A text, or the name of a file behind ``@``, which alone is completed."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """See click. Shells know nothing of the ``@``, so that the files are listed here."""
        from click.shell_completion import CompletionItem

        before, at, name = incomplete.rpartition("@")
        if not at or "/" in before:
            return []
        folder, slash, start = name.rpartition("/")
        try:
            paths = sorted(Path(folder + slash or ".").iterdir())[: 10 * _MOST]
        except OSError:
            return []
        found = [path for path in paths if path.name.startswith(start) and (start or not path.name.startswith("."))]
        return [CompletionItem(f"{before}@{folder}{slash}{path.name}{'/' * path.is_dir()}") for path in found[:_MOST]]


FILE, FOLDER, TEXT_OR_FILE = FileName(), FileName("dir"), TextOrFile()
