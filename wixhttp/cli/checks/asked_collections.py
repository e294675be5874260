"""Collections that are asked for by literal names and are not declared."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from wixhttp.data.schema.declarations import FILE
from wixhttp.project.findings import Finding

from .calls import collection_of
from .sources import Source


def collection_findings(source: Source, declared: Collection[str]) -> Iterator[Finding]:
    """Findings about collections that a file asks for, where a project has ``declared`` some."""
    if not declared:
        return
    by_lower = {each.lower(): each for each in declared}
    for call in source.tree.calls():
        origin = source.origin(call.func)
        name = None if origin is None else collection_of(origin, call)
        if name is None or name.value in declared:
            continue
        near = difflib.get_close_matches(str(name.value).lower(), by_lower, 1, cutoff=0.75)
        way_out = f"did you mean {by_lower[near[0]]!r}?" if near else "declare it there"
        yield Finding(
            source.place, name.lineno, "missing-collection",
            f"{name.value!r} is not declared in {FILE}, so that in production a call on it fails (WDE0025); {way_out}",
        )  # fmt: skip
