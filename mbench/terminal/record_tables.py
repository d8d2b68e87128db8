"""What `mbench show` and the end of `mbench run` print: up to two networks on one screen. Renderables only.

Only `mbench.cli` prints. Where code was emulated, counts stand where latency would: no time of an emulator is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from mbench.analysis import first_answers, headline, instruction_counts, labels, pairs, type_pairs
from mbench.core import plain, units
from mbench.core.records import Numerics, Record
from mbench.terminal import count_tables, details, farm_lines, merging, sustained_lines, totals, type_lines
from mbench.terminal.table import TiedText, add_row, ruled, text
from mbench.terminal.totals import NetworkRow

__all__ = ["add_row", "record_tables", "ruled"]

SLOWEST, _WANTED = 6, 2
"""Layers that are listed at most, and before percentiles of what is disturbed or in two types."""
SCREEN = 24 - 2
"""Lines of a screen, without the two that say where record and page are."""
_CAUSES = 2
"""Of what disturbed networks, so many are named."""
_MEANWHILE = " while this was measured"
_NUMBER = re.compile(r"\d[\d.]*(?: [nµm]?s\b)?")
_TUNED = "(tuned)"
"""How the schedule of a kernel ends that was made by a tuned choice."""


def record_tables(record: Record) -> list[RenderableType]:
    """Return what there is to say of one record, top to bottom; of up to two networks, as much as a screen holds.

    The main table, what its figures are, details of a few networks, counts, the pair, what was disturbed, warnings,
    failures, what to try next.
    """
    lines = totals.rows(record)
    parts: list[RenderableType] = [_origin(record)]
    if lines:
        parts.append(totals.table(record, lines))
        parts.extend(totals.notes(record, lines, list(details.sentences(lines))))
    behind = tuple(details.table(lines))
    between = len(parts)
    parts.extend(count_tables.networks(record, few=totals.FEW))
    parts.extend(_twins(record))
    parts.extend(type_lines.of_record(record))
    at = len(parts)
    sustained, farm = sustained_lines.of_record(record), farm_lines.of_record(record)
    parts.extend((*_untimed(record), *_tuned(record), *sustained, *farm, *_warnings(record, lines), *_failures(record)))
    steps = tuple(_next_step(record))
    parts.extend((*_where(record), *(steps if _uncertain(lines) else ())))
    if type_pairs.of_record(record) or all(line.disturbed for line in lines):  # other things come first
        layers = details.layers(record, lines, _WANTED)
        behind = tuple(_IfRoom(part, (*parts, *([layers] if layers else ()))) for part in behind)
    parts[between:between] = behind
    at += len(behind)
    if steps and not _uncertain(lines):
        step = Group(*steps)
        parts.append(step if len(lines) > totals.FEW else _IfRoom(step, tuple(parts)))
    return [*parts[:at], _Layers(record, lines, tuple(parts)), *parts[at:]]


def _uncertain(lines: Sequence[NetworkRow]) -> bool:
    """Return whether the next thing is to know more of what is shown."""
    timed = [line.headline for line in lines if line.headline]
    return any(line.disturbed for line in lines) or any(each.interval is None for each in timed)


def _where(record: Record) -> Iterator[TiedText]:
    """Yield where the time of many networks goes, in the words of the page."""
    goes = first_answers.where([record]) if len(record.results) > totals.FEW else None
    if goes is not None:
        yield text(f"{goes.question} {' '.join(goes.sentences)}")


def _next_step(record: Record) -> Iterator[RenderableType]:
    """Yield what to try next, in the words of the page."""
    for step in first_answers.steps([record])[:1]:
        command = None if step.at_hand else step.command
        yield text(f"Try next: {step.words[:1].lower()}{step.words[1:]}{':' if command else '.'}")
        if command:
            yield plain.visible(command)  # text that is not wrapped, for copying


class _IfRoom:
    """A part that is left out where a screen has no room for it beside all the rest."""

    def __init__(self, part: RenderableType, rest: Sequence[RenderableType]) -> None:
        self._part, self._rest = part, rest

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if sum(len(console.render_lines(each, options, pad=False)) for each in (*self._rest, self._part)) <= SCREEN:
            yield self._part


class _Layers:
    """The slowest layers of a few networks: as many as fit on a screen beside all the rest."""

    def __init__(self, record: Record, lines: Sequence[NetworkRow], rest: Sequence[RenderableType]) -> None:
        self._record, self._lines, self._rest = record, lines, rest

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        taken = sum(len(console.render_lines(part, options, pad=False)) for part in self._rest)
        for count in range(SLOWEST, 0, -1):
            part = details.layers(self._record, self._lines, count)
            if part is None:
                return
            if taken + len(console.render_lines(part, options, pad=False)) <= SCREEN:
                yield part
                return


def _origin(record: Record) -> Text:
    target, device, settings = record.target, record.device, record.settings
    threads = None if instruction_counts.emulated(record) else labels.threads(record)
    on = device.kind if device.name == device.kind else f"{device.kind} ({device.name})"
    where = ", ".join(filter(None, (f"target {target.name}, device {on}", threads)))
    said = f"{record.run_id}: {where}, {settings.dtype}, batch {_batches(record)}; {_machine(record)}"
    return text(said + (f"; {labels.given(record)}" if record.labels else ""))


def _batches(record: Record) -> str:
    """Return the batch of a record's networks, or each of several, in order."""
    sizes = dict.fromkeys(result.variant.batch for result in record.results) or [record.settings.batch]
    return ", ".join(map(str, sizes))


