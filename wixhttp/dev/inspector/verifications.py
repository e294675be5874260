"""The verification of the senders of kept requests, explained step by step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from wixhttp.dev.traffic.kept_requests import KeptRequest
from wixhttp.dev.traffic.snippets import public_url_of
from wixhttp.dispatch.site import Site
from wixhttp.errors import SecretNotFound
from wixhttp.logs.masking import masked
from wixhttp.project.config import Config
from wixhttp.secrets import SecretStore, getSecret

if TYPE_CHECKING:
    from wixhttp.webhooks.explanation import VerificationStep
    from wixhttp.webhooks.site_senders import VerifiedHandler


class Verification(NamedTuple):
    """The verification of one request by one scheme: ``steps`` with their texts, masked. ``note`` says in their place
    why there are none."""

    sender: str
    scheme: str
    steps: list[VerificationStep]
    note: str = ""

    @property
    def is_good(self) -> bool:
        """Return whether every step is right."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    @property
    def failed(self) -> str:
        """The text of the first step that failed, behind its name; "" where none did."""
        return next((f"{step.name}: {step.text}" for step in self.steps if not step.ok), "")


def handlers_of(site: Site | None) -> Iterator[VerifiedHandler]:
    """The handlers of a site that verify their senders."""
    if site is None or "wixhttp.webhooks.sender_guard" not in sys.modules:  # no handler of this process does
        return
    from wixhttp.webhooks.site_senders import verified_handlers

    yield from verified_handlers(site)


def verifications_of(kept: KeptRequest, site: Site | None) -> list[Verification]:
    """The verifications that a kept request went through, by the secrets as they are now, at the time of then."""
    return [
        explain_kept(kept, handler, site.config)
        for handler in handlers_of(site)
        if site is not None and handler.name == kept.function
    ]


def explain_kept(kept: KeptRequest, handler: VerifiedHandler, config: Config) -> Verification:
    """The verification of a kept request by a handler's scheme."""
    from wixhttp.webhooks.explanation import explain

    guard = handler.guard
    sender, scheme = guard.scheme.sender, guard.scheme.name
    if kept.is_cut:
        return Verification(sender, scheme, [], "Its body was not kept whole, and all of it is signed.")
    secrets = {name: secret for name in guard.secret_names if (secret := secret_of(name)) is not None}
    others = SecretStore.from_config(config)
    steps = explain(
        guard.scheme,
        kept.request_headers,
        public_url_of(kept, config.public_url),
        kept.request_body,
        secrets,
        kept.time,
        others={name: others.get(name) for name in others.names() if name not in secrets},
        method=kept.method,
    )
    if not secrets:
        missing = next(handler.guard.problems(), "")
        steps = [step._replace(text=missing) if step.name == "secret" and missing else step for step in steps]
    return Verification(sender, scheme, [step._replace(text=masked(step.text)) for step in steps])


def secret_of(name: str) -> str | None:
    """The secret of a name; ``None`` where it is missing."""
    try:
        return getSecret(name)
    except SecretNotFound:
        return None
