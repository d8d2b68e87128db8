"""What a trial of the gate compares: builds of one network in processes of their own, and the gate's verdict on two."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mbench.build import builders
from mbench.core import resources
from mbench.core.artifact import Artifact
from mbench.core.records import Layer
from mbench.devices.local import LocalDevice
from mbench.gating import matching, paired, timed
from mbench.gating.comparison import Finding
from mbench.gating.limits import Limits
from mbench.gating.matching import Match
from mbench.gating.paired import Contest
from mbench.measure import duel
from mbench.networks import variants
from mbench.pipeline import runner

NETWORK = "mobilenet_v1_0.25_128"


@functools.cache
def _cache() -> Path:
    return Path(tempfile.mkdtemp(prefix="mbench-calibration-"))


def build(
    network: str = NETWORK,
    target: str = "host",
    *,
    again: bool = False,
    distance: int = 0,
    kernel: str = "",
    iterations: int | None = None,
) -> Artifact:
    """Build a network in a process of its own.

    Args:
        network: its name.
        target: what for.
        again: build anew what was built before.
        distance: by how many bytes to move what is built anew.
        kernel: where to plant something.
        iterations: of planted work; None: plant one more instruction in the inner loops.
    """
    folder = _cache() / ("again" if again else f"{kernel}-{iterations}")
    return builders.in_a_child(_build_here, network, target, folder, again, distance, kernel, iterations)


def _build_here(
    network: str, target: str, folder: Path, again: bool, distance: int, kernel: str, iterations: int | None
) -> Artifact:
    import planting

    from mbench.build import build as builds

    described, variant = runner.resolve_target(target), variants.parse(network)
    if not kernel:
        with planting.moved(distance) if distance else contextlib.nullcontext():
            return builds.build(variant, described, folder, use_cache=not again)[0]
    plant = planting.one_more_instruction if iterations is None else planting.serial_work(iterations)
    with planting.planted(kernel, plant):
        return builds.build(variant, described, folder)[0]


def own_kernels(base: Artifact) -> dict[str, str]:
    """Return the kernel of each layer that has one for itself alone, as it was called before weights were packed."""
    called = [kernel for kernel, _ in base.manifest.calls]
    own = [(kernel, layer) for kernel, layer in base.manifest.calls if called.count(kernel) == 1]
    return {base.manifest.layers[layer].name: kernel.removesuffix("_packed") for kernel, layer in own}


def long_enough(layers: Iterable[str], seconds: Mapping[str, float]) -> list[str]:
    """Return the layers whose share of the time is large enough for the gate to promise that it sees a slow-down."""
    least_s = timed.ASKED_SHARE * sum(seconds.values())
    return [name for name in layers if seconds[name] >= least_s]


def gate(base: Artifact, head: Artifact, threads: int) -> tuple[tuple[Finding, ...], int]:
    """Do what `mbench gate --paired` does with its default settings; return the findings and how many processes.

    Raises:
        SystemExit: nothing could be measured.
    """
    device = LocalDevice(lock_dir=resources.cache_dir(), timeout_s=120.0)
    with contextlib.closing(device), duel.twin_of(base) as copy:
        contest = Contest(base.manifest.variant.name, base, copy, head, _matches(base, head), threads, 1e-3)
        fought = paired.judge([contest], device, Limits(), lambda *_: None)
    if fought.failures:
        raise SystemExit(f"gate_calibration.py: {fought.failures[0]}")
    return fought.findings, int(fought.remarks[0].split(": ")[1].split()[0])


def _matches(base: Artifact, head: Artifact) -> tuple[Match, ...]:
    old, new = ([_layer(each, index) for index in range(len(each.manifest.layers))] for each in (base, head))
    return matching.layers(old, new)


def _layer(built: Artifact, index: int) -> Layer:
    plan = built.manifest.layers[index]
    known: dict[str, Any] = {name: getattr(plan, name) for name in plan.__struct_fields__ if name != "kernels"}
    absent: dict[str, Any] = dict.fromkeys(("latency_s", "energy_j", "energy_method", "counters", "roofline"))
    return Layer(index=index, kernel=" + ".join(plan.kernels), **known, **absent)
