"""What a search for a network found: frozen types of the file that `mbench fit` writes. SI units."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mbench.core.field_types import (
    MOST_KEYS,
    MOST_VARIANTS,
    Amount,
    Count,
    Joules,
    Moment,
    Name,
    Number,
    Seconds,
    Strict,
    Text,
    Texts,
    TextTable,
    Threads,
)
from mbench.core.machine_types import Device, Host, Target
from mbench.core.records import Variant

FORMAT_VERSION: Literal[1] = 1
LimitedQuantity = Literal["latency", "memory", "weights", "energy"]
"""What a device has too little of."""
Objective = Literal["accuracy", "latency", "memory", "energy"]
"""What the best candidate has most of, or least."""
Basis = Literal["measured", "counted", "compiled", "modelled", "predicted"]
"""Where a figure is from: timed on the device; what the target's model makes of exact counts; the compiler's plan; a
model of energy;
or a model of what other networks cost, which comes with an interval."""
Percent = Annotated[float, Meta(ge=0, le=100)]
PercentTable = Annotated[dict[Text, Percent], Meta(max_length=MOST_KEYS)]


class DeviceLimits(Strict, frozen=True, kw_only=True):
    """What a network may cost; null: as much as it likes."""

    latency_s: Seconds | None = None
    """One run, in the median."""
    memory_bytes: Amount | None = None
    """Weights, activations at their peak and workspace together."""
    weight_bytes: Amount | None = None
    energy_j: Joules | None = None
    """One run, modelled."""
    accuracy_percent: Percent | None = None
    """The least top-1."""


class CostEstimate(Strict, frozen=True, kw_only=True):
    """A figure of a network, and how far it may be off."""

    value: Amount
    low: Amount | None = None
    high: Amount | None = None
    """Of a prediction: where 95 % of what was left out of it would have been. Of what was measured: of its median, by
    its sessions. Of what was counted: by the median error of the target's model."""
    basis: Basis


class CandidateAccuracy(Strict, frozen=True, kw_only=True):
    """Top-1 on ImageNet, in percent."""

    kind: Literal["given", "published", "interpolated", "unknown"]
    top1_percent: Percent | None = None
    source: Text = ""
    setting: Text = ""
    between: PercentTable = {}
    """Of an interpolated one: the published networks around it, with theirs."""
    left_out_median_points: Amount | None = None
    left_out_largest_points: Amount | None = None
    """How far published figures are from what the others say of them."""
    reason: Text = ""
    """Why it is not known."""


class CandidateResult(Strict, frozen=True, kw_only=True):
    """A network that was looked at."""

    network: Variant
    macs: Count
    params: Count
    accuracy: CandidateAccuracy
    latency_s: CostEstimate | None = None
    memory_bytes: CostEstimate | None = None
    weight_bytes: CostEstimate | None = None
    energy_j: CostEstimate | None = None
    fits: bool | None
    """Whether it is within all limits; null: its interval is on both sides of one, or nothing is known of it."""
    over: Texts = ()
    """The limits that it exceeds, by name."""
    failure: Text | None = None
    """Why it could not be built or measured."""
    disturbed: Texts = ()
    """What disturbed every session in which it was measured."""

    def estimate(self, quantity: str) -> CostEstimate | None:
        """Return a figure by the name of its limit."""
        figures = {
            "latency": self.latency_s, "memory": self.memory_bytes, "weights": self.weight_bytes,
            "energy": self.energy_j,
        }  # fmt: skip
        return figures[quantity]


class PredictionQuality(Strict, frozen=True, kw_only=True):
    """How far predictions were off: each network that was measured, predicted from the others."""

    networks: Count
    median_error: Amount
    ninth_decile_error: Amount


class Answer(Strict, frozen=True, kw_only=True):
    """A network that fits, and the next better one, which does not."""

    network: Name
    why_best: Text
    """What it is the best of."""
    next_better: Name | None = None
    next_over: Texts = ()
    """Why the next better one of its family and type does not fit, in words."""
    close: Texts = ()
    """Figures so near to a limit that noise, or the error of the target's model, decides; in words."""


class FitRecord(Strict, frozen=True, kw_only=True):
    """What a search found."""

    kind: Literal["fit"] = "fit"
    format_version: Literal[1] = FORMAT_VERSION
    run_id: Name
    created_at_utc: Moment
    mbench_version: Text
    host: Host
    target: Target
    device: Device
    threads: Threads
    words: Texts
    """The families and networks that were asked for."""
    limits: DeviceLimits
    minimize: Objective
    """`accuracy`: the best one is wanted; else what is made as small as it can be."""
    candidates: Annotated[tuple[CandidateResult, ...], Meta(max_length=MOST_VARIANTS)]
    """The better ones first."""
    answers: Annotated[tuple[Answer, ...], Meta(max_length=MOST_KEYS)] = ()
    """The best one first."""
    certain: bool
    """Whether every better candidate is known not to fit, but for gains of less than 0.25 points by interpolated
    accuracies; else the time was over before, or `doubts` has the reason."""
    doubts: Texts = ()
    """What the answer hangs on: latencies of the target's model within its known error, or disturbed ones; and what
    would decide it. In words."""
    open: Texts = ()
    """Networks that might be better, and were not measured, or not well enough, for want of time."""
    nearest: Text = ""
    """Where nothing fits: how near the nearest comes; where the time was over before: what probably fits. In words."""
    quality: PredictionQuality | None = None
    methods: TextTable = {}
    """How each figure came about."""
    measured_record: Text | None = None
    """The file, beside this one, with the measurements."""
    wall_s: Number
