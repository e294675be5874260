"""The check that prometheus-client is installed, before anything needs it."""

from __future__ import annotations

import importlib.util

from wixhttp.errors import ConfigError


def check_installed() -> None:
    """Check that metrics can be shown.

    Raises:
        ConfigError: prometheus-client is not installed.
    """
    if importlib.util.find_spec("prometheus_client") is None:
        raise ConfigError(
            "metrics = true needs prometheus-client, and it is not installed; run: pip install 'wixhttp[metrics]'"
        )
