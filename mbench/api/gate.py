"""Two runs against each other: the work behind `mbench compare` and `mbench gate`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from mbench.analysis.frame import AnyPath
from mbench.core.errors import CollisionError, OutputError, UsageError
from mbench.core.progress import Display, Note, silent, unheard
from mbench.core.records import Record
from mbench.gating import acceptance, baseline, limits, matching, sides, two_types, verdict
from mbench.gating.comparison import Comparison, Verdict
from mbench.gating.limits import Limits
from mbench.gating.options import GateOptions, paired_command
from mbench.gating.outputs import files
from mbench.gating.paired import Contest
from mbench.gating.sides import Given
from mbench.gating.verdict import Asked, Fight

_SHARES = {"measuring": 0.0, "confirming": 0.5, "done": 1.0}
_TIMEOUT_S = 120.0


class VerdictUnwritten(OutputError):
    """A file of a verdict could not be written; the verdict is here."""

    def __init__(self, message: str, judged: Verdict) -> None:
        """Keep the verdict."""
        super().__init__(message)
        self.judged = judged


def compare(
    base: Record | AnyPath,
    head: Record | AnyPath,
    *,
    allowed: Iterable[str] = (),
    outputs: Mapping[str, AnyPath] | None = None,
) -> Comparison:
    """Return what differs between two runs, layer by layer, and why; nothing is judged.

    Args:
        base: a record, its file, or a folder with records of one job.
        head: the same, or one of the same networks in another type, such as int8.
        allowed: compare although these keys differ, such as `host`.
        outputs: files to write, by form: `html`, `markdown`.

    Raises:
        RecordError: there is no record, or one is not valid.
        UsageError: an output cannot be written.
        OutputError: an output could not be written.

    Example:
        ```python
        for finding in mbench.compare("base.json", "head.json").findings:
            print(finding.layer, finding.metric, finding.ratio)
        ```
    """
    wanted = {form: Path(path) for form, path in (outputs or {}).items()}
    asked = Asked(allowed=(allowed,) if isinstance(allowed, str) else tuple(allowed), recorded=True)
    given = _given(base), _given(head)
    files.check(wanted, _files(given))
    in_its_type = two_types.aligned(*given)
    if in_its_type is not None:
        given, asked = (in_its_type, given[1]), asked._replace(allowed=(*asked.allowed, two_types.KEY))
    found, _ = verdict.compare(*given, asked)
    files.write(wanted, found)
    return found


def gate(
    base: Record | AnyPath,
    head: Record | AnyPath,
    *,
    options: GateOptions = GateOptions(),
    display: Display = silent,
    note: Note = unheard,
) -> Verdict:
    """Judge whether the head is worse than the base: slower, bigger, or more work; write the files asked for.

    Args:
        base: a record, its file, or a folder with records of one job.
        head: the same.
        options: thresholds, ways to compare, and outputs.
        display: shows the progress of a paired comparison; by default nothing does.
        note: called with a line about what became of the baseline.

    Raises:
        RecordError: there is no record, or one is not valid.
        UsageError: an option, a threshold or an output that cannot be, or an artifact that is missing or altered.
        VerdictUnwritten: a file could not be written, or the baseline not be moved; its `judged` is the verdict.
        OutputError: nothing can be written where the baseline lies.

    Example:
        ```python
        verdict = mbench.gate("base.json", "head.json", options=mbench.GateOptions(thresholds=("latency=3%",)))
        assert verdict.conclusion == "passed", verdict.headline
        ```
    """
    if options.paired and options.recorded:
        said = "--paired measures latencies anew, --recorded takes those of the records; give one of them"
        raise CollisionError(said, "--paired", "--recorded")
    asked = Asked(
        limits=limits.read(options.config, options.thresholds, options.sensitivities), allowed=options.allowed,
        recorded=options.recorded,
    )  # fmt: skip
    accepted = acceptance.read(options.accepted)
    given = _given(base), _given(head)
    _refuse_early(given, asked.limits, options)
    with contextlib.ExitStack() as stack:
        renewal = stack.enter_context(baseline.planned(*given)) if options.update_baseline else None
        fight = stack.enter_context(_fight(given, asked, options, display))
        found, failures = verdict.compare(*given, asked, fight)
        judged = _offering(verdict.judge(found, failures, accepted), given, (base, head), options)
        try:
            files.write(options.outputs, judged)
            if renewal is not None:
                note(baseline.renew(renewal, judged))
        except OutputError as error:
            raise VerdictUnwritten(str(error), judged) from error
    return judged


def _given(side: Record | AnyPath) -> Given:
    return Given(sides.IN_MEMORY, (side,)) if isinstance(side, Record) else sides.read(Path(side))


def _refuse_early(given: tuple[Given, Given], known: Limits, options: GateOptions) -> None:
    """Notice now, not after minutes of measuring, what could not be judged or written then.

    Raises:
        UsageError: a sensitivity is not above its threshold, an output cannot be written, or recorded latencies are
            wanted and a side holds none.
    """
    for side in given if options.recorded else ():
        if not any(result.end_to_end.latency_s for record in side.runs for result in record.results):
            raise UsageError(f"--recorded: {side.path} holds no latencies; leave it out, or give a run that was timed")
    if options.update_baseline and not all(side.path.is_file() for side in given):
        raise UsageError("--update-baseline replaces a file by another; give both records as files")
    for result in given[1].record.results:
        for kind in (None, *dict.fromkeys(map(matching.kind, result.layers))):
            known.sensitivity(result.variant.name, kind, "latency")
    read = [options.config or Path(limits.CONFIG), options.accepted or Path(acceptance.FILE)]
    files.check(options.outputs, [*_files(given), *read])


def _files(given: tuple[Given, Given]) -> list[Path]:
    return [file for side in given for file in (side.path, *side.files) if file != sides.IN_MEMORY]


# --------------------------------------------------------------------------------------------------------------- paired
@contextlib.contextmanager
def _fight(given: tuple[Given, Given], asked: Asked, options: GateOptions, display: Display) -> Iterator[Fight | None]:
    """Yield what measures both sides now, with progress shown; None if that is not wanted, or would be meaningless."""
    if not options.paired:
        yield None
        return
    from mbench.core import resources
    from mbench.devices.local import LocalDevice
    from mbench.gating import comparable
    from mbench.hardware import host, platforms

    base, head = given
    differ = comparable.differences(base.record, head.record, asked.allowed)
    with contextlib.ExitStack() as stack:
        contests = () if comparable.forbidden("paired", differ) else tuple(_contests(base, head, stack))
        shown = stack.enter_context(display([each.variant for each in contests], _SHARES))
        if contests and (held_back := platforms.over_quota(contests[0].threads, host.describe())) is not None:
            shown.note(held_back)
        arena = LocalDevice(lock_dir=resources.cache_dir(), timeout_s=_TIMEOUT_S, waiting=shown.note)
        stack.callback(arena.close)
        yield Fight(contests, arena, shown.stage, options.processes)


def _contests(base: Given, head: Given, stack: contextlib.ExitStack) -> Iterator[Contest]:
    """Yield a contest for each network of both sides; `stack` holds what is removed afterwards.

    Raises:
        UsageError: an artifact is missing or altered, or this machine cannot run it.
    """
    from mbench.build.artifact_store import ArtifactStore
    from mbench.core import dtypes
    from mbench.gating import builds
    from mbench.measure import duel

    settings = head.record.settings
    for each in builds.at_hand(base, head, ArtifactStore.of_user().place):
        one = each.base.library.samefile(each.head.library)  # which would be loaded once
        yield Contest(
            variant=each.variant, base=each.base, twin=stack.enter_context(duel.twin_of(each.base)),
            head=stack.enter_context(duel.twin_of(each.head)) if one else each.head,
            matches=matching.layers(each.ours.layers, each.theirs.layers), threads=settings.threads,
            tolerance=each.theirs.numerics.tolerance
            if each.theirs.numerics
            else dtypes.of(each.theirs.variant.dtype).network_tolerance,  # of one that was only compiled
        )  # fmt: skip


def _offering(
    judged: Verdict, given: tuple[Given, Given], typed: tuple[Record | AnyPath, Record | AnyPath], options: GateOptions
) -> Verdict:
    """Return a verdict that is left open with the command that measures both builds now, where both are at hand."""
    from mbench.build.artifact_store import ArtifactStore
    from mbench.gating import builds

    base, head = typed
    if options.paired or isinstance(base, Record) or isinstance(head, Record) or not verdict.is_open(judged):
        return judged
    with contextlib.suppress(UsageError):  # not at hand, or not to be timed here
        if builds.at_hand(*given, ArtifactStore.of_user().place):
            return msgspec.structs.replace(judged, paired_command=paired_command(Path(base), Path(head), options))
    return judged
