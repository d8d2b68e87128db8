"""What the page's templates are given of a record: estimates beside the record's own structs, in SI units."""

from __future__ import annotations

import dataclasses

from mbench.analysis import disturbances, labels, live_memory, pairs
from mbench.analysis.headline import Headline
from mbench.analysis.session_figures import Percentiles
from mbench.analysis.spending import Spending
from mbench.analysis.type_pairs import TypedLayers, TypePair
from mbench.analysis.waterfall import Waterfall
from mbench.core import dtypes, stats
from mbench.core.farm_records import FarmDevice
from mbench.core.machine_types import Figure
from mbench.core.records import Counts, Layer, Record, Result, Variant
from mbench.core.sessions import Session


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latency:
    """Estimates over raw samples, in seconds. Of a network, `median_s` is its headline."""

    low_s: float
    """The 10th percentile."""
    median_s: float
    high_s: float
    """The 90th percentile."""
    samples: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class SessionView:
    """A session with estimates over its own samples, in seconds."""

    number: int
    """From 1, in the order in which they ran."""
    session: Session
    p10_s: float
    quarter_s: float
    median_s: float
    three_quarters_s: float
    p90_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountsView:
    """Exact counts with what is derived from them."""

    counts: Counts
    per_fma: float | None
    """Instructions for each vector multiply-add that the network needs."""
    below_one: str | None
    """Why there are fewer instructions than that, where there are."""
    lanes: int | None
    elsewhere: str | None
    """The target that was counted, where it is not the record's own."""
    levels: tuple[str, ...]
    """That traffic is modelled for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerView:
    """A layer with what is derived for it."""

    anchor: str
    """The id of its own view: `layer=mobilenet_v1_1.0_224/block3.pw`."""
    layer: Layer
    latency: Latency | None
    share: float | None
    """Of the end-to-end latency; doubtful where that is disturbed."""
    above: bool
    """Whether it exceeds its measured peak for no reason that is known, so that its share of it is no figure."""
    samples: tuple[tuple[float, ...], ...]
    """Those that the page holds, session by session."""
    instructions_share: float | None
    per_fma: float | None
    """Instructions for each vector multiply-add that the layer needs."""
    schedule: str | None
    fallback: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerShare:
    """A layer and its share of the sum over all layers."""

    row: LayerView
    share: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultView:
    """A result with what is derived for it."""

    result: Result
    anchor: str
    """The id of its layers on the page."""
    command: str
    """That repeats it."""
    spending: tuple[Spending, ...]
    """By kind of layer, the largest first; empty where some layer's part is not known."""
    slowest: tuple[LayerShare, ...]
    """The layers, the largest share first; empty likewise."""
    live_peak: live_memory.Live | None
    """The layer with the most alive while it runs, by shapes."""
    label: str
    latency: Latency | None
    headline: Headline | None
    percentiles: Percentiles | None
    sessions: tuple[SessionView, ...]
    disturbed: str | None
    """What disturbed all sessions that count, in a line; None: nothing that was seen."""
    energy_disturbed: bool
    """Whether the modelled energy has static power over a disturbed latency in it."""
    smallest_change: float | None
    """The smallest that two such records would show."""
    images_per_s: float | None
    load_s: float | None
    first_s: float | None
    counts: CountsView | None
    noise: stats.Noise | None
    """Of the A/A pair of a record without sessions."""
    macs: int
    params: int
    peak_bytes: int
    layers: tuple[LayerView, ...]

    @property
    def wrong(self) -> bool:
        """Whether its output differs from the reference's."""
        return self.result.numerics is not None and not self.result.numerics.passed

    @property
    def doubts(self) -> tuple[tuple[str, str], ...]:
        """What to know before a figure is believed: a word or two, and the whole of it."""
        found = [("wrong output", "it differs from the reference's")] if self.wrong else []
        if self.disturbed:
            found.append((disturbances.WORD, self.disturbed))
        if self.headline is not None and self.headline.sessions <= 1 and not self.noise:
            found.append(("one process", "how far processes lie apart is not known"))
        if self.result.warnings:
            number = len(self.result.warnings)
            found.append((f"{number} warning{'' if number == 1 else 's'}", "; ".join(self.result.warnings)))
        return tuple(found)

    @property
    def doubtful(self) -> bool:
        """Whether there is such."""
        return bool(self.doubts)

    @property
    def operation(self) -> str:
        """What its operations are called: `FLOP`, or `OP` on whole numbers."""
        return dtypes.operation(self.result.variant.dtype)

    @property
    def operations_field(self) -> str:
        """The field of counters that counts them."""
        known = dtypes.DTYPES.get(self.result.variant.dtype, dtypes.DTYPES[dtypes.DEFAULT])
        return known.operations

    @property
    def modelled(self) -> bool:
        """Whether there is a modelled latency."""
        return self.result.end_to_end.latency_model_s is not None

    def why(self, path: str) -> str:
        """Return why the result's field at `path` is null."""
        return pairs.why_missing(self.result, path)

    def why_session(self, field: str) -> str:
        """Return why no session has a field."""
        if not self.result.sessions:
            return "the record has no sessions"
        reasons = (each.missing.get(field) for each in self.result.sessions)
        return next(filter(None, reasons), "the record gives no reason")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairView:
    """A pair with its two results' views."""

    pair: pairs.Pair
    separable: ResultView
    standard: ResultView
    waterfall: Waterfall | str
    """From the predicted speed-up to the one achieved, or why that cannot be said."""

    @property
    def disturbed(self) -> str | None:
        """What disturbed one of the two, so that no ratio of their times is a figure; None: nothing that was seen."""
        return "; ".join(why for why, _ in disturbances.of_results(self.pair.disturbed)) or None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TypePairView:
    """A network in two types with its two results' views."""

    pair: TypePair
    wide: ResultView
    narrow: ResultView
    waterfall: Waterfall | str
    """From the gain that is expected of the type to the one achieved, or why that cannot be said."""
    layers: tuple[TypedLayers, ...]
    peak_ratio: float | None
    """The measured peak of the narrow type over that of the wide one."""
    without_dot_product: bool
    """Whether the narrow type is of bytes, and the processor has no dot product of them."""

    @property
    def label(self) -> str:
        """The network's, without a type."""
        return labels.untyped(self.narrow.result.variant)

    @property
    def dtype(self) -> str:
        """The narrow type."""
        return self.narrow.result.variant.dtype

    @property
    def disturbed(self) -> str | None:
        """What disturbed one of the two, so that no ratio of their times is a figure; None: nothing that was seen."""
        return "; ".join(why for why, _ in disturbances.of_results(self.pair.disturbed)) or None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FarmDeviceView:
    """A device of a farm."""

    device: FarmDevice
    reference_s: float | None
    """What the reference network took in its first sessions there."""
    networks: tuple[str, ...]
    """That were measured there, by their labels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FarmView:
    """The devices of a farm, and what is to be known of them in sentences."""

    devices: tuple[FarmDeviceView, ...]
    spreads: tuple[str, ...]
    troubles: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordView:
    """A record with what is derived for it."""

    record: Record
    emulated: bool
    """Counts stand where latency would."""
    counting: bool
    """Counts were to be had."""
    instead: tuple[str, ...]
    """Why counts stand where latency would, where they do."""
    headlines: tuple[str, ...]
    spoken: ResultView | None
    """The network that the headline is of, where it is of one (and its standard twin, or the same in float32)."""
    disturbed: tuple[tuple[str, tuple[str, ...]], ...]
    """What disturbed networks all of whose sessions it hit, with their labels."""
    warnings: tuple[tuple[str, tuple[str, ...]], ...]
    """Each warning once, with the variants that it is about."""
    results: tuple[ResultView, ...]
    pairs: tuple[PairView, ...]
    types: tuple[TypePairView, ...]
    """Networks in two types."""
    unpaired: tuple[tuple[Variant, Variant], ...]
    unfinished: tuple[tuple[str, int], ...]
    """Networks that were not measured as often as asked, each with how many sessions it has."""
    figures: tuple[tuple[str, Figure], ...]
    """The figures of the target's description, by dotted path."""
    farm: FarmView | None = None
    """The devices of a run that measured on several."""

    def only(self, item: ResultView) -> RecordView:
        """Return the view of one network: with the pair that it is the depthwise-separable half of, and its type's."""
        return dataclasses.replace(
            self,
            results=(item,),
            pairs=tuple(found for found in self.pairs if found.separable is item),
            types=tuple(found for found in self.types if found.narrow is item),
        )

    @property
    def first(self) -> ResultView | None:
        """The network that is shown first: that of the headline, or the first one."""
        return self.spoken or next(iter(self.results), None)

    @property
    def untimed(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Why networks have no latency, and no counts in its place, with their labels."""
        said: dict[str, list[str]] = {}
        for item in self.results:
            if not item.latency and not (self.emulated and item.counts):
                said.setdefault(item.why("end_to_end.latency_s"), []).append(item.label)
        return tuple((why, tuple(whose)) for why, whose in said.items())
