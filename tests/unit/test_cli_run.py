"""`mbench run` as a user runs it: where it writes, how it goes on, and what it comes back with."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
from command_process import started
from conftest import Mbench, Outcome, assert_one_line, require

from mbench.cli.run import run as command
from mbench.core import machine_types, record_files, records, scratch
from mbench.core.errors import UsageError
from mbench.devices import emulation
from mbench.hardware import host
from mbench.pipeline import runner

QUICK = ("mobilenet_v1_0.25_32", "--target", "x86_64_v2", "--repeat", "3")


def test_output_is_a_file(run: Mbench) -> None:
    Path("taken").write_text("precious")
    assert_one_line(run(command, *QUICK, "--output", "taken"), "--output taken", "is a file, expected a folder")
    assert_one_line(run(command, *QUICK, "--output", "taken/below"), "--output taken/below: taken is a file")
    assert Path("taken").read_text() == "precious"


def test_output_where_the_system_lets_nobody_write(run: Mbench) -> None:
    require(sys.platform == "linux", "/proc")
    assert_one_line(run(command, *QUICK, "--output", "/proc"), "--output /proc", "choose another folder")
    assert_one_line(
        run(command, *QUICK, "--output", "/proc/results"), "--output /proc/results", "choose another folder"
    )


def test_output_without_permission() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to other users
        locked, cache = Path(folder) / "locked", Path(folder) / "cache"
        locked.mkdir(mode=0o555)
        cache.mkdir()
        no_privilege = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
        before = no_privilege if os.geteuid() == 0 else ()
        if before:
            require(shutil.which("setpriv"), "setpriv, to do without root's rights")
        for output, cache_dir, said in ((locked, cache, "--output"), (cache / "out", locked / "c", "MBENCH_CACHE_DIR")):
            done = started("run", *QUICK, "-o", output, before=before, env={"MBENCH_CACHE_DIR": str(cache_dir)})
            assert_one_line(Outcome(done.returncode, done.stdout, done.stderr), said, "Permission denied")
        assert list(locked.iterdir()) == []


def test_a_cache_folder_that_cannot_be(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("taken").write_text("")
    monkeypatch.setenv("MBENCH_CACHE_DIR", "taken")
    assert_one_line(run(command, *QUICK), "cache folder taken", "MBENCH_CACHE_DIR")


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """Return a record of this machine that lacks one of its variants."""
    replace, machine = msgspec.structs.replace, host.describe()
    record = factory.record(factory.PAIR[:1], failed=factory.PAIR[1:])
    tvm = record.target.tvm | {"mtriple": f"{machine.architecture}-linux-gnu"}
    target = replace(record.target, tvm=tvm, processor=replace(record.target.processor, requires=()))
    settings = replace(record.settings, threads=1)
    file = tmp_path / "interrupted.json"
    record_files.write(file, replace(record, host=machine, target=target, settings=settings))
    return file


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--threads 1", "--threads"),
        ("--target host", "--target"),
        ("--batch 2", "--batch"),
        ("--repeat 5", "--repeat"),
        ("--dtype float32", "--dtype"),
        ("--device local", "--device"),
        ("--timeout 60", "--timeout"),
        ("--compile-only", "--compile-only"),
        ("--output elsewhere", "--output"),
        ("--targets elsewhere", "--targets"),
        ("mobilenet_v1_1.0_224", "NETWORK"),
    ],
)
def test_resume_takes_no_other_settings(run: Mbench, interrupted: Path, options: str, named: str) -> None:
    before = interrupted.read_bytes()
    assert_one_line(run(command, "--resume", interrupted, *options.split()), "leave out", named)
    assert interrupted.read_bytes() == before
    assert list(Path.cwd().iterdir()) == []


def test_resume_of_nothing(run: Mbench, tmp_path: Path) -> None:
    assert_one_line(run(command, "--resume", tmp_path / "none.json"), "none.json: cannot be read")
    (tmp_path / "torn.json").write_text('{"format_version": 1, "run')
    assert_one_line(run(command, "--resume", tmp_path / "torn.json"), "truncated")


@pytest.mark.parametrize("machine", ["this one", "another"])
@pytest.mark.parametrize(
    ("failures", "code"), [((), 0), ((records.Failure(variant=factory.PAIR[0], stage="checking", reason="no"),), 4)]
)
def test_resume_of_what_is_measured_makes_the_page(
    run: Mbench, tmp_path: Path, machine: str, failures: tuple[records.Failure, ...], code: int
) -> None:
    file = tmp_path / "done.json"
    before = msgspec.structs.replace(factory.record(), failures=failures)
    if machine == "this one":
        before = msgspec.structs.replace(before, host=host.describe())
    record_files.write(file, before)
    written = file.read_bytes()
    outcome = run(command, "--resume", file)
    assert outcome.code == code, outcome.err
    assert "nothing is left to measure" in outcome.err
    assert "latency: median" in outcome.out
    assert file.with_suffix(".html").exists()
    assert file.read_bytes() == written
    assert {path.name for path in tmp_path.iterdir()} == {"done.json", "done.html", "here", "cache"}


def test_a_record_is_worked_on_by_one_process_at_a_time(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "_PATIENCE_S", 0.0)
    before = interrupted.read_bytes()
    with scratch.only(interrupted):
        assert_one_line(run(command, "--resume", interrupted), f"another process ({os.getpid()}) works on it")
    assert interrupted.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "elsewhere"}, "host was elsewhere"),
        ({"cpu": "another processor"}, "processor was another processor"),
        ({"versions": {"torch": "0.0.1"}}, "version of apache-tvm was absent, here it is "),
    ],
)
def test_resume_elsewhere(run: Mbench, interrupted: Path, changes: dict[str, Any], said: str) -> None:
    record = record_files.read(interrupted)
    record_files.write(
        interrupted, msgspec.structs.replace(record, host=msgspec.structs.replace(record.host, **changes))
    )
    before = interrupted.read_bytes()
    assert_one_line(run(command, "--resume", interrupted), said, "start a new run")
    assert interrupted.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"threads": 1024}, "--threads 1024 is out of range"),
        ({"threads": 10**9}, "$.settings.threads"),
        ({"timeout_s": 1e300}, "$.settings.timeout_s"),
        ({"timeout_s": 0}, "$.settings.timeout_s"),
        ({"number": 10**18}, "$.settings.number"),
        ({"number": 0}, "$.settings.number"),
        ({"repeat": -1}, "$.settings.repeat"),
        ({"batch": 10**6}, "$.settings.batch"),
        ({"block": 2**63}, "$.settings.block"),
        ({"layer_repeat": 10**400}, "$.settings.layer_repeat"),
        ({"measure_max_s": -1.0}, "$.settings.measure_max_s"),
        ({"dtype": "float64"}, "'float64'"),
        ({"dtype": "float16"}, "dtype 'float16' is not compiled for it"),
        ({"networks": [*factory.PAIR, "mobilenet_v9_1.0_224"]}, "'mobilenet_v9_1.0_224' is not known"),
        ({"networks": [*factory.PAIR, "mobilenet_v1_1_224_shallow"]}, "is not written as"),
    ],
)  # fmt: skip
def test_resume_refuses_what_the_command_line_would(
    run: Mbench, interrupted: Path, settings: dict[str, Any], said: str
) -> None:
    plain = json.loads(interrupted.read_text())
    plain["settings"].update(settings)
    interrupted.write_text(json.dumps(plain))
    before = interrupted.read_bytes()
    assert_one_line(run(command, "--resume", interrupted), str(interrupted), said)
    assert interrupted.read_bytes() == before


def test_resume_of_a_board_needs_no_emulator(run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of a board is of a target that this machine can compile for, and need not be able to emulate."""
    record = record_files.read(interrupted)
    tvm = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72"}
    record_files.write(
        interrupted,
        msgspec.structs.replace(
            record,
            target=msgspec.structs.replace(record.target, family="arm", tvm=tvm, emulation={"qemu_cpu": "cortex-a72"}),
            device=machine_types.Device(kind="rpc", name="rpc://127.0.0.1:9", missing={"calibration": "not yet"}),
        ),
    )

    def missing(*_: object) -> None:
        raise UsageError("qemu-aarch64 is missing")

    monkeypatch.setattr(emulation, "check", missing)
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    outcome = run(command, "--resume", interrupted)
    assert "qemu" not in outcome.err
    assert outcome.code == 4, "a variant failed"


