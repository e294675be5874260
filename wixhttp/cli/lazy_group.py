"""A click group that imports the module of a command when the command is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from wixhttp.messages import nearest


class CommandGroup(click.Group):
    """A group that answers a name which is no command's with the nearest that is."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click; a name that is no command's is told with the nearest that is."""
        name, names = args[0], self.list_commands(ctx)
        if name not in names and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"there is no command {name!r}; {nearest(name, names)}")
        return super().resolve_command(ctx, args)


class LazyGroup(CommandGroup):
    """A group of commands that are loaded lazily (click's documentation, "Lazily Loading Subcommands").

    ``modules`` has the place of each command by its name, as an entry point is spelled: ``"wixhttp.cli.init:init"``.
    """

    def __init__(self, *arguments: Any, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, sorted."""
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; ``None`` where there is none."""
        if cmd_name not in self.modules:
            return None
        module, _, name = self.modules[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command
