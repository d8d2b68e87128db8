"""A run as it was asked for."""

from __future__ import annotations

import pytest
from run_world import World

from mbench.core.errors import UsageError
from mbench.core.machine_types import DeviceKind
from mbench.devices import emulation
from mbench.hardware import host, targets
from mbench.pipeline import job

pytest_plugins = ("run_fixtures",)


def test_a_target_run_here_has_the_caches_of_this_machine(world: World) -> None:
    machine = host.describe()
    local = world.job(host=machine).target_as_run
    assert local == targets.as_run_here(world.target, machine)
    assert local.tvm == world.target.tvm
    here = host.target(machine, triple="x86_64-linux-gnu", mcpu="x86-64-v2").processor
    assert (local.processor.cores, local.processor.l1d) == (here.cores, here.l1d)
    assert local.processor.vector_bits == world.target.processor.vector_bits


def test_a_target_run_elsewhere_stays_as_it_is_described(world: World) -> None:
    assert world.job(device="rpc", address="rpc://board:9090").target_as_run == world.target


@pytest.mark.parametrize(
    ("target", "device", "counted"),
    [
        ("x86_64_v4", "local", "x86_64_v3"),
        ("arm64_cortex_a76", "local", "arm64_cortex_a72"),
        ("arm64_cortex_a76", "rpc", "arm64_cortex_a76"),
        ("arm64_cortex_a76", "emulated", None),
    ],
)
def test_counts_are_of_what_all_machines_share_or_of_the_board(
    monkeypatch: pytest.MonkeyPatch, target: str, device: DeviceKind, counted: str | None
) -> None:
    monkeypatch.setattr(emulation, "check", lambda _: None)
    found = job.counted_target(targets.load(target), device)
    assert (found and found.name) == counted


def test_what_is_not_run_or_is_no_cpus_code_is_not_counted() -> None:
    with pytest.raises(UsageError, match="--counts needs a run; leave out --compile-only"):
        job.counted_target(targets.load("x86_64_v3"), "none")
    with pytest.raises(UsageError, match="only CPUs' code can be counted"):
        job.counted_target(targets.load("cuda_sm90"), "local")
