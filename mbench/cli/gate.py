"""The commands `mbench gate` and `mbench compare`: two runs against each other. They return what is to be printed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mbench.cli.arguments import PATH
from mbench.core import regular_files
from mbench.core.errors import OutputError, UsageError
from mbench.core.exits import Exit

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from mbench.gating.comparison import Comparison, Conclusion, Verdict
    from mbench.gating.limits import Limits
    from mbench.gating.paired import Contest
    from mbench.gating.sides import Given
    from mbench.gating.verdict import Fight

EXIT_CODES: dict[Conclusion, Exit] = {
    "passed": Exit.DONE, "regressed": Exit.REGRESSED, "inconclusive": Exit.NO_VERDICT, "incomparable": Exit.NO_VERDICT,
}  # fmt: skip
_SHARES = {"measuring": 0.0, "confirming": 0.5, "done": 1.0}
_FILES = {
    "junit": "junit", "markdown": "markdown", "benchmark_action": "benchmark_action", "bencher": "bencher",
    "html": "page",
}  # fmt: skip
"""Options that name a file, and the module of `mbench.gating.outputs` that fills it."""
_TIMEOUT_S = 120.0
_TOLERANCE = 1e-3
"""Of outputs whose record was only compiled."""


class Answer(NamedTuple):
    """What a command has to say."""

    parts: list[RenderableType]
    document: bytes
    """The same for --json."""
    as_json: bool
    code: Exit
    commands: str = ""
    """Lines that a CI is to obey."""


def _file_option(name: str, text: str) -> Callable[..., Any]:
    return click.option(name, type=PATH, default=None, metavar="FILE", help=text)


@click.command()
@click.argument("base", type=PATH)
@click.argument("head", type=PATH)
@click.option("--paired", is_flag=True, help="Measure both now, against each other; see 'run --keep-artifacts'.")
@click.option("--recorded", is_flag=True, help="Judge recorded latencies also where there are counts.")
@_file_option("--config", "Thresholds.  [default: mbench.toml, if there]")
@click.option("--threshold", "thresholds", multiple=True, metavar="SELECTOR=PERCENT", help="What is tolerated.")
@click.option("--sensitivity", "sensitivities", multiple=True, metavar="SELECTOR=PERCENT", help="Not to be missed.")
@_file_option("--accepted", "Changes agreed to.  [default: mbench-accepted.toml, if there]")
@click.option("--allow-different", "allowed", multiple=True, metavar="KEY", help="Compare although KEY differs.")
@click.option("--processes", type=click.IntRange(8, 200), default=8, show_default=True, help="First look, at least.")
@click.option("--update-baseline", is_flag=True, help="Unless it is worse, put HEAD in BASE's place.")
@_file_option("--junit", "Write JUnit XML.")
@_file_option("--markdown", "Append Markdown, as for a job summary.")
@_file_option("--benchmark-action", "Write JSON for github-action-benchmark.")
@_file_option("--bencher", "Write Bencher's JSON.")
@_file_option("--html", "Write a page.")
@click.option("--annotations", is_flag=True, help="Print annotations for a hosted CI.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.pass_obj
def gate(console: Callable[[], Console], /, base: Path, head: Path, **options: Any) -> Answer:
    """Judge whether HEAD is worse than BASE: slower, bigger, or more work.

    Each is a record, or a folder with records of one job. Compared by exact
    counts where both have them, by measuring both now (--paired), or by the
    latencies that they hold; the verdict says how.

    A SELECTOR is [VARIANT:][network.|layer.|OP.]METRIC: latency=3%,
    layer.instructions=1%, 'mobilenet_v1_0.25_*:depthwise_conv2d.latency=9%'.

    Exit code: 0 passed, 1 regressed, 3 no verdict, 4 not measured.
    """
    from mbench.gating import acceptance, baseline, comparison, limits, sides, verdict
    from mbench.gating.outputs import annotations, terminal

    if options["paired"] and options["recorded"]:
        raise UsageError("--paired measures latencies anew, --recorded takes those of the records; give one of them")
    if options["annotations"] and options["as_json"]:
        raise UsageError("--annotations are lines on standard output, where --json allows nothing else; give one")
    asked = verdict.Asked(
        limits=limits.read(options["config"], options["thresholds"], options["sensitivities"]),
        allowed=options["allowed"], recorded=options["recorded"],
    )  # fmt: skip
    accepted = acceptance.read(options["accepted"])
    sides_ = sides.read(base), sides.read(head)
    _refuse_early(sides_, asked.limits, options)
    renewal = baseline.plan(*sides_) if options["update_baseline"] else None
    with _fight(sides_, asked, options, console) as fight:
        found, failures = verdict.compare(*sides_, asked, fight)
    judged = verdict.judge(found, failures, accepted)
    _write_all(judged, options)
    parts = terminal.render(judged)
    if renewal is not None:
        parts.append(baseline.renew(renewal, judged))
    code = EXIT_CODES[judged.conclusion]
    if judged.failures and code != Exit.REGRESSED:
        code = Exit.FAILED
    commands = annotations.render(judged) if options["annotations"] else ""
    return Answer(parts, comparison.encode(judged), options["as_json"], code, commands)


@click.command()
@click.argument("base", type=PATH)
@click.argument("head", type=PATH)
@_file_option("--markdown", "Append Markdown.")
@_file_option("--html", "Write a page.")
@click.option("--allow-different", "allowed", multiple=True, metavar="KEY", help="Compare although KEY differs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def compare(base: Path, head: Path, **options: Any) -> Answer:
    """Show what differs between BASE and HEAD, layer by layer, and why.

    The same comparison as 'gate' makes, for reading: nothing is judged, and
    the exit code is 0 whatever differs.
    """
    from mbench.gating import comparison, sides, verdict
    from mbench.gating.outputs import terminal

    asked = verdict.Asked(allowed=options["allowed"], recorded=True)
    found, _ = verdict.compare(sides.read(base), sides.read(head), asked)
    _write(options["markdown"], "markdown", found, append=True)
    _write(options["html"], "page", found)
    return Answer(terminal.render(found), comparison.encode(found), options["as_json"], Exit.DONE)


def _refuse_early(given: tuple[Given, Given], limits: Limits, options: dict[str, Any]) -> None:
    """Notice now, not after minutes of measuring, what could not be judged or written then.

    Raises:
        UsageError: a sensitivity is not above its threshold, a file's folder is not there, or --recorded was given and
            a side holds no latencies.
    """
    for side in given if options["recorded"] else ():
        if not any(result.end_to_end.latency_s for record in side.runs for result in record.results):
            raise UsageError(f"--recorded: {side.path} holds no latencies; leave it out, or give a run that was timed")
    for result in given[1].record.results:
        for op in (None, *{layer.op for layer in result.layers}):
            limits.sensitivity(result.variant.name, op, "latency")
    for name in _FILES:
        path = options[name]
        if path is None:
            continue
        option = f"--{name.replace('_', '-')} {path}"
        try:
            regular_files.check_replaceable(path)
        except OSError as error:
            raise UsageError(f"{option}: {error.strerror}; choose another") from error
        if not path.parent.is_dir():
            raise UsageError(f"{option}: the folder {path.parent} does not exist; make it first")


# --------------------------------------------------------------------------------------------------------------- paired
@contextlib.contextmanager
def _fight(
    given: tuple[Given, Given], asked: Any, options: dict[str, Any], console: Callable[[], Console]
) -> Iterator[Fight | None]:
    """Yield what measures both sides now, with progress shown; None if that is not wanted, or would be meaningless."""
    if not options["paired"]:
        yield None
        return
    from mbench.core import resources
    from mbench.devices.local import LocalDevice
    from mbench.gating import comparable
    from mbench.gating.verdict import Fight
    from mbench.terminal import progress

    base, head = given
    differ = comparable.differences(base.record, head.record, asked.allowed)
    with contextlib.ExitStack() as stack:
        contests = () if comparable.forbidden("paired", differ) else tuple(_contests(base, head, stack))
        shown = stack.enter_context(progress.show(console(), [each.variant for each in contests], _SHARES))
        arena = LocalDevice(lock_dir=resources.cache_dir(), timeout_s=_TIMEOUT_S, waiting=shown.note)
        stack.callback(arena.close)
        yield Fight(contests, arena, shown.stage, options["processes"])


def _contests(base: Given, head: Given, stack: contextlib.ExitStack) -> Iterator[Contest]:
    """Yield a contest for each network of both sides; `stack` holds what is removed afterwards.

    Raises:
        UsageError: an artifact is missing or altered, or this machine cannot run it.
    """
    from mbench.gating import asked, matching, paired, sides
    from mbench.hardware import host, targets
    from mbench.measure import duel

    if head.record.target.family == "gpu":
        raise UsageError(f"--paired: target '{head.record.target.name}': GPUs are not timed in turns in this version")
    machine, settings = host.describe(), head.record.settings
    support = targets.support(head.record.target, machine)
    if not support.measure:
        raise UsageError(f"--paired measures on this machine: target '{head.record.target.name}': {support.reason}")
    usable = machine.processors_usable or machine.cores_logical
    if settings.threads > usable:
        raise UsageError(f"--paired: the runs used {settings.threads} threads, this machine has {usable} processors")
    for name, ours, theirs in asked.comparable(base.record, head.record):
        old = sides.kept_artifact(base, ours)
        yield paired.Contest(
            variant=name, base=old, twin=stack.enter_context(duel.twin_of(old)),
            head=sides.kept_artifact(head, theirs), matches=matching.layers(ours.layers, theirs.layers),
            threads=settings.threads, tolerance=theirs.numerics.tolerance if theirs.numerics else _TOLERANCE,
        )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- files
def _write_all(judged: Verdict, options: dict[str, Any]) -> None:
    for name, form in _FILES.items():
        _write(options[name], form, judged, append=name == "markdown")


def _write(path: Path | None, form: str, document: Verdict | Comparison, *, append: bool = False) -> None:
    """Write a document in a form to a file, whole or not at all; nothing if no file is wanted."""
    if path is None:
        return
    import importlib

    from mbench.core import atomic_files

    rendered = importlib.import_module(f"mbench.gating.outputs.{form}").render(document)
    data = rendered if isinstance(rendered, bytes) else rendered.encode()
    atomic_files.write_atomically(path, (_content(path) if append else b"") + data)


def _content(path: Path) -> bytes:
    """Return what a file holds that is to be appended to."""
    try:
        return regular_files.read(path)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}; choose another file") from error
