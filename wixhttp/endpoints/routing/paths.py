"""Path strings: the raw path of a request target, decoded to the one form that middleware, router, ``url`` and params
see, and back.

Astro's rules, which follow the URL standard: https://url.spec.whatwg.org/#path-state
"""

from __future__ import annotations

import re

from wixhttp.errors import HTTPError
from wixhttp.http.url import ascii_target, quote_path, remove_dot_segments

RESERVED = ";/?:@&=+$,#"
"""The characters whose escapes stay: decoded, they could be taken for the syntax of a URL (ECMA-262, ``decodeURI``)."""

MOST_ROUNDS = 10
"""The number of times that a path is decoded before it is refused: each round takes away one layer of ``%25``."""

_ESCAPE = re.compile(f"(%(?:{'|'.join(f'{ord(character):02X}' for character in RESERVED)}))", re.IGNORECASE)
_UNTIDY = re.compile(r"//|/\.|/%2[eE]|\\")  # a path without these has no dot segments, runs of slashes, backslashes
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_DIGITS = "0123456789abcdefABCDEF"


def _octet(code: str) -> bytes:
    octet = bytes.fromhex(code)
    return f"%{code}".encode() if octet in RESERVED.encode() else octet


_OCTETS = {(high + low).encode(): _octet(high + low) for high in _DIGITS for low in _DIGITS}


def normalize(raw: str) -> str:
    r"""The path string of a raw path (percent-encoded ASCII, without query). It begins with ``/``; it holds no dot
    segment, no backslash, no empty segment; a slash at its end is kept.

    It is decoded as UTF-8 until nothing changes, at most ten times; the escapes of ``; / ? : @ & = + $ , #`` stay, as
    spelled. So ``%2F`` stays within its segment, and ``%`` itself is sent as ``%25``.

    >>> normalize("/a%20b//c/%252e%252e/d/"), normalize(r"\a/./b%2Fc"), normalize("/100%25")
    ('/a b/d/', '/a/b%2Fc', '/100%')

    Raises:
        HTTPError: 400 for a ``%`` without two hexadecimal digits, for bytes that are not UTF-8, and for what still
            changes after ten rounds.
    """
    plain = raw.replace("%20", " ")  # the most common escape; most paths are done with it
    if "%" not in plain and "//" not in plain and "/." not in plain and "\\" not in plain and plain.startswith("/"):
        return plain
    path = raw if raw[:1] == "/" and not _UNTIDY.search(raw) else _tidied(raw)
    if "%" in path:
        path = _decoded(path)
        if _UNTIDY.search(path):
            path = _tidied(path)
    return path


def encode(path: str) -> str:
    """The raw form of a path string, for a URL or a ``Location`` header: ``normalize(encode(path)) == path``.

    >>> encode("/a b/100%/c%2Fd")
    '/a%20b/100%25/c%2Fd'
    """
    pieces = _ESCAPE.split(path)  # text and retained escapes in turn
    pieces[::2] = map(quote_path, pieces[::2])
    return "".join(pieces)


def route_prefix(setting: str) -> str:
    """The prefix of every route: the path string of ``base_path`` and ``pages_prefix``, ``""`` for none.

    >>> route_prefix("/site/v%31/"), route_prefix("")
    ('/site/v1', '')
    """
    return normalize(ascii_target(setting.encode()) or "/").rstrip("/")


def comparable(path: str) -> str:
    """A path string, or a part of one, in the form in which static text is compared: ``%2B`` reads as ``+``, as does
    every retained escape but that of the slash, which is only spelled in capitals.

    >>> comparable("/a%2bb/c%2fd"), comparable("/a+b/c%2Fd")
    ('/a+b/c%2Fd', '/a+b/c%2Fd')
    """
    return _ESCAPE.sub(_unescaped, path) if "%" in path else path


def is_reachable(path: str) -> bool:
    """Return whether a request can have the path that names of files make, reserved characters in any spelling.

    >>> is_reachable("/a+b/100%"), is_reachable("/caf%C3%A9"), is_reachable("/100%25"), is_reachable("/a\\\\b")
    (True, False, False, False)
    """
    try:
        return not _CONTROL.search(path) and comparable(normalize(encode(path))) == comparable(path)
    except (HTTPError, UnicodeError):  # UnicodeError: a name that is not UTF-8 on the disk
        return False


def slash_redirect(path: str, raw: str, rule: str) -> str | None:
    """The raw path to redirect to under the setting ``trailing_slash``, or ``None``: where the path is as it should be,
    is ``/``, begins with ``/_``, ``//`` or ``/.well-known/`` (RFC 8615: others choose the paths below it), or where a
    slash would come behind a name with an extension.

    ``path`` is the path string of ``raw``; ``rule`` is ``ignore``, ``always`` or ``never``. The result has one slash at
    its beginning, never two: a browser would read what follows as the name of a host.

    >>> slash_redirect("/a", "/a", "always"), slash_redirect("/a/", "/a/", "never"), slash_redirect("/a", "/a", "never")
    ('/a/', '/a', None)
    """
    start = raw[:2].replace("\\", "/")
    if rule == "ignore" or path == "/" or start in ("//", "/_") or raw[:1] == "\\":
        return None
    if path.startswith(("/_", "//", "/.well-known/")):
        return None
    if path.endswith("/"):
        return encode(path[:-1]) if rule == "never" else None
    if rule == "never" or "." in path.rpartition("/")[2][1:]:
        return None
    return encode(path + "/")


def _tidied(path: str) -> str:
    """``path`` without backslashes, dot segments (in any spelling, never above the root) and runs of slashes."""
    # An empty name counts until the end, as in browsers: /a//../b is /a/b.
    kept = remove_dot_segments(path.replace("\\", "/").removeprefix("/").split("/"))
    path = "/" + "/".join(filter(None, kept))
    return path if kept[-1] or path == "/" else path + "/"


def _decoded(path: str) -> str:
    """``path``, decoded until nothing changes."""
    for done in range(MOST_ROUNDS + 1):
        decoded = _decoded_once(path, first=done == 0)
        if decoded == path or ("%" not in decoded and done < MOST_ROUNDS):
            return decoded
        path = decoded
    raise _refused(path, f"it still changes after {MOST_ROUNDS} rounds of decoding")


def _decoded_once(path: str, first: bool) -> str:
    """``path`` after one round. A ``%`` that an earlier round brought up may be text: ``100%25`` is ``100%``."""
    try:
        head, *parts = path.encode().split(b"%")
        octets = [head]
        for part in parts:
            octet = _OCTETS.get(part[:2])
            if octet is not None:
                octets += (octet, part[2:])
            elif first:
                raise _refused(path, "a % is followed by two hexadecimal digits; % itself is sent as %25")
            else:
                octets += (b"%", part)
        return b"".join(octets).decode()
    except UnicodeError:
        raise _refused(path, "its escapes are not UTF-8") from None


def _refused(path: str, rule: str) -> HTTPError:
    return HTTPError(400, "The path of the URL cannot be decoded.", reason=f"the path {path!r} is refused: {rule}")


def _unescaped(escape: re.Match[str]) -> str:
    return "%2F" if escape[0] in ("%2F", "%2f") else chr(int(escape[0][1:], 16))
