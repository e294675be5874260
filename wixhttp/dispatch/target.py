"""The target of a request for an HTTP function: its raw path, split into mount, test site, name and rest."""

from __future__ import annotations

from typing import NamedTuple

from wixhttp.http.url import decode


class Target(NamedTuple):
    """The parts of a path below the mount of the functions. ``mount`` and ``rest`` are raw, ``name`` is decoded."""

    mount: str
    is_test_site: bool
    name: str
    rest: str


def split_target_path(path: str, mount: str) -> Target | None:
    """Split a raw path; ``mount`` is the raw path of the functions, and ``<mount>-dev`` that of their test site.

    ``None`` for a path of nothing below them. The name is empty for a path of the mount alone.

    >>> split_target_path("/_functions/my%20product/a%2Fb/c", "/_functions")
    Target(mount='/_functions', is_test_site=False, name='my product', rest='a%2Fb/c')
    >>> split_target_path("/site/_functions-dev/product", "/site/_functions")
    Target(mount='/site/_functions-dev', is_test_site=True, name='product', rest='')
    >>> split_target_path("/_functions", "/_functions").name
    ''
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
    return Target(mount, is_test_site, decode(raw_name), rest)
