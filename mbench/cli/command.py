"""What every command has: examples in its help, defaults that are set elsewhere, flags that can be taken back.

`@command()` and `@group()` stand where click's own decorators would. A group says what a command was meant to be that
it does not have.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from mbench.cli import arguments, defaults, examples, meant, printing, yielding
from mbench.core.errors import CollisionError, UsageError

HELP = ("-h", "--help")


class Command(click.Command):
    """A command with examples below its help, and options that `mbench.toml` and the environment have defaults of."""

    def __init__(self, *arguments: Any, tolerant: bool = False, **settings: Any) -> None:
        """Make it; `tolerant`: it works whatever is wrong with `mbench.toml`."""
        super().__init__(*arguments, **settings)
        self._tolerant = tolerant

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse with the defaults that are set elsewhere; not for a page of help."""
        ctx.meta[arguments.WORDS] = tuple(args)
        if not ctx.resilient_parsing and not set(HELP) & set(args):
            try:
                ctx.meta[yielding.DEFAULTS] = found = defaults.of(ctx)
                ctx.default_map = {name: defaults.converted(each, ctx) for name, each in found.items()}
            except UsageError:
                if not self._tolerant:
                    raise
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Call it; where what was typed excludes a default, call it without that one, and say so.

        Raises:
            UsageError: it is refused; the message says which options were set elsewhere.
        """
        first: CollisionError | None = None
        refusal = UsageError()
        while True:
            try:
                yielding.check_place(ctx)
                answer = super().invoke(ctx)
                printing.say_waiting()
                return answer
            except CollisionError as error:
                found = yielding.collision(ctx, error)
                if first is None or first.between != error.between:
                    first, refusal = error, yielding.explained(ctx, error)
                if found is None or not self._parsed_without(ctx, found):
                    if refusal is error:
                        raise
                    raise refusal from error
            except UsageError as error:
                said = yielding.explained(ctx, error)
                if said is error:
                    raise
                raise said from error

    def _parsed_without(self, ctx: click.Context, found: yielding.Collision) -> bool:
        """Parse once more without a default; return whether that can be: an argument may not be left out."""
        if not ctx.params.get("quiet") or yielding.moves(found):
            printing.wait_with(yielding.note(ctx, found))
        ctx.default_map = {name: value for name, value in (ctx.default_map or {}).items() if name != found.default.name}
        ctx.params.clear()
        try:
            super().parse_args(ctx, list(ctx.meta[arguments.WORDS]))
        except click.UsageError:
            return False
        return True

    def make_parser(self, ctx: click.Context) -> Any:
        """Return the parser, which knows how each flag is taken back: `--no-quick` after `quick = true` in a file."""
        parser = super().make_parser(ctx)
        for option, word in defaults.taken_back(self).items():
            parser.add_option(obj=option, opts=[word], dest=option.name, action="store_const", const=False)
        return parser

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        examples.write(ctx, formatter)


class CommandGroup(click.Group):
    """A group of commands that knows what was meant by a command that it does not have."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; `help run` is `run --help`.

        Raises:
            UsageError: there is none of this name.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and not name.startswith("-"):
            if name == "help":
                return self._help(ctx, args[1:])
            raise UsageError(meant.refusal(name, self, defaults.path(ctx)))
        return super().resolve_command(ctx, args)

    def _help(self, ctx: click.Context, words: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if not words:
            self.parse_args(ctx, ["--help"])  # prints and exits
        return self.resolve_command(ctx, [*words, "--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they were added: what comes first is first used."""
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        examples.write(ctx, formatter)


command = functools.partial(click.command, cls=Command)
_Function = Callable[..., Any]


def group(**settings: Any) -> Callable[[_Function], CommandGroup]:
    """Make a group of commands of a function, as `click.group` does."""
    return click.group(cls=CommandGroup, **settings)
