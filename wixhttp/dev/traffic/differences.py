"""The differences of two answers to the same request: status, header fields and body.

Header fields that say when and by which server are not compared, and values that change are by their kind.
"""

from __future__ import annotations

import difflib
from typing import NamedTuple

from wixhttp.testing.matchers import like

from .changing_values import NO_JSON, ChangingValues, aligned, json_of, pretty
from .kept_requests import KeptRequest, utf8_text

IGNORED = frozenset(
    {"age", "alt-svc", "connection", "content-length", "date", "keep-alive", "nel", "report-to", "server",
     "server-timing", "transfer-encoding", "vary", "via", "x-request-id", "x-seen-by", "x-wix-request-id",
     "glb-x-seen-by", "x-served-by", "x-cache", "content-encoding"}
)  # fmt: skip
_MOST_LINES = 60  # of a comparison
_MOST_COMPARED = 3_000  # lines of each body; the time grows with their square
_MOST_BODY = 200_000  # bytes of bodies that are compared line by line


class Difference(NamedTuple):
    """One difference: ``part`` is ``status``, ``body`` or ``header`` and its name, ``before`` and ``after`` are what
    stands there, in brief for bodies; ``diff`` are the lines of a unified diff of bodies."""

    part: str
    before: str
    after: str
    diff: list[str]


def differences(before: KeptRequest, after: KeptRequest) -> list[Difference]:
    """List the differences of two answers; empty where they are the same but for values that change. Of failures, which
    the development server answers in its own way, only the status is compared."""
    found = []
    if before.status != after.status:
        found.append(Difference("status", str(before.status), str(after.status), []))
    if before.failure is not None or after.failure is not None:
        return found
    changing = ChangingValues(before)
    found += _headers(before, after, changing)
    return found + _bodies(before, after, changing)


def _headers(before: KeptRequest, after: KeptRequest, changing: ChangingValues) -> list[Difference]:
    ours, theirs = _fields(before), _fields(after)
    found = []
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        one, other = ours.get(name), theirs.get(name)
        if one is None or other is None or not _is_like(one, other, changing):
            found.append(Difference(f"header {name}", one or "", other or "", []))
    return found


def _fields(kept: KeptRequest) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in kept.response_headers:
        lower = name.lower()
        if lower not in IGNORED:
            found[lower] = f"{found[lower]}, {value}" if lower in found else value
    return found


def _is_like(one: str, other: str, changing: ChangingValues) -> bool:
    return one == other or like(changing.template(one)) == other


def _bodies(before: KeptRequest, after: KeptRequest, changing: ChangingValues) -> list[Difference]:
    one, other = before.response_body, after.response_body
    if one == other and before.response_size == after.response_size:
        return []
    values = json_of(one), json_of(other)
    if NO_JSON not in values:
        expected = changing.expected(values[0])
        if expected == values[1]:
            return []
        texts = pretty(aligned(values[0], expected, values[1])), pretty(values[1])
    else:
        found = utf8_text(one), utf8_text(other)
        if found[0] is None or found[1] is None or len(one) + len(other) > _MOST_BODY:
            return [_brief(before, after)]
        texts = found[0], found[1]
        if _is_like(*texts, changing):
            return []
    if sum(map(len, texts)) > _MOST_BODY or max(text.count("\n") for text in texts) > _MOST_COMPARED:
        return [_brief(before, after)]
    lines = list(
        difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), "before", "after", lineterm="", n=2)
    )
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"... {len(lines) - _MOST_LINES} more lines"]
    return [Difference("body", _size(before), _size(after), lines)]


def _brief(before: KeptRequest, after: KeptRequest) -> Difference:
    one, other = before.response_body, after.response_body
    at = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return Difference("body", _size(before), f"{_size(after)}, the first difference is at byte {at}", [])


def _size(kept: KeptRequest) -> str:
    return f"{kept.response_size} bytes"
