"""What networks were seen to cost: records that searches wrote, kept in the cache and used by the next ones.

A result counts where its artifact is the one that a build would make today, on this machine, with as many threads:
other code, another compiler or another choice of kernels has another digest, and is measured anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from mbench.analysis import headline, latency_model_error, pairs
from mbench.build import build
from mbench.core import record_files, resources, spread_history
from mbench.core.errors import MbenchError
from mbench.core.machine_types import Device
from mbench.core.progress import Progress
from mbench.core.records import Layer, Record, Result, Variant
from mbench.fitting import layer_shapes
from mbench.fitting.layer_model import SeenLayer
from mbench.fitting.network_model import SeenNetwork
from mbench.hardware import device_kinds, targets
from mbench.pipeline import runner
from mbench.pipeline.job import Job

LATENCY, ENERGY = "latency", "energy"
_USUAL_SPREAD = 0.04
"""Standard deviation between processes, of the logarithm of their latency, where a machine has not shown its own."""
_WITHIN_SPREADS = 2.0
"""How many of them one session may be off: 95 %."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observed:
    """A network that was measured, or counted."""

    result: Result
    latency_s: float
    """The median over its sessions; of an emulated target, what the model makes of its counts."""
    sure: bool
    """Whether it was measured in several sessions, or counted, so that an answer may rest on it."""
    low_s: float | None = None
    high_s: float | None = None
    """Between what limits it lies: the median by its sessions, or one session by what processes differ by, and down to
    the least sample where all were disturbed; what the model makes of counts by the model's error. None: not known."""
    disturbed: tuple[str, ...] = ()
    """What disturbed every session that counts."""

    @property
    def name(self) -> str:
        """The network's."""
        return self.result.variant.name

    @property
    def memory_bytes(self) -> int:
        """Weights, activations at their peak, and workspace, as compiled."""
        memory = self.result.memory
        return memory.weight_bytes + memory.activation_peak_bytes + memory.workspace_bytes


def of_result(result: Result, *, spread: float = _USUAL_SPREAD, model_error: float | None = None) -> Observed | None:
    """Return what a result says of a network; None where it has no latency, or is wrong.

    Args:
        result: of the network.
        spread: standard deviation between processes, of the logarithm of their latency.
        model_error: of the target's model of latency, as a share; None: not known.
    """
    if result.numerics is not None and not result.numerics.passed:
        return None
    timed = headline.of_result(result)
    if timed is not None:
        wide, seen, disturbed = math.exp(_WITHIN_SPREADS * spread), timed.interval, headline.disturbed(result)
        low_s = timed.median_s / wide if seen is None else seen.low
        return Observed(
            result=result,
            latency_s=timed.median_s,
            sure=timed.sessions > 1,
            low_s=min(low_s, *(result.end_to_end.latency_s or ())) if disturbed else low_s,
            high_s=timed.median_s * wide if seen is None else seen.high,
            disturbed=disturbed,
        )
    modelled_s = result.end_to_end.latency_model_s
    if not modelled_s:
        return None
    if model_error is None:
        return Observed(result=result, latency_s=modelled_s, sure=True)
    off = 1 + model_error
    return Observed(result=result, latency_s=modelled_s, sure=True, low_s=modelled_s / off, high_s=modelled_s * off)


def network(observed: Observed, group: str, quantity: str) -> SeenNetwork | None:
    """Return a network for a model of what networks cost; None where its layers do not say all.

    Args:
        observed: the network.
        group: of its candidate.
        quantity: `LATENCY`, or `ENERGY` without static power.
    """
    result = observed.result
    costs = [_cost(result, layer, quantity) for layer in result.layers]
    if any(cost is None or cost <= 0 for cost in costs):
        return None
    layers = tuple(
        SeenLayer(shape=layer_shapes.of_layer(layer, result.variant.dtype), cost=cost)
        for layer, cost in zip(result.layers, costs, strict=True)
        if cost is not None
    )
    whole = observed.latency_s if quantity == LATENCY else sum(layer.cost for layer in layers)
    return SeenNetwork(name=observed.name, group=group, layers=layers, whole=whole)


def _cost(result: Result, layer: Layer, quantity: str) -> float | None:
    seconds = headline.medians(result, layer)
    latency_s = statistics.median(seconds) if seconds else layer.latency_model_s
    if quantity == LATENCY:
        return latency_s
    coefficients = result.energy.coefficients
    if layer.energy_j is None or coefficients is None:
        return None
    static = coefficients.static_w.value if coefficients.static_w else 0.0
    return layer.energy_j - (static * statistics.median(seconds) if seconds else 0.0)


