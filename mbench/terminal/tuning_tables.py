"""What `mbench tune` prints: what it found for each kernel, as a table in 80 columns and as data for `--json`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.text import Text

from mbench.core import units
from mbench.measure import activity
from mbench.terminal import record_tables
from mbench.terminal.listings import Listing
from mbench.terminal.table import text
from mbench.tuning.choice_files import InPlace, TimedNetwork, TunedKernel
from mbench.tuning.plans import Candidate
from mbench.tuning.tuning_result import KernelFound, TuningResult

_WIDTH = 46
_WORTH_TELLING = 5e-6
"""Largest relative error that needs no word: what other orders of summing make."""
NOTE = (
    "Times of one call, alone in a loop. 'all' adds them up over the layers of all networks. A kernel without a line "
    "below it is quickest as the rules choose."
)
NETWORKS_NOTE = "Whole runs by rule and as tuned, in turns within a process, in several processes; medians."
PLACE_NOTE = (
    "'not in the network': there the layers of this kernel were not quicker in three quarters of the processes that "
    "timed them, so the rules' choice stays."
)
_NOT_IN_NETWORK = "not in the network: "


def listing(result: TuningResult) -> Listing:
    """Return what is known of the kernels of a job."""
    found, networks = result.kernels, result.networks
    parts: list[RenderableType] = [_table(found), text(NOTE)] if found else [text("no kernel is tuned yet")]
    choices = [each.choice for each in found]
    if any(entry.differs and not entry.wins for entry in choices):
        parts.append(text(PLACE_NOTE))
    if networks:
        parts.extend((_networks(networks), text(NETWORKS_NOTE)))
    parts.extend(_failures(result))
    parts.extend(_disturbed(choices, networks))
    data: dict[str, Any] = {
        "target": result.target,
        "threads": result.threads,
        "file": str(result.file),
        "kernels": [_plain(each) for each in found],
        "waiting": result.waiting,
        "failures": msgspec.to_builtins(result.failures),
        "networks": msgspec.to_builtins(networks),
    }
    return Listing(parts, data)


def _table(found: Sequence[KernelFound]) -> RenderableType:
    table = record_tables.ruled("Kernels", ("kernel",), ("layers", "rules", "tuned", "ratio"))
    rules_s = tuned_s = 0.0
    for each in found:
        entry = each.choice
        layers, before = len(each.layers), entry.default.seconds
        after = entry.seconds if entry.wins else before
        rules_s, tuned_s = rules_s + layers * before, tuned_s + layers * after
        record_tables.add_row(table, entry.kernel, str(layers), *_times(before, entry.seconds))
        if entry.differs:
            record_tables.add_row(table, _choice(entry), "", "", "", "")
    layers = sum(len(each.layers) for each in found)
    record_tables.add_row(table, "all", str(layers), *_times(rules_s, tuned_s))
    return table


def _networks(networks: Sequence[TimedNetwork]) -> RenderableType:
    table = record_tables.ruled("Networks", ("network",), ("rules", "tuned", "ratio"))
    for network in networks:
        record_tables.add_row(table, network.variant, *_times(network.default_seconds, network.seconds))
    return table


def _choice(entry: TunedKernel) -> str:
    """Return the choice, indented below its kernel; MetaSchedule's has no parameters, and Winograd has an error."""
    said = ("" if entry.wins else _NOT_IN_NETWORK) + str(Candidate(rule=entry.rule, parameters=entry.parameters))
    if entry.error is not None and entry.error > _WORTH_TELLING:
        said += f" error {units.scientific(entry.error)}"
    return textwrap.fill(said, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _times(before: float, after: float) -> tuple[str, str, str]:
    return units.seconds(before), units.seconds(after), units.ratio(before / after if after else None)


def _failures(result: TuningResult) -> list[Text]:
    kernels = [failure for failure in result.failures if not failure.candidate]
    candidates = len(result.failures) - len(kernels)
    lines = [text(f"FAILED: {failure.kernel}: {failure.reason}", style="bold red") for failure in kernels]
    return [*lines, *([text(f"{candidates} candidates could not be timed and were left out")] if candidates else [])]


def _disturbed(entries: Sequence[TunedKernel], networks: Sequence[TimedNetwork]) -> Iterator[Text]:
    """Yield a warning of what was timed while other processes ran."""
    placed = [entry.in_place for entry in entries if entry.in_place]
    kinds: dict[str, Sequence[TunedKernel | InPlace | TimedNetwork]] = {
        "kernels were timed": entries,
        "kernels were timed in their networks": placed,
        "networks were timed": networks,
    }
    for what, timed in kinds.items():
        busy = [one.made_with.others_busy for one in timed if one.made_with.others_busy > activity.DISTURBED]
        if busy:
            said = f"other processes kept up to {max(busy):.2f} processors busy while {what} ({len(busy)})"
            yield text(f"warning: {said}: stop them and tune --again", style="yellow")


def _plain(found: KernelFound) -> dict[str, Any]:
    return {**msgspec.to_builtins(found.choice), "layers": found.layers, "wins": found.choice.wins}
