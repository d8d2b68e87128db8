"""The command `mbench tune`."""

from __future__ import annotations

from pathlib import Path

import click

from mbench.cli import completing, hints, options, printing
from mbench.cli.command import command
from mbench.core import exits, plain


@command(short_help="Find quicker ways to make kernels; 'run' uses them.")
@click.argument("networks", type=completing.NETWORK, nargs=-1, required=True, metavar="NETWORK...")
@options.target
@options.device("Where to measure.", usual="local")
@options.threads
@options.dtype
@options.input_shapes
@options.inputs
@click.option("--tries", type=click.IntRange(1, 1000), default=12, show_default=True, help="Tiles to try of each rule.")
@click.option("--again", is_flag=True, help="Also tune what this version has tuned already.")
@click.option("--deep", is_flag=True, help="Also let TVM's MetaSchedule search: minutes a kernel, seldom quicker.")
@click.option(
    "--trials", type=click.IntRange(1, 100_000), default=None, help="Its trials of each kernel.  [default: 64]"
)
@options.timeout("Seconds after which a candidate is given up.", default=60, show_default=True)
@options.build_timeout
@options.executor
@options.target_dirs
@options.as_json
def tune(
    networks: tuple[str, ...],
    target: str,
    device: str | None,
    threads: int | None,
    dtype: str,
    input_shapes: tuple[str, ...],
    inputs: Path | None,
    tries: int,
    again: bool,
    deep: bool,
    trials: int | None,
    timeout_s: int,
    build_timeout_s: int,
    executor: str,
    target_dirs: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Find quicker ways to make the kernels of networks; `run` uses them.

    For each kernel, mbench compiles what the cost models predict to be best
    and times it beside the rules' own choice. Then it times the networks with
    and without the choices, and drops a choice that is not quicker there. It
    writes the file of choices after every kernel and every network, so you can
    interrupt it at any time: the same command goes on.
    """
    from mbench.api import tune as api
    from mbench.core.run_options import TuneOptions
    from mbench.terminal import tuning_tables

    asked = TuneOptions(
        device=device, threads=threads, dtype=dtype, tries=tries, again=again, deep=deep, trials=trials,
        timeout_s=timeout_s, build_timeout_s=build_timeout_s, target_dirs=target_dirs, input_shapes=input_shapes,
        inputs=inputs,
    )  # fmt: skip
    interrupted = False
    try:
        found = api.tune(
            networks, target=target, options=asked, executor=executor, display=printing.progress, note=printing.remark
        )
    except api.TuningInterrupted as error:
        interrupted, found = True, error.tuned
    printing.listing(tuning_tables.listing(found), as_json=as_json)
    if interrupted:
        done, known = len(found.kernels), len(found.kernels) + len(found.waiting)
        said = f"{done} of {known}" if known else "no"
        printing.remark(f"interrupted: {said} kernels are tuned; the same command goes on")
    if found.file.exists():
        printing.remark(f"choices {found.file}")
    if found.complete() and not interrupted:
        words = [*networks, "--target", target]
        words += ["--threads", str(threads)] if threads is not None else []
        words += ["--dtype", dtype] if dtype is not None else []
        words += [word for folder in target_dirs for word in ("--targets", str(folder))]
        asked_for = " ".join(map(plain.quoted, words))
        hints.after(f"mbench run {asked_for}", hushed=as_json)
    return exits.of_work(complete=found.complete(), interrupted=interrupted)
