"""``wixhttp webhooks``: deliveries signed as their senders sign them, and failed verifications explained."""

from __future__ import annotations

import click

from wixhttp.cli.lazy_group import LazyGroup

MODULES = {
    "explain": "wixhttp.cli.receive.webhooks_explain:explain",
    "sign": "wixhttp.cli.receive.webhooks_sign:sign",
}
"""The module and the name of each command."""


@click.group(cls=LazyGroup, modules=MODULES)
def webhooks() -> None:
    """Try webhooks: sign a delivery as its sender does, or see why one is refused."""
