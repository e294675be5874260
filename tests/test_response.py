"""wixhttp.http.response: what the helpers take, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import pytest

from wixhttp import badRequest, created, forbidden, notFound, ok, response, serverError
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
    for made in (helper({"status": 299}), helper(status=299), helper({"status": "200"}), helper(status=99)):
        assert (made.status, made.body) == (HELPERS[helper], None)
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


def test_unknown_options_are_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert ok({"body": 1, "heders_of_this_test": {}}).body == 1
    assert "heders_of_this_test" in caplog.text


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
