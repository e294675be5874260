"""Values of requests as the types that a handler names: dataclass, TypedDict, NamedTuple, pydantic model.

pydantic does the work (the extra ``validation``), and is loaded when a handler first names a type. What does not fit is
a `ValidationError`, which knows each place and rule, and none of the values.

JSON has types of its own, and they have to fit: ``"5"`` is no number, ``true`` is none, a whole number is a float, too.
A pydantic model that says ``strict`` decides itself. Fields of forms and queries are text, of which numbers, dates,
booleans and enums are made (pydantic's lax mode). Of them a list takes a name as often as it was sent, and an empty
text is ``None`` where the type takes ``None`` and no text.
"""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from wixhttp.errors import ConfigError, InvalidJSON, ValidationError
from wixhttp.messages import brief

from .json_codec import decode_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic import ValidationError as Refusal

_MOST_LISTED = 1000  # errors that are looked at one by one: a body of a megabyte may have a million
_MOST_SENT = 100
_TWICE = "Sent more than once; one value is expected"
_OTHER_TYPED_DICT = "before Python 3.12 write from typing_extensions import TypedDict"
_LONGEST = 200  # characters of a path and of a message
# Errors whose text shows the value, or a part of it, and what is said instead.
_NEUTRAL = {
    "union_tag_invalid": "The tag is none of those that are expected",
    "uuid_parsing": "Input should be a valid UUID",
    "url_parsing": "Input should be a valid URL",
}


def validated_json(data: bytes, model: Any) -> Any:
    """The value of a JSON text as a ``model``.

    Raises:
        InvalidJSON: 400, it is not JSON.
        ValidationError: 422, it does not fit.
    """
    value = decode_json(data)
    adapter = _adapter(model)
    config = getattr(model, "model_config", None) or getattr(model, "__pydantic_config__", None) or {}
    strict = None if "strict" in config else True
    return _validated(adapter, value, lambda: adapter.validate_json(data.removeprefix(b"\xef\xbb\xbf"), strict=strict))


def is_cold() -> bool:
    """Return whether nothing was validated yet: the first time loads pydantic, which would hold an event loop."""
    return _adapter.cache_info().currsize == 0


def validated_pairs(pairs: Iterable[tuple[str, Any]], model: Any) -> Any:
    """The pairs of a form or of a query as a ``model``.

    Raises:
        ValidationError: 422, they do not fit; a name that was sent twice fits a list alone.
        TypeError: ``model`` has no fields.
    """
    adapter = _adapter(model)
    fields = _fields(model)
    sent: dict[str, list[Any]] = {}
    for name, each in pairs:
        sent.setdefault(name, []).append(each)
    value: dict[str, Any] = {}
    twice: set[str] = set()
    for name, values in sent.items():
        field = fields.get(name)
        if field is None:
            if not issubclass(model, tuple):  # a NamedTuple refuses what a dataclass passes over
                value[name] = values[0]
        elif field.is_list:
            value[name] = values
        elif len(values) > 1:
            value[name] = values  # which does not fit: nothing of what was sent is dropped
            twice.add(name)
        else:
            value[name] = None if values[0] == "" and field.empty_is_none else values[0]
    return _validated(adapter, value, lambda: adapter.validate_python(value), twice)


@functools.lru_cache(maxsize=1024)
def _adapter(model: Any) -> TypeAdapter[Any]:
    try:
        from pydantic import PydanticUserError, TypeAdapter
    except ImportError as error:
        raise ConfigError("to validate needs pydantic; run: pip install 'wixhttp[validation]'") from error
    try:
        return TypeAdapter(model)
    except PydanticUserError as error:
        is_typed_dict = error.code == "typed-dict-version"
        reason = _OTHER_TYPED_DICT if is_typed_dict else error.message.partition("\n")[0]
        raise ConfigError(f"{brief(model)} is no type to validate by: {reason}") from error


def _validated(adapter: TypeAdapter[Any], value: Any, validate: Callable[[], Any], twice: Collection[str] = ()) -> Any:
    from pydantic import PydanticUserError
    from pydantic import ValidationError as Refusal

    try:
        return validate()
    except PydanticUserError as error:  # of a type that names another which is not there
        raise ConfigError(error.message) from error
    except Refusal as refusal:
        raise _refused(refusal, value, twice) from None  # the cause holds the values


