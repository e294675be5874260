"""``wixhttp completion``: the script that lets a shell complete commands, options and paths."""

from __future__ import annotations

import click

VARIABLE = "_WIXHTTP_COMPLETE"
"""The environment variable by which the script asks the program for completions: click's name for it."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, and the paths of wixhttp call with TAB.

    \b
    bash (4.4 or newer), a line in ~/.bashrc:
      eval "$(wixhttp completion bash)"
    zsh, a line in ~/.zshrc, behind compinit:
      eval "$(wixhttp completion zsh)"
    fish, once:
      wixhttp completion fish > ~/.config/fish/completions/wixhttp.fish
    """
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101  # click brings these three
    if shell == "bash":
        click.echo("COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}  # so that @FILE is one word")
    click.echo(complete(context.find_root().command, {}, "wixhttp", VARIABLE).source(), nl=False)