def _machine(record: Record) -> str:
    """Return what executed the code: the host, a board, or an emulator."""
    device, host = record.device, record.host
    if record.farm is not None:
        return f"{len(record.farm.devices)} devices; compiled on {host.name}: {host.cpu}"
    if instruction_counts.emulated(record):
        return f"emulated by {device.emulator or 'an emulator that the record does not name'}, on {host.cpu}"
    if device.machine is not None:
        board = device.machine
        return f"board {board.name}: {board.cpu}, {board.os}; compiled on {host.name}: {host.cpu}"
    if device.gpu is not None:
        return f"{device.gpu.name}, driver {device.gpu.driver or 'unknown'}; host {host.cpu}"
    return host.cpu


def _twins(record: Record) -> Iterator[Text]:
    """Yield how standard twins do; of one without its network, what became of the layers that it replaced."""
    found = pairs.of_record(record)
    if found:
        whose = "Standard twin" if len(found) == 1 else f"Standard twins of {len(found)} networks"
        yield text(f"{whose}: {_achieved(found)}{_predicted(found)}.")
    if len(record.results) > totals.FEW:
        return
    paired = {pair.standard.variant.name for pair in found}
    for result in record.results:
        said = labels.replaced(result)
        if said and result.variant.name not in paired:
            yield text(f"{result.variant.name}: {said}.")
    if type_pairs.of_record(record):
        return  # two types were asked for, not two kinds of convolution
    if any(step.words == first_answers.SAVING for step in first_answers.steps([record])[:1]):
        return  # it is what to try next
    others = [other for _, other in pairs.unpaired(record)]
    named = list({labels.untyped(other): other.name for other in reversed(others) if not other.imported}.values())
    if named:
        yield text(f"To compare the kinds of convolution, run also: {', '.join(named)}.")
    if any(other.imported for other in others):
        yield text("To compare the kinds of convolution, run the file with --standard.")


def _achieved(found: Sequence[pairs.Pair]) -> str:
    """Return the speed-ups of pairs of which neither was disturbed."""
    if all(pair.by_instructions for pair in found):
        return f"{units.ranged((pair.fewer for pair in found), units.times)} the instructions"
    timed = [pair for pair in found if totals.achieved(pair) is not None]
    if not timed:
        return "latency not measured"
    good = [
        totals.achieved(pair)
        for pair in timed
        if not headline.disturbed(pair.separable) and not headline.disturbed(pair.standard)
    ]
    if not good:
        return f"latency {totals.DOUBTFUL} ({totals.DISTURBED})"
    rest = f" ({totals.DOUBTFUL}: {len(timed) - len(good)} {totals.DISTURBED})" if len(good) < len(timed) else ""
    return f"{units.ranged(good, units.times)} the latency{rest}"


