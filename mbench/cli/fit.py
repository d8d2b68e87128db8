"""The command `mbench fit`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mbench.cli import completing, hints, options, printing, streams
from mbench.cli.arguments import NEW_FOLDER, PATH
from mbench.cli.command import command
from mbench.core import exits, plain
from mbench.core.errors import OutputError

if TYPE_CHECKING:
    from mbench.core.fit_records import FitRecord


def _amount(option: str, unit: str) -> Callable[[str], float]:
    """Return what reads the amount that an option takes."""

    def read(text: str) -> float:
        from mbench.core import quantities

        return getattr(quantities, unit)(text, option)  # type: ignore[no-any-return]

    return read


def _time(text: str) -> float:
    from mbench.core import durations

    return durations.parse(text, "--time")


@command()
@click.argument("families", type=completing.FAMILY, nargs=-1, metavar="[FAMILY]...")
@options.target
@options.device("Where to measure.")
@options.threads
@options.dtype
@options.batch_of_all
@click.option(
    "--max-latency", "max_latency_s", type=_amount("--max-latency", "seconds"), default=None,
    metavar="TIME", help="Of a run, in the median: 20ms.",
)  # fmt: skip
@click.option(
    "--max-memory", "max_memory_bytes", type=_amount("--max-memory", "size"), default=None,
    metavar="SIZE", help="Weights, activations and workspace: 4MB.",
)  # fmt: skip
@click.option(
    "--max-weights", "max_weight_bytes", type=_amount("--max-weights", "size"), default=None,
    metavar="SIZE", help="Weights alone: 2MiB.",
)  # fmt: skip
@click.option(
    "--max-energy", "max_energy_j", type=_amount("--max-energy", "joules"), default=None,
    metavar="ENERGY", help="Of a run, by the target's model: 5mJ.",
)  # fmt: skip
@click.option(
    "--min-accuracy", type=_amount("--min-accuracy", "percent"), default=None,
    metavar="PERCENT", help="Top-1 on ImageNet: 65.",
)  # fmt: skip
@click.option(
    "--minimize", type=click.Choice(["accuracy", "latency", "memory", "energy"]),
    default="accuracy", help="What is to be least, above --min-accuracy.  [default: the most accurate is wanted]",
)  # fmt: skip
@click.option("--accuracies", type=PATH, default=None, metavar="FILE.csv", help="Accuracies of your own: name,top1.")
@click.option("--candidates", multiple=True, metavar="FILES", help="Networks of your own: 'models/*.onnx'.")
@options.input_shapes
@options.inputs
@click.option(
    "--time", "time_s", type=_time, default="5min",
    metavar="TIME", help="Begin nothing that would take longer.  [default: 5min]",
)  # fmt: skip
@click.option(
    "-o", "--output", type=NEW_FOLDER, default="mbench-results",
    metavar="DIR", help="Where to write.  [default: mbench-results]",
)  # fmt: skip
@options.build_timeout
@options.executor
@options.target_dirs
@options.as_json
def fit(
    families: tuple[str, ...],
    target: str,
    as_json: bool,
    output: Path,
    batch: tuple[int, ...] | None,
    executor: str,
    **asked: Any,
) -> int:
    """Choose the network that fits a device's limits.

    FAMILY is a family such as mobilenet_v2, or a network or grid of one; without
    one, the usual families. Every width and resolution in between is a
    candidate. Few are measured: a model of the layers predicts the rest, and
    those that decide are measured. What was measured is kept for the next time.
    """
    from mbench.api import fit as api
    from mbench.core.fit_options import FitOptions
    from mbench.terminal import fit_tables

    interrupted = False
    try:
        wanted = FitOptions(output=output, batch=options.one_batch(batch), **asked)
        report = fit_tables.report(printing.remark)
        found = api.fit(
            families,
            target=target,
            options=wanted,
            executor=executor,
            display=printing.progress,
            report=report,
            note=printing.remark,
        )
        path = api.path_of(found, output)
    except api.FitInterrupted as error:
        interrupted, found, path = True, error.found, error.path
    page = _write_pages(found, path)
    printing.found(found, as_json=as_json)
    for remark in (f"record  {path}", *([f"page    {page}"] if page else [])):
        printing.remark(remark)
    if interrupted:
        printing.remark("interrupted: what was measured is kept; the same command goes on")
    hints.after(_next(found), hushed=as_json)
    return exits.of_search(
        answered=bool(found.answers), certain=found.certain, written=page is not None, interrupted=interrupted
    )


def _next(found: FitRecord) -> str | None:
    """Return the command that measures the answer in full; None where there is none, or it has no name for that."""
    if not found.answers:
        return None
    name = found.answers[0].network
    imported = any(each.network.imported for each in found.candidates if each.network.name == name)
    if imported:
        return None
    from mbench.hardware import device_kinds

    words = ["mbench", "run", name, "--target", found.target.name, "--threads", str(found.threads)]
    if device := device_kinds.of(found.device.kind).option(found.device.name):
        words += ["--device", device]
    return " ".join(map(plain.quoted, words))


def _write_pages(found: FitRecord, path: Path) -> Path | None:
    """Write the page of what was measured, then the page of the search, which leads there; return the latter."""
    from mbench.api import report as api

    try:
        if found.measured_record is not None:
            measured = path.with_name(found.measured_record)
            api.report(measured, measured.with_suffix(".html"))
        return api.report(found, path.with_suffix(".html"))
    except OutputError as error:
        streams.say(str(error))
        return None
