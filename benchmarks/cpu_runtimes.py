"""The runtimes that `peers.py` compares on the CPU: how each is told its threads, loads a network, and runs it once.

Nothing here measures, and what belongs to a runtime is imported only where it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import LITE, MBENCH, MNN, NCNN, ONNX, TORCH, Case, Outputs, Program, Runtime, folded_network

from mbench.core import artifact, processes


def load_mbench(case: Case) -> Program:
    """Load mbench's artifact."""
    processes.without_torch()  # tvm imports it where it is, with a thread pool of its own
    from mbench.measure import program

    program.use_threads(case.threads)
    loaded = program.LocalProgram(artifact.load(case.artifact))
    main = loaded.vm[artifact.ENTRY]
    return lambda: main(*loaded.inputs), program.arrays


def load_onnxruntime(case: Case, file: str = ONNX) -> Program:
    """Load a file into ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = case.threads, 1
    session = onnxruntime.InferenceSession(case.folder / file, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, array in case.inputs().items():
        binding.bind_cpu_input(name, array)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return lambda: session.run_with_iobinding(binding), lambda _: tuple(binding.copy_outputs_to_cpu())


def load_openvino(case: Case) -> Program:
    """Load a file into OpenVINO."""
    import openvino

    hints = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": "f32"}
    settings = {**hints, "INFERENCE_NUM_THREADS": str(case.threads)}
    request = openvino.Core().compile_model(case.folder / ONNX, "CPU", settings).create_infer_request()
    for name, array in case.inputs().items():
        request.set_tensor(name, openvino.Tensor(array))
    return lambda: request.infer(share_outputs=True), lambda _: tuple(
        each.data.copy() for each in request.output_tensors
    )


def _load_litert(case: Case) -> Program:
    """Load the network into LiteRT, all of it run by XNNPACK."""
    return load_litert(case, np.ascontiguousarray(case.image().transpose(0, 2, 3, 1)))


def load_litert(case: Case, image: np.ndarray) -> Program:
    """Load the network into LiteRT, all of it run by XNNPACK, with an image as its file takes it."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(case.folder / LITE), num_threads=case.threads)
    interpreter.allocate_tensors()
    [given], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    if reason := left_to_litert(interpreter):
        raise RuntimeError(reason)
    interpreter.set_tensor(given["index"], image)
    return interpreter.invoke, lambda _: (interpreter.get_tensor(output["index"]),)


def left_to_litert(interpreter: Any) -> str | None:
    """Return why an interpreter is not at its best; None where one XNNPACK delegate computes outputs from inputs."""
    known = interpreter._get_ops_details()
    delegates = [operation for operation in known if operation["op_name"] == "DELEGATE"]
    given, wanted = (
        {tensor["index"] for tensor in details}
        for details in (interpreter.get_input_details(), interpreter.get_output_details())
    )
    if len(delegates) == 1 and given <= set(delegates[0]["inputs"]) and wanted <= set(delegates[0]["outputs"]):
        return None
    names = sorted({operation["op_name"] for operation in known} - {"DELEGATE"})
    return f"XNNPACK computes the network in {len(delegates)} parts, expected 1; its operators: {', '.join(names)}"


def _load_torch(case: Case) -> Program:
    import torch

    network, image = _torch_network(case)
    infer = torch.inference_mode()(network)
    return lambda: infer(image), lambda output: (output.numpy(),)


def _load_torch_compile(case: Case) -> Program:
    import torch
    from torch._inductor import config

    config.freezing = True
    config.cpp_wrapper = True  # calls the kernels from C++: a third less time for small networks
    config.cpp.simdlen = 256 if case.isa in ("avx2", "avx2_vnni") else None
    network, image = _torch_network(case)
    infer = torch.no_grad()(torch.compile(network))
    infer(image)
    return lambda: infer(image), lambda output: (output.numpy(),)


def _torch_network(case: Case) -> tuple[Any, Any]:
    """Return the network and its input, channels last."""
    import torch

    torch.set_num_threads(case.threads)
    torch.set_num_interop_threads(1)
    network = folded_network(case).to(memory_format=torch.channels_last)
    return network, torch.from_numpy(case.image()).to(memory_format=torch.channels_last)


def _load_ncnn(case: Case) -> Program:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = case.threads
    for narrow in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "vulkan_compute"):
        setattr(net.opt, f"use_{narrow}", False)
    if net.load_param(str(case.folder / NCNN)) or net.load_model(str(case.folder / "model.ncnn.bin")):
        raise RuntimeError(f"{NCNN} could not be loaded")
    given = case.image()  # ncnn.Mat borrows the array's memory without holding it
    images = [ncnn.Mat(image).clone() for image in given]

    def alone(image: Any) -> Any:
        extractor = net.create_extractor()
        extractor.input("in0", image)
        return extractor, extractor.extract("out0")[1]  # the output lives as long as its extractor

    def read(results: Any) -> Outputs:
        return (np.stack([np.array(output).reshape(-1) for _, output in results]),)

    return lambda: [alone(image) for image in images], read  # it has no batches


def _load_mnn(case: Case) -> Program:
    from MNN import expr, nn

    manager = nn.create_runtime_manager(({"backend": "CPU", "numThread": case.threads, "precision": "high"},))
    network = nn.load_module_from_file(str(case.folder / MNN), [], [], runtime_manager=manager)
    given = case.image()
    image = expr.const(given, list(given.shape), expr.NCHW)  # a session would overwrite its input
    return lambda: network.forward(image), lambda output: (np.array(output.read()),)


RUNTIMES: dict[str, Runtime] = {
    MBENCH: Runtime("mbench", ("mobilenet-bench",), load_mbench),
    "onnxruntime": Runtime("ONNX Runtime", ("onnxruntime", "onnx"), load_onnxruntime, ONNX),
    "openvino": Runtime("OpenVINO", ("openvino", "onnx"), load_openvino, ONNX, obeys_isa=True),
    "litert": Runtime("LiteRT", ("ai-edge-litert", "flatbuffers"), _load_litert, LITE),
    "torch": Runtime("PyTorch eager", ("torch",), _load_torch, TORCH, obeys_isa=True),
    "torch-compile": Runtime("torch.compile", ("torch",), _load_torch_compile, TORCH, obeys_isa=True),
    "ncnn": Runtime("ncnn", ("ncnn", "pnnx", "onnx"), _load_ncnn, NCNN),
    "mnn": Runtime("MNN", ("MNN", "onnx"), _load_mnn, MNN),
}
