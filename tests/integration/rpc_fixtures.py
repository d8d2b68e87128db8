"""Fixtures of the tests of devices over RPC: a server, an artifact for this machine, devices that are closed again."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from board_server import Serving, mbench_server
from conftest import require
from rpc_plans import VARIANT

from mbench.core.artifact import Artifact
from mbench.core.machine_types import Target
from mbench.devices import toolchain
from mbench.devices.rpc import RpcDevice
from mbench.hardware import targets
from mbench.networks import weights


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require(shutil.which("g++"), "building the server needs g++")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBENCH_CACHE_DIR", str(tmp_path_factory.mktemp("server-cache")))
        return toolchain.server(f"{os.uname().machine}-linux-gnu").program


@pytest.fixture(scope="session")
def here() -> Target:
    return targets.load("host")


@pytest.fixture(scope="session")
def net(here: Target, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    from mbench.build import build

    return build.build(VARIANT, here, tmp_path_factory.mktemp("artifacts"))[0]


@pytest.fixture
def server(program: Path, tmp_path: Path) -> Iterator[Serving]:
    folder = tmp_path / "board"
    folder.mkdir()
    with mbench_server(program, "--dir", folder) as started:
        yield started
        started.assert_idle()
        deadline = time.monotonic() + 60
        while list(folder.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(folder.iterdir()) == []  # nothing stays lying there either


@pytest.fixture
def opened(here: Target, tmp_path: Path) -> Iterator[Callable[..., RpcDevice]]:
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()

        def open_one(url: str, *, timeout_s: float = 60.0) -> RpcDevice:
            """Open a device as a run on another machine would, with a lock of its own."""
            locks = tmp_path / f"locks-{next(numbers)}"
            device = RpcDevice(here, url, lock_dir=locks, timeout_s=timeout_s, waiting=lambda _: None)
            stack.callback(device.close)
            return device

        yield open_one
    workers = [child for child in multiprocessing.active_children() if child.name != weights.PROCESS]
    assert workers == []
