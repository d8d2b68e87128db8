"""Networks of torchvision and timm in all three formats, and files that others publish, beside their own runtimes."""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import io
import logging
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import published_modules
import pytest
import torch
from conftest import require
from network_files import error, imported, operations, read
from onnx.backend.test.loader import DATA_DIR
from running_mbench import TARGET, warm_cache
from torch import nn

import mbench
from mbench.networks import folding, layers, torch_network

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v2": lambda: published_modules.libraries()[0].mobilenet_v2(),
    "mobilenet_v3_small": lambda: published_modules.libraries()[0].mobilenet_v3_small(),
    "mobilenetv4_conv_small": lambda: published_modules.libraries()[1].create_model("mobilenetv4_conv_small"),
}
_SIDE = 64


def written(module: nn.Module, folder: Path) -> dict[str, Path]:
    """Write a network in all three formats, and return their files."""
    require(importlib.util.find_spec("onnxscript"), "needs onnxscript: tests/published_modules.txt")
    files = {ending: folder / f"network.{ending}" for ending in ("pt2", "older.onnx", "newer.onnx")}
    image = (published_modules.image(_SIDE),)
    program = torch.export.export(module, image)
    torch.export.save(program, files["pt2"])
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(module, image, str(files["older.onnx"]), dynamo=False)
        torch.onnx.export(program, (), str(files["newer.onnx"]), dynamo=True, external_data=False, verbose=False)
    logging.disable(before)
    return files


def alive(name: str) -> nn.Module:
    torch.manual_seed(0)
    return published_modules.alive(NETWORKS[name], _SIDE)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_all_formats_give_one_network_by_the_users_names(tmp_path: Path, name: str) -> None:
    module = alive(name)
    paths = [path for path, part in module.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    [macs], _ = published_modules.counted(NETWORKS[name], _SIDE)
    kernels, roles = [], []
    for ending, file in written(module, tmp_path).items():
        found = read(file)
        graph = found.graph
        assert error(found) < 2e-5, ending
        assert [node.name for node in graph.nodes if node.op in ("conv2d", "linear")] == paths, ending
        assert sum(layers.macs(graph, node) for node in graph.nodes) == macs, ending
        kernels.append(collections.Counter(node.op for node in folding.as_compiled(graph).graph.nodes))
        roles.append([(node.block, node.role) for node in graph.nodes if node.op == "conv2d"])
    assert kernels[0] == kernels[1] == kernels[2]
    assert roles[0] == roles[1] == roles[2]


FILES = {
    "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": {"x": (1, 3, 48, 192)},
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx": {"x": (1, 3, 48, 96)},
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx": {"x": (1, 3, 64, 64)},
    "nudenet/320n.onnx": {"images": (1, 3, 64, 64)},
}


def installed(file: str) -> Path:
    package, _, inside = file.partition("/")
    spec = importlib.util.find_spec(package)
    require(spec is not None, f"needs {package}: tests/published_modules.txt")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / inside


@pytest.mark.parametrize("file", FILES)
def test_files_that_others_publish(file: str) -> None:
    found = read(installed(file), batch=None, **FILES[file])
    (name,) = found.graph.inputs
    image = np.random.default_rng(0).uniform(0, 1, found.graph.inputs[name].shape).astype(np.float32)
    expected = found.run({name: image})
    got = torch_network.run(found.graph, found.parameters, {name: torch.from_numpy(image)})
    for want, have in zip(expected, got, strict=True):
        np.testing.assert_allclose(have.numpy(), want, rtol=1e-3, atol=1e-4)


DEPLOYED: dict[str, Callable[[], nn.Module]] = {
    **{
        name: lambda name=name: getattr(published_modules.libraries()[0], name)()  # type: ignore[misc]
        for name in ("resnet18", "squeezenet1_1", "shufflenet_v2_x0_5")
    },
    **{
        name: lambda name=name: published_modules.libraries()[1].create_model(name)  # type: ignore[misc]
        for name in ("efficientnet_b0", "ghostnet_100", "repvgg_a0", "lcnet_100", "mobilevit_xxs", "convnext_femto")
    },
}


@pytest.mark.slow
def test_networks_that_are_deployed_are_built_and_right(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracles: ONNX Runtime on each file, and torch's own count of multiply-adds."""
    shutil.copytree(warm_cache(tmp_path_factory.getbasetemp()) / "calibrations", tmp_path / "cache" / "calibrations")
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    networks, macs = [], {}
    for name, make in DEPLOYED.items():
        file = tmp_path / f"{name}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = published_modules.alive(make, _SIDE)
            torch.onnx.export(module, (published_modules.image(_SIDE),), str(file), dynamo=False)
        networks.append(mbench.Network.from_onnx(file))
        [macs[name]], _ = published_modules.counted(make, _SIDE)
    networks += [mbench.Network.from_onnx(installed(file), input_shapes=shapes) for file, shapes in FILES.items()]
    asked = mbench.RunOptions(quick=True, repeat=3, threads=2, use_tuned=False, output=tmp_path / "out")
    record = mbench.run(networks, target=TARGET, options=asked)
    assert record.failures == ()
    assert len(record.results) == len(DEPLOYED) + len(FILES)
    for result in record.results:
        assert result.numerics is not None
        assert result.numerics.passed, result.numerics
        assert result.artifact.fallbacks.keys() <= {"softmax"}, result.variant.name  # a detector's, over channels
    found = {result.variant.name: sum(layer.macs for layer in result.layers) for result in record.results}
    assert {name: found[name] for name in macs} == macs


LIGHT = [
    Path(DATA_DIR) / "light" / f"light_{name}.onnx"
    for name in ("squeezenet", "shufflenet", "inception_v2", "densenet121", "resnet50")
]
"""Networks of ONNX's zoo, of opset 9, with weights that ConstantOfShape makes."""


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_networks_of_the_zoo_are_read(path: Path, tmp_path: Path) -> None:
    made: Any = onnx.load(path)
    found = imported(tmp_path, made)
    convolutions = sum(node.op_type == "Conv" for node in made.graph.node)
    assert operations(found).count("conv2d") == convolutions


CONVERTED = [
    each
    for each in sorted((Path(DATA_DIR) / "pytorch-converted").iterdir())
    if "3d" not in each.name.lower() and "PReLU_1d_multi" not in each.name and "PReLU_2d_multi" not in each.name
]
"""All but volumes, and two whose slopes ONNX's own converter leaves in a shape that does not broadcast."""


@pytest.mark.parametrize("folder", CONVERTED, ids=lambda each: each.name)
def test_layers_that_torch_once_converted(folder: Path, tmp_path: Path) -> None:
    made: Any = onnx.load(folder / "model.onnx")
    opset = max(each.version for each in made.opset_import)
    if opset < 7:
        made = onnx.version_converter.convert_version(made, 13)
    assert error(imported(tmp_path, made)) < 1e-4
