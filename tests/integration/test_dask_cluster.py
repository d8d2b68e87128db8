"""Builds and counts on real clusters of Dask: a scheduler and workers in processes of their own, on loopback."""

from __future__ import annotations

import http.server
import importlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import imported_networks
import psutil
import pytest
from conftest import require
from dask_clusters import Cluster, cluster, until
from running_mbench import PAIR, TARGET, artifact_of, running

import mbench
from mbench.build import builders, carried, dask_cluster, places
from mbench.build.builders import Build
from mbench.core.artifact import LIBRARY
from mbench.core.errors import UsageError
from mbench.core.records import Failure, Variant
from mbench.core.run_options import RunOptions
from mbench.hardware import targets
from mbench.networks import variants

pytestmark = pytest.mark.slow
NAMES = PAIR
FAKE: Any = {"MBENCH_TEST_BUILDS": "fake"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this process a cache of its own: what is in it came from the workers."""
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster whose two workers compile, as users have them: below nannies."""
    with cluster(tmp_path_factory.mktemp("true")) as made:
        for _ in range(2):
            made.worker(nanny=True)
        made.ready()
        yield made


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Cluster]:
    """Return a cluster without workers, which gives an order to one more worker than the first."""
    with cluster(
        tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1", DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="3s"
    ) as made:
        yield made


def build(
    url: str, wanted: Sequence[Variant], timeout_s: float = 300.0, said: list[str] | None = None
) -> dict[str, Build]:
    notes = [] if said is None else said
    with places.opened(url, notes.append) as place:
        return place.build_all(
            wanted, targets.load(TARGET), lambda *_: None, use_cache=True, timeout_s=timeout_s, note=notes.append
        )


def parsed(*names: str) -> list[Variant]:
    return [variants.parse(name) for name in names]


def digests(built: dict[str, Build]) -> dict[str, tuple[str, str]]:
    for one in built.values():
        assert not isinstance(one, Failure), one
    return {name: (one[0].manifest.digest, one[0].manifest.files[LIBRARY]) for name, one in built.items()}  # type: ignore[index]


def reason(built: dict[str, Build], name: str = NAMES[0]) -> str:
    failed = built[name]
    assert isinstance(failed, Failure)
    assert "\n" not in failed.reason
    return failed.reason


# --------------------------------------------------------------------------------------------------------- same results
def test_a_cluster_builds_what_this_machine_builds(true: Cluster, tmp_path: Path) -> None:
    code_out = tmp_path / "out"
    arguments = ("run", *NAMES, "--target", TARGET, "--compile-only", "--output", code_out, "--executor", true.url)
    with running(*arguments, cache=tmp_path / "cache", cwd=tmp_path) as started:
        assert started.end() == 0, started.err
    assert f"cluster {true.url}: 2 workers, 2 tasks side by side" in started.err
    assert "Traceback" not in started.err
    assert [line for line in started.lines if "distributed" in line] == []
    with running(*arguments[:-1], "local:2", cache=tmp_path / "local", cwd=tmp_path) as started:
        assert started.end() == 0, started.err
    for name in NAMES:
        there, here = (artifact_of(tmp_path / each, name).manifest for each in ("cache", "local"))
        assert (there.digest, there.files[LIBRARY]) == (here.digest, here.files[LIBRARY])


def test_counts_and_networks_of_the_user_travel_by_content(true: Cluster, tmp_path: Path) -> None:
    require(shutil.which("qemu-x86_64"), "QEMU for x86-64")
    network = imported_networks.kept()
    options = RunOptions(device="emulated", output=tmp_path / "out", sessions=1)
    notes: list[str] = []
    built = build(true.url, [network], said=notes)
    assert len(digests(built)) == 1
    counted = [
        mbench.run(NAMES[0], target=TARGET, options=options, executor=executor).results[0]
        for executor in (true.url, "local:1")
    ]
    first, second = ([layer.counters for layer in result.layers] for result in counted)
    assert first == second
    assert any(first)
    assert counted[0].artifact.digest == counted[1].artifact.digest


