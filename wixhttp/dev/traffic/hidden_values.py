"""Values that must not stand in a test: the secrets of the project, which it asks for by their names, and the
credentials of a request that are none of them, which it does without."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from wixhttp.logs.masking import masked
from wixhttp.logs.secret_spellings import SecretPattern
from wixhttp.testing.matchers import ANY_NUMBER, ANY_TEXT, Likeness, like

from .masks import MASK

LEAST_SECRET = 4  # characters of a value that is taken for a secret; settings stand in the same files
NO_SECRETS = frozenset({"true", "True", "false", "False", "null", "none", "None"})
"""Values of settings that are no secrets, and of fields that are no credentials."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_PLACEHOLDER = "{text}"
_SAFE = ("", "/", "!'()*~", ";,/?:@&=+$-_.!~*'()#")  # of RFC 3986, urllib, encodeURIComponent and encodeURI


class HiddenValues:
    """The secrets of a project by name, and ``credentials``, in all spellings that they may have."""

    def __init__(self, secrets: Mapping[str, str] | None = None, credentials: Iterable[str] = ()) -> None:
        self.secrets = {
            name: value
            for name, value in (secrets or {}).items()
            if len(value) >= LEAST_SECRET and value not in NO_SECRETS
        }
        self._credentials = frozenset(credentials)
        values = {*self.secrets.values(), *self._credentials}
        self._pattern = SecretPattern(values) if values else None
        self._sources: dict[bytes, str] = {}
        for name, value in self.secrets.items():
            for spelled, source in _sources(name, value):
                self._sources.setdefault(spelled.encode("utf-8", "surrogatepass"), source)
        longest_first = sorted(self._sources, key=lambda spelled: (-len(spelled), spelled))
        self._spelled = re.compile(b"(" + b"|".join(map(re.escape, longest_first)) + b")") if longest_first else None

    def with_credentials(self, credentials: Iterable[str]) -> HiddenValues:
        """The same secrets, and more credentials."""
        return HiddenValues(self.secrets, self._credentials.union(credentials))

    def blanked(self, text: str, mask: str = _PLACEHOLDER) -> str:
        """A text with ``mask`` in place of each hidden value: by default as a template of `like`."""
        if self._pattern is not None:
            text = self._pattern.replaced(text, mask)
        pieces = text.split(mask)
        return mask.join(piece if (shown := masked(piece)) == piece else shown.replace(MASK, mask) for piece in pieces)

    def stands_in(self, text: str | bytes) -> bool:
        """Return whether a hidden value is in a text or in data, also in a mixture of spellings."""
        texts = [text] if isinstance(text, str) else [text.decode("latin-1"), text.decode("utf-8", "replace")]
        return any(self.blanked(each) != each for given in texts for each in _readings(given))

    def expected(self, value: Any) -> Any:
        """A JSON value with matchers in place of what has hidden values; keys stay."""
        if isinstance(value, dict):
            return {name: self.expected(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.expected(each) for each in value]
        if isinstance(value, str):
            template = self.blanked(value)
            if self.stands_in(template):  # in a mixture of spellings
                return ANY_TEXT
            return like(template) if template != value else value
        if isinstance(value, Likeness):
            template = self.blanked(value.template)
            return like(template) if template != value.template else value
        return ANY_NUMBER if self.is_hidden_number(value) else value

    def is_hidden_number(self, value: Any) -> bool:
        """Return whether a value is a number that has a hidden value in it."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.stands_in(json.dumps(value))

    def pieces(self, data: bytes) -> list[tuple[bytes, str]]:
        """The pieces of a text or of data: what stands there as it is, or the source of what a secret gives."""
        if self._spelled is None:
            return [(data, "")] if data else []
        found = [(piece, self._sources.get(piece, "")) for piece in self._spelled.split(data)]
        return [(piece if not source else b"", source) for piece, source in found if piece]

    def can_be_named(self, text: str) -> bool:
        """Return whether a text has no hidden value but secrets in spellings for which there is an expression."""
        return not any(self.stands_in(piece) for piece, _ in self.pieces(text.encode("utf-8", "surrogatepass")))


def _readings(text: str) -> Iterator[str]:
    """A text, and what it says where it is percent-encoded, HTML, or JSON, or JSON within JSON."""
    yield text
    if "%" in text or "+" in text:
        yield unquote(text)
        yield unquote_plus(text)
    if "&" in text:
        yield html.unescape(text)
    for _ in range(2):
        if "\\" not in text:
            break
        text = _ESCAPE.sub(_unescaped, text)
        yield text


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else _CONTROLS.get(found[2], found[2])


def _sources(name: str, value: str) -> list[tuple[str, str]]:
    """The spellings of a secret for which there is an expression, each with that."""
    get = f'getSecret("{name}")'
    found = [
        (value, get),
        (json.dumps(value)[1:-1], f"json.dumps({get})[1:-1]"),
        (json.dumps(value, ensure_ascii=False)[1:-1], f"json.dumps({get}, ensure_ascii=False)[1:-1]"),
    ]
    try:
        encoded = [(quote(value, safe), f'quote({get}, "{safe}")') for safe in _SAFE]
        return [*found, *encoded, (quote_plus(value), f"quote_plus({get})")]
    except UnicodeEncodeError:  # a lone surrogate
        return found
