"""The whole way, as a user goes it: from the name of a network to a record and a page."""

from __future__ import annotations

import html
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_devices as fakes
import jsonschema
import msgspec
import numpy as np
import pytest
from conftest import require
from running_mbench import PAIR, ROOT, TARGET, artifact_of, finished, keep_peaks, only_record, warm_cache

import mbench
from mbench.analysis import pairs
from mbench.core import artifact, machine_types, record_files, resources
from mbench.core.artifact import Artifact
from mbench.core.records import Record
from mbench.hardware import host, targets
from mbench.networks import architectures, costs, variants

pytestmark = pytest.mark.slow
QUICK = ("--quick", "--repeat", "5")
"""One session: only the pair's run is measured in as many as by default."""
ON_TARGET = ("--target", TARGET, *QUICK)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_cache(tmp_path_factory.getbasetemp())


class Done:
    """A run that has ended: what it printed and what it wrote."""

    def __init__(self, *arguments: str | Path, cache: Path, cwd: Path) -> None:
        self.code, started = finished("run", *arguments, cache=cache, cwd=cwd)
        self.out, self.err = started.out, started.err
        self.folder = cwd / "mbench-results"

    @property
    def record(self) -> Record:
        return record_files.read(only_record(self.folder))

    @property
    def page(self) -> str:
        return only_record(self.folder).with_suffix(".html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pair(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Run both networks with their artifacts from the cache."""
    done = Done(*PAIR, "--target", TARGET, "--repeat", "5", cache=cache, cwd=tmp_path_factory.mktemp("pair"))
    assert done.code == 0, done.err
    return done


# ------------------------------------------------------------------------------------------------------------- record
def test_the_record_is_valid(pair: Done) -> None:
    file = only_record(pair.folder)
    schema = jsonschema.Draft202012Validator(record_files.json_schema())
    schema.validate(json.loads(file.read_bytes()))
    assert file.stat().st_size < 1_000_000
    assert pair.record.run_id == file.stem
    assert pair.record.failures == ()


def test_both_networks_were_measured(pair: Done) -> None:
    record = pair.record
    assert tuple(result.variant.name for result in record.results) == PAIR
    for result in record.results:
        assert result.artifact.cached
        assert result.numerics is not None
        assert result.numerics.passed
        assert result.numerics.max_abs_error != 0  # PyTorch sums in another order: not compared with itself
        assert len(result.sessions) >= 5
        assert {session.samples for session in result.sessions} == {5}
        assert min(result.end_to_end.latency_s or ()) > 0
        assert (result.memory.process_peak_bytes or 0) > 10**7
        assert result.memory.weight_bytes > 10**6


def test_the_layers_are_those_of_the_network(pair: Done) -> None:
    for result in pair.record.results:
        specs = architectures.layers(result.variant)
        assert [layer.name for layer in result.layers] == [spec.name for spec in specs]
        assert [layer.index for layer in result.layers] == list(range(len(result.layers)))
        for layer, spec in zip(result.layers, specs, strict=True):
            assert (layer.op, layer.input_shape, layer.output_shape) == (spec.op, spec.input_shape, spec.output_shape)
            assert len(layer.latency_s or ()) >= 3
            timed = statistics.median(layer.latency_s or ()) > 0  # else the instrument's cost was all of it
            assert (layer.roofline is not None) == (layer.macs > 0 and timed)
        kernels = [kernel for layer in result.layers for kernel in layer.kernel.split(" + ")]
        assert set(kernels) == set(result.artifact.schedules)
        assert result.artifact.fallbacks == {}


def test_the_books_close(pair: Done) -> None:
    for result in pair.record.results:
        books = result.time_balance
        assert books is not None
        parts = (books.layer_sum_s, books.overhead_s, books.unattributed_s)
        rounding_s = 1e-8 * max(map(abs, parts))  # a record keeps nine digits of each
        assert sum(parts) == pytest.approx(books.end_to_end_s, rel=1e-8, abs=rounding_s)
        runs = zip(*(layer.latency_s or () for layer in result.layers), strict=True)
        assert books.end_to_end_s == pytest.approx(pairs.latency_s(result), rel=1e-8)
        assert books.layer_sum_s == pytest.approx(statistics.median(map(sum, runs)), rel=1e-6, abs=1e-12)
        assert books.overhead_s >= 0


def test_every_null_has_its_reason(pair: Done) -> None:
    for result in pair.record.results:
        reasons = {path: pairs.why_missing(result, path) for path in fakes.nulls(result)}
        assert "the record gives no reason" not in reasons.values(), reasons


def test_threads_are_read_back(pair: Done) -> None:
    record = pair.record
    assert {result.end_to_end.threads for result in record.results} == {record.settings.threads}
    assert record.device.calibration is not None
    assert record.device.calibration.threads == record.settings.threads
    for result in record.results:
        assert set(result.end_to_end.affinity or ()) <= os.sched_getaffinity(0)


def test_the_table_and_the_page(pair: Done) -> None:
    for name in PAIR:
        assert any(line.startswith(f"{name} ") for line in pair.out.splitlines())
        assert name in html.unescape(pair.page)
    assert max(map(len, pair.out.splitlines())) <= 80
    assert "\x1b" not in pair.out + pair.err
    file = only_record(pair.folder)
    assert pair.err.splitlines()[-2:] == [
        f"record  {file.relative_to(pair.folder.parent)}",
        f"page    {file.with_suffix('.html').relative_to(pair.folder.parent)}",
    ]


def test_the_results_can_be_loaded(pair: Done) -> None:
    frame = mbench.load(pair.folder)
    assert set(frame["variant"]) == set(PAIR)
    layers = frame[frame["scope"] == "layer"]
    assert len(layers) == sum(len(result.layers) for result in pair.record.results)


# ------------------------------------------------------------------------------------------------------------ settings
def test_json_is_the_record(cache: Path, tmp_path: Path) -> None:
    done = Done(PAIR[0], *ON_TARGET, "--json", cache=cache, cwd=tmp_path)
    assert done.code == 0
    assert done.out.isascii(), "a text may have signs that a file has as they are"
    assert json.loads(done.out) == json.loads(only_record(done.folder).read_bytes())


def test_batch_and_one_thread(cache: Path, tmp_path: Path) -> None:
    done = Done(PAIR[0], *ON_TARGET, "--batch", "3", "--threads", "1", cache=cache, cwd=tmp_path)
    assert done.code == 0, done.err
    [result] = done.record.results
    assert result.variant.batch == 3
    assert result.end_to_end.threads == 1
    assert {layer.output_shape[0] for layer in result.layers} == {3}
    assert sum(layer.macs for layer in result.layers) == 3 * macs_of(PAIR[0])


def macs_of(name: str) -> int:
    return sum(costs.of_layer(spec).macs for spec in architectures.layers(variants.parse(name)))


def test_two_threads(cache: Path, tmp_path: Path) -> None:
    require((host.describe().processors_usable or 1) >= 2, "two processors")
    own = copy_of(cache, tmp_path / "cache")  # its kernels are cut for two threads: another artifact
    done = Done(PAIR[0], *ON_TARGET, "--threads", "2", cache=own, cwd=tmp_path)
    assert done.code == 0, done.err
    assert {result.end_to_end.threads for result in done.record.results} == {2}


def test_the_host_as_target(cache: Path, tmp_path: Path) -> None:
    done = Done(PAIR[0], *QUICK, cache=cache, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.record.target.name == "host"


@pytest.mark.parametrize("level", ["x86_64_v3", "x86_64_v4"])
def test_levels_of_x86(cache: Path, tmp_path: Path, level: str) -> None:
    require(platform.machine() == "x86_64", "an x86-64 machine")
    target = targets.load(level)
    done = Done(PAIR[0], "--target", level, *QUICK, cache=cache, cwd=tmp_path)
    lacking = set(target.processor.requires) - set(host.describe().features)
    if lacking:
        assert done.code == 2
        assert all(feature in done.err for feature in lacking)
        assert "--compile-only" in done.err
        assert not done.folder.exists()
    else:
        assert done.code == 0, done.err
        assert done.record.target.name == level
        assert done.record.results[0].end_to_end.latency_s


# -------------------------------------------------------------------------------------------------------- compile only
COMPILED_ONLY = {"arm64": "aarch64-linux-gnu-g++", "cuda_sm80": "nvcc"}


@pytest.mark.parametrize("target", COMPILED_ONLY)
def test_compiled_for_another_machine(cache: Path, tmp_path: Path, target: str) -> None:
    require(shutil.which(COMPILED_ONLY[target]), f"{COMPILED_ONLY[target]} on PATH")
    done = Done(PAIR[0], "--target", target, "--compile-only", cache=cache, cwd=tmp_path)
    assert done.code == 0, done.err
    record = done.record
    assert record.device.kind == "none"
    assert record.device.missing
    jsonschema.Draft202012Validator(record_files.json_schema()).validate(json.loads(record_files.encode(record)))
    [result] = record.results
    assert result.end_to_end.latency_s is None
    assert all(layer.latency_s is None for layer in result.layers)
    assert all(layer.energy_j for layer in result.layers if layer.macs)
    assert result.artifact.library_bytes > 10**5
    reasons = {path: pairs.why_missing(result, path) for path in fakes.nulls(result)}
    assert "the record gives no reason" not in reasons.values(), reasons
    assert "--compile-only" in reasons["end_to_end.latency_s"]
    assert "--compile-only" in html.unescape(done.page)
    assert "--compile-only" in done.out


# --------------------------------------------------------------------------------------------------------------- cache
def copy_of(cache: Path, copy: Path) -> Path:
    shutil.copytree(cache, copy, ignore=shutil.ignore_patterns("*.lock"))
    return copy


def test_without_cache_it_is_built_anew(cache: Path, tmp_path: Path) -> None:
    own = copy_of(cache, tmp_path / "cache")
    before = artifact_of(own, PAIR[0]).library.stat().st_ino
    done = Done(PAIR[0], *ON_TARGET, "--no-cache", cache=own, cwd=tmp_path)
    assert done.code == 0, done.err
    assert not done.record.results[0].artifact.cached
    assert artifact_of(own, PAIR[0]).library.stat().st_ino != before
    assert "machine: calibrating" in done.err


def test_a_damaged_library_is_built_again(cache: Path, tmp_path: Path) -> None:
    own = copy_of(cache, tmp_path / "cache")
    library = artifact_of(own, PAIR[0]).library
    damaged = bytearray(library.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    library.write_bytes(damaged)
    done = Done(*PAIR, *ON_TARGET, cache=own, cwd=tmp_path)
    assert done.code == 0, done.err
    assert [result.artifact.cached for result in done.record.results] == [False, True]
    assert all(result.numerics and result.numerics.passed for result in done.record.results)


def spoil(built: Artifact, factor: float) -> None:
    """Make the expected output another, and seal the artifact again, as if its kernels were wrong."""
    with np.load(built.reference) as found:
        arrays = dict(found)
    arrays["output"] = (arrays["output"] * factor).astype("float32")
    np.savez(built.reference, **arrays)
    hashes = {**built.manifest.files, artifact.REFERENCE: artifact._sha256(built.reference)}
    manifest = msgspec.structs.replace(built.manifest, files=hashes)
    sealed = msgspec.structs.replace(
        manifest, files={**hashes, artifact.MANIFEST: artifact._seal(msgspec.to_builtins(manifest))}
    )
    (built.folder / artifact.MANIFEST).write_bytes(msgspec.json.encode(sealed))
    assert artifact.load(built.folder)


def test_a_wrong_network_is_found_out(cache: Path, tmp_path: Path) -> None:
    own = copy_of(cache, tmp_path / "cache")
    spoil(artifact_of(own, PAIR[0]), 1.01)
    done = Done(*PAIR, *ON_TARGET, cache=own, cwd=tmp_path)
    assert done.code == 4
    wrong, fine = done.record.results
    assert wrong.numerics is not None
    assert not wrong.numerics.passed
    assert wrong.numerics.max_rel_error == pytest.approx(0.01, rel=0.02)
    assert (wrong.end_to_end.latency_s, wrong.time_balance) == (None, None)
    assert fine.numerics is not None
    assert fine.numerics.passed
    assert fine.end_to_end.latency_s
    [failure] = done.record.failures
    assert (failure.variant, failure.stage) == (PAIR[0], "checking")
    assert "wrong result" in failure.reason
    assert "WRONG" in done.out
    assert f"{PAIR[0]}: failed" in done.err


# -------------------------------------------------------------------------------------------------------- from a script
def test_a_script_without_a_guard_measures(cache: Path, tmp_path: Path) -> None:
    """Children build and measure; they start by `spawn`, which runs a script again unless it is kept from it."""
    own = copy_of(cache, tmp_path / "cache")
    shutil.rmtree(own / "artifacts")
    script = tmp_path / "script.py"
    script.write_text(
        "import mbench\n"
        "asked = mbench.RunOptions(repeat=3, quick=True, use_tuned=False)\n"
        f"record = mbench.run({PAIR[0]!r}, target={TARGET!r}, options=asked)\n"
        "assert not record.failures, record.failures\n"
        "print(record.run_id, len(record.results[0].end_to_end.latency_s))\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MBENCH_CACHE_DIR": str(own)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run_id, samples = done.stdout.split()
    assert samples == "3"
    assert mbench.read(tmp_path / "mbench-results" / f"{run_id}.json").run_id == run_id


# ------------------------------------------------------------------------------------------------ a target of one's own
def own_target(folder: Path, **replaced: str) -> Path:
    """Describe this machine as somebody else's target; `replaced` are lines of the description, by key."""
    require(platform.machine() == "x86_64", "an x86-64 machine")
    name = "my_board"
    text = (resources.data_dir("targets") / "x86_64_v2" / "target.toml").read_text()
    text = re.sub(r"^name = .*$", f'name = "{name}"', text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^aliases = .*$", "", text, count=1, flags=re.MULTILINE)
    for key, value in replaced.items():
        text, count = re.subn(rf'\b{key} = "[^"]*"', f'{key} = "{value}"', text)
        assert count == 1, (key, count)
    (folder / name).mkdir(parents=True)
    (folder / name / "target.toml").write_text(text)
    return folder


def test_a_target_of_ones_own(cache: Path, tmp_path: Path) -> None:
    folder = own_target(tmp_path / "targets")
    done = Done(PAIR[0], "--targets", folder, "--target", "my_board", *QUICK, cache=cache, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.record.target.name == "my_board"


def test_a_processor_that_llvm_does_not_know(cache: Path, tmp_path: Path) -> None:
    folder = own_target(tmp_path / "targets", mcpu="haswel")
    done = Done(*PAIR, "--targets", folder, "--target", "my_board", *QUICK, cache=cache, cwd=tmp_path)
    assert done.code == 2
    [line] = [line for line in done.err.splitlines() if line.startswith("mbench: ")]
    assert "'haswel'" in line
    assert "did you mean 'haswell'?" in line
    assert line == done.err.splitlines()[-1]
    assert list(done.folder.iterdir()) == []


def test_one_run_after_the_other_in_one_folder(cache: Path, tmp_path: Path) -> None:
    for _ in range(2):
        code, started = finished("run", PAIR[0], *ON_TARGET, cache=cache, cwd=tmp_path)
        assert code == 0, started.err
    assert len(list((tmp_path / "mbench-results").glob("*.json"))) == 2
    assert set(mbench.load(tmp_path / "mbench-results")["variant"]) == {PAIR[0]}


def test_what_the_cache_keeps_is_found_again(pair: Done, cache: Path, tmp_path: Path) -> None:
    """The peaks that these tests put into the cache are those that a run takes."""
    assert "machine: calibrating" not in pair.err
    copy = copy_of(cache, tmp_path / "cache")
    shutil.rmtree(copy / "calibrations")
    keep_peaks(copy, pair.record)
    [kept] = (copy / "calibrations").iterdir()
    read: Any = msgspec.json.decode(kept.read_bytes(), type=machine_types.Calibration)
    assert read == pair.record.device.calibration