def test_resume_through_a_link_goes_on_with_the_file(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = interrupted.with_name("link.json")
    link.symlink_to(interrupted)
    seen: list[Path] = []
    monkeypatch.setattr(runner, "run", lambda job, _: seen.append(job.path))
    run(command, "--resume", link)
    assert seen == [interrupted]


def test_a_page_alone_needs_no_tuned_files(run: Mbench, tmp_path: Path) -> None:
    file, record = tmp_path / "done.json", factory.record()
    settings = msgspec.structs.replace(record.settings, tuned={"gone.toml": "0" * 64})
    record_files.write(file, msgspec.structs.replace(record, settings=settings))
    (tmp_path / "cache").mkdir(exist_ok=True)
    outcome = run(command, "--resume", file)
    assert (outcome.code, file.with_suffix(".html").exists()) == (0, True), outcome.err


@pytest.mark.parametrize(
    ("tvm", "said"),
    [({"kind": "llvm"}, "tvm.mtriple"), ({}, "tvm.kind"), ({"kind": "cuda"}, "family"), ({"kind": "x"}, "'x'")],
)
def test_resume_refuses_a_target_that_no_file_may_hold(
    run: Mbench, interrupted: Path, tvm: dict[str, str], said: str
) -> None:
    plain = json.loads(interrupted.read_text())
    plain["target"]["tvm"] = tvm
    interrupted.write_text(json.dumps(plain))
    before = interrupted.read_bytes()
    assert_one_line(run(command, "--resume", interrupted), str(interrupted), said)
    assert interrupted.read_bytes() == before


def test_a_page_never_takes_the_place_of_its_record(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = interrupted.rename(interrupted.with_suffix(".html"))
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    assert run(command, "--resume", file).code == 4
    assert record_files.read(file).results
    assert "<html" in file.with_name("interrupted.html.html").read_text()


def test_markup_in_a_path_is_only_a_name(run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = interrupted.rename(interrupted.with_name("[bold]x[nope] :smile:.json"))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupt)
    outcome = run(command, "--resume", file)
    assert outcome.code == 130
    assert f"mbench run --resume {shlex.quote(str(file))}\n" in outcome.err
    assert "1 of 2 variants are recorded" in outcome.err


def test_a_page_that_cannot_be_written_is_a_failure(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = msgspec.structs.replace(record_files.read(interrupted), failures=())
    record_files.write(interrupted, record)
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    assert run(command, "--resume", interrupted).code == 0
    interrupted.with_suffix(".html").unlink()
    interrupted.with_suffix(".html").mkdir()
    outcome = run(command, "--resume", interrupted)
    assert outcome.code == 4
    assert outcome.err.count("mbench: ") == 1
    assert "cannot be written" in outcome.err
    assert "latency: median" in outcome.out


def test_peaks_that_could_not_be_measured_are_a_failure(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_files.read(interrupted)
    device = msgspec.structs.replace(record.device, calibration=None, missing={"calibration": "the worker died"})
    record_files.write(interrupted, msgspec.structs.replace(record, failures=(), device=device))
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    assert run(command, "--resume", interrupted).code == 4


def test_an_interrupt_before_the_first_record_ends_quietly(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupt)
    outcome = run(command, *QUICK)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "\nmbench: interrupted\n")  # click ends the line of ^C


def test_a_defect_is_not_taken_for_a_regression(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run", lambda *_: 1 / 0)
    outcome = run(command, *QUICK)
    assert outcome.code == 4
    assert "ZeroDivisionError" in outcome.err


# --------------------------------------------------------------------------------------------------------------- quiet
def test_quiet_is_a_line_a_network_and_the_path(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = msgspec.structs.replace(record_files.read(interrupted), failures=())
    settings = msgspec.structs.replace(record.settings, variants=factory.PAIR[:1])
    record_files.write(interrupted, msgspec.structs.replace(record, settings=settings))

    def measure(_job: Any, shown: Any) -> None:
        shown.stage(factory.PAIR[0], "1/5 measuring", 0.0)
        shown.note("a remark")

    monkeypatch.setattr(runner, "run", measure)
    outcome = run(command, "--resume", interrupted, "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [f"{factory.PAIR[0]}  12.1 ms  ok", str(interrupted)]
    assert interrupted.with_suffix(".html").exists()
    loud = run(command, "--resume", interrupted)
    assert f"{factory.PAIR[0]}: measuring" in loud.err
    assert "a remark" in loud.err


def test_quiet_of_a_run_that_failed_says_what_it_had_to_remark(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "run", lambda _, shown: shown.note("the peaks could not be measured: no room"))
    outcome = run(command, "--resume", interrupted, "-q")
    assert (outcome.code, outcome.err) == (4, "the peaks could not be measured: no room\n")
    assert outcome.out.splitlines()[1:] == [f"{factory.PAIR[1]}  FAILED: out of registers", str(interrupted)]


def test_json_stays_a_document_when_quiet(run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    loud, quiet = (run(command, "--resume", interrupted, "--json", *more) for more in ((), ("--quiet",)))
    assert quiet.out == loud.out
    assert json.loads(quiet.out)["run_id"]
    assert (loud.err.count("record  "), quiet.err) == (1, "")


def test_an_interrupted_quiet_run_says_how_to_go_on(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupt)
    outcome = run(command, "--resume", interrupted, "--quiet")
    assert outcome.code == 130
    assert "go on with: mbench run --resume" in outcome.err
    assert outcome.out.splitlines()[-1] == str(interrupted)


@pytest.mark.parametrize("network", ["mobilenet_v2", "net.onnx", "package.module:net"])
def test_a_network_in_the_place_of_a_time_is_said_to_be_one(run: Mbench, network: str) -> None:
    expected = (
        "expected a time of more than 0",
        "if it is a network, write --wait-quiet=60s or put --wait-quiet behind",
    )
    assert_one_line(run(command, "--wait-quiet", network), f"--wait-quiet '{network}'", *expected)


@pytest.mark.parametrize("words", ["run", "run --resume none.json", "tune net", "fit --max-latency 1ms"])
def test_who_builds_is_checked_before_all_else(run: Mbench, words: str) -> None:
    outcome = run(*words.split(), "--executor", "cloud")
    assert_one_line(outcome, "--executor cloud: not known; expected local, local:N, or dask://HOST:PORT")
    assert outcome.code == 2
