"""The arguments of jobs as JSON: what can be kept, what is too much, and the payload of a row."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

MOST_BYTES = 1_048_576
"""Bytes of the arguments of one job, as JSON."""
_DEEPEST = 100
_REMEDY = "write text, numbers, True, False, None, lists and dicts of these; keep an item, and pass its _id"


def job_payload(arguments: Sequence[Any], request_id: str = "") -> bytes:
    """The payload of a job with these arguments. ``request_id`` is that of the request that it comes of, for the log.

    Raises:
        TypeError: a value is none that JSON has; names its place.
        ValueError: they are too long, nested too deep, or hold a number that JSON has not.
    """
    for index, value in enumerate(arguments):
        _check(value, f"argument {index + 1}", 0)
    document = {"arguments": list(arguments), **({"request_id": request_id} if request_id else {})}
    text = json.dumps(document, separators=(",", ":"))
    if len(text) > MOST_BYTES:
        raise ValueError(
            f"the arguments of a job are at most {MOST_BYTES} bytes of JSON, and these are {len(text)}; keep them in a "
            "collection, and pass the _id"
        )
    return text.encode("ascii")


def _check(value: Any, where: str, depth: int) -> None:
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value!r}, a number that JSON does not have; {_REMEDY}")
        return
    if depth >= _DEEPEST:
        raise ValueError(f"{where} is nested more than {_DEEPEST} deep, or in itself; {_REMEDY}")
    if isinstance(value, list | tuple):
        for index, each in enumerate(value):
            _check(each, f"{where}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}; the keys of JSON are text: str(key)")
            _check(each, f"{where}[{key!r}]", depth + 1)
    else:
        raise TypeError(f"{where} is of type {type(value).__name__}, which JSON does not have; {_REMEDY}")


class NotTaken(TypeError):
    """Arguments that the function of a job does not take."""


def check_taken(name: str, target: Callable[..., Any], arguments: Sequence[Any]) -> None:
    """Check that the function of a job takes these arguments.

    Raises:
        NotTaken: it does not.
    """
    try:
        signature = inspect.signature(target, follow_wrapped=False)  # a decorator may add arguments of its own
    except ValueError:  # a callable that does not say what it takes
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise NotTaken(
            f"the job {name!r} does not take these {len(arguments)} arguments, {error}; it is "
            f"{getattr(target, '__name__', name)}{signature}"
        ) from None


def read_payload(payload: bytes) -> dict[str, Any]:
    """The document of a payload."""
    document: dict[str, Any] = json.loads(payload)
    return document
