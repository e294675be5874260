"""Webhooks: the verification of their senders, and the idempotency of deliveries.

Private: public import paths are listed in ``docs/architecture.md``.
"""
