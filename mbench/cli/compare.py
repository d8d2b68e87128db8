"""The command `mbench compare`."""

from __future__ import annotations

from pathlib import Path

import click

from mbench.cli import hints, options, printing
from mbench.cli.arguments import RECORDS
from mbench.cli.command import command
from mbench.core import exits, plain


@command(short_help="Show what differs between two records, and why.")
@click.argument("base", type=RECORDS)
@click.argument("head", type=RECORDS)
@options.new_file("--markdown", "Append Markdown.")
@options.new_file("--html", "Write a page.")
@options.allowed
@options.as_json
def compare(
    base: Path, head: Path, markdown: Path | None, html: Path | None, allowed: tuple[str, ...], as_json: bool
) -> int:
    """Show what differs between BASE and HEAD, layer by layer, and why.

    The same comparison as 'gate' makes, for reading: nothing is judged.

    Exit code: 0 whatever differs; 3 if no network is in both, 4 if none that
    is was measured in both.
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
    figures = [each for each in found.findings if each.metric not in ("presence", "result")]
    failed = any(each.metric == "result" and each.outcome != "information" for each in found.findings)
    code = exits.of_comparison(compared=bool(figures), failed=failed)
    comes_next = f"mbench gate {plain.quoted(base)} {plain.quoted(head)}"
    hints.after(None if typed or code else comes_next, hushed=as_json)
    return code
