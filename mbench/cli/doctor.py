"""The command `mbench doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mbench.cli import defaults, options, printing
from mbench.cli.command import command
from mbench.core import units
from mbench.core.errors import UsageError

if TYPE_CHECKING:
    from mbench.devices.doctor import Check


@command(tolerant=True, short_help="Report what this machine can do, and what it lacks.")
@options.as_json
def doctor(as_json: bool) -> None:
    """Report what this machine can run and measure, what is missing, and whether it is quiet."""
    from mbench.api import listing as api
    from mbench.terminal import listings

    printing.listing(listings.doctor([*api.doctor(), *_defaults(click.get_current_context())]), as_json=as_json)


def _defaults(context: click.Context) -> Iterator[Check]:
    """Yield what `mbench.toml` and environment variables set, each default with where it comes from."""
    from mbench.devices.doctor import Check

    root, file = context.find_root().command, Path(defaults.FILE)
    assert isinstance(root, click.Group)
    for name, near in defaults.unknown_variables(root).items():
        yield Check(name, "warn", "an environment variable of no option", near or "see docs/command-line.md")
    try:
        found = defaults.of_file(root)
        for each in (*found, *defaults.of_variables(root)):
            defaults.converted(each, context)
        own = defaults.without_options(file)
    except UsageError as error:
        yield Check(defaults.FILE, "warn", str(error), "correct it: every other command refuses it")
        return
    there = file.exists()
    text = f"{file.absolute()}: {units.counted(len(found) + len(own), 'value')}" if there else "none in this folder"
    yield Check(defaults.FILE, "ok", text, "" if there else "defaults of options can stand there")
    for name, value in own.items():
        yield Check("default", "ok", f"{name} = {value}, from {file}")
    for each in (*found, *defaults.of_variables(root)):
        said = f"{' '.join(each.path)} {defaults.flag(each.option)}: {defaults.shown(each)}"
        yield Check("default", "ok", f"{said}, from {each.origin.partition(': ')[0]}")
