"""Dates in the cells of CSV files: ISO 8601, and the forms that Wix's help recommends and its CMS shows.

https://support.wix.com/en/article/cms-formerly-content-manager-supported-content-in-collection-field-types
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Literal

from wixhttp.data.queries.values import format_date, parse_date

DATE_FORMS = "02/14/2024 11:30 (month first), Feb 14, 2024 11:30 PM, or 2024-02-14T11:30:00Z"
"""Samples of the forms, for messages. The time of day may be missing, and the zone, which then is UTC."""

DateOrder = Literal["month first", "day first"]

_TIME = r"(?:,? ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,3}))?)?(?:[: ]?([AaPp][Mm]))?)?"
_NUMERIC = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})" + _TIME)
_NAMED = re.compile(r"([A-Za-z]{3,9})\.? ([0-9]{1,2}),? ([0-9]{4})" + _TIME)
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip


def parse_cell_date(cell: str, order: DateOrder = "month first") -> datetime:
    """The date of a cell, in UTC. ``order`` is that of the numbers in ``02/03/2024``.

    Raises:
        ValueError: it is none.

    >>> parse_cell_date("02/14/2024 11:30").isoformat(), parse_cell_date("Feb 14, 2024 9:05 PM").isoformat()
    ('2024-02-14T11:30:00+00:00', '2024-02-14T21:05:00+00:00')
    """
    if numeric := _NUMERIC.fullmatch(cell):
        first, second = int(numeric[1]), int(numeric[2])
        month, day = (first, second) if order == "month first" else (second, first)
        return _moment(int(numeric[3]), month, day, numeric)
    if named := _NAMED.fullmatch(cell):
        return _moment(int(named[3]), _month(named[1]), int(named[2]), named)
    try:
        return parse_date(cell)
    except ValueError:
        return parse_date(format_date(datetime.fromisoformat(cell)))


def told_order(cell: str) -> DateOrder | None:
    """The order of day and month that a cell such as ``14/02/2024`` tells; ``None`` where it fits both, or has none."""
    match = _NUMERIC.fullmatch(cell)
    if match is None or max(int(match[1]), int(match[2])) <= 12:
        return None
    return "month first" if int(match[1]) <= 12 else "day first"


def looks_like_date(cell: str) -> bool:
    """Return whether a cell is a date in one of Wix's forms with slashes or the name of a month, in any order."""
    if _NUMERIC.fullmatch(cell) is None and _NAMED.fullmatch(cell) is None:
        return False
    try:
        return parse_cell_date(cell, told_order(cell) or "month first") is not None
    except ValueError:
        return False


def _month(name: str) -> int:
    lower = name.lower()
    for number, month in enumerate(_MONTHS, 1):
        if lower in (month, month[:3]) or lower == month[:4] == "sept":
            return number
    raise ValueError(f"{name!r} is no month")


def _moment(year: int, month: int, day: int, match: re.Match[str]) -> datetime:
    hour, minute, second, fraction, half = match.groups()[3:]
    number = int(hour or 0)
    if half is not None:
        if not 1 <= number <= 12:
            raise ValueError(f"there is no hour {number} {half}")
        number = number % 12 + (12 if half.lower() == "pm" else 0)
    micro = int((fraction or "0").ljust(6, "0"))
    return datetime(year, month, day, number, int(minute or 0), int(second or 0), micro, timezone.utc)
