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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .access import elevate, fetchWithAuth, getTokenInfo, require
    from .caller import TokenInfo

__all__ = ["TokenInfo", "elevate", "fetchWithAuth", "getTokenInfo", "require"]


def __getattr__(name: str) -> Any:
    # Lazy: `access` loads the collections, which the modules beside it do without.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".caller" if name == "TokenInfo" else ".access", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
