"""The web's own words for a request and an answer: headers, URLs, and their parameters.

Names and behaviour are those of the Fetch and URL standards (https://fetch.spec.whatwg.org, https://url.spec.whatwg.org),
as far as Python has a form for them: mappings, iteration and ``in`` work besides the methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit

from ..response import check_field_name, field_value
from ..url import query_pairs

_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}  # WHATWG URL: the special schemes
_REFUSED_IN_HOST = frozenset(" #%/<>?@\\^|`{}\"'")
_KEPT_IN_PATH = "%/!$&'()*+,;=:@-._~|[]^\\"
_KEPT_IN_QUERY = "%/?!$&()*+,;=:@-._~|[]^\\{}`"
_ENDS = "".join(map(chr, range(33)))  # what a URL loses at both ends
_INNER = str.maketrans("", "", "\t\n\r")  # what a URL loses everywhere


class Headers:
    """Header fields: names in any case, in the order of their first setting, spelled as first given.

    ``init`` is a mapping, pairs, or other Headers. Several values of one name are read joined by ``", "``; only of
    ``Set-Cookie`` does each stand for itself, in iteration too. A list as the value sets several, a missing name reads
    ``None``. Those of a request are read-only.

    Raises:
        ValueError: when a header is set that cannot be sent: a name that is no token (RFC 9110, 5.6.2), a value that is
            not Latin-1 or holds CR, LF, NUL or another control character.
        TypeError: for a change of a request's headers.

    >>> headers = Headers({"Accept": "a"})
    >>> headers.append("ACCEPT", "b")
    >>> headers["accept"], headers["x-none"], list(headers.items())
    ('a, b', None, [('Accept', 'a, b')])
    """

    __slots__ = ("_fields", "_fixed")

    __hash__ = None  # type: ignore[assignment]  # they change

    def __init__(self, init: Headers | Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        self._fields: dict[str, tuple[str, list[str]]] = {}
        self._fixed = False
        if init is None:
            return
        if isinstance(init, Headers):
            self._fields = {key: (name, values.copy()) for key, (name, values) in init._fields.items()}
        elif isinstance(init, Mapping):
            for name, value in init.items():
                self.append(name, value)
        elif isinstance(init, str | bytes) or not isinstance(init, Iterable):
            raise TypeError(f'headers are a mapping such as {{"X-Name": "value"}}, or pairs, not {init!r}')
        else:
            for pair in init:
                if isinstance(pair, str) or len(pair) != 2:
                    raise TypeError(f"headers are made of pairs of a name and a value, not {pair!r}")
                self.append(*pair)

    @classmethod
    def of(cls, fields: Iterable[tuple[str, str]], *, fixed: bool = True) -> Headers:
        """Headers from pairs in any case, not checked: those of a request, which are read-only, or ``fixed`` not so."""
        headers = cls()
        for name, value in fields:
            known = headers._fields.setdefault(name.lower(), (name, []))
            known[1].append(value)
        headers._fixed = fixed
        return headers

    def get(self, name: str, default: Any = None, /) -> Any:
        """The value of ``name``: several are joined by ``", "``, cookies of a request by ``"; "``; else ``default``."""
        key = name.lower()
        known = self._fields.get(key)
        if known is None:
            return default
        values = known[1]
        return values[0] if len(values) == 1 else ("; " if key == "cookie" else ", ").join(values)

    def getSetCookie(self) -> list[str]:
        """The values of ``Set-Cookie``, one for each cookie."""
        known = self._fields.get("set-cookie")
        return [] if known is None else known[1].copy()

    def has(self, name: str) -> bool:
        """Whether there is a header of that name."""
        return name.lower() in self._fields

    def set(self, name: str, value: Any) -> None:
        """Make ``value`` the one value of ``name``; a list or tuple sets each of its items, an empty one none."""
        values = self._checked(name, value)
        spelled = self._fields.get(name.lower(), (name,))[0]
        if values:
            self._fields[name.lower()] = (spelled, values)
        else:
            self._fields.pop(name.lower(), None)

    def append(self, name: str, value: Any) -> None:
        """Add a value (of a list each item) to those of ``name``."""
        values = self._checked(name, value)
        if values:
            self._fields.setdefault(name.lower(), (name, []))[1].extend(values)

    def delete(self, name: str) -> None:
        """Remove ``name`` with all its values; one that is missing already is no error."""
        self._check_fixed()
        self._fields.pop(name.lower(), None)

    def _checked(self, name: str, value: Any) -> list[str]:
        self._check_fixed()
        check_field_name(name)
        if isinstance(value, list | tuple):
            return [field_value(name, each) for each in value]
        return [field_value(name, value)]

    def _check_fixed(self) -> None:
        if self._fixed:
            raise TypeError("a request is read-only; change a copy of its headers: Headers(request.headers)")

    def items(self) -> Iterator[tuple[str, str]]:
        """Pairs of name and joined value; one for each cookie of ``Set-Cookie``."""
        for key, (name, values) in self._fields.items():
            if len(values) == 1:
                yield name, values[0]
            elif key == "set-cookie":
                for value in values:
                    yield name, value
            else:
                yield name, self.get(key)

    def keys(self) -> Iterator[str]:
        """The names, one for each pair of ``items()``."""
        return (name for name, _ in self.items())

    def values(self) -> Iterator[str]:
        """The values, one for each pair of ``items()``."""
        return (value for _, value in self.items())

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __bool__(self) -> bool:
        return bool(self._fields)

    def __len__(self) -> int:
        return sum(len(values) if key == "set-cookie" else 1 for key, (_, values) in self._fields.items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        mine, theirs = (sorted((name.lower(), value) for name, value in each.items()) for each in (self, other))
        return mine == theirs

    def __repr__(self) -> str:
        return f"Headers({list(self.items())!r})"


class URLSearchParams:
    """The parameters of a query, read-only: pairs in the order in which they were sent, decoded by the rules of forms.

    ``init`` is a query with or without its ``?``, a mapping, or pairs.

    >>> params = URLSearchParams("?q=1+2&tag=a&tag=b")
    >>> params.get("q"), params.get("x"), params.getAll("tag"), "tag" in params, str(params)
    ('1 2', None, ['a', 'b'], True, 'q=1+2&tag=a&tag=b')
    """

    __slots__ = ("_pairs",)

    def __init__(self, init: str | Mapping[str, str] | Iterable[tuple[str, str]] = "") -> None:
        if isinstance(init, str):
            self._pairs = query_pairs(init.removeprefix("?"))
        else:
            pairs = init.items() if isinstance(init, Mapping) else init
            self._pairs = [(str(name), str(value)) for name, value in pairs]

    def get(self, name: str, default: Any = None, /) -> Any:
        """The first value of ``name``, else ``default``."""
        for key, value in self._pairs:
            if key == name:
                return value
        return default

    def getAll(self, name: str) -> list[str]:
        """Every value of ``name``, in order."""
        return [value for key, value in self._pairs if key == name]

    def has(self, name: str, value: str | None = None) -> bool:
        """Whether there is a ``name``; with ``value`` whether there is that pair."""
        return any(key == name and (value is None or each == value) for key, each in self._pairs)

    def keys(self) -> Iterator[str]:
        """The names, repeated ones as often as they were sent."""
        return (name for name, _ in self._pairs)

    def values(self) -> Iterator[str]:
        """The values, in order."""
        return (value for _, value in self._pairs)

    def entries(self) -> Iterator[tuple[str, str]]:
        """The pairs, in order; so does iteration."""
        return iter(self._pairs)

    @property
    def size(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def toString(self) -> str:
        """The query, encoded as forms are (WHATWG URL, 5.2), without ``?``."""
        return urlencode(self._pairs, safe="*", errors="replace").replace("~", "%7E")

    __str__ = toString
    __iter__ = entries

    def __len__(self) -> int:
        return len(self._pairs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __eq__(self, other: object) -> bool:
        return self._pairs == other._pairs if isinstance(other, URLSearchParams) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._pairs))

    def __repr__(self) -> str:
        return f"URLSearchParams({self._pairs!r})"


class URL:
    """An absolute URL, read-only, in its parts: ``href`` whole, ``str(url)`` too.

    ``base`` is what a relative ``href`` is resolved against. Scheme and host become lower case, the scheme's own port
    is left out, dot segments are resolved (WHATWG URL). In the ``url`` of a request ``pathname`` is the decoded path
    that routes are matched against; in a URL made from text it is percent-encoded.

    Raises:
        ValueError: it is no absolute URL, and there is no base that makes it one.

    >>> url = URL("../b?q=1#top", "HTTPS://Example.com:443/a/x/")
    >>> url.href, url.host, url.port, url.pathname, url.search, url.hash
    ('https://example.com/a/b?q=1#top', 'example.com', '', '/a/b', '?q=1', '#top')
    """

    __slots__ = ("_credentials", "_hash", "_href", "_params", "_pathname", "_query", "_site")

    _href: str | None
    _params: URLSearchParams | None

    def __init__(self, href: str | URL, base: str | URL | None = None) -> None:
        text, given = str(href).strip(_ENDS).translate(_INNER), href
        if base is not None:
            text = urljoin(str(URL(base)), _slashes(text, "http"))
        try:
            parts = urlsplit(_slashes(text, text.partition(":")[0].lower()))
            self._site = _site(parts)
        except ValueError as error:
            raise ValueError(f"{given!r} is no absolute URL such as https://example.com/path: {error}") from None
        path = quote(parts.path, safe=_KEPT_IN_PATH, errors="replace")
        self._pathname = _without_dots(path) if parts.netloc or path[:1] == "/" else path
        self._query = quote(parts.query, safe=_KEPT_IN_QUERY, errors="replace")
        self._hash = "#" + quote(parts.fragment, safe=_KEPT_IN_QUERY + "#'", errors="replace") if parts.fragment else ""
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        self._credentials = (quote(user, safe="%"), quote(password, safe="%"))
        login = ":".join(self._credentials).removesuffix(":")
        site = self._site.replace("://", f"://{login}@", 1) if login else self._site
        self._href = site + self._pathname + self.search + self._hash
        self._params = None

    @classmethod
    def of(cls, origin: str, pathname: str, query: str) -> URL:
        """The URL of a request: origin in lower case without default port, the router's decoded path, the raw query."""
        url = cls.__new__(cls)
        url._site, url._pathname, url._query, url._hash = origin, pathname, query, ""
        url._credentials = ("", "")
        url._href = url._params = None
        return url

    @property
    def href(self) -> str:
        """The whole URL, percent-encoded."""
        href = self._href
        if href is None:
            from .paths import encode

            href = self._href = self._site + encode(self._pathname) + self.search
        return href

    @property
    def origin(self) -> str:
        """Scheme, host and port: ``"https://example.com"``; ``"null"`` for schemes that have none (``data:``)."""
        return self._site if self._site.partition(":")[0] in _PORTS else "null"

    @property
    def protocol(self) -> str:
        """The scheme with its colon: ``"https:"``."""
        return self._site.partition(":")[0] + ":"

    @property
    def host(self) -> str:
        """Host and port: ``"example.com:8080"``."""
        return self._site.partition("://")[2]

    @property
    def hostname(self) -> str:
        """The host without its port; an IPv6 address in brackets."""
        host = self.host
        return host if host.endswith("]") else host.rpartition(":")[0] or host

    @property
    def port(self) -> str:
        """The port as text; ``""`` for the scheme's own."""
        return self.host[len(self.hostname) + 1 :]

    @property
    def username(self) -> str:
        """The user before the host, percent-encoded, or ``""``."""
        return self._credentials[0]

    @property
    def password(self) -> str:
        """The password before the host, percent-encoded, or ``""``."""
        return self._credentials[1]

    @property
    def pathname(self) -> str:
        """The path, at least ``"/"``. Of a request: decoded, but for ``; / ? : @ & = + $ , #``."""
        return self._pathname

    @property
    def search(self) -> str:
        """The query with its ``?``, as sent; ``""`` without one."""
        return "?" + self._query if self._query else ""

    @property
    def searchParams(self) -> URLSearchParams:
        """The parameters of the query, decoded."""
        params = self._params
        if params is None:
            params = self._params = URLSearchParams.__new__(URLSearchParams)
            params._pairs = query_pairs(self._query)
        return params

    @property
    def hash(self) -> str:
        """The fragment with its ``#``; ``""`` without one, so always that of a request."""
        return self._hash

    def __str__(self) -> str:
        return self.href

    def __eq__(self, other: object) -> bool:
        return self.href == other.href if isinstance(other, URL) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.href)

    def __repr__(self) -> str:
        return f"URL({self.href!r})"


