"""The command `mbench compare`."""

from __future__ import annotations

from pathlib import Path

import click

from mbench.cli import hints, options, printing
from mbench.cli.arguments import PATH
from mbench.cli.command import command
from mbench.core import plain


@command(short_help="Show what differs between two records, and why.")
@click.argument("base", type=PATH)
@click.argument("head", type=PATH)
@options.new_file("--markdown", "Append Markdown.")
@options.new_file("--html", "Write a page.")
@options.allowed
@options.as_json
def compare(
    base: Path, head: Path, markdown: Path | None, html: Path | None, allowed: tuple[str, ...], as_json: bool
) -> None:
    """Show what differs between BASE and HEAD, layer by layer, and why.

    The same comparison as 'gate' makes, for reading: nothing is judged, and
    the exit code is 0 whatever differs.
    """
    from mbench.api import gate as api
    from mbench.gating import comparison, two_types
    from mbench.gating.outputs import terminal

    wanted = {name: path for name, path in (("markdown", markdown), ("html", html)) if path is not None}
    found = api.compare(base, head, allowed=allowed, outputs=wanted)
    if as_json:
        printing.document(comparison.encode(found).decode().rstrip())
    else:
        printing.parts(terminal.render(found))
    typed = any(each.key == two_types.KEY for each in found.differences)
    hints.after(None if typed else f"mbench gate {plain.quoted(base)} {plain.quoted(head)}", hushed=as_json)
