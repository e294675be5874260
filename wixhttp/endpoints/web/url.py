"""URLs and their parameters as the URL standard has them (https://url.spec.whatwg.org), read-only.

Parameters can besides be iterated, and asked with ``in``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit

from wixhttp.http.url import DEFAULT_PORTS, query_pairs, remove_dot_segments, scalar_text
from wixhttp.messages import brief

_Value = TypeVar("_Value")

_PORTS = {**DEFAULT_PORTS, "ws": "80", "wss": "443", "ftp": "21"}  # WHATWG URL: the special schemes
_LONGEST_NAME = 253  # characters of the name of a host
_REFUSED_IN_HOST = frozenset(" #%/<>?@\\^|`{}\"'")
_KEPT_IN_PATH = "%/!$&'()*+,;=:@-._~|[]^\\"
_KEPT_IN_QUERY = "%/?!$&()*+,;=:@-._~|[]^\\{}`"
_ENDS = "".join(map(chr, range(33)))  # stripped from both ends of a URL
_INNER = str.maketrans("", "", "\t\n\r")  # removed everywhere in a URL


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
            self._pairs = query_pairs(scalar_text(init).removeprefix("?"))
        else:
            pairs = init.items() if isinstance(init, Mapping) else init
            self._pairs = [(scalar_text(str(name)), scalar_text(str(value))) for name, value in pairs]

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
        """Return whether there is a ``name``; with ``value`` whether there is that pair."""
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

    def parse(self, model: type[_Value], /) -> _Value:
        """The parameters as a ``model``: a dataclass, TypedDict, NamedTuple or pydantic model (the extra
        ``validation``). A field that is a list has every value of a repeated name.

        Raises:
            ValidationError: they do not fit. Not caught by the handler, it is answered 422, with each error.
        """
        from wixhttp.http.validation import validated_pairs

        value: Any = validated_pairs(self._pairs, model)
        return value  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def toString(self) -> str:
        """The query, encoded as forms are (WHATWG URL, 5.2), without ``?``."""
        return urlencode(self._pairs, safe="*").replace("~", "%7E")

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
        text = scalar_text(str(href)).strip(_ENDS).translate(_INNER)
        base_text = "" if base is None else str(URL(base))
        try:
            if base is not None:
                text = urljoin(base_text, _slashes(text, "http"))
            parts = urlsplit(_slashes(text, text.partition(":")[0].lower()))
            self._site = _site(parts)
        except ValueError as error:
            raise ValueError(
                f"{brief(str(href))} is no absolute URL such as https://example.com/path: {error}"
            ) from None
        path = quote(parts.path, safe=_KEPT_IN_PATH)
        if parts.netloc or path[:1] == "/":
            path = "/" + "/".join(remove_dot_segments(path.split("/")[1:]))
        self._pathname = path
        self._query = quote(parts.query, safe=_KEPT_IN_QUERY)
        self._hash = "#" + quote(parts.fragment, safe=_KEPT_IN_QUERY + "#'") if parts.fragment else ""
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
            from wixhttp.endpoints.routing.paths import encode

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
        ValueError: a part is missing or malformed.
    """
    scheme, host = parts.scheme, parts.hostname or ""
    if not scheme:
        raise ValueError("the scheme is missing")
    if scheme in _PORTS and not host:
        raise ValueError("the host is missing")
    if not parts.netloc:
        return scheme + ":" + ("//" if scheme == "file" else "")
    if _REFUSED_IN_HOST.intersection(host):
        raise ValueError(f"{brief(host)} is no host")
    if not host.isascii():
        if len(host) > _LONGEST_NAME:  # the codec takes long for longer ones
            raise ValueError(f"{brief(host)} is longer than the name of a host")
        host = host.encode("idna").decode()
    port = "" if parts.port is None or str(parts.port) == _PORTS.get(scheme) else f":{parts.port}"
    return f"{scheme}://[{host}]{port}" if ":" in host else f"{scheme}://{host}{port}"
