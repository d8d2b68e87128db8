"""The user's own network in Python: imported when it is made, and again for another batch alone."""

from __future__ import annotations

from pathlib import Path

import imported_networks as networks
import msgspec
import numpy as np
import pytest
import torch

import mbench
from mbench.core.errors import UsageError
from mbench.core.records import Variant
from mbench.networks import architectures, imported_store, importing
from mbench.networks.importing import ImportPlan


@pytest.fixture(autouse=True)
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ImportPlan]:
    """Put an importer in this process in the place of the other one; return what it was asked for."""
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    asked: list[ImportPlan] = []

    def imported(plan: ImportPlan, *, timeout_s: float) -> Variant:
        asked.append(plan)
        return msgspec.structs.replace(networks.kept(), batch=plan.batch or 1)

    monkeypatch.setattr(importing, "in_a_child", imported)
    return asked


def test_a_file_is_imported_when_it_is_made_and_once_for_each_batch(plans: list[ImportPlan]) -> None:
    network = mbench.Network.from_onnx("net.onnx", input_shapes={"image": [1, 3, 16, 16]}, inputs="in.npz")
    assert plans == [ImportPlan(source="net.onnx", shapes={"image": (1, 3, 16, 16)}, inputs=Path("in.npz"))]
    assert (network.name, repr(network)) == ("my-net", "<mbench.Network my-net from onnx>")
    assert network.digest == network.at().parameters["content_sha256"]
    assert [network.at(batch).batch for batch in (4, None, 4)] == [4, 1, 4]
    assert [plan.batch for plan in plans] == [None, 4]
    mbench.Network.from_export(Path("net.pt2"))
    assert plans[-1].source == "net.pt2"


@pytest.mark.parametrize("shape", [(0, 3), (1, -1), (1.0, 3), ("1", 3), (True, 3)])
def test_a_shape_that_cannot_be_is_refused(shape: tuple[int, ...], plans: list[ImportPlan]) -> None:
    with pytest.raises(UsageError, match=r"input 'image': shape .* cannot be; expected whole numbers above 0"):
        mbench.Network.from_onnx("net.onnx", input_shapes={"image": shape})
    assert plans == []


def test_numbers_of_numpy_are_sides_too(plans: list[ImportPlan]) -> None:
    mbench.Network.from_onnx("net.onnx", input_shapes={"image": np.array([1, 3, 16, 16])})  # type: ignore[dict-item]
    assert plans[0].shapes == {"image": (1, 3, 16, 16)}


def test_a_torch_module_is_imported_in_this_process_and_again_for_another_batch() -> None:
    """Oracle: the module itself."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5))
    image = torch.randn(1, 3, 8, 8)
    network = mbench.Network.from_module(module.eval(), image, name="my net")
    variant = network.at()
    assert (variant.name, variant.source, variant.batch) == ("my-net", "function", 1)
    examples, [output] = imported_store.reference(variant)
    [value] = examples.values()
    np.testing.assert_allclose(output, module(torch.from_numpy(value)).detach().numpy(), rtol=1e-6)
    assert [layer.op for layer in architectures.layers(variant)] == ["conv2d", "transpose", "dense"]
    assert architectures.layers(network.at(2))[0].input_shape == (2, 3, 8, 8)
    assert mbench.Network.from_module(module, image).name == "Sequential"
    with pytest.raises(UsageError, match="training mode"):
        mbench.Network.from_module(module.train(), image)
    with pytest.raises(UsageError, match=r"expected \(network, example\)"):
        mbench.Network.from_module(module.eval(), "image")
