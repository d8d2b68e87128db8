"""The runtimes that `peers.py` compares: how each is told its threads, loads a network, and runs it once.

A runtime is an entry of `RUNTIMES`, or of that in `gpu_runtimes`; the files it loads are made by `FORMATS`, all from
the same torch module. Nothing here measures, and what belongs to a runtime is imported only where it is used.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mbench import artifact
from mbench.records import Variant

REFERENCE = "reference.npz"
TORCH, ONNX = "model.pt", "model.onnx"
_NCNN, _MNN = "model.ncnn.param", "model.mnn"
_CONVERT_MAX_S = 300

Program = tuple[Callable[[], Any], Callable[[Any], np.ndarray]]
"""What runs the network once, its input being in place; and what turns what that returns into logits (N, 1000)."""


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
    gpu: bool = False
    """Whether the runtimes are those of `gpu_runtimes`."""

    def image(self) -> np.ndarray:
        """Return the input (N, 3, R, R)."""
        with np.load(self.folder / REFERENCE) as reference:
            return np.ascontiguousarray(reference["input"])

    def expected(self) -> np.ndarray:
        """Return PyTorch's output (N, 1000)."""
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


def available(*, gpu: bool) -> dict[str, Runtime]:
    """Return the runtimes of the CPU, or of the GPU."""
    if gpu:
        import gpu_runtimes

        return gpu_runtimes.RUNTIMES
    return RUNTIMES


