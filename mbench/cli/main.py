"""The command line. Alone prints and exits; everything else returns or raises.

Results go to standard output, progress and errors to standard error. Imports are made inside the commands: `--help`
must not wait for what it does not use.

What a command returns or raises becomes an exit status in `cli.ending`; `cli.streams` guards the standard streams.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mbench.cli import printing, streams
from mbench.cli.arguments import PATH
from mbench.cli.device import AS_JSON, device
from mbench.cli.gate import Answer, compare, gate
from mbench.core import plain, system_limits
from mbench.core.errors import OutputError, UsageError
from mbench.core.exits import Exit
from mbench.core.version import VERSION

if TYPE_CHECKING:
    from rich.console import Console

    from mbench.core.records import Record
    from mbench.terminal.listings import Listing

_COLUMNS = 80

_DTYPE_HELP = "Type of weights and activations; on GPUs also float16.  [default: float32]"
_build_timeout_option = click.option(
    "--build-timeout",
    "build_timeout_s",
    type=click.IntRange(1, 86_400),
    default=600,
    show_default=True,
    help="Seconds after which the build of a network is given up.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
_targets_option = click.option(
    "--targets", "extra_dirs", type=PATH, multiple=True, metavar="DIR", help="More folders of target folders."
)


def command_line() -> int:
    """Run `mbench` with the process's arguments; return the exit status.

    Raises:
        MbenchError: the command came to nothing, and the message says why.
        KeyboardInterrupt: it was interrupted.
    """
    try:
        answer = main.main(prog_name="mbench", standalone_mode=False)
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.WRONG_USE
    except click.ClickException as error:
        raise UsageError(_click_message(error)) from error
    code = printing.print_answer(answer) if isinstance(answer, Answer) else answer
    return code if isinstance(code, int) else Exit.DONE


def _click_message(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    separator = "" if message.endswith("?") else ";"
    return f"{message}{separator} see '{context.command_path} --help'" if context else message


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _COLUMNS})
@click.version_option(VERSION, prog_name="mbench")
@click.pass_context
def main(context: click.Context) -> None:
    """Say what a MobileNet costs on a piece of hardware, layer by layer."""
    system_limits.prepare()
    context.obj = partial(printing.console, stderr=True)


main.add_command(device)
main.add_command(gate)
main.add_command(compare)


@device.result_callback()
@click.pass_context
def _print_of_device(context: click.Context, listing: Listing) -> None:
    printing.print_listing(listing, as_json=context.meta[AS_JSON])


# ------------------------------------------------------------------------------------------------------------------ run
@main.command()
@click.argument("patterns", nargs=-1, metavar="[VARIANT]...")
@click.option("--target", "target_name", default=None, metavar="NAME", help="Hardware target.  [default: host]")
@click.option("--device", default=None, metavar="D", help="Where to run.  [default: the target's]")
@click.option("--threads", type=int, default=None, metavar="N", help="Threads.  [default: one a core]")
@click.option("--batch", default=None, metavar="N[,N...]", help="Images a run, or several sizes.  [default: 1]")
@click.option("--dtype", default=None, metavar="T", help=_DTYPE_HELP)
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=None,
    metavar="DIR",
    help="Where to write.  [default: mbench-results]",
)
@click.option(
    "--repeat", type=click.IntRange(3, 100_000), default=None, help="End-to-end samples.  [default: up to 100 in 4 s]"
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(1, 86_400),
    default=None,
    help="Seconds of silence after which a variant is given up.  [default: 600]",
)
@_build_timeout_option
@click.option("--compile-only", is_flag=True, help="Build, and record what is known without running.")
@click.option("--counts", is_flag=True, help="Also count instructions exactly, in emulation.")
@click.option("--keep-artifacts", is_flag=True, help="Keep what was compiled beside the record, for 'gate --paired'.")
@click.option("--no-cache", is_flag=True, help="Build and calibrate anew.")
@click.option("--no-tuned", is_flag=True, help="Make every kernel by rule; see 'mbench tune'.")
@click.option("--resume", type=PATH, default=None, metavar="FILE", help="Go on with the run that wrote this record.")
@_targets_option
@_json_option
def run(patterns: tuple[str, ...], resume: Path | None, output: Path | None, **options: Any) -> int:
    """Compile, measure, check and explain; write a record and a page.

    VARIANT is a name such as mobilenet_v1_0.5_160 or a grid such as
    'mobilenet_v1_{0.25,0.5}_{128,224}'; without one, mobilenet_v1_1.0_224 and
    its baseline with standard convolutions.
    """
    from mbench.core import record_files
    from mbench.hardware import host
    from mbench.pipeline import keeping, runner
    from mbench.pipeline import options as given
    from mbench.terminal import progress

    machine = host.describe()
    if resume is not None:
        given.refuse_with_resume(patterns, {**options, "output": output})
        job = given.resumed_job(resume, machine, options)
    else:
        job = given.new_job(patterns, output or Path("mbench-results"), machine, options)
    given.prepare(job.path.parent, "--resume" if resume else "--output")
    click.get_current_context().with_resource(keeping.held(job))
    console = printing.console(stderr=True)
    code = Exit.DONE
    try:
        with progress.show(console, job.settings.variants) as shown:
            runner.run(job, shown)
    except KeyboardInterrupt:
        if not job.path.exists():
            raise
        code = Exit.INTERRUPTED
    record, page = record_files.read(job.path), None
    try:
        page = _write_page(record, job.path)
        printing.print_record(record, as_json=options["as_json"])
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    _say_where(job.path, page, console)
    if code == Exit.INTERRUPTED:
        console.print(f"interrupted: {_go_on(record, job.path)}", soft_wrap=True)
    return code or (Exit.DONE if page is not None and _complete(record) else Exit.FAILED)


def _go_on(record: Record, path: Path) -> str:
    """Say what an interrupted run has, and the command that does the rest."""
    done, asked = len(record.results), len(record.settings.variants)
    file, page = plain.quoted(path), plain.quoted(_page_of(path))
    rest = f"run --resume {file}" if record.unfinished() else f"report {file} -o {page}"
    return f"{done} of {asked} variants are recorded; go on with: mbench {rest}"


def _complete(record: Record) -> bool:
    """Return whether everything that was asked for could be had."""
    from mbench.analysis import instruction_counts

    uncounted = instruction_counts.wanted(record) and any(result.counts is None for result in record.results)
    ceilings = record.device.kind != "local" or record.device.calibration is not None
    return not record.failures and ceilings and not uncounted


def _write_page(record: Record, path: Path) -> Path | None:
    from mbench.page import report

    page = _page_of(path)
    try:
        report.write(page, [record])
    except OutputError as error:
        streams.say(str(error))
        return None
    return page


def _page_of(record: Path) -> Path:
    return record.with_suffix(".html") if record.suffix != ".html" else record.with_name(f"{record.name}.html")


def _say_where(record: Path, page: Path | None, console: Console) -> None:
    console.print(f"record  {record}", soft_wrap=True)
    if page:
        console.print(f"page    {page}", soft_wrap=True)


# ----------------------------------------------------------------------------------------------------------------- tune
@main.command()
@click.argument("patterns", nargs=-1, required=True, metavar="VARIANT...")
@click.option("--target", "target_name", default=None, metavar="NAME", help="Hardware target.  [default: host]")
@click.option("--device", default=None, metavar="D", help="Where to measure.  [default: the target's]")
@click.option("--threads", type=int, default=None, metavar="N", help="Threads.  [default: one a core]")
@click.option("--dtype", default=None, metavar="T", help=_DTYPE_HELP)
@click.option("--tries", type=click.IntRange(1, 1000), default=12, show_default=True, help="Tiles to try of each rule.")
@click.option("--again", is_flag=True, help="Also tune what this version has tuned already.")
@click.option("--deep", is_flag=True, help="Also let TVM's MetaSchedule search: minutes a kernel, seldom quicker.")
@click.option(
    "--trials", type=click.IntRange(1, 100_000), default=None, help="Its trials of each kernel.  [default: 64]"
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(1, 86_400),
    default=60,
    show_default=True,
    help="Seconds after which a candidate is given up.",
)
@_build_timeout_option
@_targets_option
@_json_option
def tune(patterns: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Find quicker ways to make the kernels of networks; `run` uses them.

    For each kernel, what the rules' models like best is compiled and timed
    beside the rules' own choice. Then the networks are timed, by rule and as
    tuned: a choice that is not quicker there is not followed. The file of
    choices is written after every kernel and every network: interrupt it when
    you like, the same command goes on.
    """
    from mbench.hardware import host
    from mbench.pipeline import options as given
    from mbench.terminal import progress, tuning_tables
    from mbench.tuning import tuner

    job = given.tuning_job(patterns, host.describe(), options)
    given.prepare_tuning(job.file.parent)
    console = printing.console(stderr=True)
    interrupted = False
    with tuner.Tuner(job) as work:
        try:
            work.find(lambda text: console.print(text, soft_wrap=True))
            shares = tuner.DEEP_SHARES if job.trials else tuner.SHARES
            with progress.show(console, [search.task.kernel for search in work.waiting], shares) as shown:
                work.run(shown)
            networks = work.unconfirmed()
            with progress.show(console, networks, tuner.PLACE_SHARES) as shown:
                work.confirm(shown)
        except KeyboardInterrupt:
            interrupted = True
    printing.print_listing(tuning_tables.listing(work), as_json=as_json)
    if interrupted:
        done = f"{len(work.entries())} of {len(work.searches)}" if work.searches else "no"
        console.print(f"interrupted: {done} kernels are tuned; the same command goes on", soft_wrap=True)
    if job.file.exists():
        console.print(f"choices {job.file}", soft_wrap=True)
    failed = any(not failure.candidate for failure in work.failures)
    return Exit.INTERRUPTED if interrupted else Exit.FAILED if failed else Exit.DONE


