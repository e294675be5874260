"""The scheme and the secrets of a command about webhooks: those of a function of the site, or those that are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from wixhttp.cli.arguments.file_names import FILE, TEXT_OR_FILE
from wixhttp.cli.single_request import read_data
from wixhttp.messages import nearest

if TYPE_CHECKING:
    from wixhttp.project.config import Config
    from wixhttp.secrets import SecretStore
    from wixhttp.webhooks.schemes import Scheme
    from wixhttp.webhooks.site_senders import VerifiedHandler


class ChosenSender(NamedTuple):
    """The scheme, the secrets by name, and the functions whose ``@verified`` has both: none where they are given
    otherwise."""

    scheme: Scheme
    secrets: dict[str, str]
    functions: tuple[str, ...] = ()


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The schemes that begin so, for a shell."""
    from wixhttp.webhooks.schemes import SCHEMES

    return [CompletionItem(name) for name in SCHEMES if name.startswith(incomplete)]


SCHEME = click.argument("scheme", metavar="SCHEME", shell_complete=_complete)
FUNCTION = click.option("--function", metavar="NAME", help="The function whose @verified holds: post_stripe.")
SECRET = click.option("--secret", metavar="NAME", help="The name of the secret; default: that of the function.")
SECRET_FILE = click.option("--secret-file", metavar="FILE", type=FILE, help="A file that holds the secret instead.")
DATA = click.option(
    "-d", "--data", metavar="TEXT|@FILE|@-", type=TEXT_OR_FILE, help="The body; @ reads it from a file."
)
HEADER = click.option(
    "-H",
    "--header",
    multiple=True,
    metavar="NAME:VALUE|@FILE",
    type=TEXT_OR_FILE,
    help="A header, or a file of them; may be repeated.",
)
TIME = click.option("--time", "at", type=float, metavar="SECONDS", help="The time since the epoch; default: now.")


def chosen_sender(
    config: Config, store: SecretStore, scheme: str, function: str | None, secret: str | None, secret_file: str | None
) -> ChosenSender:
    """The sender that the options of a command name.

    Raises:
        click.UsageError: there is no such scheme, function or secret, or several fit.
        ProjectError: the project cannot be loaded.
    """
    from wixhttp.webhooks.schemes import SCHEMES, scheme_of

    if scheme not in SCHEMES:
        raise click.UsageError(f"{scheme!r} is no scheme of webhooks; {nearest(scheme, SCHEMES)}")
    given = _given(store, secret, secret_file)
    if function or scheme == "hmac" or not given:
        handlers = _handlers_of(config, scheme, function)
        names = tuple(each.name for each in handlers)
        return ChosenSender(handlers[0].guard.scheme, given or _own(store, handlers[0]), names)
    try:
        return ChosenSender(scheme_of(scheme), given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _given(store: SecretStore, name: str | None, file: str | None) -> dict[str, str]:
    from wixhttp.errors import SecretNotFound

    if name and file:
        raise click.UsageError("a secret is taken from one place: --secret or --secret-file")
    if file:
        text = read_data(f"@{file}").decode("utf-8", "surrogateescape")
        return {file: text.removesuffix("\n").removesuffix("\r")}
    if not name:
        return {}
    try:
        return {name: store.get(name)}
    except SecretNotFound as error:
        raise click.UsageError(error.told) from None


def _own(store: SecretStore, handler: VerifiedHandler) -> dict[str, str]:
    """Those secrets of a handler that are there."""
    from wixhttp.errors import SecretNotFound

    found: dict[str, str] = {}
    missing = ""
    for name in handler.guard.secret_names:
        try:
            found[name] = store.get(name)
        except SecretNotFound as error:
            missing = missing or error.told
    if not found:
        raise click.UsageError(missing)
    return found


def _handlers_of(config: Config, scheme: str, function: str | None) -> list[VerifiedHandler]:
    """The handlers that verify by a scheme, all of them by the same secrets; of a ``function`` it alone."""
    handlers = _handlers(config)
    if function:
        found = [each for each in handlers if each.name == function]
        if not found:
            known = [each.name for each in handlers]
            more = nearest(function, known) if known else "no function has @verified"
            raise click.UsageError(f"no function {function!r} verifies its sender; {more}")
        if found[0].guard.scheme.name != scheme:
            raise click.UsageError(f"{function} verifies by the scheme {found[0].guard.scheme.name!r}, not {scheme!r}")
        return found
    found = [each for each in handlers if each.guard.scheme.name == scheme]
    if not found:
        way = "name the secret: --secret NAME" if scheme != "hmac" else "write one, and name it: --function NAME"
        raise click.UsageError(f"no function of this site has @verified({scheme!r}); {way}")
    if len({(each.guard.scheme, each.guard.secret_names) for each in found}) > 1:
        names = ", ".join(each.name for each in found)
        raise click.UsageError(f"several functions verify by {scheme!r}: {names}; name one: --function NAME")
    return found


def _handlers(config: Config) -> list[VerifiedHandler]:
    from wixhttp.dispatch.site import load_site
    from wixhttp.errors import ProjectError
    from wixhttp.project.loader import has_functions
    from wixhttp.webhooks.site_senders import verified_handlers

    problems: list[ProjectError] = []
    if not has_functions(config.root) and not config.pages.is_dir():
        return []
    site = load_site(replace(config, mode="development"), problems=problems)
    for error in problems:
        raise error
    return list(verified_handlers(site))


def pairs_of(headers: Sequence[str]) -> list[tuple[str, str]]:
    """The header fields of ``-H``; those of a file stand in a line each, as ``curl -H @FILE`` takes them.

    Raises:
        click.UsageError: one has no colon.
    """
    found = []
    for each in _lines_of(headers):
        name, colon, value = each.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"-H takes NAME:VALUE, not {each!r}")
        found.append((name.strip(), value.strip()))
    return found


def _lines_of(headers: Sequence[str]) -> Iterator[str]:
    for each in headers:
        if each.startswith("@"):
            text = read_data(each).decode("utf-8", "surrogateescape")
            yield from (line for line in text.splitlines() if line.strip())
        else:
            yield each


def opened_project(context: click.Context) -> tuple[Config, Any]:
    """The settings of the project, and its secrets, which are masked from here on."""
    from wixhttp.project.config import load_development_config
    from wixhttp.secrets import SecretStore, set_default_store

    config = load_development_config(context.obj)
    store = SecretStore.from_config(config)
    set_default_store(store)
    return config, store
