"""Tests tried before they are written: the code answers a kept request as the test will have it, so that the test is
known to pass, and has what its answer needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from wixhttp.data.files.formats import to_line
from wixhttp.testing.matchers import like

from .changing_values import NO_JSON, joined, json_of
from .differences import Difference, differences
from .hidden_values import HiddenValues
from .kept_requests import KeptRequest, header, utf8_text
from .masks import MASK
from .to_test import TestCase
from .trial import Items, Trial


class TriedCase(NamedTuple):
    """A case, the differences between the kept answer and the one that its test would get now, and ``remarks``."""

    case: TestCase
    differences: list[Difference]
    remarks: list[str]


def try_case(kept: KeptRequest, trial: Trial, items: Items, secrets: Mapping[str, str]) -> TriedCase:
    """The case of a kept request that passes: with few header fields or with all, with the items of the collections
    that it reads or without. Where none passes, the first, with what differs.

    Raises:
        CannotTest: there is no whole request, or no whole answer.
    """
    count = len(secrets)
    found = _tried(kept, trial, items, secrets)
    # The code may have asked for secrets that stand in no file, which the trial adds.
    return found if len(secrets) == count else _tried(kept, trial, items, secrets)


def _tried(kept: KeptRequest, trial: Trial, items: Items, secrets: Mapping[str, str]) -> TriedCase:
    few, many = TestCase.of(kept, secrets), TestCase.of(kept, secrets, all_headers=True)
    shown = {name: [_without_hidden(few.hidden, item) for item in some] for name, some in items.items()}
    seeds_of = {name: [item for item in some if item is not None] for name, some in shown.items()}
    is_changed = {name for name, some in shown.items() if some != items[name]}
    first: TriedCase | None = None
    close: TriedCase | None = None
    for case in (few, many) if few.headers != many.headers else (few,):
        for seeds in (seeds_of, {}):
            tried, is_close = _try(case, trial, seeds)
            if is_changed.intersection(tried.case.seeds):
                tried.remarks.append("secrets in the items of collections are *** in the test")
            if not tried.differences:
                if not is_close:
                    return tried
                close = close or tried
            first = first or tried
            if not tried.case.seeds:
                break  # it reads none of the items
    found = close or first
    assert found is not None  # noqa: S101  # there is a first case
    return found


def _try(case: TestCase, trial: Trial, seeds: Items) -> tuple[TriedCase, bool]:
    """A case tried, and whether it passes only with values that are others each time, beside those that look so."""
    kept = case.kept
    trial.begin(seeds)
    answer = trial.answer(kept, case.sent, at=case.clock)
    case = replace(case, seeds={name: seeds[name] for name in sorted(trial.touched) if seeds.get(name)})
    if kept.status != answer.status or kept.failure is not None:
        return TriedCase(case, [each for each in differences(kept, answer) if each.part == "status"], []), False
    found = [each for each in differences(kept, answer) if each.part in ("header content-type", "header location")]
    place = header(answer.response_headers, "location")
    if case.location is not None and place is not None and like(case.location) == place:
        found = [each for each in found if each.part != "header location"]
    if case.hides_answer:
        remark = "its answer is not asserted: it is no text, and a secret or a credential is in it"
        return TriedCase(case, found, [remark]), False
    if kept.method == "HEAD" or kept.response_size > len(kept.response_body):
        return TriedCase(case, found, []), False
    value, actual = json_of(kept.response_body), json_of(answer.response_body)
    given = b"".join(to_line(item) for items in case.seeds.values() for item in items).decode()
    expected = NO_JSON if value is NO_JSON else case.expected_json(value, given)
    case.expected = expected
    if expected is NO_JSON or actual is NO_JSON:
        was, now = utf8_text(kept.response_body), utf8_text(answer.response_body)
        is_same = kept.response_body == answer.response_body or (
            was is not None and now is not None and like(case.template(was)) == now
        )
        if not is_same:
            found += [each for each in differences(kept, answer) if each.part == "body"]
        return TriedCase(case, found, []), False
    if expected == actual:
        return TriedCase(case, found, []), False
    common = joined(expected, actual)
    if common == actual:
        remark = "values that were others when it was tried are matched by their kind"
        return TriedCase(replace(case, expected=common), found, [remark]), True
    return TriedCase(case, found + [each for each in differences(kept, answer) if each.part == "body"], []), False


def _without_hidden(hidden: HiddenValues, item: dict[str, Any]) -> dict[str, Any] | None:
    """An item with ``***`` in place of hidden values; ``None`` for one that has one in its id or in a name."""
    if not hidden.stands_in(to_line(item)):
        return item
    found: dict[str, Any] = _blanked(hidden, item)
    is_named = hidden.stands_in(str(item["_id"])) or hidden.stands_in(to_line(found))
    return None if is_named else found


def _blanked(hidden: HiddenValues, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _blanked(hidden, each) for name, each in value.items()}
    if isinstance(value, list):
        return [_blanked(hidden, each) for each in value]
    if hidden.is_hidden_number(value):
        return 0
    return hidden.blanked(value, MASK) if isinstance(value, str) else value
