"""What a search found, made without measuring: costs follow width and resolution, accuracies rise with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec
import record_factory as factory

from mbench.analysis import fit_ranking
from mbench.core.fit_records import (
    Answer,
    CandidateAccuracy,
    CandidateResult,
    CostEstimate,
    DeviceLimits,
    FitRecord,
    PredictionQuality,
)
from mbench.core.records import Variant

WIDTHS, RESOLUTIONS = (0.35, 0.5, 0.75, 1.0), (96, 128, 160, 192, 224)
LIMITS = DeviceLimits(latency_s=0.002)
MEASURED = "fit-search-measured.json"


def network(name: str, width: float, resolution: int, dtype: str = "float32") -> Variant:
    """Return a network of a family by its size."""
    suffix = "" if dtype == "float32" else f"_{dtype}"
    return Variant(
        name=f"{name}_{width:g}_{resolution}{suffix}", family=name, convolution="depthwise_separable", batch=1,
        parameters={"width_multiplier": width, "resolution": resolution}, dtype=dtype,
    )  # fmt: skip


def candidate(
    item: Variant, *, latency_s: float, top1: float | None, measured: bool = False, limits: DeviceLimits = LIMITS,
    kind: str = "published",
) -> CandidateResult:  # fmt: skip
    """Return a candidate whose other costs follow from its latency."""

    def known(value: float, basis: str) -> CostEstimate:
        if measured:
            return CostEstimate(value=value, basis=basis)  # type: ignore[arg-type]
        return CostEstimate(value=value, low=0.9 * value, high=1.1 * value, basis="predicted")

    between = {"mobilenet_v2_0.5_128": 57.7, "mobilenet_v2_1.0_224": 71.8} if kind == "interpolated" else {}
    accuracy = CandidateAccuracy(
        kind=kind if top1 is not None else "unknown",  # type: ignore[arg-type]
        top1_percent=top1, source="arXiv:1801.04381, table 4", setting="TensorFlow-Slim checkpoints", between=between,
        left_out_median_points=0.3 if between else None, left_out_largest_points=2.6 if between else None,
        reason="" if top1 is not None else "nothing is published of it",
    )  # fmt: skip
    found = CandidateResult(
        network=item, macs=int(1e11 * latency_s), params=int(2e9 * latency_s), accuracy=accuracy, fits=None,
        latency_s=known(latency_s, "measured"), memory_bytes=known(8e9 * latency_s, "compiled"),
        weight_bytes=known(7e9 * latency_s, "compiled"),
        energy_j=CostEstimate(value=latency_s, basis="modelled") if measured else None,
    )  # fmt: skip
    fits, over = fit_ranking.verdict(found, limits)
    return msgspec.structs.replace(found, fits=fits, over=over)


def grid(
    name: str = "mobilenet_v2", *, widths: Iterable[float] = WIDTHS, resolutions: Sequence[int] = RESOLUTIONS,
    dtype: str = "float32", scale: float = 1.0, limits: DeviceLimits = LIMITS,
) -> list[CandidateResult]:  # fmt: skip
    """Return all sizes of a family; the smallest and the largest resolution of each width are measured."""
    found = []
    for width in widths:
        for resolution in resolutions:
            work = (0.2 + width) ** 2 * (resolution / 224) ** 2
            found.append(
                candidate(
                    network(name, width, resolution, dtype), latency_s=0.0022 * scale * work,
                    top1=round(72 + 9 * math.log(work) / math.log(10), 2),
                    measured=resolution in (resolutions[0], resolutions[-1]), limits=limits,
                    kind="interpolated" if resolution == resolutions[1] else "published",
                )
            )  # fmt: skip
    return found


def record(
    candidates: Iterable[CandidateResult] | None = None, *, limits: DeviceLimits = LIMITS, certain: bool = True,
    measured: bool = True,
) -> FitRecord:  # fmt: skip
    """Return what a search found: the best candidates that are measured, and the next better one."""
    ordered = tuple(fit_ranking.ordered(grid() if candidates is None else candidates, "accuracy"))
    base = factory.record(latency=False)
    sure = [each for each in ordered if each.fits and each.latency_s and each.latency_s.basis == "measured"]
    answers = [_answer(each, ordered, limits) for each in sure[:2]]
    return FitRecord(
        run_id="search", created_at_utc="2026-01-02T03:04:05+00:00", mbench_version="0.2.0", host=base.host,
        target=base.target, device=msgspec.structs.replace(base.device, kind="local", name="local"), threads=1,
        words=("mobilenet_v2",), limits=limits, minimize="accuracy", candidates=ordered, answers=tuple(answers),
        certain=certain, open=() if certain else (ordered[0].network.name,),
        nearest="" if answers else "mobilenet_v2_0.35_96 comes nearest: it needs 3.1 times what is allowed",
        quality=PredictionQuality(networks=8, median_error=0.03, ninth_decile_error=0.08),
        methods={"latency": "the median over sessions"}, measured_record=MEASURED if measured else None, wall_s=91.5,
    )  # fmt: skip


def _answer(best: CandidateResult, ordered: Sequence[CandidateResult], limits: DeviceLimits) -> Answer:
    better = [each for each in ordered[: ordered.index(best)] if each.fits is False]
    return Answer(
        network=best.network.name, why_best="of all", next_better=better[-1].network.name if better else None,
        next_over=fit_ranking.excess(better[-1], limits) if better else (),
    )  # fmt: skip


def many(count: int = 2000) -> FitRecord:
    """Return a search of so many candidates, in two families and two types."""
    side = math.ceil(math.sqrt(count / 4))
    widths = [round(0.2 + 0.05 * number, 2) for number in range(side)]
    resolutions = [96 + 8 * number for number in range(side)]
    found = [
        each
        for name, scale in (("mobilenet_v2", 1.0), ("mobilenet_v1", 1.4))
        for dtype, quicker in (("float32", 1.0), ("int8", 0.4))
        for each in grid(name, widths=widths, resolutions=resolutions, dtype=dtype, scale=scale * quicker)
    ]
    return record(found[:count])


def hostile() -> FitRecord:
    """Return what a search found whose every text is hostile."""
    found = record()
    script, image, end, braces, markup = factory.HOSTILE
    first, *others = found.candidates
    network_ = msgspec.structs.replace(first.network, name=script, family=image, dtype=end)
    accuracy = msgspec.structs.replace(first.accuracy, source=script, setting=markup, kind="published")
    spoiled = msgspec.structs.replace(first, network=network_, accuracy=accuracy, failure=image)
    answers = [msgspec.structs.replace(each, next_better=script, next_over=(image, end)) for each in found.answers]
    return msgspec.structs.replace(
        found, candidates=(spoiled, *others), answers=tuple(answers), words=(script, braces), open=(image,),
        certain=False, methods={script: image}, measured_record=f"javascript:alert(1)//{end}",
        target=msgspec.structs.replace(found.target, name=script, description=image),
        device=msgspec.structs.replace(found.device, kind="rpc", name=markup),
        host=msgspec.structs.replace(found.host, cpu=image),
    )  # fmt: skip
