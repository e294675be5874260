"""The responses of an operation, and the problem documents of errors."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from .handler_facts import ANY_TYPE, PROBLEM, HandlerFacts, SentAnswer
from .schemas import Schema, TypeTable

_PROBLEM_SCHEMA = "#/components/schemas/wixhttp.Problem"
_VALIDATION_SCHEMA = "#/components/schemas/wixhttp.ValidationProblem"
_PROBLEM: Schema = {
    "type": "object",
    "description": "An error that wixhttp answers (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
_VALIDATION: Schema = {
    "allOf": [{"$ref": _PROBLEM_SCHEMA}],
    "type": "object",
    "properties": {
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "message"],
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        }
    },
}
_OTHERS = (
    "Any other error of wixhttp: 400 for a request that cannot be read, 404 for a path that there is not, 405 for a "
    "method that there is not, 413 for a body that is too large, 503 and 504 for a server that is too busy or too slow."
)


def responses_of(
    facts: HandlerFacts, types: TypeTable, *, reads_body: bool, refusals: Iterable[int] = ()
) -> dict[str, Any]:
    """The responses of a handler, and those of wixhttp in its place, by status. ``refusals`` are statuses of guards."""
    answers = list(facts.answers)
    is_typed = bool(facts.query_types) or (reads_body and any(facts.bodies.values()))
    if reads_body and ("json" in facts.bodies or "form" in facts.bodies):
        answers.append(SentAnswer(400, PROBLEM))
    if facts.needs_caller:
        answers += [SentAnswer(401, PROBLEM), SentAnswer(403, PROBLEM)]
    answers += [SentAnswer(status, PROBLEM) for status in refusals]
    if is_typed:
        answers.append(SentAnswer(422, PROBLEM))
    answers.append(SentAnswer(500, PROBLEM))
    if not any(200 <= answer.status < 400 for answer in answers):
        answers.append(SentAnswer(200, ANY_TYPE))
    made: dict[str, Any] = {}
    for status in sorted({answer.status for answer in answers if answer.status}):
        content: dict[str, Any] = {}
        for answer in answers:
            if answer.status == status and answer.media:
                _add(content, answer, types)
        if list(content) == [PROBLEM]:
            made[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
        else:
            made[str(status)] = {"description": _phrase(status)} | ({"content": content} if content else {})
    made["default"] = {"$ref": "#/components/responses/Problem"}
    return made


def deferred_responses(status: int, refusals: Iterable[int]) -> dict[str, Any]:
    """The responses of a handler whose requests are stored, by status: those of its own answers are sent to nobody.
    ``status`` is that of what was stored."""
    accepted: Schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    stored: dict[str, Any] = {"description": _phrase(status)}
    if status not in (204, 205):
        stored["content"] = {"application/json": {"schema": accepted}}
    problems = {str(each): {"$ref": f"#/components/responses/Problem{each}"} for each in (*refusals, 500, 503)}
    made: dict[str, Any] = {str(status): stored, **problems}
    return {**dict(sorted(made.items())), "default": {"$ref": "#/components/responses/Problem"}}


def _add(content: dict[str, Any], answer: SentAnswer, types: TypeTable) -> None:
    """Add an answer to the content of its status. Several types of one content type are any of them."""
    media, schema = answer.media, types.schema(answer.type, "serialization")
    if media == PROBLEM:
        schema = {"$ref": _VALIDATION_SCHEMA if answer.status == 422 else _PROBLEM_SCHEMA}
    elif media == ANY_TYPE and answer.type is not None:
        media = types.media(answer.type)
    if media == ANY_TYPE:
        schema = {}
    told = content.setdefault(media, {"schema": schema} if schema else {})
    known = told.get("schema", {})
    if known != schema:
        members = [*known.get("anyOf", [known]), schema]
        content[media] = {"schema": {"anyOf": members}} if known and schema else {}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else f"Status {status}"


def problem_components() -> dict[str, dict[str, Any]]:
    """The schemas and responses of problem documents, by kind and name."""
    responses: dict[str, Any] = {"Problem": _problem(_OTHERS, _PROBLEM_SCHEMA)}
    for status in range(400, 600):
        schema = _VALIDATION_SCHEMA if status == 422 else _PROBLEM_SCHEMA
        responses[f"Problem{status}"] = _problem(_phrase(status), schema)
    return {"schemas": {"wixhttp.Problem": _PROBLEM, "wixhttp.ValidationProblem": _VALIDATION}, "responses": responses}


def _problem(description: str, schema: str) -> Schema:
    return {"description": description, "content": {PROBLEM: {"schema": {"$ref": schema}}}}
