"""The command `mbench completion`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mbench.cli.command import command
from mbench.core.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
_ZSH = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"
"""Without it zsh has no `compdef`, which registers a completion."""


@command(tolerant=True)
@click.argument("shell", type=click.Choice(SHELLS), required=False, metavar="[bash|zsh|fish]")
def completion(shell: str | None) -> None:
    """Print what makes a shell complete mbench's words.

    Names of networks, targets, devices and types are completed, and files. By
    default for the shell that SHELL names. Install it once, by one of the lines
    below; shells that are started from then on know it.
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    root = click.get_current_context().find_root().command
    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    chosen = shell or _own()
    made = kinds[chosen](root, {}, "mbench", "_MBENCH_COMPLETE")
    script = made.source_template % made.source_vars()  # BashComplete.source() starts a bash to ask for its version
    lines = [f"# completes the words of mbench; made by 'mbench completion {chosen}'"]
    if chosen == "fish":
        script = script.replace('string split ","', 'string split -m 1 ","')  # a value may have commas: float32,int8
    if chosen == "zsh":
        first, _, script = script.partition("\n")
        lines = [first, *lines, _ZSH]
    click.echo("\n".join([*lines, script.strip()]))


def _own() -> str:
    """Return the user's shell.

    Raises:
        UsageError: mbench completes nothing in it.
    """
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        said = f"the shell '{name}' is none of {', '.join(SHELLS)}" if name else "SHELL names no shell"
        raise UsageError(f"{said}; name one: mbench completion bash")
    return name
