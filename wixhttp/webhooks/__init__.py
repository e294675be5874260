"""Webhooks: the verification of their senders, and the idempotency of deliveries::

from wixhttp.webhooks import once, verified

@verified("stripe", secret="STRIPE_SECRET")
@once()
def post_stripe(request):
    print(request.webhook.id, request.webhook.event)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wixhttp.public_calls import elsewhere

from .signing import sign
from .verified import verified, verify
from .webhook import Webhook

if TYPE_CHECKING:
    from .idempotency import idempotent
    from .once_only import once

__all__ = ["Webhook", "idempotent", "once", "sign", "verified", "verify"]


def __getattr__(name: str) -> Any:
    if name == "once":  # with the data store, which the verification of a sender does not need
        from .once_only import once

        return once
    if name == "idempotent":
        from .idempotency import idempotent

        return idempotent
    raise elsewhere(__name__, name)
