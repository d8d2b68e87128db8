"""Where a run takes place, by what the machine can do; everything else of the options is tested through the command."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mbench.core import labels, record_files, resources
from mbench.core.errors import UsageError
from mbench.core.machine_types import Host
from mbench.core.run_options import RunOptions, TuneOptions
from mbench.devices import emulation, registry
from mbench.hardware import host, targets
from mbench.networks import families, variants
from mbench.networks.family import Family
from mbench.pipeline import options, runner
from mbench.pipeline.job import Job


def machine(architecture: str, *features: str) -> Host:
    return msgspec.structs.replace(
        host.describe(), architecture=architecture, features=features, processors_usable=4, cores_usable=4,
        processors_quota=None,
    )  # fmt: skip


ARM = machine("aarch64", "asimd", "crc32")
X86 = machine("x86_64", "cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3")


@pytest.fixture(autouse=True)
def everything_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(emulation, "check", lambda _: None)
    monkeypatch.setattr("mbench.hardware.linker.find", lambda *_, **__: ("c++",))
    monkeypatch.setenv("MBENCH_CONFIG_DIR", str(tmp_path))


def job(given: Host, target: str, **changes: Any) -> Job:
    asked = RunOptions(**{"output": Path("out"), "use_tuned": False, **changes})
    return options.new_job(("mobilenet_v1_0.25_32",), target, given, asked)


def test_arm64_runs_natively_on_arm64() -> None:
    made = job(ARM, "arm64")
    assert (made.device, made.settings.threads, made.counted) == ("local", 4, None)


def test_arm64_is_emulated_elsewhere_on_one_thread() -> None:
    made = job(X86, "arm64")
    assert (made.device, made.settings.threads) == ("emulated", 1)


def test_an_arm64_machine_without_the_instructions_emulates() -> None:
    assert job(ARM, "arm64_cortex_a76").device == "emulated"


def test_an_x86_machine_without_the_instructions_emulates() -> None:
    assert job(X86, "x86_64_v2").device == "local"
    assert job(X86, "x86_64_v3").device == "emulated"
    with pytest.raises(UsageError, match=r"lacks .*avx512f.*--compile-only"):
        job(X86, "x86_64_v4")  # which cannot be emulated either


def test_counts_beside_a_measurement_are_of_the_architectures_common_level() -> None:
    on_arm, on_x86 = job(ARM, "arm64", counts=True), job(X86, "x86_64_v2", counts=True)
    assert on_arm.counted is not None
    assert on_x86.counted is not None
    assert (on_arm.counted.name, on_x86.counted.name) == ("arm64_cortex_a72", "x86_64_v3")
    assert job(X86, "arm64", counts=True).counted is None  # counts anyway


def test_on_a_board_its_own_target_is_counted() -> None:
    registry.add("board", registry.NamedDevice(rpc="127.0.0.1:9090"))
    made = job(X86, "arm64_cortex_a53", device="board", counts=True)
    assert (made.device, made.device_name, made.address) == ("rpc", "board", "rpc://127.0.0.1:9090")
    assert made.counted is not None
    assert made.counted.name == "arm64_cortex_a53"


def standard(*networks: str, **changes: Any) -> Job:
    asked = RunOptions(**{"output": Path("out"), "use_tuned": False, "standard": True, **changes})
    return options.new_job(networks, "x86_64_v2", X86, asked)


def test_standard_adds_the_twin_of_each_network() -> None:
    names = ("mobilenet_v1_0.25_32", "mobilenet_v2_0.35_96")
    made = standard(*names)
    assert made.settings.variants == (names[0], f"{names[0]}_standard", names[1], f"{names[1]}_standard")
    assert made.notes == ()
    assert job(X86, "x86_64_v2").settings.variants == names[:1]


def test_a_twin_is_there_once() -> None:
    name = "mobilenet_v1_0.25_32"
    assert standard(f"{name}_standard").settings.variants == (f"{name}_standard",)
    assert standard(f"{name}_standard", name, name).settings.variants == (f"{name}_standard", name)
    assert standard(name, f"{name}_standard", name).settings.variants == (name, f"{name}_standard")
    assert standard().settings.variants == ("mobilenet_v1_1.0_224", "mobilenet_v1_1.0_224_standard")


def test_twins_at_several_batches() -> None:
    name = "mobilenet_v1_0.25_32"
    assert standard(f"{name}_b4").settings.variants == (f"{name}_b4", f"{name}_standard_b4")
    expected = (f"{name}_b1", f"{name}_standard_b1", f"{name}_b8", f"{name}_standard_b8")
    assert standard(name, batch=(1, 8)).settings.variants == expected


def test_a_network_without_depthwise_convolutions_has_no_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Family(title="Plain", blocks="cn_k3_s2_c8 cn_k3_s2_c16 pool fc_c10")
    monkeypatch.setitem(families.FAMILIES, "plain", plain)
    made = standard("plain_1.0_32", "mobilenet_v1_0.25_32")
    assert made.settings.variants == ("plain_1.0_32", "mobilenet_v1_0.25_32", "mobilenet_v1_0.25_32_standard")
    assert made.notes == ("--standard: plain_1.0_32: it has no depthwise convolution, so it has no standard twin",)
    assert variants.parse("plain_1.0_32").convolution is None
    assert variants.paired_with(variants.parse("plain_1.0_32")) is None
    with pytest.raises(UsageError, match=r"plain_1\.0_32_standard.*no depthwise convolution, so no standard twin"):
        variants.parse("plain_1.0_32_standard")


def test_more_networks_with_their_twins_than_a_run_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "MOST_VARIANTS", 3)
    standard("mobilenet_v1_0.25_32")
    with pytest.raises(UsageError, match="more than 3 variants"):
        standard("mobilenet_v1_0.25_{32,64}")


def test_several_batches_are_one_run() -> None:
    made = job(X86, "x86_64_v2", batch=(1, 64))
    assert made.settings.variants == ("mobilenet_v1_0.25_32_b1", "mobilenet_v1_0.25_32_b64")
    assert job(X86, "x86_64_v2", batch=64).settings.variants == ("mobilenet_v1_0.25_32",)
    assert job(X86, "x86_64_v2", batch=64).settings.batch == 64


def test_a_gpu_is_launched_on_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mbench.hardware.gpus.no_compiling", lambda _: "")
    monkeypatch.setattr("mbench.hardware.gpus.no_measuring", lambda _: "")
    made = job(X86, "cuda_sm90")
    assert (made.device, made.settings.threads) == ("local", 1)
    with pytest.raises(UsageError, match="--threads 2 is out of range; expected 1 to 1"):
        job(X86, "cuda_sm90", threads=2)
    with pytest.raises(UsageError, match="only CPUs' code can be counted"):
        job(X86, "cuda_sm90", counts=True)


def test_a_gpu_that_cannot_be_measured_says_why_and_what_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mbench.hardware.gpus.no_compiling", lambda _: "")
    monkeypatch.setattr("mbench.hardware.gpus.no_measuring", lambda _: "compile only: no driver")
    with pytest.raises(UsageError, match="no driver; add --compile-only to record what is known without running"):
        job(X86, "cuda_sm90")
    assert job(X86, "cuda_sm90", compile_only=True).device == "none"
    monkeypatch.setattr("mbench.hardware.gpus.no_compiling", lambda _: "no nvcc")
    with pytest.raises(UsageError, match=r"^target 'cuda_sm90': no nvcc$"):
        job(X86, "cuda_sm90", compile_only=True)


def test_a_build_has_a_limit_of_its_own(tmp_path: Path) -> None:
    asked = RunOptions(output=tmp_path, use_tuned=False, timeout_s=7, build_timeout_s=90)
    job = options.new_job((), "x86_64_v2", X86, asked)
    assert (job.build_timeout_s, job.settings.timeout_s) == (90.0, 7.0)


@pytest.mark.parametrize(
    "place", ["out", "out/run.artifacts", "cache", "cache/artifacts", "cache/hosts", "temporary", "tuned"]
)
@pytest.mark.parametrize("command", ["run", "tune"])
def test_a_start_removes_what_killed_processes_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str, command: str
) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path / "tuned"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    left = [tmp_path / place / ".mbench-scratch-abcdefgh", tmp_path / place / f".mbench-lock-{16 * '0'}"]
    left[0].mkdir(parents=True)
    left[1].write_text("1")
    (tmp_path / "temporary").mkdir(exist_ok=True)
    if command == "run":
        options.prepare(tmp_path / "out", "--output")
    else:
        options.prepare_tuning(tmp_path / "tuned")
    there = command == "tune" and place.startswith("out")  # it does not know that folder
    assert [path.exists() for path in left] == [there, there]


# ------------------------------------------------------------------------------------------------- a processor quota
def limited(quota: float) -> Host:
    return msgspec.structs.replace(X86, processors_quota=quota)


HELD_BACK = "the quota of {} processors will hold back {}, and times will be longer; see 'mbench doctor'"


@pytest.mark.parametrize(("quota", "threads"), [(1.5, 1), (2.0, 2), (3.9, 3), (4.0, 4), (16.0, 4)])
def test_a_run_has_no_more_threads_than_the_quota_keeps_running(quota: float, threads: int) -> None:
    made = job(limited(quota), "x86_64_v2")
    assert (made.settings.threads, made.notes) == (threads, ())


def test_more_threads_than_the_quota_keeps_running_are_noted_once() -> None:
    made = job(limited(1.5), "x86_64_v2", threads=4)
    assert (made.settings.threads, made.notes) == (4, (HELD_BACK.format("1.5", "4 threads"),))
    assert job(limited(4.0), "x86_64_v2", threads=4).notes == ()
    with pytest.raises(UsageError, match="--threads 5 is out of range; expected 1 to 4"):
        job(limited(16.0), "x86_64_v2", threads=5)


def test_a_quota_of_less_than_a_processor_is_noted_for_one_thread_too() -> None:
    made = job(limited(0.5), "x86_64_v2")
    assert (made.settings.threads, made.notes) == (1, (HELD_BACK.format("0.5", "1 thread"),))


@pytest.mark.parametrize(
    "changes", [{"compile_only": True}, {"device": "emulated"}, {"device": "rpc://127.0.0.1:9090"}]
)
def test_where_this_machine_times_nothing_its_quota_is_not_noted(changes: dict[str, Any]) -> None:
    assert job(limited(0.5), "x86_64_v2", **changes).notes == ()


def test_a_resumed_run_keeps_its_threads_and_is_noted(tmp_path: Path) -> None:
    record_files.write(tmp_path / "run.json", runner.begun(job(X86, "x86_64_v2", threads=4)))
    given: dict[str, Any] = {"use_cache": True, "build_timeout_s": 60.0}
    resumed = options.resumed_job(tmp_path / "run.json", limited(1.5), **given)
    assert (resumed.settings.threads, resumed.notes) == (4, (HELD_BACK.format("1.5", "4 threads"),))
    assert options.resumed_job(tmp_path / "run.json", X86, **given).notes == ()


@pytest.mark.parametrize(("quota", "threads"), [(0.5, 1), (2.5, 2), (16.0, 4)])
def test_tuning_has_no_more_threads_than_the_quota_keeps_running(
    quota: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "resolve_target", lambda *_: targets.load("x86_64_v2"))
    made = options.tuning_job(("mobilenet_v1_0.25_32",), "x86_64_v2", limited(quota), TuneOptions())
    assert made.threads == threads


# ----------------------------------------------------------------------------------------- what a record says was asked
def test_settings_hold_what_repeats_the_command() -> None:
    plain = job(X86, "x86_64_v2").settings
    assert (plain.repeat_asked, plain.no_tuned, plain.target_folders) == (False, True, ())
    asked = job(X86, "x86_64_v2", repeat=20, use_tuned=True).settings
    assert (asked.repeat_asked, asked.repeat, asked.no_tuned) == (True, 20, False)


def test_added_folders_of_targets_are_recorded(tmp_path: Path) -> None:
    own = tmp_path / "boards" / "my_board"
    own.mkdir(parents=True)
    text = (resources.data_dir("targets") / "x86_64_v2" / "target.toml").read_text(encoding="utf-8")
    (own / "target.toml").write_text(text.replace('name = "x86_64_v2"', 'name = "my_board"'), encoding="utf-8")
    assert job(X86, "x86_64_v2", target_dirs=(tmp_path / "boards",)).settings.target_folders == (
        str(tmp_path / "boards"),
    )


def test_labels_are_of_the_ci_and_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for system in labels.SYSTEMS:
        monkeypatch.delenv(system.sign, raising=False)
    assert job(X86, "x86_64_v2").labels == {}
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_SHA", "4f2a9c1")
    made = job(X86, "x86_64_v2", labels=("branch=mine",))
    assert made.labels["commit"] == "4f2a9c1"
    assert made.labels["branch"] == "mine"
    with pytest.raises(UsageError, match="--label branch: no '='"):
        job(X86, "x86_64_v2", labels=("branch",))


def test_a_run_with_a_target_that_brings_its_choices_can_be_resumed(tmp_path: Path) -> None:
    shutil.copytree(resources.data_dir("targets") / "x86_64_v3", tmp_path / "boards" / "my_board")
    file = tmp_path / "boards" / "my_board" / "target.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('name = "x86_64_v3"', 'name = "my_board"'))
    wide = msgspec.structs.replace(X86, versions=host.describe().versions)
    made = job(wide, "my_board", target_dirs=(tmp_path / "boards",), use_tuned=True, compile_only=True)
    assert made.settings.tuned, "the target brings a file"
    record_files.write(tmp_path / "run.json", runner.begun(made))
    resumed = options.resumed_job(tmp_path / "run.json", wide, use_cache=True, build_timeout_s=60.0)
    assert resumed.choices.files == made.settings.tuned


# ----------------------------------------------------------------------------------------------------------- under load
def test_a_time_under_load_is_in_the_settings() -> None:
    assert job(X86, "x86_64_v2", sustain_s=90.0).settings.sustain_s == 90.0
    assert job(X86, "x86_64_v2").settings.sustain_s is None


@pytest.mark.parametrize("wrong", [0, -1.0, 86_401.0, float("nan"), "60s"])
def test_a_time_under_load_that_cannot_be_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match=r"^--sustain ") as caught:
        RunOptions(sustain_s=wrong)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_where_nothing_is_timed_nothing_is_put_under_load() -> None:
    with pytest.raises(UsageError, match=r"^--sustain 60 s: nothing runs here; leave it out$"):
        job(X86, "x86_64_v2", sustain_s=60.0, compile_only=True)
    with pytest.raises(UsageError, match=r"^--sustain 2 min: emulated: the emulator's time says nothing"):
        job(X86, "arm64_cortex_a72", sustain_s=120.0, device="emulated")


# ---------------------------------------------------------------------------------------------------------------- types
@pytest.mark.parametrize("dtype", ["float16", "float32,float16", "float32,float16,int8"])
def test_halves_are_for_arm_with_their_arithmetic(dtype: str) -> None:
    made = job(X86, "arm64_cortex_a76", dtype=dtype)
    assert [network.dtype for network in made.networks] == dtype.split(",")


@pytest.mark.parametrize(
    ("target", "why", "nearest"),
    [
        ("arm64_cortex_a53", "needs the processor feature asimdhp, which it lacks", "arm64_cortex_a55"),
        ("arm64_cortex_a72", "needs the processor feature asimdhp, which it lacks", "arm64_cortex_a78"),
        ("raspberry_pi_4", "needs the processor feature asimdhp, which it lacks", "raspberry_pi_5"),
        ("x86_64_v3", "is not compiled for it", "GPUs"),
    ],
)
def test_a_target_that_cannot_have_a_type_names_the_nearest_that_can(target: str, why: str, nearest: str) -> None:
    with pytest.raises(UsageError) as refused:
        job(X86, target, dtype="float16", compile_only=True)
    said, _, having = str(refused.value).partition("; it is for ")
    assert said == f"target '{target}' takes float32, int8; dtype 'float16' {why}"
    named, _, more = having.partition(" and ")
    assert nearest in named.split(", ")
    assert (len(named.split(", ")), more) == (4, "10 more: see 'mbench targets'")


# ---------------------------------------------------------------------------------------------------------------- farms
def farm(tmp_path: Path, targets_of_it: str = "x86_64_v2") -> str:
    path = tmp_path / "farm.toml"
    path.write_text(f'format_version = 1\n[devices.one]\nrpc = "10.0.0.21:9090"\ntargets = ["{targets_of_it}"]\n')
    return str(path)


def test_a_farm_is_named_by_its_file(tmp_path: Path) -> None:
    made = job(X86, "x86_64_v2", device=farm(tmp_path))
    assert (made.device, made.device_name, made.address) == ("farm", farm(tmp_path), farm(tmp_path))
    assert made.settings.sessions == 5


def test_a_farm_without_a_device_for_the_target_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no device runs code for target 'x86_64_v2'; its devices are for arm64"):
        job(X86, "x86_64_v2", device=farm(tmp_path, "arm64"))


def test_a_farm_does_not_sustain(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--sustain 60 s: a farm measures sessions alone; name one of its devices"):
        job(X86, "x86_64_v2", device=farm(tmp_path), sustain_s=60.0)