def test_ctrl_c_ends_what_runs_on_a_worker(empty: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "pid"
    empty.worker(MBENCH_TEST_BUILDS="hang", MBENCH_TEST_LOG=str(log))
    empty.ready()
    arguments = ("run", NAMES[0], "--target", TARGET, "--compile-only", "--executor", empty.url)
    with running(*arguments, cache=tmp_path / "cache", cwd=tmp_path) as started:
        pid = int(until(lambda: log.exists() and log.read_text(), lambda: started.err))
        started.send(signal.SIGINT, group=True)
        assert started.end() == 130, started.err
    assert "Traceback" not in started.err
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")
    assert empty.workers[0].process.poll() is None


# -------------------------------------------------------------------------------------------------------------- trouble
def test_what_a_dead_worker_had_is_done_elsewhere(empty: Cluster, tmp_path: Path) -> None:
    once = str(tmp_path / "once")
    for _ in range(2):
        empty.worker(MBENCH_TEST_BUILDS="worker dies", MBENCH_TEST_ONCE=once)
    empty.ready()
    built = build(empty.url, parsed(*NAMES))
    assert len(digests(built)) == 2
    assert sorted(worker.process.poll() is None for worker in empty.workers) == [False, True]


def test_a_build_that_kills_workers_is_tried_a_bounded_number_of_times(empty: Cluster) -> None:
    for _ in range(5):
        empty.worker(MBENCH_TEST_BUILDS="worker dies")
    empty.ready()
    said = reason(build(empty.url, parsed(NAMES[0])))
    assert "worker tcp://127.0.0.1:" in said
    assert "died while it had this to do, the last of 2 that did; out of memory?" in said
    alive = sum(worker.process.poll() is None for worker in empty.workers)
    assert alive == 5 - 2 * carried.LOST_TRIES


def test_a_build_that_dies_or_hangs_is_tried_elsewhere(empty: Cluster) -> None:
    first = empty.worker(MBENCH_TEST_BUILDS="die")
    [address] = empty.ready()
    said = reason(build(empty.url, parsed(NAMES[0])))
    assert said.startswith(f"worker {address}: {builders.DIED}")
    empty.worker(**FAKE)
    empty.ready()
    assert len(digests(build(empty.url, parsed(*NAMES)))) == 2
    empty.workers.pop().end()
    first.end()
    empty.workers.clear()
    until(lambda: empty.scheduler.said.count("Remove worker") == 2)
    empty.worker(MBENCH_TEST_BUILDS="hang")
    [address] = empty.ready()
    other = "mobilenet_v1_0.5_32"  # which is not here yet
    said = reason(build(empty.url, parsed(other), timeout_s=1.0), other)
    assert said.startswith(f"worker {address}: the build was stopped: it took more than 1 s")


def test_a_worker_that_hangs_is_dead_to_the_scheduler(
    empty: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "_LOOK_S", 0.0)  # else the other worker may be done before anybody looks
    log = tmp_path / "pid"
    hung = empty.worker(MBENCH_TEST_BUILDS="hang", MBENCH_TEST_LOG=str(log))
    empty.ready()
    found: list[dict[str, Build]] = []
    notes: list[str] = []
    work = threading.Thread(target=lambda: found.append(build(empty.url, parsed(NAMES[0]), said=notes)))
    work.start()
    until(lambda: log.exists() and log.read_text())
    hung.process.send_signal(signal.SIGSTOP)
    empty.worker(**FAKE)
    work.join(120)
    assert len(digests(found[0])) == 1
    assert any("gone: tcp://127.0.0.1:" in note for note in notes), notes


def test_a_full_disk_of_a_worker_is_named(empty: Cluster, tmp_path: Path) -> None:
    require(os.geteuid() == 0 and shutil.which("mount"), "root, to mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False)
    require(done.returncode == 0, "the right to mount a small file system")
    try:
        (disk / "filler").write_bytes(b"x" * 60_000)
        empty.worker(cache=disk, **FAKE)
        [address] = empty.ready()
        said = reason(build(empty.url, parsed(NAMES[0])))
    finally:
        empty.close()
        subprocess.run(["umount", str(disk)], check=True)
    assert said.startswith(f"worker {address}: artifacts cannot be written to {disk}")
    assert "No space left on device" in said


def hanging(empty: Cluster, tmp_path: Path) -> tuple[list[dict[str, Build]], threading.Thread]:
    """Return what a build on a worker where it hangs comes to once the thread ends; it is under way."""
    log = tmp_path / "pid"
    empty.worker(MBENCH_TEST_BUILDS="hang", MBENCH_TEST_LOG=str(log))
    empty.ready()
    found: list[dict[str, Build]] = []
    work = threading.Thread(target=lambda: found.append(build(empty.url, parsed(NAMES[0]))))
    work.start()
    until(lambda: log.exists() and log.read_text())
    return found, work


def test_a_scheduler_that_goes_away_is_named(empty: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 2.0)
    found, work = hanging(empty, tmp_path)
    empty.scheduler.end()
    work.join(120)
    assert empty.url in reason(found[0])


def test_a_worker_that_loses_its_scheduler_ends_its_builds(empty: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "pid"
    empty.worker(MBENCH_TEST_BUILDS="hang", MBENCH_TEST_LOG=str(log))
    empty.ready()
    with running(
        "run", NAMES[0], "--target", TARGET, "--compile-only", "--executor", empty.url, cache=tmp_path, cwd=tmp_path
    ) as started:
        pid = int(until(lambda: log.exists() and log.read_text(), lambda: started.err))
        started.send(signal.SIGINT, group=True)
        empty.scheduler.end()
        assert started.end() == 130, started.err
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def test_a_scheduler_that_hangs_is_given_up(empty: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"CONNECT_S": 1.0, "SILENCE_S": 1.0, "_LOOK_S": 0.2}.items():
        monkeypatch.setattr(dask_cluster, name, seconds)
    found, work = hanging(empty, tmp_path)
    empty.scheduler.process.send_signal(signal.SIGSTOP)
    work.join(120)
    assert reason(found[0]) == f"the scheduler {empty.url} has not answered for 1 s"


def test_without_a_worker_the_work_waits_and_is_given_up(empty: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(dask_cluster, "NO_WORKER_S", 1.0)
    monkeypatch.setattr(dask_cluster, "_LOOK_S", 0.2)
    said = reason(build(empty.url, parsed(NAMES[0]), said=notes))
    assert said == f"the cluster {empty.url} has had no worker for 1 s"
    assert notes == [f"cluster {empty.url}: no worker; the work waits for one"]


# ------------------------------------------------------------------------------------------------------------- refusals
def refused(url: str) -> str:
    with pytest.raises(UsageError) as caught, places.opened(url, lambda _: None):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_workers_with_other_versions_are_refused(empty: Cluster) -> None:
    wrong = empty.worker(MBENCH_TEST_VERSIONS="torch=9.9")
    [address] = empty.ready()
    said = refused(empty.url)
    assert f"worker {address} has torch 9.9, expected " in said
    assert said.endswith("install the same versions everywhere")
    wrong.end()
    empty.workers.clear()
    until(lambda: "Remove worker" in empty.scheduler.said)
    empty.worker(MBENCH_TEST_HIDDEN="mbench")
    [address] = empty.ready()
    assert f"worker {address} has no mbench, expected {mbench.__version__}" in refused(empty.url)


def test_a_worker_that_comes_later_is_checked_too(empty: Cluster) -> None:
    found: list[dict[str, Build]] = []
    notes: list[str] = []
    work = threading.Thread(target=lambda: found.append(build(empty.url, parsed(NAMES[0]), said=notes)))
    work.start()
    until(lambda: notes)
    empty.worker(MBENCH_TEST_VERSIONS="numpy=0.1")
    [address] = empty.ready()
    work.join(120)
    assert reason(found[0]).startswith(f"worker {address}: numpy 0.1, expected ")


def test_a_scheduler_of_another_version_is_refused(tmp_path: Path) -> None:
    with cluster(tmp_path, MBENCH_TEST_VERSIONS="distributed=2020.1.0") as old:
        assert "the scheduler has distributed 2020.1.0, expected 20" in refused(old.url)


def test_a_worker_that_is_silent_at_the_start_is_named(empty: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "CHECK_S", 2.0)
    empty.worker(**FAKE)
    empty.worker(**FAKE)
    address = empty.ready()[1]
    empty.workers[1].process.send_signal(signal.SIGSTOP)
    said = refused(empty.url)
    assert f"worker {address}, the one heard of least recently, does not answer within 2 s" in said


def test_what_dask_logs_is_as_it_was_afterwards(empty: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    importlib.import_module("distributed")  # which sets levels, once
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.core", "tornado", "asyncio")]
    before = [(logger.level, list(logger.filters)) for logger in loggers]
    filters = list(warnings.filters)
    with places.opened(empty.url, lambda _: None), places.opened(empty.url, lambda _: None):
        for logger in loggers:
            logger.addHandler(caplog.handler)
            logger.error("between ours")
        assert caplog.messages == []
    for logger in loggers:
        logger.error("heard")
        logger.removeHandler(caplog.handler)
    assert "heard" in caplog.messages
    assert [(logger.level, list(logger.filters)) for logger in loggers] == before
    assert warnings.filters == filters


def test_the_port_of_a_worker_is_no_schedulers(empty: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 1.0)
    empty.worker(**FAKE)
    [address] = empty.ready()
    url = address.replace("tcp://", "dask://")
    assert refused(url).startswith(f"--executor {url}: what listens there is no scheduler of Dask: ")


def test_no_scheduler_and_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 0.7)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"dask://127.0.0.1:{silent.getsockname()[1]}"
        assert refused(url).startswith(f"--executor {url}: what listens there is no scheduler of Dask: ")
    said = refused(url)
    assert said.startswith(
        f"--executor {url}: no scheduler answers: Connection refused; start one with 'dask scheduler'"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"dask://127.0.0.1:{web.server_address[1]}"
        assert refused(url).startswith(f"--executor {url}: what listens there is no scheduler of Dask: ")
        web.shutdown()
    url = f"dask://{'h' * 70}:1"
    assert refused(url).startswith(f"--executor {url}: no scheduler answers: ")


# -------------------------------------------------------------------------------------------------------- shared folder
def test_artifacts_lie_in_a_shared_folder(empty: Cluster, tmp_path: Path, cache: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    empty.worker(**FAKE)
    empty.ready()
    built = build(f"{empty.url}?shared={shared}", parsed(NAMES[0]))
    [(digest, _)] = digests(built).values()
    assert [each.name for each in (shared / "artifacts").iterdir()] == [digest]
    assert [each.name for each in shared.iterdir()] == ["artifacts"], "no token is left"
    assert not (cache / "artifacts").exists()


def test_a_shared_folder_that_is_not_shared_is_named(empty: Cluster, tmp_path: Path) -> None:
    require(os.geteuid() == 0 and shutil.which("unshare"), "root, for a worker that sees another folder")
    shared = tmp_path / "shared"
    shared.mkdir()
    hide = f'mount -t tmpfs tmpfs {shared} && exec "$@"'
    empty.worker(prefix=("unshare", "-m", "sh", "-c", hide, "sh"), **FAKE)
    [address] = empty.ready()
    said = refused(f"{empty.url}?shared={shared}")
    assert f"the folder {shared} is not shared with worker {address}: it does not find there" in said
    assert said.endswith("mount it there under the same path, or leave out ?shared=")


# ------------------------------------------------------------------------------------------------------------------ TLS
def test_a_cluster_with_certificates(tmp_path: Path) -> None:
    require(shutil.which("openssl"), "openssl")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mbench", "-keyout",
         "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    own = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(tmp_path / "cert.pem"),
           "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}  # fmt: skip
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        own[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(tmp_path / "cert.pem")
        own[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(tmp_path / "key.pem")
    with cluster(tmp_path / "tls", "--protocol", "tls", scheme="dask+tls", **own) as made:
        made._options = ()
        made.worker(**FAKE)
        made.ready()
        arguments = ("run", NAMES[0], "--target", TARGET, "--compile-only", "--executor", made.url)
        with running(*arguments, cache=tmp_path / "cache", cwd=tmp_path, **own) as started:
            assert started.end() == 0, started.err
        said = refused(made.url)
        assert "certificates in Dask's configuration" in said
    assert "not encrypted" not in started.err
