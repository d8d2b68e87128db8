"""What `peers.py` runs: a network with its input and expected output, and what a runtime is. Runs nothing itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mbench.core.records import Variant

MBENCH = "mbench"
REFERENCE = "reference.npz"
TORCH, ONNX, LITE, NCNN, MNN = "model.pt", "model.onnx", "model.tflite", "model.ncnn.param", "model.mnn"
"""Files of a network, which `formats` writes."""

Program = tuple[Callable[[], Any], Callable[[Any], np.ndarray]]
"""What runs the network once, with its input set; and what turns what that returns into the output (N, classes)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A network to run, and how."""

    variant: Variant
    threads: int
    isa: str | None
    """`avx2`: use no more than that, where the runtime has a switch for it."""
    folder: Path
    """Holds the files of `FORMATS`, and `reference.npz`: the input, and PyTorch's output with BatchNorm not folded."""
    artifact: Path
    """The folder of mbench's artifact."""
    clock: str = "wall"
    """`wall`, or `processor`: the time that the processors spent, which other work on the machine does not touch."""
    gpu: bool = False
    """Whether the runtimes are those of `gpu_runtimes`."""

    def image(self) -> np.ndarray:
        """Return the input (N, 3, R, R)."""
        with np.load(self.folder / REFERENCE) as reference:
            return np.ascontiguousarray(reference["input"])

    def expected(self) -> np.ndarray:
        """Return PyTorch's output (N, classes)."""
        with np.load(self.folder / REFERENCE) as reference:
            return np.asarray(reference["output"])


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What it is called and what it takes; `load` is called in a process of its own, by `contest`."""

    title: str
    packages: tuple[str, ...]
    """Distributions that it needs; the first is the one whose version counts."""
    load: Callable[[Case], Program]
    file: str | None = None
    """What it loads, of `FORMATS`."""
    obeys_isa: bool = False
    """Whether it can be kept from instructions that the processor has."""


def environment(case: Case) -> dict[str, str]:
    """Return the environment that all runtimes get, each of which reads its part, before any of them is imported."""
    threads = dict.fromkeys(("TVM_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(case.threads))
    if case.threads == 1:
        threads["TVM_BIND_THREADS"] = "0"  # no peer binds a thread that is alone
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    own = {"NVIDIA_TF32_OVERRIDE": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if case.gpu else {}  # float32 is float32
    return {**threads, **own, "TORCHINDUCTOR_COMPILE_THREADS": "1", **(limits if case.isa == "avx2" else {})}


def folded_network(case: Case) -> Any:
    """Return the network with BatchNorm folded, in its own type, on the CPU."""
    import torch

    return torch.load(case.folder / TORCH, weights_only=False)
