"""The log line of a request that an HTTP error answers: the error's reason, which the client does not see."""

from __future__ import annotations

import logging

from wixhttp.errors import HTTPError
from wixhttp.http.request_head import Head

from .masking import escaped

logger = logging.getLogger("wixhttp")


def log_reason(head: Head, error: HTTPError) -> None:
    """Log the reason of an HTTP error, where it has one, as a warning."""
    if error.reason:
        logger.warning("%s %s: %s", escaped(head.method), escaped(head.path), error.reason)
