"""API keys and rate limits of functions and endpoints.

    from wixhttp.access import rate_limit, require_key


    @require_key(scopes=["orders:read"])
    @rate_limit("100/minute", key="key")
    def get_orders(request):
        return ok({"body": {"asked by": request.api_key.name}})

``wixhttp keys create NAME`` makes a key. The settings ``api_keys`` and ``rate_limit`` hold for all functions and
endpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wixhttp.public_calls import lazy_names

from .api_keys import ApiKey, create_key, require_key, revoke_key

if TYPE_CHECKING:
    from .rate_limits import rate_limit

_MODULES = {"rate_limits": ("rate_limit",)}  # with its library, which keys do not need

__all__ = ["ApiKey", "create_key", "rate_limit", "require_key", "revoke_key"]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