def _slashes(text: str, scheme: str) -> str:
    """The text with each ``\\`` before its query made a ``/``, as browsers read it where the scheme is theirs."""
    if "\\" not in text or scheme not in _PORTS:
        return text
    end = min((at for at in map(text.find, "?#") if at >= 0), default=len(text))
    return text[:end].replace("\\", "/") + text[end:]


def _site(parts: SplitResult) -> str:
    """Scheme, host and port as they are compared.

    Raises:
        ValueError: a part is missing or is none.
    """
    scheme, host = parts.scheme, parts.hostname or ""
    if not scheme:
        raise ValueError("the scheme is missing")
    if scheme in _PORTS and not host:
        raise ValueError("the host is missing")
    if not parts.netloc:
        return scheme + ":" + ("//" if scheme == "file" else "")
    if _REFUSED_IN_HOST.intersection(host):
        raise ValueError(f"{host!r} is no host")
    if not host.isascii():
        host = host.encode("idna").decode()
    port = "" if parts.port is None or str(parts.port) == _PORTS.get(scheme) else f":{parts.port}"
    return f"{scheme}://[{host}]{port}" if ":" in host else f"{scheme}://{host}{port}"


def _without_dots(path: str) -> str:
    """The absolute path without dot segments (RFC 3986, 5.2.4; also percent-encoded ones)."""
    kept: list[str] = []
    *inner, last = (segment.replace("%2e", ".").replace("%2E", ".") for segment in path.split("/")[1:] or [""])
    raw = path.split("/")[1:] or [""]
    for plain, segment in zip([*inner, last], raw, strict=True):
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    if last in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
