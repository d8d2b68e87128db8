"""The files that runtimes load: all of one network are made from the same folded graph and the same weights.

Of a user's own ONNX file that is the file itself, for the runtimes that read such files.
"""

from __future__ import annotations

import dataclasses
import functools
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np
from cases import LITE, MNN, NCNN, ONNX, SIGNED, TORCH, Case

from mbench.core import dtypes
from mbench.core.records import Variant
from mbench.networks import architectures
from mbench.networks import weights as weights_of
from mbench.networks.graph import Graph

_CONVERT_MAX_S = 300
_NO_READER, _AS_IT_IS = "it does not read ONNX files", "the file is taken as it is, by the runtime's other row"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """What all files of a network are made from."""

    variant: Variant
    parameters: Mapping[str, np.ndarray]
    """Of the folded graph, float32."""
    file: Path | None = None
    """The user's own, of an imported network."""

    @property
    def graph(self) -> Graph:
        """The folded graph, of the variant's type."""
        return architectures.folded(self.variant).graph

    def at_batch(self, batch: int) -> Network:
        """Return the same network at another batch."""
        return dataclasses.replace(self, variant=msgspec.structs.replace(self.variant, batch=batch))


def export(case: Case, files: set[str]) -> dict[str, str]:
    """Write the reference and those of the formats that are wanted; return the reasons of those that failed.

    The reference is PyTorch's in float32, with BatchNorm not folded, or of a user's own file the runtime's that it was
    imported with; of a quantised network it is mbench's own definition. The formats are in the network's own type.
    """
    if case.variant.quantization is not None:
        import int8_formats

        quantised = int8_formats.kept(case)
        return _written(
            {file: functools.partial(write, quantised) for file, write in int8_formats.FORMATS.items()}, case, files
        )
    floats = dtypes.of(case.variant.dtype).floats
    drawn = weights_of.draw(case.variant if case.variant.dtype != floats else _exact(case.variant))
    case.keep(drawn)
    network = Network(variant=case.variant, parameters=drawn.parameters, file=case.file)
    known = OF_FILES if case.variant.imported else FORMATS
    return _written({file: functools.partial(write, network) for file, write in known.items()}, case, files)


def _exact(variant: Variant) -> Variant:
    return msgspec.structs.replace(variant, dtype=dtypes.DEFAULT)


def _written(known: Mapping[str, Callable[[Path], None]], case: Case, files: set[str]) -> dict[str, str]:
    """Write those files that are wanted; return the reasons of those that failed."""
    failed = {file: _AS_IT_IS if file == SIGNED else _NO_READER for file in files - known.keys()}
    for file in [file for file in known if file in files]:
        try:
            known[file](case.folder)
        except Exception as error:  # noqa: BLE001 - a peer's converter may fail as it likes; the others go on
            failed[file] = f"{file} could not be made: {_first_line(error)}"
    return failed


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def _export_torch(network: Network, folder: Path) -> None:
    """Write a module of plain calls of torch: what PyTorch runs has no part of mbench in it."""
    import torch

    from mbench.networks import torch_network

    class Whole(torch.nn.Module):  # type: ignore[misc]
        """The network with one input by name, as tracing needs it."""

        def __init__(self) -> None:
            super().__init__()
            self.network = torch_network.TorchNetwork(network.graph, network.parameters)

        def forward(self, image):  # type: ignore[no-untyped-def]  # a type would become a part of what is traced
            return self.network(image)

    traced = torch.fx.symbolic_trace(Whole().eval())
    torch.save(traced.to(getattr(torch, network.variant.dtype)), folder / TORCH)


def _export_onnx(network: Network, folder: Path) -> None:
    import onnx
    import onnx_writer

    onnx.save(onnx_writer.model(network.graph, network.parameters), folder / ONNX)


def _copy_onnx(network: Network, folder: Path) -> None:
    """Write the user's file with its weights inside and its inputs' shapes settled, as mbench is told them too."""
    import onnx

    model = onnx.load(network.file)
    shapes = {name: known.shape for name, known in architectures.graph(network.variant).inputs.items()}
    for given in model.graph.input:
        for place, side in enumerate(shapes.get(given.name, ())):
            given.type.tensor_type.shape.dim[place].dim_value = side
    onnx.save(model, folder / ONNX)


def _export_tflite(network: Network, folder: Path) -> None:
    import tflite_writer

    (folder / LITE).write_bytes(tflite_writer.model(network.graph, network.parameters))


def _export_ncnn(network: Network, folder: Path) -> None:
    """Write the network at batch 1: ncnn has no batches, and runs one image after the other."""
    import onnx
    import onnx_writer
    import pnnx

    alone = network.at_batch(1)
    onnx.save(onnx_writer.model(alone.graph, alone.parameters), folder / "alone.onnx")
    _convert([pnnx.EXEC_PATH, "alone.onnx", "fp16=0", f"ncnnparam={NCNN}", "ncnnbin=model.ncnn.bin"], folder)


def _export_mnn(network: Network, folder: Path) -> None:
    if not (folder / ONNX).exists():
        _export_onnx(network, folder)
    tool = [sys.executable, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)"]  # its own wrapper phones home
    _convert([*tool, "-f", "ONNX", "--modelFile", ONNX, "--MNNModel", MNN, "--bizCode", "mbench"], folder)


def _convert(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_CONVERT_MAX_S, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-200:]
        raise RuntimeError(f"{Path(command[0]).name} returned {done.returncode}: {said}")


FORMATS: dict[str, Callable[[Network, Path], None]] = {
    TORCH: _export_torch,
    ONNX: _export_onnx,
    LITE: _export_tflite,
    NCNN: _export_ncnn,
    MNN: _export_mnn,
}
"""Of built-in networks."""
OF_FILES: dict[str, Callable[[Network, Path], None]] = {ONNX: _copy_onnx}
"""Of the user's own ONNX files."""
