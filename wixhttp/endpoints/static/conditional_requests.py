"""Conditional requests and ranges (RFC 9110, 13 and 14) for files that were built."""

from __future__ import annotations

from typing import NoReturn

from wixhttp.errors import HTTPError
from wixhttp.http.request_head import Head

from .manifest import Built


def _seconds(value: str | None) -> float | None:
    """A date of HTTP in seconds since 1970; ``None`` for a malformed one."""
    from werkzeug.http import parse_date

    try:
        date = parse_date(value)
    except OverflowError:  # a year beyond what a C int holds
        return None
    return None if date is None else date.timestamp()


def _validators(built: Built) -> tuple[str, float | None]:
    modified = built.header("last-modified")
    return built.header("etag") or built.etag, built.modified if modified is None else _seconds(modified)


def is_not_modified(built: Built, head: Head) -> bool:
    """Return whether the client's copy is current (304), by the order of RFC 9110, 13.2.2.

    Raises:
        HTTPError: 412, ``If-Match`` or ``If-Unmodified-Since`` does not hold.
    """
    from werkzeug.http import parse_etags, unquote_etag

    etag, modified = _validators(built)
    tag, weak = unquote_etag(etag)
    match, none_match = head.header("if-match"), head.header("if-none-match")
    if match is not None:
        asked = parse_etags(match)
        if not asked.star_tag and (weak or not asked.is_strong(tag)):
            _refuse("If-Match")
    elif modified is not None:
        before = _seconds(head.header("if-unmodified-since"))
        if before is not None and modified > before:
            _refuse("If-Unmodified-Since")
    if none_match is not None:
        return parse_etags(none_match).contains_weak(tag)
    since = _seconds(head.header("if-modified-since"))
    return since is not None and modified is not None and modified <= since


def _refuse(name: str) -> NoReturn:
    raise HTTPError(412, f"What is here now is not what {name} asks for.")


def part_of(built: Built, head: Head) -> tuple[int, int] | None:
    """The one range that the request asks for, as start and stop in bytes; ``None`` for the whole.

    Raises:
        HTTPError: 416, it begins behind the end.
    """
    value = head.header("range")
    if value is None or head.method != "GET" or not built.size or not _if_range(built, head.header("if-range")):
        return None
    from werkzeug.http import parse_range_header

    asked = parse_range_header(value)
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    start, stop = asked.ranges[0]
    if start < 0:  # the last bytes; of a shorter file all
        return max(0, built.size + start), built.size
    if start >= built.size:
        content_range = {"Content-Range": f"bytes */{built.size}"}
        raise HTTPError(416, f"The range begins behind the end, at {built.size} bytes.", headers=content_range)
    return start, built.size if stop is None else min(stop, built.size)


def _if_range(built: Built, value: str | None) -> bool:
    """Return whether the file of which the client has a part is still the same (``If-Range``; RFC 9110, 13.1.5)."""
    if value is None:
        return True
    etag, modified = _validators(built)
    if '"' in value:  # werkzeug's parse_if_range_header drops the mark of weak tags, which never match
        return value == etag and not etag.startswith("W/")
    asked = _seconds(value)
    return asked is not None and asked == modified