def environment(case: Case) -> dict[str, str]:
    """Return the environment that all runtimes get, each of which reads its part, before any of them is imported."""
    threads = dict.fromkeys(("TVM_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(case.threads))
    if case.threads == 1:
        threads["TVM_BIND_THREADS"] = "0"  # no peer binds a thread that is alone
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    own = {"NVIDIA_TF32_OVERRIDE": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if case.gpu else {}  # float32 is float32
    return {**threads, **own, "TORCHINDUCTOR_COMPILE_THREADS": "1", **(limits if case.isa == "avx2" else {})}


# -------------------------------------------------------------------------------------------------------------- formats
def export(case: Case, files: set[str]) -> dict[str, str]:
    """Write the reference and those of the formats that are wanted; return the reasons of those that failed.

    The reference is PyTorch's in float32; the formats are in the network's own type.
    """
    import torch
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    from mbench.models import network

    exact = msgspec.structs.replace(case.variant, dtype="float32")
    reference, image = network.build(exact), network.example_input(exact)
    parts = [part for part in reference.modules() if not list(part.children())]
    folded = nn.Sequential()
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        if not isinstance(part, nn.BatchNorm2d):
            folded.append(fuse_conv_bn_eval(part, following) if isinstance(following, nn.BatchNorm2d) else part)
    with torch.inference_mode():
        np.savez(case.folder / REFERENCE, input=image.numpy(), output=reference(image).numpy())
    torch.save(folded.eval(), case.folder / TORCH)
    dtype = getattr(torch, case.variant.dtype)
    folded, image = folded.to(dtype), image.to(dtype)
    failed = {}
    for file in [file for file in FORMATS if file in files]:
        try:
            FORMATS[file](folded, image, case.folder)
        except Exception as error:  # noqa: BLE001 - a peer's converter may fail as it likes; the others go on
            failed[file] = f"{file} could not be made: {_first_line(error)}"
    return failed


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def _export_onnx(folded: Any, image: Any, folder: Path) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter without onnxscript is called a legacy
        names: dict[str, Any] = {"input_names": ["input"], "output_names": ["output"]}
        torch.onnx.export(folded, (image,), folder / ONNX, dynamo=False, opset_version=17, **names)


def _export_ncnn(folded: Any, image: Any, folder: Path) -> None:
    import pnnx
    import torch

    torch.jit.trace(folded, image).save(folder / "model.ts")
    shape = "inputshape=[" + ",".join(map(str, image.shape)) + "]f32"
    command = [pnnx.EXEC_PATH, "model.ts", shape, "fp16=0", f"ncnnparam={_NCNN}", "ncnnbin=model.ncnn.bin"]
    _convert(command, folder)


def _export_mnn(folded: Any, image: Any, folder: Path) -> None:
    if not (folder / ONNX).exists():
        _export_onnx(folded, image, folder)
    tool = [sys.executable, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)"]  # its own wrapper phones home
    _convert([*tool, "-f", "ONNX", "--modelFile", ONNX, "--MNNModel", _MNN, "--bizCode", "mbench"], folder)


def _convert(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_CONVERT_MAX_S, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-200:]
        raise RuntimeError(f"{Path(command[0]).name} returned {done.returncode}: {said}")


FORMATS: dict[str, Callable[[Any, Any, Path], None]] = {ONNX: _export_onnx, _NCNN: _export_ncnn, _MNN: _export_mnn}


# ------------------------------------------------------------------------------------------------------------- runtimes
def _load_mbench(case: Case) -> Program:
    sys.modules["torch"] = None  # type: ignore[assignment]  # tvm imports it where it is, with a thread pool of its own
    from mbench.measure import session

    session.use_threads(case.threads)
    loaded = session.Session(artifact.load(case.artifact))
    main = loaded.vm[artifact.ENTRY]
    return lambda: main(loaded.input), lambda output: np.asarray(output.numpy())


def _load_onnxruntime(case: Case) -> Program:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = case.threads, 1
    session = onnxruntime.InferenceSession(case.folder / ONNX, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("input", case.image())
    binding.bind_output("output")
    return lambda: session.run_with_iobinding(binding), lambda _: binding.copy_outputs_to_cpu()[0]


def _load_openvino(case: Case) -> Program:
    import openvino

    hints = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": "f32"}
    settings = {**hints, "INFERENCE_NUM_THREADS": str(case.threads)}
    request = openvino.Core().compile_model(case.folder / ONNX, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(case.image()))
    return lambda: request.infer(share_outputs=True), lambda _: request.get_output_tensor().data.copy()


def _load_torch(case: Case) -> Program:
    import torch

    network, image = _torch_network(case)
    infer = torch.inference_mode()(network)
    return lambda: infer(image), lambda output: output.numpy()


def _load_torch_compile(case: Case) -> Program:
    import torch
    from torch._inductor import config

    config.freezing = True
    config.cpp_wrapper = True  # calls the kernels from C++: a third less time for small networks
    config.cpp.simdlen = 256 if case.isa == "avx2" else None
    network, image = _torch_network(case)
    infer = torch.no_grad()(torch.compile(network))
    infer(image)
    return lambda: infer(image), lambda output: output.numpy()


def _torch_network(case: Case) -> tuple[Any, Any]:
    """Return the network and its input, channels last."""
    import torch

    torch.set_num_threads(case.threads)
    torch.set_num_interop_threads(1)
    network = folded_network(case).to(memory_format=torch.channels_last)
    return network, torch.from_numpy(case.image()).to(memory_format=torch.channels_last)


def folded_network(case: Case) -> Any:
    """Return the network with BatchNorm folded, in float32 on the CPU."""
    import torch

    return torch.load(case.folder / TORCH, weights_only=False)


def _load_ncnn(case: Case) -> Program:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = case.threads
    for narrow in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "vulkan_compute"):
        setattr(net.opt, f"use_{narrow}", False)
    if net.load_param(str(case.folder / _NCNN)) or net.load_model(str(case.folder / "model.ncnn.bin")):
        raise RuntimeError(f"{_NCNN} could not be loaded")
    given = case.image()[0]  # ncnn.Mat borrows the array's memory without holding it
    image = ncnn.Mat(given).clone()

    def run() -> Any:
        extractor = net.create_extractor()
        extractor.input("in0", image)
        return extractor, extractor.extract("out0")[1]  # the output lives as long as its extractor

    return run, lambda result: np.array(result[1]).reshape(1, -1)


def _load_mnn(case: Case) -> Program:
    from MNN import expr, nn

    manager = nn.create_runtime_manager(({"backend": "CPU", "numThread": case.threads, "precision": "high"},))
    network = nn.load_module_from_file(str(case.folder / _MNN), ["input"], ["output"], runtime_manager=manager)
    given = case.image()
    image = expr.const(given, list(given.shape), expr.NCHW)  # a session would overwrite its input
    return lambda: network.forward(image), lambda output: np.array(output.read())


MBENCH = "mbench"
RUNTIMES: dict[str, Runtime] = {
    MBENCH: Runtime("mbench", ("mobilenet-bench",), _load_mbench),
    "onnxruntime": Runtime("ONNX Runtime", ("onnxruntime", "onnx"), _load_onnxruntime, ONNX),
    "openvino": Runtime("OpenVINO", ("openvino", "onnx"), _load_openvino, ONNX, obeys_isa=True),
    "torch": Runtime("PyTorch eager", ("torch",), _load_torch, obeys_isa=True),
    "torch-compile": Runtime("torch.compile", ("torch",), _load_torch_compile, obeys_isa=True),
    "ncnn": Runtime("ncnn", ("ncnn", "pnnx"), _load_ncnn, _NCNN),
    "mnn": Runtime("MNN", ("MNN", "onnx"), _load_mnn, _MNN),
}