# ---------------------------------------------------------------------------------------------------- reading what is
@main.command()
@click.argument("record", type=PATH)
@_json_option
def show(record: Path, as_json: bool) -> None:
    """Print what RECORD says: totals, the comparison, the slowest layers."""
    from mbench.core import record_files

    printing.print_record(record_files.read(record), as_json=as_json)


@main.command()
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="RECORD...")
@click.option("-o", "--output", type=PATH, required=True, metavar="FILE.html", help="The page to write.")
@click.option(
    "--plotlyjs",
    type=click.Choice(["inline", "directory"]),
    default="inline",
    show_default=True,
    help="Put plotly's script into the page, or once beside the pages of a folder.",
)
def report(paths: tuple[Path, ...], output: Path, plotlyjs: Literal["inline", "directory"]) -> None:
    """Make one page of one or several records."""
    from mbench.core import no_gc

    with no_gc.not_collected():
        from mbench.analysis import runs
        from mbench.core import record_files
        from mbench.page import report as pages

        read = [record_files.read(path) for path in paths]
        if output.resolve() in [path.resolve() for path in paths]:
            raise UsageError(f"--output {output} is one of the records; choose another file for the page")
        for copy in runs.copies(read):
            streams.say(f"{paths[copy.at]} {copy.why} as {paths[copy.of]}; it is left out")
        pages.write(output, read, plotlyjs=plotlyjs)


