"""The user's own network, of several inputs and outputs, here and on a board; and its standard twin."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import imported_networks as networks
import msgspec
import numpy as np
import pytest
from board_server import Serving
from measure_plans import PLAN, ignore
from rpc_plans import FEW

from mbench.build import build
from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.machine_types import Target
from mbench.devices.local import LocalDevice
from mbench.devices.rpc import RpcDevice
from mbench.networks import variants

pytest_plugins = ("rpc_fixtures", "worker_fixtures")
SHORT = msgspec.structs.replace(FEW, meter=False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBENCH_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def own(here: Target, cache: Path) -> Artifact:
    """Return a network of two inputs and two outputs, compiled for this machine."""
    return build.build(networks.kept(networks.two_by_two()), here, cache / "artifacts")[0]


def with_wrong(made: Artifact, output: str, folder: Path) -> Artifact:
    """Return an artifact that expects something else of one output."""
    (work := folder.with_name("work")).mkdir()
    shutil.copy(made.library, work)
    with np.load(made.reference) as reference:
        arrays = {name: reference[name] for name in reference.files}
    np.savez(work / artifact.REFERENCE, **{**arrays, output: arrays[output] + 1})
    return artifact.store(made.manifest, work, folder)


def test_the_artifact_names_its_inputs_and_outputs_and_what_computed_them(own: Artifact) -> None:
    manifest = own.manifest
    assert (manifest.input_names, manifest.output_names) == (("image", "hint/0.npy"), ("fc", "<clipped>"))
    assert manifest.reference == "a runtime 2.0 on the same file"
    with np.load(own.reference) as reference:
        shapes = {name: reference[name].shape for name in reference.files}
    assert shapes == {"input": (1, 3, 8, 8), "input1": (1, 4), "output": (1, 10), "output1": (1, 4)}
    assert manifest.activation_peak_bytes >= 4 * (3 * 8 * 8 + 4)


def test_it_is_measured_here_and_every_output_is_compared(own: Artifact, device: LocalDevice, tmp_path: Path) -> None:
    seen = device.measure(own, SHORT, ignore)
    assert seen.numerics.passed
    assert seen.numerics.reference == "a runtime 2.0 on the same file"
    assert len(seen.latency_s or ()) == SHORT.repeat
    assert len(seen.calls_s or ()) == len(own.manifest.calls)
    wrong = device.measure(with_wrong(own, "output1", tmp_path / "wrong"), SHORT, ignore).numerics
    assert not wrong.passed
    assert str(wrong.detail).startswith("output <clipped>: max_rel_error is ")


def test_it_is_measured_on_a_board(
    server: Serving, own: Artifact, opened: Callable[..., RpcDevice], tmp_path: Path
) -> None:
    board = opened(server.url)
    seen = board.measure(own, SHORT, ignore)
    assert seen.numerics.passed
    assert len(seen.calls_s or ()) == len(own.manifest.calls)
    assert not board.measure(with_wrong(own, "output1", tmp_path / "wrong"), SHORT, ignore).numerics.passed


def test_its_standard_twin_computes_what_torch_does(here: Target, cache: Path, device: LocalDevice) -> None:
    twin = variants.paired_with(networks.kept())
    assert twin is not None
    made, _ = build.build(twin, here, cache / "artifacts")
    assert len(made.manifest.replaced) == 2
    seen = device.measure(made, msgspec.structs.replace(PLAN, repeat=3, layer_repeat=2, block=3, meter=False), ignore)
    assert seen.numerics.passed
    assert seen.numerics.reference.endswith("on the imported graph, with drawn weights in its standard convolutions")
