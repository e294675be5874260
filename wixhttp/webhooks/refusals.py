"""The refusal of a request whose sender is not verified: 401, its reason for the log alone."""

from __future__ import annotations

from wixhttp.errors import HTTPError

HEADERS, SECRET, TIMESTAMP, ENCODING, SIGNATURE, BODY = (
    "headers", "secret", "timestamp", "encoding", "signature", "body"
)  # fmt: skip
"""The steps of a verification, as `explanation.explain` names them."""


class UnverifiedSender(HTTPError):
    """The sender of a request is not verified: 401. ``step`` is where the verification stopped, ``reason`` why, for the
    log alone: whoever forges a signature learns nothing."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(
            401,
            "The signature of this request is not that of its sender.",
            headers={"WWW-Authenticate": "Signature"},  # RFC 9110, 15.5.2: a 401 has one
            reason=reason,
        )
        self.step = step
