"""The spellings in which a secret comes into a text: as it is, and as the usual encodings have it."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

_LEAST_ENCODED = 8  # bytes from which the base64 and hexadecimal spellings are too long to be ordinary text
_LONG = 500  # characters from which a secret, such as a key in PEM, has the most usual spellings alone
_MOST_CODE = 64  # characters of a code that are compared; the rest of a longer one is what follows
_DEPTH = 3  # characters by which the spellings are grouped
_SAFE = ("", "/", "!'()*~", ";,/?:@&=+$-_.!~*'()#")  # of RFC 3986, urllib, encodeURIComponent and encodeURI
_SCRIPT_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})
_HEX = "[0-9A-Fa-f]"
_BASE64 = "[A-Za-z0-9+/_-]"
_WINDOW = 4  # characters of a sample
_MOST_STEP = 32  # characters between two samples


def spellings(value: str) -> set[str]:
    """The spellings of a secret: plain, ``repr``, JSON, HTML and percent-encoded.

    >>> sorted(spellings("a&<"))
    ['a%26%3C', 'a%26%3c', 'a&%3C', 'a&%3c', 'a&<', 'a&amp;&lt;', 'a\\\\u0026\\\\u003c']
    """
    data = value.encode("utf-8", "surrogatepass")
    found = {value, repr(value)[1:-1]}
    if len(value) > _LONG:
        return found | {json.dumps(value)[1:-1], quote(data, ""), quote_plus(data)}
    for text in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        found |= {text, text.replace("/", "\\/"), text.translate(_SCRIPT_SAFE)}
    plain = html.escape(value, quote=False)
    found |= {plain, plain.replace('"', "&quot;"), html.escape(value), html.escape(value).replace("&#x27;", "&#39;")}
    found.add(plain.replace('"', "&#34;").replace("'", "&#39;"))
    encoded = {quote(data, safe) for safe in _SAFE} | {quote_plus(data), quote_plus(data, "*").replace("~", "%7E")}
    return found | encoded | {_lower_percents(each) for each in encoded}


def codes(value: str) -> dict[str, str]:
    """The characters of a secret in hexadecimal, and those that it has in base64 wherever it stands in what is encoded;
    each with an expression for what may follow. None of one that is so short that they may be ordinary text."""
    data = value.encode("utf-8", "surrogatepass")
    if len(data) < _LEAST_ENCODED:
        return {}
    found = _with_end((data.hex(), data.hex().upper()), _HEX, "")
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode()
        stem = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        # The character behind it has bits of what follows.
        found.update(_with_end((stem, stem.replace("+", "-").replace("/", "_")), _BASE64, "={0,2}"))
    return found


def _with_end(texts: Iterable[str], character: str, end: str) -> dict[str, str]:
    """Codes with what may follow them: of a long one, whatever goes on in its characters."""
    found = {}
    for text in texts:
        rest = f"{character}*" if len(text) > _MOST_CODE else f"{character}?" if end else ""
        found[text[:_MOST_CODE]] = rest + end
    return found


class SecretPattern:
    """The pattern of secrets in all their spellings. It takes time in proportion to the text: nothing is tried twice
    behind what repeats, and codes are looked for only where a sample of the text looks like the beginning of one."""

    def __init__(self, values: Iterable[str]) -> None:
        plain: dict[str, str] = {}
        coded: dict[str, str] = {}
        for value in values:
            plain.update(dict.fromkeys(spellings(value), ""))
            coded.update(codes(value))
        self._plain, self._coded = _pattern_of(plain), _pattern_of(coded)
        # Wherever a code stands, a sample lies within its first characters.
        self._shortest = min(map(len, coded), default=0)
        self._step = min(max(self._shortest - _WINDOW + 1, 1), _MOST_STEP)
        self._samples = {code[at : at + _WINDOW] for code in coded for at in range(self._step)}

    def replaced(self, text: str, mask: str) -> str:
        """A text with ``mask`` in place of each secret."""
        if self._plain is not None:
            text = self._plain.sub(mask, text)
        if self._coded is None or len(text) < self._shortest:
            return text
        if self._samples.isdisjoint([text[at : at + _WINDOW] for at in range(0, len(text), self._step)]):
            return text
        return self._coded.sub(mask, text)


def _pattern_of(spelled: dict[str, str]) -> re.Pattern[str] | None:
    """The pattern of texts, a longer one before its beginning, each with what may follow it; ``None`` for none."""
    longest_first = sorted(spelled, key=lambda text: (-len(text), text))
    return re.compile(_alternatives([(text, spelled[text]) for text in longest_first], _DEPTH)) if spelled else None


def _alternatives(spelled: list[tuple[str, str]], depth: int) -> str:
    """Spellings as alternatives, grouped by their first characters: a text is compared with those few alone that begin
    as it does. Each has what may follow it as an expression."""
    if len(spelled) == 1 or not depth:
        return "|".join(re.escape(text) + end for text, end in spelled)
    groups: dict[str, list[tuple[str, str]]] = {}
    for text, end in spelled:
        groups.setdefault(text[:1], []).append((text[1:], end))
    parts = []
    for first, rest in groups.items():
        inner = _alternatives(rest, depth - 1)
        parts.append(re.escape(first) + (f"(?:{inner})" if len(rest) > 1 else inner))
    return "|".join(parts)


def _lower_percents(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text)
