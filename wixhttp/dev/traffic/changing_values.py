"""Values of an answer that are others each time: ids, dates, times, request ids and tokens that were made for it.

What the request itself has said, and the answer repeats, does not change. Nor does a date that is not near the time of
the request: it is a value of an item.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote_plus

from wixhttp.errors import InvalidJSON
from wixhttp.http.json_codec import decode_json
from wixhttp.testing.matchers import ANY_DATE, ANY_NUMBER, ANY_TEXT, ANY_UUID, Likeness, like

from .kept_requests import KeptRequest

NO_JSON = object()
"""In place of a value, where a body is not JSON, or one that is nested too deep to be looked at."""

_DEEPEST = 100
_NEAR = 86_400.0  # seconds between a request and a time that was made for it, such as an expiry
_CHANGING = re.compile(
    r"(?P<uuid>\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b)"
    r"|(?P<date>\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w:])"
    r"|\b[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\b)"
    r"|(?P<number>(?<![\w.-])\d{10}(?:\d{3})?(?:\.\d+)?(?![\w.-]))"
    r"|(?P<text>\b[0-9A-Za-z_-]{16,}\b)"
)
_JOB_ID = re.compile(r"[0-9]{1,19}-[0-9a-f]{16}")
_MATCHERS = {"{uuid}": ANY_UUID, "{date}": ANY_DATE, "{text}": ANY_TEXT}


def json_of(body: bytes) -> Any:
    """The value of a JSON body, or `NO_JSON`."""
    if not body.lstrip()[:1] or body.lstrip()[:1] not in b'{["-0123456789tfn':
        return NO_JSON
    try:
        value = decode_json(body)
    except (InvalidJSON, RecursionError):
        return NO_JSON
    return value if _is_flat(value) else NO_JSON


def _is_flat(value: Any) -> bool:
    """Return whether a value is not nested too deep, and has no number that is infinite."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if math.inf in level or -math.inf in level:
            return False
        if not level:
            return True
    return False


class ChangingValues:
    """The values of the answers to a request that change. ``given`` is a text whose values do not: what the collections
    of a test begin with."""

    def __init__(self, kept: KeptRequest, given: str = "") -> None:
        self._time = kept.time
        self._request_id = kept.request_id
        sent = [kept.target, unquote_plus(kept.target), *(value for _, value in kept.request_headers)]
        body = kept.request_body.decode("utf-8", "replace")
        sent += [body, unquote_plus(body)] if len(body) < 100_000 else [body]
        self._sent = "\n".join([*sent, given])

    def expected(self, value: Any) -> Any:
        """A JSON value with matchers in place of what changes."""
        if isinstance(value, dict):
            return {name: self.expected(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.expected(each) for each in value]
        if isinstance(value, str):
            return self.expected_text(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and self._is_near_number(value):
            return value if str(value) in self._sent else ANY_NUMBER
        return value

    def expected_text(self, text: str) -> Any:
        """A text, or the matcher in its place."""
        template = self.template(text)
        return text if template == text else self.matcher(template)

    @staticmethod
    def matcher(template: str) -> Any:
        """The matcher of a template."""
        return _MATCHERS.get(template) or like(template)

    def template(self, text: str) -> str:
        """A text with the placeholders of `like` in place of what changes."""
        if self._request_id and self._request_id not in self._sent and self._request_id in text:
            return "{text}".join(map(self.template, text.split(self._request_id)))
        return _CHANGING.sub(self._placeholder, text)

    def _placeholder(self, found: re.Match[str]) -> str:
        text = found[0]
        kind = found.lastgroup or ""
        if text in self._sent:
            return text
        changes = (
            kind == "uuid"
            or (kind == "date" and self._is_near_date(text))
            or (kind == "number" and self._is_near_number(float(text)))
            or (kind == "text" and _is_random(text))
        )
        return f"{{{kind}}}" if changes else text

    def _is_near_date(self, text: str) -> bool:
        try:
            if text[0].isalpha():
                found = parsedate_to_datetime(text)
            elif len(text) == 10:
                found = datetime.fromisoformat(text)
            else:
                found = datetime.fromisoformat(text[:16].replace(" ", "T"))
            at = found.replace(tzinfo=timezone.utc).timestamp()
        except (ValueError, OverflowError):
            return False
        return abs(at - self._time) < _NEAR + 43_200  # its time zone is not looked at

    def _is_near_number(self, value: float) -> bool:
        return abs(value - self._time) < _NEAR or abs(value - self._time * 1000) < _NEAR * 1000


def _is_random(text: str) -> bool:
    """Return whether a word is an id or a token: hexadecimal digits, also behind the number of a deferred function or
    job, or letters of both cases and digits."""
    if _JOB_ID.fullmatch(text):
        return True
    if not re.search(r"\d", text):
        return False
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", text):
        return re.search(r"[a-fA-F]", text) is not None
    return len(text) >= 20 and re.search(r"[a-z]", text) is not None and re.search(r"[A-Z]", text) is not None


def joined(expected: Any, actual: Any) -> Any:
    """The part that two answers have in common: the expected one, with matchers for values of another of their kind.

    Where they differ in more than that, the expected value is left.
    """
    if isinstance(expected, dict) and isinstance(actual, dict) and expected.keys() == actual.keys():
        return {name: joined(value, actual[name]) for name, value in expected.items()}
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [joined(value, other) for value, other in zip(expected, actual, strict=True)]
    if isinstance(expected, Likeness) or expected == actual:
        return expected
    return next((each for each in (ANY_UUID, ANY_DATE, ANY_NUMBER) if each == expected and each == actual), expected)


def aligned(before: Any, expected: Any, after: Any) -> Any:
    """A value with those that change as they are in another answer, so that a comparison shows the others alone."""
    if isinstance(expected, Likeness):
        return after if expected == after else before
    if isinstance(before, dict) and isinstance(after, dict):
        return {
            name: aligned(value, expected[name], after[name]) if name in after else value
            for name, value in before.items()
        }
    if isinstance(before, list) and isinstance(after, list):
        pairs = [aligned(*each) for each in zip(before, expected, after, strict=False)]
        return pairs + before[len(pairs) :]
    return before


def pretty(value: Any, *, sorts: bool = True) -> str:
    """JSON as lines to be compared, or to be read: lone surrogates are written out."""
    text = json.dumps(value, indent=2, sort_keys=sorts, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()
