"""The guards that the settings ``rate_limit`` and ``api_keys`` ask for, and the check of those of single handlers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wixhttp.dispatch.site import Site
from wixhttp.errors import ProjectError
from wixhttp.guards import ADDRESS_RATE, KEY, RATE, Guard, merged

from .exemption import Exemption

if TYPE_CHECKING:  # a site without endpoints or rate limits does not load them
    from wixhttp.endpoints.handlers import EndpointHandler
    from wixhttp.project.function_table import Function

    from .rate_limits import RateGuard


def access_guards(site: Site) -> tuple[Guard, ...]:
    """The guards of all handlers of a site that have none of the kind; from here on its rate limits are counted as its
    settings say.

    Raises:
        ConfigError: the client of ``rate_limit_storage`` is not installed.
        ProjectError: a function counts by API key, and asks for none.
    """
    config = site.config
    guards: list[Guard] = []
    if config.api_keys:
        from .api_keys import KeyGuard

        guards.append(KeyGuard())
    if config.rate_limit is not None:
        from .rate_limits import site_rate_guard

        guards.append(site_rate_guard(config.rate_limit))
    rates = list(_rates_of(site))
    if config.rate_limit is not None or rates:
        from .counters import count_in

        count_in(config.rate_limit_storage)
    for handler, guard in rates:
        asking = [each for each in merged(handler.policy.guards, guards) if each.place == KEY]
        if guard.kind == "key" and all(isinstance(each, Exemption) for each in asking):
            raise ProjectError(
                f'{site.place_of(handler)}: @rate_limit(..., key="key") of {handler.exported_name} counts by API key, '
                "and nothing asks for one; add @require_key(), or set api_keys = true"
            )
    return tuple(guards)


def _rates_of(site: Site) -> Iterator[tuple[Function | EndpointHandler, RateGuard]]:
    """The rate limits of single handlers."""
    for handler in site.handlers():
        for guard in handler.policy.guards:
            if guard.place in (ADDRESS_RATE, RATE) and not isinstance(guard, Exemption):
                yield handler, guard
