"""What is refused before anything is uploaded: here, and at the other end of a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_devices
import pytest

from mbench.core.errors import BuildError, MeasureError
from mbench.devices import rpc_jobs
from mbench.devices.address import Address
from mbench.networks import variants

NOBODY = Address("board.invalid", 9090)


def line(architecture: str | None) -> Any:
    """Return a line to a board; None: to a server that does not describe its machine."""
    return SimpleNamespace(address="board:9090", info=architecture and SimpleNamespace(architecture=architecture))


@pytest.mark.parametrize(
    ("triple", "architecture"),
    [
        ("aarch64-linux-gnu", "aarch64"),
        ("x86_64-linux-gnu", "amd64"),
        ("x86_64-linux-gnu", None),
        ("", "aarch64"),
    ],
)
def test_what_fits_or_cannot_be_told_is_let_through(triple: str, architecture: str | None) -> None:
    rpc_jobs.check_architecture(line(architecture), triple, "some")


def test_a_library_for_another_architecture_is_refused() -> None:
    with pytest.raises(MeasureError, match=r"board:9090 is aarch64, the target some is x86_64; choose a target"):
        rpc_jobs.check_architecture(line("aarch64"), "x86_64-linux-gnu", "some")


def test_a_server_of_tvms_own_is_told_from_mbenchs() -> None:
    said = rpc_jobs.only_mbenchs(line(None))
    assert said.startswith("the server at board:9090 is TVM's own")
    assert "mbench device serve" in said


@pytest.mark.parametrize("job", [rpc_jobs.measure, rpc_jobs.sustain])
def test_no_device_is_to_blame_for_a_damaged_artifact(job: Callable[..., Any], tmp_path: Path) -> None:
    damaged = fake_devices.compiled(tmp_path / "net", variants.parse("mobilenet_v1_0.25_32"))  # it names no hashes
    told: list[str] = []
    with pytest.raises(BuildError, match="it was damaged"):
        job(lambda stage, _: told.append(stage), NOBODY, tmp_path, 1.0, damaged.folder, None)
    assert told == ["reading"]
