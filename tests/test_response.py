"""wixhttp.http.response: what the helpers take, and what they refuse."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import pytest

from wixhttp import badRequest, created, forbidden, misuse, notFound, ok, response, serverError
from wixhttp.errors import MisuseWarning
from wixhttp.http.response import Response, header_fields

HELPERS: dict[Callable[..., Response], int] = {
    ok: 200, created: 201, badRequest: 400, forbidden: 403, notFound: 404, serverError: 500, response: 200,
}  # fmt: skip


@pytest.mark.parametrize(("helper", "status"), HELPERS.items(), ids=lambda each: getattr(each, "__name__", each))
def test_each_helper_has_its_status(helper: Callable[..., Response], status: int) -> None:
    assert [made.status for made in (helper(), helper({"body": 1}), helper(body=1))] == [status] * 3


@pytest.mark.parametrize(
    "helper", [helper for helper in HELPERS if helper is not response], ids=lambda each: each.__name__
)
def test_only_response_reads_the_status(helper: Callable[..., Response]) -> None:
    calls: list[Callable[[], Response]] = [
        lambda: helper({"status": 299}),
        lambda: helper(status=299),
        lambda: helper({"status": "200"}),
        lambda: helper(status=99),
        lambda: helper({"body": None, "status": 404}),
        lambda: helper(None, status=404),
    ]
    for make in calls:
        with pytest.warns(MisuseWarning, match=r"has its own status.*write response\(status=..., body=...\)") as warned:
            made = make()
        assert (made.status, made.body) == (HELPERS[helper], None)
        assert (len(warned), warned[0].filename) == (1, __file__)
    assert response({"status": 299}).status == response(status=299).status == 299


@pytest.mark.parametrize(
    "value", ["hello", b"x", 0, [1], (), {"message": "m"}, {"a": 1, "b": 2}, MappingProxyType({"m": 1}), False]
)
def test_any_other_value_is_the_body(value: Any) -> None:
    assert ok(value).body == value


@pytest.mark.parametrize("options", [{}, MappingProxyType({}), None])
def test_nothing_is_no_body(options: Mapping[str, Any] | None) -> None:
    assert ok(options).body is None


def test_a_mapping_of_options_may_be_of_any_kind() -> None:
    made = ok(MappingProxyType({"body": 1, "headers": {"X": "y"}}))
    assert (made.body, made.headers) == (1, {"X": "y"})


def test_a_second_positional_argument_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"ok\(\) takes one value; for headers write ok\(body=..., headers=...\)"):
        ok({"a": 1}, {"X": "y"})


def test_nothing_is_given_twice() -> None:
    with pytest.raises(TypeError, match="'body' twice"):
        ok({"body": 1}, body=2)
    with pytest.raises(TypeError, match="'body' twice"):
        ok("a", body=2)
    with pytest.raises(TypeError, match="'headers' twice"):
        ok({"headers": {}}, headers={})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"body": 1, "header": {}}, "does not send 'header' of its mapping, .*did you mean 'headers'"),
        ({"body": 1, "Headers": {}}, "'Headers'.*did you mean 'headers'"),
        ({"headers": {}, "Body": 1}, "'Body'.*did you mean 'body'"),
        ({"title": "x", "body": 1}, r"'title'.*to send the mapping itself, write ok\(body=...\)"),
        ({"body": 1, 5: 1}, r"'5'|5"),
        ({"Body": 1}, "sends the whole mapping of 'Body' as the body; its options are 'body' and 'headers'"),
        ({"Body": 1, "Headers": {}}, "the whole mapping of 'Body', 'Headers'"),
        ({"header": {}}, "the whole mapping"),
        ({"a"}, r'a set, which it sends as a list: for JavaScript\'s {body} write ok\({"body": body}\)'),
    ],
)
def test_what_is_hardly_meant_is_warned_of_at_its_line(options: Any, told: str) -> None:
    for _ in range(2):
        with pytest.warns(MisuseWarning, match=told) as warned:
            assert ok(options).status == 200
        assert (len(warned), warned[0].filename) == (1, __file__)


@pytest.mark.parametrize(
    "body",
    [
        {"header": "x", "rows": []}, {"Body": 1, "Title": 2}, {"Status": 1}, {"statusCode": 1}, {"data": 1}, {"a", "b"},
        {"header": 1, "Body": 2, "c": 3, "d": 4}, frozenset({"a"}), {},
    ],
)  # fmt: skip
def test_likely_bodies_are_not_warned_of(body: Any) -> None:
    assert ok(body).body == (body or None)


@pytest.mark.parametrize("status", [99, 199, 600, "200", True, 200.0, None, -1])
def test_a_status_is_a_whole_number_from_200_to_599(status: Any) -> None:
    with pytest.raises(ValueError, match=f"200 to 599, not {status!r}"):
        response(status=status)
    made = ok()
    with pytest.raises(ValueError, match="200 to 599"):
        made.status = status
    assert made.status == 200


def test_an_http_status_is_a_status() -> None:
    assert response(status=HTTPStatus.IM_A_TEAPOT).status == 418


def test_headers_are_a_copy() -> None:
    given = {"X": "1"}
    made = ok(headers=given)
    made.headers["Y"] = "2"
    assert given == {"X": "1"}


def test_header_fields_in_order_with_lists_repeated() -> None:
    fields = list(header_fields({"B": 1, "a": ["x", " y "], "Connection": "close", "C": (), "D": True}))
    assert fields == [("B", "1"), ("a", "x"), ("a", "y"), ("D", "true")]


def test_repr_shows_the_kind_of_the_body() -> None:
    assert repr(created({"body": {}, "headers": {"X": "y"}})) == "<Response 201 headers={'X': 'y'} body=dict>"


def test_a_client_that_chooses_the_keys_is_warned_of_once() -> None:
    before = len(misuse._given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for number in range(200):
            ok({"body": 1, f"{number}" * 1000: 2, "another": 3})
        response({"body": 1, "x": 2})
    assert [len(str(each.message)) < 300 for each in caught] == [True, True]
    assert len(misuse._given) == before + 2
