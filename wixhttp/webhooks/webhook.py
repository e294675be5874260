"""The delivery of a webhook as its verified sender names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Webhook:
    """The delivery of a webhook whose sender is verified: ``request.webhook``.

    ``id`` is the same in each repeat of a delivery, ``timestamp`` is in seconds since the epoch, ``event`` is the name
    of the event: ``"payment_intent.succeeded"``. Each is ``None`` where the sender says none. ``payload`` is what a
    token of Wix holds; ``None`` of other senders, whose payload is the body of the request.
    """

    id: str | None = None
    timestamp: int | None = None
    event: str | None = None
    payload: Any = None