def _predicted(found: Sequence[pairs.Pair]) -> str:
    known = [pair.predicted for pair in found if pair.predicted is not None]
    return f"; multiply-adds predict {units.ranged(known, units.times)}" if known else ""


def _untimed(record: Record) -> Iterator[Text]:
    reasons = {
        result.variant.name: [pairs.why_missing(result, "end_to_end.latency_s")]
        for result in record.results
        if not result.end_to_end.latency_s
    }
    for reason, names in merging.merged(reasons, {}).items():
        yield text(f"No latency{merging.among(names, record.results)}: {reason}.", style="yellow")


def _tuned(record: Record) -> Iterator[Text]:
    """Yield how many kernels were made by tuned choices."""
    numbers = [sum(said.endswith(_TUNED) for said in result.artifact.schedules.values()) for result in record.results]
    if not any(numbers):
        return
    all_of = units.ranged((len(result.artifact.schedules) for result in record.results), "{:.0f}".format)
    files = ", ".join(record.settings.tuned)
    yield text(
        f"tuned: {units.ranged(numbers, '{:.0f}'.format)} of {all_of} kernels"
        + (f", by {files}" if files else "")
        + " (--no-tuned: none)"
    )


def _warnings(record: Record, lines: Sequence[NetworkRow]) -> Iterator[Text]:
    """Yield a line for each cause: what disturbed networks, what else is to be known, what is wrong."""
    names = {line.name: merging.known_names(line.result) for line in lines}
    disturbed = merging.merged({line.name: line.disturbed for line in lines if line.disturbed}, names)
    marked = [line.name for line in lines if line.disturbed]
    if marked:
        causes = [f"{cause}{merging.among(of, marked)}" for cause, of in list(disturbed.items())[:_CAUSES]]
        more = len(disturbed) - len(causes)
        yield text(
            f"{', '.join(filter(None, (f'{totals.DISTURBED} (~)', merging.part(marked, lines))))}: {'; '.join(causes)}"
            + (f"; and {more} more" if more > 0 else ""),
            style=totals.STYLE,
        )
    reasons = {line.name: [each for each in line.result.warnings if not _said(each, line)] for line in lines}
    for warning, of in merging.merged(reasons, names).items():
        yield text(f"warning: {warning}{merging.among(of, lines)}", style="yellow")
    for line in lines:
        if line.result.numerics is not None and not line.result.numerics.passed:
            yield text(f"WRONG OUTPUT: {line.name}: {_numerics_detail(line.result.numerics)}", style="bold red")


def _said(warning: str, line: NetworkRow) -> bool:
    """Return whether a warning only repeats, perhaps with other numbers, what disturbed a network."""
    cause, meanwhile, _ = warning.partition(_MEANWHILE)
    return bool(meanwhile) and _bare(cause) in {_bare(each.partition(": ")[0]) for each in line.disturbed}


def _bare(said: str) -> str:
    return _NUMBER.sub("#", said)


def _numerics_detail(numerics: Numerics) -> str:
    error = (
        f"relative error {units.scientific(numerics.max_rel_error)}, tolerance {units.scientific(numerics.tolerance)}"
    )
    return f"{error} against {numerics.reference}" + (f"; {numerics.detail}" if numerics.detail else "")


def _failures(record: Record) -> Iterator[Text]:
    for failure in record.failures:
        yield text(f"FAILED: {failure.variant} ({failure.stage}): {failure.reason}", style="bold red")
    reported = {failure.variant for failure in record.failures}
    measured = {result.variant.name: len(result.sessions) for result in record.results}
    wanted = record.settings.sessions
    for name in record.unfinished():
        if name not in reported:
            had, every = measured.get(name), "its sustained run is missing"
            short = every if had is not None and had >= wanted else f"{had} of {wanted} sessions were measured"
            yield text(f"UNFINISHED: {name}: {'has no result' if had is None else short}", style="bold red")
