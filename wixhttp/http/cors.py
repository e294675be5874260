"""Cross-origin resource sharing (CORS): the policy, its parsing, and the headers of answers and of preflights.

Fetch, section 3.2: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wixhttp.messages import nearest

from .response import is_token
from .url import DEFAULT_PORTS

_KEYS = ("origins", "headers", "credentials", "max_age")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")


def parse_origin(value: object, name: str) -> str:
    """An origin, ``scheme://host[:port]``, in lower case and without the scheme's default port (RFC 6454, section 6).

    Raises:
        ValueError: anything else; a path or a trailing slash is refused with the right spelling.
            ``name`` begins the message.
    """
    rule = f"{name} is an origin, scheme://host[:port], not {value!r}"
    text = value.lower() if isinstance(value, str) else ""
    match = _ORIGIN.match(text)
    if match is None or int(match[3] or 0) > 65535:
        raise ValueError(f"{rule}; write it like 'https://www.example.com'")
    scheme, host, port = match.groups()
    origin = f"{scheme}://{host}" if port in (None, DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"
    if match.end() != len(text):
        hint = f"write {origin!r}" if text[match.end()] in "/?#" else "write it like 'https://www.example.com'"
        raise ValueError(f"{rule}; {hint}")
    return origin


@dataclass(frozen=True, slots=True)
class Cors:
    """A CORS policy: the other origins that may read the answers (Fetch, section 3.2).

    ``origins``: in lower case, or ``"*"`` for any. ``headers``: those a request may carry; ``None`` allows whatever
    the preflight asks for. ``max_age``: seconds for which a browser may keep the answer to a preflight.
    """

    origins: frozenset[str]
    headers: tuple[str, ...] | None = None
    credentials: bool = False
    max_age: int = 86400

    @classmethod
    def parse(cls, value: object, where: str) -> Cors:
        """From a mapping of ``origins`` (a list, or one text), ``headers``, ``credentials`` and ``max_age``.

        Raises:
            ValueError: an unknown key, a wrong type, what is no origin or no header name, or ``*`` with
                credentials, which browsers refuse. The message begins with ``where``, a dot and the key.
        """
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is a table, not {value!r}; write {{origins = ['https://www.example.com']}}")
        for key in value:
            if key not in _KEYS:
                raise ValueError(f"{where}.{key} is not a key of a CORS policy; {nearest(str(key), _KEYS)}")
        origins = frozenset(_cors_origin(each, where) for each in _texts(value.get("origins"), f"{where}.origins"))
        if not origins:
            raise ValueError(f"{where}.origins is empty, which allows nothing; name an origin, or leave {where} out")
        given = value.get("headers")
        headers = None if given is None else tuple(_texts(given, f"{where}.headers"))
        for each in headers or ():
            if not is_token(each):
                raise ValueError(f"{where}.headers names headers, not {each!r}; write ['Content-Type', 'X-Name']")
        credentials = value.get("credentials", False)
        if not isinstance(credentials, bool):
            raise ValueError(f"{where}.credentials is true or false, not {credentials!r}")
        if credentials and ("*" in origins or "*" in (headers or ())):
            raise ValueError(f"{where}.credentials excludes '*' (Fetch, 3.2.5); name the origins and the headers")
        max_age = value.get("max_age", 86400)
        if isinstance(max_age, bool) or not isinstance(max_age, int) or max_age < 0:
            raise ValueError(f"{where}.max_age is a whole number of seconds >= 0, not {max_age!r}; 0 keeps none")
        return cls(origins, headers, credentials, max_age)

    def allows(self, origin: str | None) -> bool:
        """Return whether a page of that origin may read the answer.

        ``None`` stands for no ``Origin`` header: then only where any origin may.
        """
        return "*" in self.origins or (origin is not None and origin.lower() in self.origins)

    def answer_headers(self, origin: str | None) -> list[tuple[str, str]]:
        """Headers of an ordinary answer to a request with that ``Origin``.

        ``Vary`` stands there for origins that are not allowed too: a shared cache keeps one answer for all of them.
        """
        return self._vary(preflight=False) + self._allowance(origin)

    def preflight_headers(
        self, origin: str | None, requested: str | None, methods: Sequence[str]
    ) -> list[tuple[str, str]]:
        """Headers of the answer to a preflight.

        ``requested`` is the value of its ``Access-Control-Request-Headers``, ``methods`` are those the function has.
        Where the origin is not allowed, only ``Vary``.
        """
        allowance = self._allowance(origin)
        if not allowance:
            return self._vary(preflight=True)
        allowance.append(("Access-Control-Allow-Methods", ", ".join(methods)))
        headers: Sequence[str] | None = self.headers
        if headers is None:
            asked = [each.strip() for each in (requested or "").split(",")]
            headers = [each for each in asked if is_token(each)]
        if headers:
            allowance.append(("Access-Control-Allow-Headers", ", ".join(headers)))
        allowance.append(("Access-Control-Max-Age", str(self.max_age)))
        return self._vary(preflight=True) + allowance

    def _allowance(self, origin: str | None) -> list[tuple[str, str]]:
        if "*" in self.origins:
            return [("Access-Control-Allow-Origin", "*")]
        if origin is None or not self.allows(origin):
            return []
        answer = [("Access-Control-Allow-Origin", origin)]
        return [*answer, ("Access-Control-Allow-Credentials", "true")] if self.credentials else answer

    def _vary(self, *, preflight: bool) -> list[tuple[str, str]]:
        names = [] if "*" in self.origins else ["Origin"]
        if preflight and self.headers is None:
            names.append("Access-Control-Request-Headers")
        return [("Vary", ", ".join(names))] if names else []


def _texts(value: object, name: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple, set, frozenset)) or not all(isinstance(each, str) for each in texts):
        raise ValueError(f"{name} is a list of texts, not {value!r}; write it like ['...', '...']")
    return list(texts)


def _cors_origin(value: str, where: str) -> str:
    return value.lower() if value.lower() in ("*", "null") else parse_origin(value, f"{where}.origins")
