"""Imports of the project's modules from their source, never from bytecode of an earlier save.

Python takes bytecode for fresh whose source has the same size and was saved in the same second.
"""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

_FOREIGN = f"{os.sep}site-packages{os.sep}"


def import_from_source(*folders: Path) -> None:
    """Have this process compile the modules below some folders anew; those of libraries there are not the project's."""
    prefixes = tuple(str(folder) + os.sep for folder in folders)
    compiled_before = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, fullname: str) -> Any:
        path = loader.get_filename(fullname)
        if not path.startswith(prefixes) or _FOREIGN in path:
            return compiled_before(loader, fullname)
        return loader.source_to_code(loader.get_data(path), path)

    # For all loaders of source at once: those of the import path, and those that wixhttp makes for endpoints.
    SourceFileLoader.get_code = get_code  # type: ignore[assignment]
