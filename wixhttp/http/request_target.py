"""The forms of a request target that are no path (RFC 9112, 3.2.2 to 3.2.4): a whole URL, ``host:port``, ``*``.

The server interfaces make a path, and a Host, of a whole URL. The others have no handler: the dispatcher answers them
by `answer_other_form`.
"""

from __future__ import annotations

from wixhttp.errors import HTTPError

from .allowed_methods import SERVED_METHODS, is_refused, method_not_allowed
from .request_head import Head
from .response import Response
from .url import DEFAULT_PORTS


def split_absolute(target: str) -> tuple[str, str] | None:
    """The authority of a target in absolute form, and what is behind it, in origin form; ``None`` for another form, or
    another scheme than http and https.

    The authority is what the Host of the request is, whatever the header says. The scheme says nothing: whether a
    connection is secure is not for the client to say.

    >>> split_absolute("http://example.com/a?q=1"), split_absolute("HTTPS://example.com?q"), split_absolute("*")
    (('example.com', '/a?q=1'), ('example.com', '/?q'), None)
    """
    scheme, found, rest = target.partition("://")
    if not found or scheme.lower() not in DEFAULT_PORTS:
        return None
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    path = rest[end:]
    return rest[:end], path if path[:1] == "/" else "/" + path


def host_of(authority: str, header: str | None) -> str | None:
    """The Host of a request whose target has an ``authority``: that, in place of a ``header``; but none of a request
    that has no Host header or several (joined by a comma), since it is to be refused (RFC 9112, 3.2)."""
    return header if header is None or "," in header else authority


def answer_other_form(head: Head) -> Response:
    """The answer to a request whose target is no path, and no URL of http or https: ``OPTIONS *`` asks what the server
    can do at all.

    Raises:
        HTTPError: 405, a CONNECT or the like; 400, any other.
    """
    method, target = head.method, head.path
    if is_refused(method):
        raise method_not_allowed(SERVED_METHODS)
    if target == "*":
        if method == "OPTIONS":
            return Response(204, None, {"Allow": ", ".join(SERVED_METHODS)})
        raise HTTPError(400, "The target * is for OPTIONS alone; others ask for a path.")
    raise HTTPError(400, "The target of a request is a path, or a URL of http or https.", reason=f"it is {target!r}")
