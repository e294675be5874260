"""The meter of a site, and what it is told of."""

from __future__ import annotations

from wixhttp.dispatch.meter import Meter
from wixhttp.dispatch.site import Site
from wixhttp.measurements import count_with

from .inbox_numbers import InboxNumbers
from .installed import check_installed


def make_meter(site: Site) -> Meter:
    """The meter of a site, which counts the events of this process, too.

    Raises:
        ConfigError: prometheus-client is not installed.
    """
    check_installed()
    from .meter import SiteMeter

    numbers = inbox_numbers(site)
    meter = SiteMeter(numbers.metrics if numbers is not None else None)
    count_with(meter.count_event)
    return meter


def inbox_numbers(site: Site) -> InboxNumbers | None:
    """The numbers of a site's deferred work; ``None`` where it has none."""
    if not site.background:
        return None
    from wixhttp.inbox.opened import current_inbox

    return InboxNumbers(lambda: current_inbox().stats())
