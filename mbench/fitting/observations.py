"""What networks were seen to cost: records that searches wrote, kept in the cache and used by the next ones.

A result counts where its artifact is the one that a build would make today, on this machine, with as many threads:
other code, another compiler or another choice of kernels has another digest, and is measured anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import statistics
from collections.abc import Iterable, Sequence

import msgspec

from mbench.analysis import headline
from mbench.build import build
from mbench.core import record_files, resources
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observed:
    """A network that was measured, or counted."""

    result: Result
    latency_s: float
    """The median over its sessions; of an emulated target, what the model makes of its counts."""
    sure: bool
    """Whether it was measured in several sessions, or counted, so that an answer may rest on it."""
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


def of_result(result: Result) -> Observed | None:
    """Return what a result says of a network; None where it has no latency, or is wrong."""
    if result.numerics is not None and not result.numerics.passed:
        return None
    timed = headline.of_result(result)
    if timed is not None:
        disturbed = headline.disturbed(result)
        return Observed(result=result, latency_s=timed.median_s, sure=timed.sessions > 1, disturbed=disturbed)
    modelled = result.end_to_end.latency_model_s
    return None if not modelled else Observed(result=result, latency_s=modelled, sure=True)


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

    def __init__(self, job: Job) -> None:
        """Read what searches of before have kept.

        Args:
            job: of a search, with any networks.
        """
        self._job = job
        self.folder = resources.cache_dir() / "fit" / _address(job)
        self.known: dict[str, Observed] = {}
        self.attempts: dict[str, int] = {}
        """How often each network was measured in this search."""
        self.failed: dict[str, str] = {}
        """Networks that could not be built or measured, and why."""
        self.device: Device | None = None
        """As the last record describes it."""
        self._digests: dict[str, str] = {}
        self._last: Record | None = None
        for path in sorted(self.folder.glob("*.json")):
            try:
                self._add(record_files.read(path))
            except MbenchError:  # of another version, or damaged: it is measured again
                continue

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
        record = runner.run(job, progress)
        for network in networks:
            self.attempts[network.name] = self.attempts.get(network.name, 0) + 1
        for failure in record.failures:
            self.failed[failure.variant] = failure.reason
        return self._add(record)

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

    def _add(self, record: Record) -> tuple[Observed, ...]:
        found = []
        self.device, self._last = record.device, record
        for result in record.results:
            observed = of_result(result)
            if observed is None or result.artifact.digest != self._digest(result.variant):
                continue
            before = self.known.get(observed.name)
            if before is None or _worth(observed) >= _worth(before):
                self.known[observed.name] = observed
            found.append(observed)
        return tuple(found)

    def _digest(self, network: Variant) -> str:
        """Return the digest of the artifact that a build of a network would make now."""
        if network.name not in self._digests:
            plain = msgspec.structs.replace(network, digest=None)
            target = targets.for_threads(self._job.target, self._job.settings.threads)
            self._digests[network.name] = build.digest(build.digest_inputs(plain, target, self._job.choices))
        return self._digests[network.name]


def _worth(observed: Observed) -> tuple[bool, bool]:
    return not observed.disturbed, observed.sure


def _address(job: Job) -> str:
    """Return where the records of a job's machine, target, threads and settings lie."""
    machine = job.host if device_kinds.of(job.device).here else None
    target = (job.target.name, job.target.tvm) if machine else job.target  # a host's clock is read anew each time
    parts = (
        target, job.device, job.address, job.settings.threads,
        (machine.name, machine.cpu, machine.caches_bytes, machine.cores_usable) if machine else None,
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:16]
