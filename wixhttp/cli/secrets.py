"""``wixhttp secrets``: the secrets file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from wixhttp.errors import ProjectError

from .lazy_group import CommandGroup


@click.group(cls=CommandGroup)
def secrets() -> None:
    """List, set and remove the secrets of the secrets file. A value is never printed."""


@secrets.command("list")
@click.pass_context
def list_secrets(context: click.Context) -> None:
    """Print the names of the secrets, and the file that each comes from."""
    from wixhttp.project.config import load_config
    from wixhttp.secrets import SecretStore

    for name, place in sorted(SecretStore.from_config(load_config(context.obj)).names().items()):
        click.echo(f"{name}  ({place})")


@secrets.command("set")
@click.argument("name")
@click.argument("value", required=False)
@click.pass_context
def set_secret(context: click.Context, name: str, value: str | None) -> None:
    """Set a secret. Leave VALUE out to type it unseen, or to pipe it in: it then stays out of the shell's history."""
    from wixhttp.project.config import load_config
    from wixhttp.secrets import set_secret as write

    if value is None:
        value = click.prompt("Value", hide_input=True) if sys.stdin.isatty() else _piped()
    path = load_config(context.obj).secrets_file
    is_new = not path.exists()
    try:
        write(path, name, value)
    except ProjectError:
        raise
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    click.echo(f"set {name} in {path}")
    if is_new and not _is_ignored(path):
        place = path.parent / ".gitignore"
        click.echo(f"Note: nothing keeps it out of version control; add the line {path.name} to {place}", err=True)


def _is_ignored(path: Path) -> bool:
    """Return whether git ignores a file; outside of a checkout, whether the .gitignore beside it names it."""
    command = ["git", "-C", str(path.parent), "check-ignore", "-q", "--", path.name]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)  # noqa: S603
        code = done.returncode
    except (OSError, subprocess.TimeoutExpired):
        code = 128
    if code in (0, 1):
        return code == 0
    try:
        lines = (path.parent / ".gitignore").read_text("utf-8", "replace").split("\n")
    except OSError:
        return False
    return not {path.name, f"/{path.name}"}.isdisjoint(line.strip() for line in lines)


def _piped() -> str:
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:  # without its text, which holds the value
        raise click.BadParameter("a secret is text in UTF-8; encode it, as base64 for instance") from None


@secrets.command("remove")
@click.argument("name")
@click.pass_context
def remove_secret(context: click.Context, name: str) -> None:
    """Remove a secret from the secrets file."""
    from wixhttp.project.config import load_config
    from wixhttp.secrets import remove_secret as remove

    path = load_config(context.obj).secrets_file
    try:
        removed = remove(path, name)
    except ProjectError:
        raise
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not removed:
        raise click.ClickException(f"there is no secret {name!r} in {path}")
    click.echo(f"removed {name} from {path}")
