"""What `peers.py` runs: a network with its inputs and expected outputs, and what a runtime is. Runs nothing itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mbench.core import dtypes
from mbench.core.records import Variant
from mbench.measure.numerics import Expected
from mbench.networks.network_weights import Weights

MBENCH = "mbench"
REFERENCE = "reference.npz"
TORCH, ONNX, LITE, NCNN, MNN = "model.pt", "model.onnx", "model.tflite", "model.ncnn.param", "model.mnn"
"""Files of a network, which `formats` writes."""
SIGNED = "signed.onnx"
"""Of a network in int8 beside those: with activations of int8."""
ISAS = {"avx2": "AVX2", "avx2_vnni": "AVX2_VNNI", "avx512": "AVX512_CORE"}
"""What peers can be limited to, and what oneDNN calls it. `avx512` is without dot products of bytes."""
_KINDS = {"avx2": "AVX2", "avx2_vnni": "AVX2", "avx512": "AVX512"}
"""What MKL calls it."""

_MOST_LOSS = 0.5
"""The most that is tolerated of peers: what computes something else shows 1 and more."""

Outputs = tuple[np.ndarray, ...]
"""Of a network, in its order."""
Program = tuple[Callable[[], Any], Callable[[Any], Outputs]]
"""What runs the network once, with its inputs set; and what turns what that returns into the outputs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A network to run, and how."""

    variant: Variant
    threads: int
    isa: str | None
    """One of `ISAS`: use no more than that, where the runtime has a switch for it."""
    folder: Path
    """Holds the files that runtimes load, and `reference.npz`, which `keep` writes."""
    artifact: Path
    """The folder of mbench's artifact."""
    file: Path | None = None
    """The user's own, of an imported network."""
    clock: str = "wall"
    """`wall`, or `processor`: the time that the processors spent, which other work on the machine does not touch."""
    gpu: bool = False
    """Whether the runtimes are those of `gpu_runtimes`."""

    def keep(self, drawn: Weights, floats: tuple[np.ndarray, ...] = ()) -> None:
        """Write the inputs that all runtimes get, and what is expected of them, for the functions below.

        Args:
            drawn: the network's numbers, inputs and expected outputs.
            floats: of a quantised network, what the one in float32 gives.
        """
        arrays: dict[str, Any] = {
            "names": np.array(list(drawn.examples)),
            "reference": np.array([drawn.reference, drawn.reference_dtype]),
            "resolution": np.array(drawn.reference_resolution),
            "tolerated": np.array(math.nan if drawn.tolerance is None else drawn.tolerance),
            "loss": np.array(_furthest(drawn.expected, floats) if floats else math.nan),
            **{f"input{place}": array for place, array in enumerate(drawn.examples.values())},
            **{f"output{place}": array for place, array in enumerate(drawn.expected)},
        }
        np.savez(self.folder / REFERENCE, **arrays)

    def inputs(self) -> dict[str, np.ndarray]:
        """Return the inputs by name; a built-in network has one, (N, 3, R, R)."""
        with np.load(self.folder / REFERENCE) as kept:
            return {str(name): np.asarray(kept[f"input{place}"], order="C") for place, name in enumerate(kept["names"])}

    def image(self) -> np.ndarray:
        """Return the input of a network that has one."""
        [image] = self.inputs().values()
        return image

    def tolerances(self, least: float) -> tuple[float, float]:
        """Return the largest error that mbench may have, over the largest magnitude, and that of its peers.

        Outputs of int8 are mbench's own as its definition has them. It has to give these; peers add and round some
        numbers in another order, and may differ from them by twice as much as these differ from float32's.
        """
        known = dtypes.of(self.variant.dtype)
        with np.load(self.folder / REFERENCE) as kept:
            tolerated, loss = float(kept["tolerated"]), float(kept["loss"])
        if self.variant.dtype != dtypes.INT8:
            both = self.expected().tolerance(max(least, known.network_tolerance))
            return both, both
        own = known.network_tolerance if math.isnan(tolerated) else tolerated
        return own, _MOST_LOSS if math.isnan(loss) else min(_MOST_LOSS, max(2 * loss, known.network_tolerance))

    def expected(self) -> Expected:
        """Return what the outputs have to be."""
        with np.load(self.folder / REFERENCE) as kept:
            count = sum(name.startswith("output") for name in kept.files)
            reference, dtype = map(str, kept["reference"])
            return Expected(
                outputs=tuple(kept[f"output{place}"] for place in range(count)),
                reference=reference,
                dtype=dtype,
                resolution=float(kept["resolution"]),
            )


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What it is called and what it takes; `load` is called in a process of its own, by `contest`."""

    title: str
    packages: tuple[str, ...]
    """Distributions that it needs; the first is the one whose version counts."""
    load: Callable[[Case], Program]
    file: str | None = None
    """What it loads, of those that `formats` writes."""
    obeys_isa: bool = False
    """Whether it can be kept from instructions that the processor has."""


def _furthest(outputs: tuple[np.ndarray, ...], floats: tuple[np.ndarray, ...]) -> float:
    """Return the largest difference between outputs, over the largest magnitude of the first."""
    pairs = list(zip(outputs, floats, strict=True))
    return max(float(np.abs(one - other).max() / np.abs(one).max()) for one, other in pairs)


def environment(case: Case) -> dict[str, str]:
    """Return the environment that all runtimes get, each of which reads its part, before any of them is imported."""
    threads = dict.fromkeys(("TVM_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(case.threads))
    if case.threads == 1:
        threads["TVM_BIND_THREADS"] = "0"  # no peer binds a thread that is alone
    limits = {}
    if case.isa is not None:
        limits = {
            "ONEDNN_MAX_CPU_ISA": ISAS[case.isa],
            "ATEN_CPU_CAPABILITY": _KINDS[case.isa].lower(),
            "MKL_ENABLE_INSTRUCTIONS": _KINDS[case.isa],
        }
    own = {"NVIDIA_TF32_OVERRIDE": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if case.gpu else {}  # float32 is float32
    return {**threads, **own, "TORCHINDUCTOR_COMPILE_THREADS": "1", **limits}


def folded_network(case: Case) -> Any:
    """Return the network with BatchNorm folded, in its own type, on the CPU."""
    import torch

    return torch.load(case.folder / TORCH, weights_only=False)