def _refused(refusal: Refusal, value: Any, twice: Collection[str]) -> ValidationError | InvalidJSON:
    count = refusal.error_count()
    if count > _MOST_LISTED:
        return ValidationError([{"path": "", "message": f"{count} values do not fit"}])
    errors = []
    told: set[tuple[int | str, ...]] = set()  # of those in `twice`, of which a union has several errors
    for error in refusal.errors(include_url=False, include_context=False, include_input=False):
        if error["type"] == "json_invalid":  # JSON that was read, and that pydantic's parser refuses
            is_deep = "recursion limit" in error["msg"]  # else JavaScript's, that UTF-8 has no form for
            return InvalidJSON("it is nested too deep" if is_deep else "it holds a lone surrogate")
        field = error["loc"][:1]
        if field and field[0] in twice:
            if field not in told:
                errors.append({"path": _pointer(field, value), "message": _TWICE})
            told.add(field)
            continue
        message = _NEUTRAL.get(error["type"]) or error["msg"].removeprefix("Value error, ")
        errors.append({"path": _pointer(error["loc"], value), "message": _cut(message)})
    if count > _MOST_SENT:
        errors[_MOST_SENT:] = [{"path": "", "message": f"{count - _MOST_SENT} more values do not fit"}]
    return ValidationError(errors)


def _pointer(location: tuple[int | str, ...], value: Any) -> str:
    """The JSON Pointer (RFC 6901) of a place in ``value``. Steps that are none of it name members of unions: they are
    left out; the last one may name what is missing."""
    pointer = ""
    for number, step in enumerate(location):
        if _holds(value, step):
            value = value[step]
        elif number != len(location) - 1 or not isinstance(value, dict):
            continue
        pointer += "/" + str(step).replace("~", "~0").replace("/", "~1")
    return _cut(pointer)


def _holds(value: Any, step: int | str) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


class _Field(NamedTuple):
    """The field of a type: whether it takes a name several times, and whether an empty text is ``None``."""

    is_list: bool
    empty_is_none: bool


@functools.lru_cache(maxsize=1024)
def _fields(model: Any) -> Mapping[str, _Field]:
    """The fields of a type, by the names that they are sent under."""
    found = getattr(model, "__pydantic_fields__", None)
    if found is None and (isinstance(model, type) and hasattr(model, "__annotations__")):
        found = get_type_hints(model, include_extras=True)
    if not found:
        raise TypeError(
            f"a form or a query is read into a dataclass, TypedDict, NamedTuple or pydantic model, not {model!r}"
        )
    fields = {}
    for name, hint in found.items():
        infos = [hint] if hasattr(hint, "alias") else getattr(hint, "__metadata__", ())
        aliases = {alias for info in infos for alias in _aliases(info)}
        field = _field(getattr(hint, "annotation", hint))
        fields.update(dict.fromkeys({name, *aliases}, field))
    return fields


def _aliases(info: Any) -> Iterable[str]:
    given = getattr(info, "validation_alias", None) or getattr(info, "alias", None)
    return [each for each in getattr(given, "choices", [given]) if isinstance(each, str)]


def _field(hint: Any) -> _Field:
    members = list(_members(hint))
    is_list = any(isinstance(kind, type) and _is_list(kind) for kind in members)
    takes_text = any(kind is Any or not isinstance(kind, type) or issubclass(kind, str | bytes) for kind in members)
    return _Field(is_list, types.NoneType in members and not takes_text)


def _members(hint: Any) -> Iterable[Any]:
    """The plain types that a type is made of: those of a union, without what annotates them."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for each in get_args(hint):
            yield from _members(each)
    elif origin is Annotated or str(origin) in _QUALIFIERS:
        yield from _members(get_args(hint)[0])
    else:
        yield hint if origin is None else origin


_QUALIFIERS = frozenset(
    f"{module}.{name}" for module in ("typing", "typing_extensions") for name in ("Required", "NotRequired", "ReadOnly")
)


def _is_list(kind: type) -> bool:
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return False
    return issubclass(kind, list | tuple | set | frozenset | deque) or (
        kind.__module__ == "collections.abc" and issubclass(kind, Collection) and not issubclass(kind, Mapping)
    )