class Observations:
    """All that is known of networks on a device, in the settings of a job: it grows as they are measured."""

    def __init__(self, job: Job, wanted: Iterable[Variant]) -> None:
        """Read what searches of before have kept.

        Args:
            job: of a search, with any networks.
            wanted: the networks of the search. Another network may have had the name of one of them: at another
                batch, or a file that has changed since. It is learnt from, and stands for nothing else.
        """
        self._job = job
        self._wanted = {each.name: each for each in wanted}
        here = device_kinds.of(job.device).here
        shown = spread_history.known(job.host, job.settings.threads) if here else None
        self._spread = shown or _USUAL_SPREAD
        self._model_error = latency_model_error.typical(job.target)
        self.folder = resources.cache_dir() / "fit" / _address(job)
        self.known: dict[str, Observed] = {}
        """By the names of those wanted; what else was seen is under names that no network has."""
        self.attempts: dict[str, int] = {}
        """How often each network was measured in this search."""
        self.failed: dict[str, str] = {}
        """Networks that could not be built or measured, and why."""
        self.device: Device | None = None
        """As the last record describes it."""
        self._digests: dict[bytes, str] = {}
        self._last: Record | None = None
        for path in sorted(self.folder.glob("*.json")):
            self._add_from(path)

    def measure(self, networks: Sequence[Variant], progress: Progress, *, sessions: int) -> tuple[Observed, ...]:
        """Measure networks, and keep what was seen.

        Args:
            networks: to measure.
            progress: of the run.
            sessions: of each network.
        """
        settings = msgspec.structs.replace(
            self._job.settings, variants=tuple(each.name for each in networks), sessions=sessions,
            dtype=",".join(dict.fromkeys(each.dtype for each in networks)),
        )  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{runner.new_run_id()}.json"
        job = msgspec.structs.replace(self._job, settings=settings, networks=tuple(networks), path=path)
        try:
            record = runner.run(job, progress)
        except KeyboardInterrupt:
            self._add_from(path)
            raise
        for network in networks:
            self.attempts[network.name] = self.attempts.get(network.name, 0) + 1
        for failure in record.failures:
            self.failed[failure.variant] = failure.reason
        found = self._add(record)
        for result in record.results:
            name = result.variant.name
            if name in self._wanted and name not in self.known:
                self.failed.setdefault(name, _why_unused(result, self._digest(self._wanted[name])))
        return found

    def as_record(self, names: Iterable[str]) -> Record | None:
        """Return one record of all that is known of networks; None where nothing is.

        Its results may be of several runs, on the same machine with the same settings.
        """
        results = tuple(self.known[name].result for name in dict.fromkeys(names) if name in self.known)
        if self._last is None or not results:
            return None
        networks = tuple(each.variant for each in results)
        settings = msgspec.structs.replace(
            self._last.settings, variants=tuple(each.name for each in networks),
            dtype=",".join(dict.fromkeys(each.dtype for each in networks)), sessions=1,
        )  # fmt: skip
        plain = tuple(each for each in networks if each.imported or each.quantization)
        return msgspec.structs.replace(
            self._last, run_id=f"{self._job.path.stem}-measured", settings=settings, imported=plain, results=results,
            failures=(),
        )  # fmt: skip

    @property
    def methods(self) -> dict[str, str]:
        """How far the target's model of latency is off, and which model of energy there is, where they count."""
        found: dict[str, str] = {}
        for each in self.known.values():
            counted, joules = each.result.end_to_end.latency_model_error, each.result.energy.method
            if counted and each.result.end_to_end.latency_s is None:
                found.setdefault("latency model", counted)
            if joules:
                found.setdefault("energy", joules)
        return found

    def _add_from(self, path: Path) -> None:
        """Add what a record holds; one of another version, or a damaged one, holds nothing, and is measured again."""
        with contextlib.suppress(MbenchError):
            self._add(record_files.read(path))

    def _add(self, record: Record) -> tuple[Observed, ...]:
        found = []
        self.device, self._last = record.device, record
        for result in record.results:
            observed = of_result(result, spread=self._spread, model_error=self._model_error)
            digest = result.artifact.digest
            if observed is None or digest != self._digest(result.variant):
                continue
            wanted = self._wanted.get(observed.name)
            is_wanted = wanted is not None and digest == self._digest(wanted)
            name = observed.name if is_wanted else f"{observed.name} {digest}"
            before = self.known.get(name)
            if before is None or _worth(observed) >= _worth(before):
                self.known[name] = observed
            found.append(observed)
        return tuple(found)

    def _digest(self, network: Variant) -> str:
        """Return the digest of the artifact that a build of a network would make now."""
        plain = msgspec.structs.replace(network, digest=None)
        key = msgspec.json.encode(plain)
        if key not in self._digests:
            target = targets.for_threads(self._job.target, self._job.settings.threads)
            self._digests[key] = build.digest(build.digest_inputs(plain, target, self._job.choices))
        return self._digests[key]


def _why_unused(result: Result, digest: str) -> str:
    """Return why a result says nothing of a network whose build would have a digest now."""
    numerics = result.numerics
    if numerics is not None and not numerics.passed:
        return f"its output is wrong: {numerics.detail or numerics.reference}"
    if result.artifact.digest != digest:
        return (
            f"its build has changed: {result.artifact.digest[:12]} was measured, {digest[:12]} would be built now; "
            "search again, and meanwhile change neither the network's file nor mbench nor its tuned choices"
        )
    return f"no latency was measured: {pairs.why_missing(result, 'end_to_end.latency_s')}"


def _worth(observed: Observed) -> tuple[bool, bool]:
    return not observed.disturbed, observed.sure


def _address(job: Job) -> str:
    """Return where the records of a job's machine, target, device and threads lie."""
    machine = job.host if device_kinds.of(job.device).here else None
    target = (job.target.name, job.target.tvm) if machine else job.target  # a host's clock is read anew each time
    parts = (
        target, job.device, job.address, job.settings.threads,
        (machine.name, machine.cpu, machine.caches_bytes, machine.cores_usable) if machine else None,
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:16]
