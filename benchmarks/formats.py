"""The files that runtimes load: all of one network are made from the same torch module."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from cases import MNN, NCNN, ONNX, REFERENCE, TORCH, Case

_CONVERT_MAX_S = 300


def export(case: Case, files: set[str]) -> dict[str, str]:
    """Write the reference and those of the formats that are wanted; return the reasons of those that failed.

    The reference is PyTorch's in float32; the formats are in the network's own type.
    """
    import torch
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    from mbench.networks import torch_network

    exact = msgspec.structs.replace(case.variant, dtype="float32")
    reference, image = torch_network.build(exact), torch_network.example_input(exact)
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
    command = [pnnx.EXEC_PATH, "model.ts", shape, "fp16=0", f"ncnnparam={NCNN}", "ncnnbin=model.ncnn.bin"]
    _convert(command, folder)


def _export_mnn(folded: Any, image: Any, folder: Path) -> None:
    if not (folder / ONNX).exists():
        _export_onnx(folded, image, folder)
    tool = [sys.executable, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)"]  # its own wrapper phones home
    _convert([*tool, "-f", "ONNX", "--modelFile", ONNX, "--MNNModel", MNN, "--bizCode", "mbench"], folder)


def _convert(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_CONVERT_MAX_S, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-200:]
        raise RuntimeError(f"{Path(command[0]).name} returned {done.returncode}: {said}")


FORMATS: dict[str, Callable[[Any, Any, Path], None]] = {ONNX: _export_onnx, NCNN: _export_ncnn, MNN: _export_mnn}
