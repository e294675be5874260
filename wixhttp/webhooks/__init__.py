"""Webhooks: the verification of their senders, and the idempotency of deliveries::

from wixhttp.webhooks import verified

@verified("stripe", secret="STRIPE_SECRET")
def post_stripe(request):
    print(request.webhook.id, request.webhook.event)
"""

from __future__ import annotations

from .signing import sign
from .verified import verified, verify
from .webhook import Webhook

__all__ = ["Webhook", "sign", "verified", "verify"]
