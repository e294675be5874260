"""The target of a request for an HTTP function: its raw path, split into mount, test site, name and rest."""

from __future__ import annotations

from wixhttp.http.url import decode


def split_target_path(path: str, mount: str) -> tuple[str, bool, str, str] | None:
    """Split a raw path into mount, whether it is that of the test site, the name of the function, and the rest. Mount
    and rest are raw, the name is decoded.

    ``mount`` is the raw path of the functions, and ``<mount>-dev`` that of their test site. ``None`` for a path of
    nothing below them. The name is empty for a path of the mount alone.

    >>> split_target_path("/_functions/my%20product/a%2Fb/c", "/_functions")
    ('/_functions', False, 'my product', 'a%2Fb/c')
    >>> split_target_path("/site/_functions-dev/product", "/site/_functions")
    ('/site/_functions-dev', True, 'product', '')
    >>> split_target_path("/_functions", "/_functions")
    ('/_functions', False, '', '')
    >>> split_target_path("/_functionsfoo", "/_functions"), split_target_path("/api", "/_functions")
    (None, None)
    """
    if not path.startswith(mount):
        return None
    rest = path[len(mount) :]
    is_test_site = rest.startswith("-dev") and rest[4:5] in ("/", "")
    if is_test_site:
        rest, mount = rest[4:], mount + "-dev"
    if rest and rest[0] != "/":
        return None
    raw_name, _, rest = rest.lstrip("/").partition("/")
    return mount, is_test_site, decode(raw_name), rest
