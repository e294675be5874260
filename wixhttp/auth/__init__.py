"""The caller of a request, and rights above those of the visitor (Wix: ``wix-auth``, ``@wix/essentials``)::

    from wixhttp.auth import elevate, getTokenInfo, require
    from wixhttp.data import items


    @require("MEMBER")
    def get_orders(request):
        print(getTokenInfo().subjectId)
        return ok({"body": items.query("orders").find().items})  # as that member


    remove = elevate(items.remove)
    remove("orders", "17")

The setting ``auth`` says which tokens are valid. In ``async def`` write ``await getTokenInfo()`` and
``await fetchWithAuth(...)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wixhttp.public_calls import lazy_names

if TYPE_CHECKING:
    from .access import elevate, fetchWithAuth, getTokenInfo, require
    from .caller import TokenInfo

_MODULES = {  # the former load the collections, which the modules beside them do without
    "access": ("elevate", "fetchWithAuth", "getTokenInfo", "require"),
    "caller": ("TokenInfo",),
}

__all__ = ["TokenInfo", "elevate", "fetchWithAuth", "getTokenInfo", "require"]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
