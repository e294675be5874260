"""Types of what requests give, for mypy and pyright; `tests/test_types.py` runs both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel
from typing_extensions import TypedDict, assert_type

from wixhttp import AsyncRequest, Request
from wixhttp import endpoints as web


@dataclass
class Order:
    name: str


class Typed(TypedDict):
    name: str


class Named(NamedTuple):
    name: str


class Model(BaseModel):
    name: str


def of_functions(request: Request) -> None:
    assert_type(request.body.json(), Any)
    assert_type(request.body.json(Order), Order)
    assert_type(request.body.json(Typed), Typed)
    assert_type(request.body.json(Named), Named)
    assert_type(request.body.json(Model), Model)
    assert_type(request.body.json(list[Order]), list[Order])
    assert_type(request.body.form(), web.FormData)
    assert_type(request.body.form(Order), Order)
    assert_type(request.query.parse(Order), Order)
    assert_type(request.query["a"], str | None)
    assert_type(request.path[0], str | None)
    assert_type(request.path[1:], list[str])
    assert_type(request.headers["a"], str | None)


async def of_async_functions(request: AsyncRequest) -> None:
    assert_type(await request.body.json(), Any)
    assert_type(await request.body.json(Order), Order)
    assert_type(await request.body.form(), web.FormData)
    assert_type(await request.body.form(Model), Model)
    assert_type(request.query.parse(Typed), Typed)


def of_endpoints(request: web.Request, url: web.URL) -> None:
    assert_type(request.json(Order), Order)
    assert_type(request.formData(), web.FormData)
    assert_type(request.formData(Typed), Typed)
    assert_type(url.searchParams.parse(Named), Named)


async def of_async_endpoints(request: web.AsyncRequest) -> None:
    assert_type(await request.json(), Any)
    assert_type(await request.json(Order), Order)
    assert_type(await request.formData(Model), Model)
