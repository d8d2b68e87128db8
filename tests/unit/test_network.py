"""The user's own network in Python: imported when it is made, and again for another batch alone."""

from __future__ import annotations

from pathlib import Path

import imported_networks as networks
import msgspec
import numpy as np
import pytest

import mbench
from mbench.core.errors import UsageError
from mbench.core.records import Variant
from mbench.networks import importing
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
