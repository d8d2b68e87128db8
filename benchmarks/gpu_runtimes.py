"""The runtimes that `peers.py --gpu` compares on an NVIDIA GPU: how each loads a network, and runs it once to its end.

A run begins with its input on the GPU and ends when the GPU is done, for all of them. float32 is float32: TF32 is
switched off everywhere (NVIDIA_TF32_OVERRIDE=0 keeps NVIDIA's libraries from it, whatever a program asks for). Every
runtime is asked whether it really runs on the GPU, since some fall back to the CPU and say nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import MBENCH, ONNX, TORCH, Case, Program, Runtime, folded_network

from mbench.core import artifact, processes
from mbench.core.records import Variant

GOALS = {("float32", 1): 1.0, ("float16", 64): 1.2}
"""mbench over the best peer, by dtype and batch, of depthwise-separable networks."""
STANDARD_GOAL = 1.5


def verdict(variant: Variant, ratio: float) -> str | None:
    """Return the ratio of one network with its goal; None where it has none."""
    standard = variant.convolution == "standard"
    goal = STANDARD_GOAL if standard else GOALS.get((variant.dtype, variant.batch))
    if goal is None:
        return None
    said = "met" if ratio <= goal else "missed"
    return f"{variant.name}, {variant.dtype}, batch {variant.batch}: {ratio:.3f}   goal {goal:.2f}: {said}"


def _load_mbench(case: Case) -> Program:
    processes.without_torch()  # tvm imports it where it is
    from mbench.hardware import cudart
    from mbench.measure import gpu
    from mbench.measure import program as program_of

    cudart.prepare_tvm()
    stream = cudart.Runtime()
    loaded = gpu.program(artifact.load(case.artifact), stream)

    def run() -> Any:
        output = loaded.launch()
        stream.wait()
        return output

    return run, program_of.arrays


def _torch_network(case: Case) -> tuple[Any, Any, Any]:
    """Return torch, the network and its input on the GPU, channels last."""
    import torch

    if torch.version.cuda is None:
        raise RuntimeError(f"torch {torch.__version__} is built without CUDA; install a build with it")
    if not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} finds no GPU; its CUDA is {torch.version.cuda}")
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    network = folded_network(case).to("cuda", getattr(torch, case.variant.dtype), memory_format=torch.channels_last)
    image = torch.from_numpy(case.image()).to("cuda", getattr(torch, case.variant.dtype))
    return torch, network, image.contiguous(memory_format=torch.channels_last)


def _load_torch(case: Case) -> Program:
    torch, network, image = _torch_network(case)
    infer = torch.inference_mode()(network)

    def run() -> Any:
        output = infer(image)
        torch.cuda.synchronize()
        return output

    return run, lambda output: (output.float().cpu().numpy(),)


def _load_torch_compile(case: Case) -> Program:
    torch, network, image = _torch_network(case)
    from torch._inductor import config

    config.freezing = True
    infer = torch.no_grad()(torch.compile(network, mode="max-autotune"))  # CUDA graphs included
    for _ in range(3):  # compiled, then recorded, then replayed
        infer(image)

    def run() -> Any:
        output = infer(image)
        torch.cuda.synchronize()
        return output

    return run, lambda output: (output.float().cpu().numpy(),)


def _load_onnxruntime(case: Case, provider: str, options: dict[str, str]) -> Program:
    import onnxruntime

    if provider not in onnxruntime.get_available_providers():
        raise RuntimeError(f"onnxruntime {onnxruntime.__version__} has no {provider}; pip install onnxruntime-gpu")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(case.folder / ONNX, settings, providers=[(provider, options)])
    if session.get_providers()[0] != provider:
        raise RuntimeError(f"onnxruntime fell back to {session.get_providers()[0]}: {provider} could not be loaded")
    image = case.image().astype(case.variant.dtype)
    given = onnxruntime.OrtValue.ortvalue_from_numpy(image, "cuda", 0)
    [expected], dtype = case.expected().outputs, np.dtype(case.variant.dtype)
    result = onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(expected.shape), dtype, "cuda", 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, given)
    # always the same memory, as a CUDA graph needs it
    binding.bind_ortvalue_output(session.get_outputs()[0].name, result)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run, lambda _: (np.asarray(result.numpy(), dtype=np.float32),)


def _load_cuda_provider(case: Case) -> Program:
    options = {"device_id": "0", "use_tf32": "0", "enable_cuda_graph": "1", "prefer_nhwc": "1"}
    return _load_onnxruntime(case, "CUDAExecutionProvider", options)


def _load_tensorrt(case: Case) -> Program:
    half = "1" if case.variant.dtype == "float16" else "0"
    options = {"device_id": "0", "trt_fp16_enable": half, "trt_cuda_graph_enable": "1"}
    return _load_onnxruntime(case, "TensorrtExecutionProvider", options)


RUNTIMES: dict[str, Runtime] = {
    MBENCH: Runtime("mbench", ("mobilenet-bench",), _load_mbench),
    "torch-gpu": Runtime("PyTorch eager", ("torch",), _load_torch, TORCH),
    "torch-compile-gpu": Runtime("torch.compile", ("torch",), _load_torch_compile, TORCH),
    "onnxruntime-gpu": Runtime("ONNX Runtime", ("onnxruntime-gpu", "onnx"), _load_cuda_provider, ONNX),
    "tensorrt": Runtime("TensorRT", ("onnxruntime-gpu", "tensorrt", "onnx"), _load_tensorrt, ONNX),
}
