"""Where a sweep stands, made without measuring: latencies follow width and resolution, accuracies rise with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import fit_factory
import msgspec
import record_factory as factory

from mbench.core.fit_records import CandidateAccuracy, CostEstimate
from mbench.core.records import Variant
from mbench.core.sweep_records import CellFigures, CellPlace, SweepCell, SweepFile, SweepRecord

FILE = "20260101-000000-aaaaaa.json"
LOCAL = CellPlace(target="x86_64_v3", device="local", threads=1, batch=1)
BOARD = CellPlace(target="arm64_cortex_a72", device="emulated", threads=1, batch=1)
replace = msgspec.structs.replace


def cell(
    network: Variant, place: CellPlace = LOCAL, *, latency_s: float | None = 1e-3, top1: float | None = 60.0,
    spread: float | None = 0.02, **changes: Any,
) -> SweepCell:  # fmt: skip
    """Return a cell that is done; without a latency, it was compiled only."""
    counted = place.device == "emulated"
    accuracy = CandidateAccuracy(
        kind="unknown" if top1 is None else "published", top1_percent=top1, source="" if top1 is None else "a table",
        setting="" if top1 is None else "a recipe", reason="nothing is published" if top1 is None else "",
    )  # fmt: skip
    seconds = None
    if latency_s is not None:
        low, high = (None, None) if spread is None else (latency_s * (1 - spread), latency_s * (1 + spread))
        seconds = CostEstimate(value=latency_s, low=low, high=high, basis="counted" if counted else "measured")
    figures = CellFigures(
        latency_s=seconds, memory_bytes=3_000_000, weight_bytes=2_000_000, macs=50_000_000, params=1_000_000,
        energy_j=CostEstimate(value=0.004, basis="modelled"), instructions=40_000_000 if counted else None,
    )  # fmt: skip
    made = SweepCell(
        network=network, place=place, state="done", accuracy=accuracy, accuracy_dtype=network.dtype, figures=figures,
        file=FILE,
    )  # fmt: skip
    return replace(made, **changes)


def network(family: str, width: float = 1.0, resolution: int = 128, dtype: str = "float32") -> Variant:
    """Return a network of a family by its size."""
    return fit_factory.network(family, width, resolution, dtype)


def failed(of: SweepCell, stage: str = "compiling", reason: str = "out of memory") -> SweepCell:
    """Return a cell that failed."""
    return replace(of, state="failed", figures=None, stage=stage, reason=reason)


def still_open(of: SweepCell) -> SweepCell:
    """Return a cell that is open."""
    return replace(of, state="open", figures=None, file="")


FAMILIES = {"mobilenet_v1": (1.0, 0.0), "mobilenet_v2": (1.3, 6.0)}
"""How much longer a family takes than the first, and how much more accurate it is, of the same width and resolution."""


def grid(
    *, widths: Sequence[float] = (0.25, 0.5, 1.0), resolutions: Sequence[int] = (96, 128), dtypes: Sequence[str] = (
        "float32", "int8"), places: Sequence[CellPlace] = (LOCAL, BOARD), families: Iterable[str] = tuple(FAMILIES),
) -> list[SweepCell]:  # fmt: skip
    """Return every size of some families in some types at some places, all done."""
    found = []
    for place, family, width, resolution, dtype in itertools.product(places, families, widths, resolutions, dtypes):
        longer, better = FAMILIES.get(family, (1.6, 3.0))
        work = (0.2 + width) ** 2 * (resolution / 224) ** 2
        quicker = (0.4 if dtype == "int8" else 1.0) * (5.0 if place.device == "emulated" else 1.0)
        top1 = round(66 + 9 * math.log10(work) + better * min(1.0, width), 1)
        found.append(
            cell(network(family, width, resolution, dtype), place, latency_s=0.004 * work * longer * quicker, top1=top1)
        )
    return found


def record(cells: Iterable[SweepCell] | None = None, *, name: str = "families") -> SweepRecord:
    """Return where a sweep of some cells stands, with one record of them."""
    found = tuple(grid() if cells is None else cells)
    base = factory.record(latency=False)
    places = dict.fromkeys(each.place for each in found)
    return SweepRecord(
        name=name, definition=f"/work/{name}.toml", definition_sha256="0" * 64,
        updated_at_utc="2026-01-02T03:04:05+00:00", mbench_version="0.2.0", host=base.host,
        words=("mobilenet_v1_{0.25,0.5,1.0}_{96,128}", "mobilenet_v2_{0.25,0.5,1.0}_{96,128}"), cells=found,
        targets={place.target: f"what {place.target} is" for place in places},
        files=(SweepFile(
            name=FILE, bytes=1, changed_ns=1, place=LOCAL, at_utc="2026-01-02T03:04:05+00:00", wall_s=100.0, ran=10,
        ),),
    )  # fmt: skip


def many(count: int = 5000) -> SweepRecord:
    """Return a sweep of so many cells: five families in two types at ten places."""
    places = [replace(BOARD if at % 2 else LOCAL, target=f"target_{at}") for at in range(10)]
    sides = math.ceil(math.sqrt(count / 100))
    widths = [round(0.2 + 0.1 * at, 2) for at in range(sides)]
    resolutions = [96 + 16 * at for at in range(sides)]
    families = (*FAMILIES, "mobilenet_v3_large", "mobilenet_v4_conv_small", "efficientnet_lite0")
    found = grid(widths=widths, resolutions=resolutions, places=places, families=families)[:count]
    return record([
        failed(each) if at % 97 == 0 else still_open(each) if at % 31 == 0 else each for at, each in enumerate(found)
    ])  # fmt: skip


def hostile() -> SweepRecord:
    """Return a sweep whose every text is hostile."""
    script, image, end, braces, markup = factory.HOSTILE
    found = record()
    first, second, *others = found.cells
    spoiled = replace(
        first, network=replace(first.network, name=script, family=image, dtype=end),
        place=replace(first.place, target=markup, device=image), accuracy=replace(first.accuracy, source=script),
    )  # fmt: skip
    wrong = failed(replace(second, network=replace(second.network, name=end)), image, script)
    return replace(
        found, name=script, definition=image, words=(braces, script), cells=(spoiled, wrong, *others),
        targets={script: image}, host=replace(found.host, cpu=image),
    )  # fmt: skip
