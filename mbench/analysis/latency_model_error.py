"""How far the latency model is from what was measured and from what is published: in one sentence for a target.

The figures are those of `benchmarks/latency_model.py`, which writes `targets/latency_model_errors.csv`. No modelling.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
import statistics
from collections.abc import Iterator, Sequence

from mbench.core import dtypes, resources
from mbench.core.machine_types import Target

FILE = "latency_model_errors.csv"
MEASURED, PUBLISHED = "measured", "published"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """One latency that the model was compared with."""

    kind: str
    """`measured` or `published`."""
    core: str
    """As LLVM calls it."""
    machine: str
    network: str
    dtype: str
    threads: int
    reference_s: float
    modelled_s: float
    source: str

    @property
    def runtime(self) -> str:
        """What was timed."""
        return self.source.split(",")[0]

    @property
    def error(self) -> float:
        """Return the modelled latency over the reference, less one."""
        return self.modelled_s / self.reference_s - 1.0


COLUMNS = tuple(field.name for field in dataclasses.fields(Compared))


@functools.cache
def known() -> tuple[Compared, ...]:
    """Return all comparisons that ship with mbench."""
    with (resources.data_dir("targets") / FILE).open(encoding="utf-8", newline="") as file:
        return tuple(_compared(row) for row in csv.DictReader(file))


def _compared(row: dict[str, str]) -> Compared:
    return Compared(
        kind=row["kind"], core=row["core"], machine=row["machine"], network=row["network"], dtype=row["dtype"],
        threads=int(row["threads"]), reference_s=float(row["reference_s"]), modelled_s=float(row["modelled_s"]),
        source=row["source"],
    )  # fmt: skip


def sentence(target: Target, compared: Sequence[Compared] | None = None) -> str:
    """Return how far the model was from measured latencies, and from each that is published of the target's core."""
    return "; ".join(_parts(target, known() if compared is None else compared))


def typical(target: Target, compared: Sequence[Compared] | None = None) -> float | None:
    """Return the median error of the model of one thread, as a share; None: it was compared with nothing.

    It is that against what is published of the target's core; where nothing is, that against what was measured.
    """
    every = [each for each in (known() if compared is None else compared) if each.threads == 1]
    core = str(target.tvm.get("mcpu"))
    own = [abs(each.error) for each in every if each.kind == PUBLISHED and each.core == core]
    found = own or [abs(each.error) for each in every if each.kind == MEASURED]
    return statistics.median(found) if found else None


def widest(target: Target, compared: Sequence[Compared] | None = None) -> tuple[float, float]:
    """Return the least and the largest error that is known of the model, as shares of what was measured.

    Those against what is published of the target's core, and against what was measured. A model that was compared with
    nothing may be off by any share.
    """
    every = known() if compared is None else compared
    core = str(target.tvm.get("mcpu"))
    found = [each.error for each in every if each.kind == MEASURED or each.core == core]
    return (min(found), max(found)) if found else (-1.0, math.inf)


def _parts(target: Target, compared: Sequence[Compared]) -> Iterator[str]:
    measured = [abs(each.error) for each in compared if each.kind == MEASURED]
    if measured:
        [machine] = {each.machine for each in compared if each.kind == MEASURED}
        yield (
            f"off by {statistics.median(measured):.0%} in the median and {max(measured):.0%} at worst over "
            f"{len(measured)} networks measured on {machine}"
        )
    core = str(target.tvm.get("mcpu"))
    found = [each for each in compared if each.kind == PUBLISHED and each.core == core]
    for threads, runtime in sorted({(each.threads, each.runtime) for each in found}):
        those = [each for each in found if (each.threads, each.runtime) == (threads, runtime)]
        each = ", ".join(f"{_name(item)} {item.error:+.0%}" for item in those)
        yield f"against {runtime} on {core}, {threads} {'thread' if threads == 1 else 'threads'}: {each}"
    if not found and any(each.kind == PUBLISHED for each in compared):
        yield f"compared with no published latency of {core}"


def _name(item: Compared) -> str:
    return item.network if item.dtype == dtypes.DEFAULT else f"{item.network} {item.dtype}"
