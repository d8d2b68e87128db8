"""The command line: the group `mbench` and its commands, a module each.

Results go to standard output, progress and errors to standard error. Commands import inside their functions, so that
`--help` does not wait for what it does not use. What commands do is `mbench.api`'s; they read options, print, and
report how it ended.

What a command returns or raises becomes an exit status in `cli.ending`; `cli.streams` guards the standard streams.
"""

from __future__ import annotations

import click

from mbench.cli import printing
from mbench.cli.command import group
from mbench.cli.compare import compare
from mbench.cli.completion import completion
from mbench.cli.device import device
from mbench.cli.doctor import doctor
from mbench.cli.fit import fit
from mbench.cli.gate import gate
from mbench.cli.history import history
from mbench.cli.listed import list_names
from mbench.cli.predict import predict
from mbench.cli.report import report
from mbench.cli.run import run
from mbench.cli.schema import schema
from mbench.cli.show import show
from mbench.cli.sweep import sweep
from mbench.cli.targets import targets
from mbench.cli.tune import tune
from mbench.cli.variants import variants
from mbench.core import system_limits
from mbench.core.errors import UsageError, did_you_mean
from mbench.core.exits import Exit
from mbench.core.version import VERSION

COMMANDS = (
    *(run, fit, predict, tune, show, report, compare, gate, history, sweep),
    *(list_names, variants, targets, device, doctor, schema, completion),
)


def command_line() -> int:
    """Run `mbench` with the process's arguments; return the exit status.

    Raises:
        MbenchError: the command failed; the message gives the reason.
        KeyboardInterrupt: it was interrupted.
    """
    try:
        answer = main.main(prog_name="mbench", standalone_mode=False)
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as ended:  # click's own, after it wrote a script for a shell's completion
        return ended.code if isinstance(ended.code, int) else Exit.DONE
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.WRONG_USE
    except click.ClickException as error:
        raise UsageError(_click_message(error)) from error
    return answer if isinstance(answer, int) else Exit.DONE


def _click_message(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.NoSuchOption):
        message = f"No such option '{error.option_name}'{did_you_mean(error.option_name, error.possibilities or ())}"
    context = getattr(error, "ctx", None)
    separator = "" if message.endswith("?") else ";"
    return f"{message}{separator} see '{context.command_path} --help'" if context else message


@group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": printing.COLUMNS})
@click.version_option(VERSION, prog_name="mbench")
def main() -> None:
    """Measure what a small convolutional network costs, layer by layer."""
    system_limits.prepare()


for command in COMMANDS:
    main.add_command(command)
