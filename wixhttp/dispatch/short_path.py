"""The short path to an HTTP function: a table, name -> method -> terms of the call, made when the site is loaded.

`App.begin` sends a request this way where the table has it, and every other one the general way, which would give the
same answer. So nothing is in the table that the general way has a further question about: no preflight, no DELETE under
``strict_delete``, no name that a client has to escape, and nothing at all where the query or the port have a say.
"""

from __future__ import annotations

from wixhttp.project.function_table import EVERY_METHOD, METHODS, Function, Methods

from .admission import Admission
from .call import Terms
from .health import RESERVED
from .site import Site

ShortPaths = dict[str, dict[str, Terms]]


def short_paths(site: Site, mount: str, admission: Admission) -> ShortPaths:
    """The table of a site: name as in a raw path -> method -> terms. ``mount`` is the raw path of the functions."""
    config = site.config
    if config.test_site is not None or config.health_port is not None or mount.startswith(RESERVED):
        return {}
    return {name: _by_method(methods, admission) for name, methods in site.functions.items() if "%" not in name}


def _by_method(methods: Methods[Function], admission: Admission) -> dict[str, Terms]:
    found = {method: admission.terms(function) for method, function in methods.items()}
    if EVERY_METHOD in found:
        terms = found.pop(EVERY_METHOD)
        for method in (*METHODS.values(), "HEAD"):
            if method != "OPTIONS":  # may be a preflight
                found.setdefault(method, terms)
    if "DELETE" in found and found["DELETE"].refuses_delete:
        del found["DELETE"]
    return found
