"""A limit to what faster kernels add to a network's weights.

Winograd's filters are transformed when they are packed, and are up to nine times as many numbers; Strassen's are seven
quarters as many. Where a network's
weights would outgrow the limit, those kernels give way whose extra bytes save the fewest multiply-adds, until they fit:
first to smaller tiles, then to the plain kernel.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import DataType, tirx

from mbench.compile.schedules.rule import Scheduled
from mbench.core.choices import Prefer

TWICE = 2.0
LIMITS: Mapping[Prefer, float] = {None: TWICE, "latency": math.inf, "memory": 1.0}
"""How many times the bytes of its parameters a network's packed weights may take, by what is preferred."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Weighted:
    """A kernel with packed weights: its name, how often it is called, and the bytes of each call before and after."""

    name: str
    calls: int
    plain: int
    packed: int
    outputs: int

    @property
    def worth(self) -> float:
        """Outputs that use each extra byte: the more, the more multiply-adds it saves."""
        return self.outputs / (self.packed - self.plain)


def within(
    functions: Sequence[tuple[str, tirx.PrimFunc]],
    scheduled: Mapping[str, Scheduled],
    prefer: Prefer,
    lighter: Callable[[tirx.PrimFunc, Scheduled], Scheduled],
) -> dict[str, Scheduled]:
    """Return the kernels of a network such that its weights keep to the limit.

    Args:
        functions: all calls, in order; one kernel may be called several times, each with weights of its own.
        scheduled: the kernels as they are quickest.
        prefer: what the limit follows from.
        lighter: makes a kernel whose weights grow less, or not, given its function and how it was made before.
    """
    found = dict(scheduled)
    calls, known = collections.Counter(name for name, _ in functions), dict(functions)
    weighted = [_of(name, known[name], found[name], calls[name]) for name in known]
    plain, packed = (sum(one.calls * getattr(one, which) for one in weighted) for which in ("plain", "packed"))
    grown = [each for each in weighted if found[each.name].plan.transforms and each.packed > each.plain]
    while grown and packed > LIMITS[prefer] * plain:
        one = min(grown, key=lambda each: each.worth)
        before = found[one.name]
        found[one.name] = dataclasses.replace(
            lighter(known[one.name], before),
            ignored=_reason(before, prefer),
            unlimited=scheduled[one.name].description,
        )
        now = _of(one.name, known[one.name], found[one.name], one.calls)
        packed -= one.calls * (one.packed - now.packed)
        grown.remove(one)
        grown += [now] if found[one.name].plan.transforms and now.plain < now.packed < one.packed else []
    return found


def _reason(before: Scheduled, prefer: Prefer) -> str | None:
    """Return why a tuned choice was not followed; of a rule's own, what was known before."""
    limit = f"its weights, with those of other kernels, are over {LIMITS[prefer]:g} times the network's parameters"
    return limit if before.tuned else before.ignored


def _of(name: str, function: tirx.PrimFunc, kernel: Scheduled, calls: int) -> _Weighted:
    places = kernel.plan.packers
    *_, output = function.params
    outputs = math.prod(int(extent) for extent in output.shape)
    plain, packed = (sum(_bytes(each.params[place]) for place in places) for each in (function, kernel.plan.function))
    return _Weighted(name=name, calls=calls, plain=plain, packed=packed, outputs=outputs)


def _bytes(weights: Any) -> int:
    return math.prod(int(extent) for extent in weights.shape) * int(DataType(str(weights.dtype)).itemsize)
