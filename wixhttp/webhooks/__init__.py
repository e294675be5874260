"""Webhooks: the verification of their senders, and the idempotency of deliveries.

    from wixhttp.webhooks import once, verified


    @verified("stripe", secret="STRIPE_SECRET")
    @once()
    def post_stripe(request):
        print(request.webhook.id, request.webhook.event)

``wixhttp webhooks explain`` says why a delivery is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wixhttp.public_calls import lazy_names

from .signing import sign
from .verified import verified, verify
from .webhook import Webhook

if TYPE_CHECKING:
    from .idempotency import idempotent
    from .once_only import once

# With the data store, which the verification of a sender does not need.
_MODULES = {"idempotency": ("idempotent",), "once_only": ("once",)}

__all__ = ["Webhook", "idempotent", "once", "sign", "verified", "verify"]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
