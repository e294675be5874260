"""The detail of the 404 for a function that there is not; in development with suggestions, and the known names."""

from __future__ import annotations

import difflib

from wixhttp.project.function_table import FunctionTable


def unknown_function(functions: FunctionTable, name: str | None, mount: str, *, tells_names: bool) -> str:
    """The detail of a 404. ``name`` was asked for, ``None`` for a path without one; ``mount`` is the raw path of the
    functions. Names are told in development, to whom may see them."""
    if not tells_names:
        return "There is no such function."
    names = functions.names
    near = difflib.get_close_matches(name, names, 3) if name else []
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    asked = f"There is no function {name!r}." if name else f"Functions are at {mount}/<name>."
    return f"{asked}{hint} Known functions: {', '.join(names) or 'none'}."