@main.command()
def schema() -> None:
    """Print the JSON Schema of a record."""
    from mbench.core import record_files

    printing.print_json(json.dumps(record_files.json_schema(), indent=2))


@main.command(name="variants")
@click.argument("name", required=False)
@_json_option
def list_variants(name: str | None, as_json: bool) -> None:
    """List the networks, or the layers of the one called NAME."""
    from mbench.networks import variants
    from mbench.terminal import listings

    found = variants.expand([name] if name else variants.catalog())
    layers = name is not None and len(found) == 1
    listing = listings.layers(found[0]) if layers else listings.variants(found)
    printing.print_listing(listing, as_json=as_json)


@main.command(name="targets")
@click.argument("name", required=False)
@_targets_option
@_json_option
def list_targets(name: str | None, extra_dirs: tuple[Path, ...], as_json: bool) -> None:
    """List the hardware targets and what this machine can do with each, or show NAME."""
    from mbench.hardware import host
    from mbench.pipeline import runner
    from mbench.terminal import listings

    machine = host.describe()
    if name:
        listing = listings.target(runner.resolve_target(name, extra_dirs), machine)
    else:
        listing = listings.targets(machine, extra_dirs)
    printing.print_listing(listing, as_json=as_json)


@main.command()
@_json_option
def doctor(as_json: bool) -> None:
    """Say what this machine can run and measure, what is missing, and whether it is quiet."""
    from mbench.terminal import listings

    printing.print_listing(listings.doctor(), as_json=as_json)
