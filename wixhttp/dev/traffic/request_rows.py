"""Rows of kept requests in SQLite: their tables, and what becomes of a request in a row and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson

from .kept_requests import KeptRequest, KeptSummary, LogLine, RequestFilters

VERSION = 1  # of the tables; a file of another version is set aside
CREATE = """
CREATE TABLE requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL, time REAL NOT NULL, method TEXT NOT NULL, target TEXT NOT NULL, function TEXT NOT NULL,
    status INTEGER NOT NULL, duration REAL NOT NULL, request_size INTEGER NOT NULL, response_size INTEGER NOT NULL,
    content_type TEXT NOT NULL, has_failure INTEGER NOT NULL, replay_of INTEGER,
    weight INTEGER NOT NULL, details BLOB NOT NULL, request_body BLOB NOT NULL, response_body BLOB NOT NULL
)
"""
SUMMARY = (
    "id, request_id, time, method, target, function, status, duration, request_size, response_size, content_type, "
    "has_failure, replay_of"
)
_WRITTEN = SUMMARY.removeprefix("id, ") + ", weight, details, request_body, response_body"
_PLACES = "(" + ", ".join("?" * (_WRITTEN.count(",") + 1)) + ")"
READ = f"SELECT {SUMMARY}, details, request_body, response_body FROM requests"  # noqa: S608 - fixed pieces
TRIM = """
DELETE FROM requests WHERE id <= (
    SELECT max(id) FROM (
        SELECT id, sum(weight) OVER (ORDER BY id DESC) AS total, row_number() OVER (ORDER BY id DESC) AS place
        FROM requests
    ) WHERE (total > :bytes AND place > 1) OR place > :requests
)
"""


def insert(rows: int) -> str:
    """The statement that writes so many rows at once, which holds the interpreter's lock once, not once a row."""
    return f"INSERT INTO requests ({_WRITTEN}) VALUES {', '.join([_PLACES] * rows)}"  # noqa: S608 - fixed pieces


def row_of(kept: KeptRequest) -> tuple[Any, ...]:
    """The values of a request for `insert`."""
    details = _dump(
        {
            "http_version": kept.http_version,
            "scheme": kept.scheme,
            "host": kept.host,
            "client": kept.client,
            "request_headers": kept.request_headers,
            "response_headers": kept.response_headers,
            "timings": kept.timings,
            "logs": kept.logs,
            "failure": kept.failure,
        }
    )
    return (
        _storable(kept.request_id), kept.time, _storable(kept.method), _storable(kept.target), kept.function,
        kept.status, kept.duration, kept.request_size, kept.response_size, kept.content_type,
        kept.failure is not None, kept.replay_of,
        len(kept.request_body) + len(kept.response_body) + len(details) + 400,
        details, kept.request_body, kept.response_body,
    )  # fmt: skip


def summary_of(row: Sequence[Any]) -> KeptSummary:
    """The summary that a row of `SUMMARY` holds."""
    return KeptSummary._make((*row[:11], bool(row[11]), row[12]))


def request_of(row: Sequence[Any]) -> KeptRequest:
    """The request that a row of `READ` holds.

    Raises:
        ValueError: its details are no JSON.
    """
    details = json.loads(row[13])
    return KeptRequest(
        id=row[0],
        request_id=row[1],
        time=row[2],
        method=row[3],
        target=row[4],
        function=row[5],
        status=row[6],
        duration=row[7],
        request_size=row[8],
        response_size=row[9],
        replay_of=row[12],
        request_body=row[14],
        response_body=row[15],
        http_version=details["http_version"],
        scheme=details["scheme"],
        host=details["host"],
        client=details["client"],
        request_headers=[(name, value) for name, value in details["request_headers"]],
        response_headers=[(name, value) for name, value in details["response_headers"]],
        timings=details["timings"],
        logs=[LogLine(*line) for line in details["logs"]],
        failure=details["failure"],
    )


def conditions(filters: RequestFilters) -> tuple[list[str], dict[str, Any]]:
    """The SQL conditions of filters, and their values.

    Raises:
        ValueError: the status is neither a code nor a class such as 4xx.
    """
    found: list[str] = []
    values: dict[str, Any] = {}
    if filters.function:
        found.append("function = :function")
        values["function"] = filters.function
    if filters.method:
        found.append("method = :method")
        values["method"] = filters.method.upper()
    if filters.status:
        found.append("status BETWEEN :least AND :most")
        values["least"], values["most"] = _statuses(filters.status)
    if filters.text:
        found.append(
            "(instr(lower(target), :text) OR instr(lower(CAST(request_body AS TEXT)), :text)"
            " OR instr(lower(CAST(response_body AS TEXT)), :text))"
        )
        values["text"] = _storable(filters.text).translate(_LOWER)
    return found, values


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _statuses(text: str) -> tuple[int, int]:
    digits = text.lower().removesuffix("xx")
    if digits.isascii() and digits.isdigit():
        if len(digits) == 1 and len(text) == 3:
            return int(digits) * 100, int(digits) * 100 + 99
        if len(digits) == 3 and digits == text:
            return int(digits), int(digits)
    raise ValueError(f"a status is a code such as 404 or a class such as 4xx, not {text!r}")


def _dump(details: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(details)
    except TypeError:  # lone surrogates, whole numbers past 64 bits, something that JSON does not have
        return json.dumps(details, default=repr).encode()


def _storable(text: str) -> str:
    """A text without lone surrogates, which SQLite does not take."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
