"""The command `mbench run`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mbench.cli import completing, defaults, hints, options, printing, store_options, streams
from mbench.cli.arguments import NEW_FOLDER, PATH
from mbench.cli.command import command
from mbench.core import exits, plain
from mbench.core.errors import CollisionError, MbenchError, OutputError, UsageError
from mbench.core.exits import Exit

if TYPE_CHECKING:
    from mbench.core.records import Record

_WITH_SWEEP = ("sweep_file", "output", "store_url", "no_cache", "build_timeout_s", "executor", "quiet", "as_json")
"""Parameters that go with `--sweep`; its file has the others."""
_WITH_RESUME = ("resume", "store_url", "no_cache", "build_timeout_s", "executor", "quiet", "as_json")
"""Parameters that go with `--resume`; the record has the others."""
_LOOKED_AT = 5
"""Records of a folder, the newest, among which the one before is looked for."""


@command(short_help="Compile, measure and explain networks; write a page.")
@click.argument("networks", type=completing.NETWORK, nargs=-1, metavar="[NETWORK]...")
@options.target
@options.device("Where to run.")
@options.threads
@options.batch
@options.input_shapes
@options.inputs
@options.dtype
@options.quantization
@click.option("--standard", is_flag=True, help="Also run the standard twin of each network.")
@click.option(
    "-o",
    "--output",
    type=NEW_FOLDER,
    default="mbench-results",
    metavar="DIR",
    help="Where to write.  [default: mbench-results]",
)
@click.option("--sessions", type=click.IntRange(1, 1000), default=None, help="Fresh processes a network.  [default: 5]")
@click.option("--quick", is_flag=True, help="One session: sooner done, blind to how far processes lie apart.")
@click.option(
    "--wait-quiet", is_flag=False, flag_value="60s", default=None, metavar="[TIME]",
    help="Wait for a quiet, cool machine, at most TIME, or 60s without it.  [default: not at all]",
)  # fmt: skip
@click.option(
    "--repeat", type=click.IntRange(3, 100_000), default=None,
    help="End-to-end samples a session.  [default: 8 to 100 in 0.4 s]",
)  # fmt: skip
@options.sustain
@options.timeout("Seconds of silence after which a variant is given up.  [default: 600]", default=600)
@options.build_timeout
@options.executor
@click.option("--compile-only", is_flag=True, help="Build, and record what is known without running.")
@click.option("--counts", is_flag=True, help="Also count instructions exactly, in emulation.")
@click.option("--keep-artifacts", is_flag=True, help="Keep what was compiled beside the record, for 'gate --paired'.")
@click.option("--no-cache", is_flag=True, help="Build and calibrate anew.")
@click.option("--no-tuned", is_flag=True, help="Make every kernel by rule; see 'mbench tune'.")
@click.option(
    "--prefer", type=click.Choice(["latency", "memory"]), default=None,
    help="Take quicker kernels whatever their weights, or none with more.  [default: up to twice the parameters]",
)  # fmt: skip
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Write this into the record.")
@store_options.store_of_run
@click.option("--resume", type=PATH, default=None, metavar="FILE", help="Go on with the run that wrote this record.")
@click.option("--sweep", "sweep_file", type=PATH, default=None, metavar="FILE", help="Run the cells of a sweep.toml.")
@options.target_dirs
@click.option("-q", "--quiet", is_flag=True, help="Print a line for each network and the record's path, no more.")
@options.as_json
def run(
    networks: tuple[str, ...],
    target: str,
    output: Path,
    wait_quiet: str | None,
    sustain_s: float | None,
    build_timeout_s: int,
    executor: str,
    no_cache: bool,
    no_tuned: bool,
    store_url: str | None,
    resume: Path | None,
    sweep_file: Path | None,
    quiet: bool,
    as_json: bool,
    **asked: Any,
) -> int:
    """Compile, measure, check and explain; write a record and a page.

    NETWORK is a name such as mobilenet_v1_0.5_160, a grid such as
    'mobilenet_v1_{0.25,0.5}_{128,224}', FILE.onnx, FILE.pt2 of torch.export, or
    package.module:function, which is run and returns a torch module and an
    example input; without one, the networks of mbench.toml, or else
    mobilenet_v1_1.0_224 and its standard twin.
    """
    from mbench.api import run as api
    from mbench.core import names, record_files
    from mbench.core.run_options import RunOptions

    if sweep_file is not None and resume is not None:
        raise CollisionError("--sweep takes what its file says; leave out --resume", "--sweep", "--resume")
    if sweep_file is not None:
        return _sweep(sweep_file)
    into = _checked_store(store_url)
    interrupted, hushed = False, printing.Hushed()
    display = hushed if quiet else printing.progress
    try:
        if resume is not None:
            _refuse_with("--resume", "takes the record's own settings", _WITH_RESUME)
            resume = api.behind_links(resume)
            record = api.resume(
                resume, use_cache=not no_cache, build_timeout_s=build_timeout_s, executor=executor, display=display
            )
        else:
            wanted = RunOptions(
                output=output, sustain_s=sustain_s, build_timeout_s=build_timeout_s, use_cache=not no_cache,
                use_tuned=not no_tuned,
                wait_quiet_s=None if wait_quiet is None else _waits_s(wait_quiet), **asked,
            )  # fmt: skip
            record = api.run(networks, target=target, options=wanted, executor=executor, display=display)
        path = resume or output / f"{names.component(record.run_id)}.json"
    except api.RunInterrupted as error:
        interrupted, path = True, error.path
        record = record_files.read(path)
    code = _shown(record, path, as_json=as_json, interrupted=interrupted, quiet=hushed if quiet else None)
    code = code if into is None else _stored(record, path, into, code)
    if code == Exit.DONE and hints.wanted(hushed=as_json or quiet):
        hints.after(_next(record, path), hushed=False)
    return code


def _next(record: Record, path: Path) -> str:
    """Return what comes after a run: to compare it with the one before, or with the one that comes next."""
    before = _before(record, path)
    if before is not None:
        return f"mbench compare {plain.quoted(before)} {plain.quoted(path)}"
    return f"after a change, run again, then: mbench compare {plain.quoted(path)} NEW.json"


def _before(record: Record, path: Path) -> Path | None:
    """Return the newest earlier record of the same networks in the folder of a record; None: there is none."""
    from mbench.core import record_files

    for file in sorted(path.parent.glob("*.json"), reverse=True)[:_LOOKED_AT]:
        if file.name < path.name:
            with contextlib.suppress(MbenchError):
                other = record_files.read(file)
                if (other.settings.variants, other.target.name) == (record.settings.variants, record.target.name):
                    return file
    return None


def _checked_store(given: str | None) -> str | None:
    """Return the store that the record goes to, which is one; None: to none.

    Raises:
        UsageError: there can be no such store.
        StoreError: it is not mbench's, or cannot be reached.
        OutputError: it cannot be made.
    """
    from mbench.core import project_file

    url = project_file.store() if given is None else given
    if not url:
        return None
    from mbench.api import history as api

    api.open_store(url, create=True).close()
    return url


def _stored(record: Record, path: Path, into: str, code: Exit) -> Exit:
    """Add the record to a store; return what the run came to."""
    from mbench.api import history as api

    try:
        shown, added = api.add_run(record, into)
    except MbenchError as error:
        streams.say(f"{error}; the record is a file: add it with: mbench history add {plain.quoted(path)}")
        return code if code == Exit.INTERRUPTED else Exit.FAILED
    for line in (*added.notes, *added.refused):
        streams.say(line)
    if added.refused:
        return code if code == Exit.INTERRUPTED else Exit.FAILED
    printing.remark(f"store   {shown}")
    return code


def _waits_s(text: str) -> float:
    """Return how long `--wait-quiet` waits; its time may be left out, so that it takes a network for one.

    Raises:
        UsageError: it is no time.
    """
    from mbench.core import durations

    try:
        return durations.parse(text, "--wait-quiet")
    except UsageError as error:
        raise UsageError(
            f"{error}; if it is a network, write --wait-quiet=60s or put --wait-quiet behind the networks"
        ) from None


def _sweep(file: Path) -> Exit:
    """Run a sweep; its folder is its own, unless one was given."""
    from mbench.cli import sweep

    _refuse_with("--sweep", "takes what its file says", _WITH_SWEEP)
    context = click.get_current_context()
    asked = context.params
    given = {
        name: asked[name] if context.get_parameter_source(name) is ParameterSource.COMMANDLINE else None
        for name in ("output", "store_url")
    }
    return sweep.run(
        file, quiet=asked["quiet"], as_json=asked["as_json"], executor=asked["executor"],
        use_cache=not asked["no_cache"], build_timeout_s=asked["build_timeout_s"], store=given["store_url"],
        output=given["output"],
    )  # fmt: skip


def _refuse_with(option: str, takes: str, together: tuple[str, ...]) -> None:
    """Refuse what goes with a new run only.

    Args:
        option: that was given.
        takes: what it takes.
        together: the parameters that go with it.

    Raises:
        CollisionError: another one was given.
    """
    context = click.get_current_context()
    given = [
        defaults.flag(parameter)
        for parameter in context.command.params
        if parameter.name not in together
        and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise CollisionError(f"{option} {takes}; leave out {', '.join(given)}", option, *given)


def _shown(record: Record, path: Path, *, as_json: bool, interrupted: bool, quiet: printing.Hushed | None) -> Exit:
    """Write the page, print the record and where both are; return what the run came to.

    Args:
        record: of the run.
        path: where it is.
        as_json: whether the document is printed.
        interrupted: whether the user interrupted the run.
        quiet: with the run's remarks, if only a line for each network is wanted: they are shown if the run failed.
    """
    from mbench.analysis import completeness

    page = None
    try:
        page = _write_page(record, path)
        if quiet is None or as_json:
            printing.record(record, as_json=as_json)
        else:
            printing.brief(record, path)
    except KeyboardInterrupt:
        interrupted = True
    complete = page is not None and completeness.complete(record)
    remarks = [f"record  {path}"] + ([f"page    {page}"] if page else [])
    if quiet is not None:
        remarks = [] if complete else quiet.notes
    for remark in remarks:
        printing.remark(remark)
    if interrupted:
        printing.remark(f"interrupted: {_go_on(record, path)}")
    return exits.of_work(complete=complete, interrupted=interrupted)


def _go_on(record: Record, path: Path) -> str:
    """Return what an interrupted run has, and the command that does the rest."""
    done, asked = len(record.results), len(record.settings.variants)
    file, page = plain.quoted(path), plain.quoted(_page_of(path))
    rest = f"run --resume {file}" if record.unfinished() else f"report {file} -o {page}"
    return f"{done} of {asked} variants are recorded; go on with: mbench {rest}"


def _write_page(record: Record, path: Path) -> Path | None:
    from mbench.api import report as api

    try:
        return api.report(record, _page_of(path))
    except OutputError as error:
        streams.say(str(error))
        return None


def _page_of(record: Path) -> Path:
    return record.with_suffix(".html") if record.suffix != ".html" else record.with_name(f"{record.name}.html")
