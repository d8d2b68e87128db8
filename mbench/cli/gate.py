"""The command `mbench gate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mbench.cli import defaults, hints, options, printing, streams
from mbench.cli.arguments import RECORDS
from mbench.cli.command import command
from mbench.core import exits, plain
from mbench.core.errors import CollisionError, UsageError

if TYPE_CHECKING:
    from mbench.gating.comparison import Verdict


@command(short_help="Judge whether a record is worse than another.")
@click.argument("base", type=RECORDS)
@click.argument("head", type=RECORDS)
@click.option("--paired", is_flag=True, help="Measure both builds now, against each other.")
@click.option("--recorded", is_flag=True, help="Judge recorded latencies also where there are counts.")
@options.file("--config", "Thresholds.  [default: mbench.toml, if there]")
@click.option("--threshold", "thresholds", multiple=True, metavar="SELECTOR=PERCENT", help="What is tolerated.")
@click.option("--sensitivity", "sensitivities", multiple=True, metavar="SELECTOR=PERCENT", help="Not to be missed.")
@options.file("--accepted", "Changes agreed to.  [default: mbench-accepted.toml, if there]")
@options.allowed
@click.option(
    "--processes", type=click.IntRange(8, 200), default=8, show_default=True,
    help="Processes of the first look of --paired, at least.",
)  # fmt: skip
@click.option("--update-baseline", is_flag=True, help="If the gate passes, replace BASE by HEAD.")
@options.new_file("--junit", "Write JUnit XML.")
@options.new_file("--markdown", "Append Markdown, as for a job summary.")
@options.new_file("--benchmark-action", "Write JSON for github-action-benchmark.")
@options.new_file("--bencher", "Write Bencher's JSON.")
@options.new_file("--html", "Write a page.")
@click.option("--output-file", "added", multiple=True, metavar="FORM=FILE", help="Write a form that a package adds.")
@click.option("--annotations", is_flag=True, help="Print annotations for a hosted CI.")
@options.as_json
def gate(
    base: Path,
    head: Path,
    paired: bool,
    recorded: bool,
    config: Path | None,
    thresholds: tuple[str, ...],
    sensitivities: tuple[str, ...],
    accepted: Path | None,
    allowed: tuple[str, ...],
    processes: int,
    update_baseline: bool,
    annotations: bool,
    as_json: bool,
    added: tuple[str, ...],
    **files: Path | None,
) -> int:
    """Judge whether HEAD is worse than BASE: slower, bigger, or more work.

    Each is a record, or a folder with records of one job. The gate compares
    exact counts where both have them. Otherwise it measures both builds now
    (--paired), or compares the latencies that they hold. The verdict reports
    which. The builds are those that 'run --keep-artifacts' kept beside the
    records, or else those in the cache.

    A SELECTOR is [VARIANT:][network.|layer.|OP.|role.ROLE.|block.BLOCK.]METRIC:
    latency=3%, layer.instructions=1%, role.project.latency=5%,
    'mobilenet_v1_0.25_*:depthwise_conv2d.latency=9%'.

    Exit code: 0 passed, 1 regressed, 3 no verdict, 4 not measured: a network
    could not be built or measured.
    """
    from mbench.api import gate as api
    from mbench.gating.options import GateOptions

    if annotations and as_json:
        said = "--annotations are lines on standard output, where --json allows nothing else; give one"
        raise CollisionError(said, "--annotations", "--json")
    defaults.check_names(click.get_current_context(), config)
    asked = GateOptions(
        paired=paired, recorded=recorded, config=config, thresholds=thresholds, sensitivities=sensitivities,
        accepted=accepted, allowed=allowed, processes=processes, update_baseline=update_baseline,
        outputs=_outputs(files, added),
    )  # fmt: skip
    notes: list[str] = []
    unwritten = ""
    try:
        judged = api.gate(base, head, options=asked, display=printing.progress, note=notes.append)
    except api.VerdictUnwritten as error:  # what was measured for minutes is shown all the same
        judged, unwritten = error.judged, str(error)
    _print(judged, notes, as_json=as_json, annotated=annotations)
    if unwritten:
        streams.say(unwritten)
    if judged.conclusion == "regressed":
        hints.after(f"mbench compare {plain.quoted(base)} {plain.quoted(head)}", hushed=as_json)
    return exits.of_verdict(judged.conclusion, failed=bool(judged.failures or unwritten))


def _outputs(files: dict[str, Path | None], added: tuple[str, ...]) -> dict[str, Path]:
    """Return the file of each form.

    Raises:
        UsageError: an `--output-file` is not FORM=FILE, or a form is asked for twice.
    """
    found = {name.replace("_", "-"): path for name, path in files.items() if path is not None}
    for given in added:
        form, equals, file = given.partition("=")
        if not (form and equals and file):
            raise UsageError(f"--output-file {given!r}: expected FORM=FILE, such as junit=gate.xml")
        if form in found:
            said = f"--output-file {given!r}: {form} goes to {found[form]} already; name each form once"
            raise CollisionError(said, "--output-file", f"--{form}")
        found[form] = Path(file)
    return found


def _print(judged: Verdict, notes: list[str], *, as_json: bool, annotated: bool) -> None:
    from mbench.gating import comparison
    from mbench.gating.outputs import annotations, terminal

    if as_json:
        printing.document(comparison.encode(judged).decode().rstrip())
    else:
        printing.parts([*terminal.render(judged), *notes])
    if annotated:
        streams.print_commands(annotations.render(judged))
