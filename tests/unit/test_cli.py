from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, Outcome, assert_one_line, require

import mbench
from mbench.cli import printing
from mbench.core import machine_types, record_files, records, scratch
from mbench.core.errors import UsageError
from mbench.core.records import Record
from mbench.devices import emulation
from mbench.hardware import host
from mbench.pipeline import runner

ROOT = Path(mbench.__file__).parent.parent
DEVICE_COMMANDS = tuple(f"device {name}" for name in ("serve", "add", "list", "remove"))
COMMANDS = (
    "", "run", "tune", "gate", "compare", "show", "report", "schema", "variants", "targets", "doctor", "device",
    *DEVICE_COMMANDS,
)  # fmt: skip


def started(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120, **options}
    command = [*options.pop("before", ()), sys.executable, "-m", "mbench", *map(str, arguments)]
    return subprocess.run(command, text=True, env=environment, check=False, **options)


@pytest.fixture
def record_file(tmp_path: Path) -> Path:
    file = tmp_path / "record.json"
    record_files.write(file, factory.record())
    return file


# --------------------------------------------------------------------------------------------------------- wrong use
WRONG = {
    "rnu": ("No such command 'rnu'", "'run'"),
    "--nope": ("--nope",),
    "run --nope": ("--nope", "see 'mbench run --help'"),
    "run mobilnet_v1_1.0_224": ("'mobilnet_v1_1.0_224' is not known", "did you mean 'mobilenet_v1_1.0_224'?"),
    "run resnet50": ("'resnet50' is not known", "mbench variants"),
    "run mobilenet_v1_0_224": ("width multiplier 0 ", "0.01 to 1.4"),
    "run mobilenet_v1_-0.5_224": ("width multiplier -0.5 ", "0.01 to 1.4"),
    "run mobilenet_v1_nan_224": ("width multiplier 'nan' ",),
    "run mobilenet_v1_1e1_224": ("width multiplier '1e1' ",),
    "run mobilenet_v1_1.0_0": ("resolution 0 ", "32 to 4096"),
    "run mobilenet_v1_1.0_31": ("resolution 31 ", "32 to 4096"),
    "run mobilenet_v1_1.0_99999999999999999999999": ("resolution",),
    "run mobilenet_v1_1.0_big": ("resolution 'big' ", "whole number"),
    "run mobilenet_v1_{0.25,0.5_224": ("brace",),
    "run mobilenet_v1_1.0_224 mobilenet_v1_0.5_1": ("resolution 1 ",),
    "run --target arm65": ("target 'arm65' is not known", "did you mean 'arm64'?", "mbench targets"),
    "run --target x86_64_v9": ("target 'x86_64_v9' is not known", "did you mean 'x86_64_v"),
    "run --target ''": ("target '' is not known",),
    "run --dtype float64": ("dtype 'float64' is not supported", "float32"),
    "run --dtype float16 --target x86_64_v2": ("dtype 'float16' is for GPUs", "target 'x86_64_v2'"),
    "run --device moon --target x86_64_v2": ("--device 'moon' is not known", "local"),
    "run --device rpc://board --target x86_64_v2": ("rpc://board", "no port", "rpc://HOST:PORT"),
    "run --device emulated --target x86_64_v4": ("x86_64_v4", "cannot be emulated", "QEMU"),
    "run --device emulated --threads 2 --target arm64": ("--threads 2", "1 to 1", "emulated"),
    "run --counts --compile-only --target arm64": ("--counts needs a run", "--compile-only"),
    "run --threads 0 --target x86_64_v2": ("--threads 0 is out of range", "expected 1 to"),
    "run --threads -1 --target x86_64_v2": ("--threads -1 is out of range",),
    "run --threads 1000 --target x86_64_v2": ("--threads 1000 is out of range",),
    "run --threads two": ("--threads", "'two'"),
    "run --threads 1.5": ("--threads", "'1.5'"),
    "run --batch 0": ("--batch", "0 is not in the range"),
    "run --batch -4": ("--batch", "-4"),
    "run --batch 99999999999999999999": ("--batch",),
    "run --repeat 0": ("--repeat", "0 is not in the range 3<=x"),
    "run --timeout nan": ("--timeout", "'nan'"),
    "run --timeout inf": ("--timeout", "'inf'"),
    "run --timeout 0": ("--timeout",),
    "run --output none/results --target x86_64_v2": ("--output none/results", "folder none does not exist"),
    "run --device local --target arm64": ("arm64", "aarch64 machine", "--compile-only"),
    "run --dtype ''": ("dtype '' is not supported",),
    "run --targets none": ("--targets none", "target.toml"),
    "variants resnet50": ("'resnet50' is not known",),
    "variants mobilenet_v1_1.0_225x": ("resolution '225x' ",),
    "variants a b": ("b",),
    "targets arm65": ("did you mean 'arm64'?",),
    "targets --targets none": ("--targets none",),
    "show": ("Missing argument 'RECORD'",),
    "show none.json": ("none.json: cannot be read: No such file",),
    "show .": (".: cannot be read: Is a directory",),
    "report": ("Missing",),
    "report none.json -o page.html": ("none.json: cannot be read",),
    "schema extra": ("extra",),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use_is_one_line_and_leaves_nothing(run: Mbench, line: str) -> None:
    require("arm64" not in line or shutil.which("aarch64-linux-gnu-g++"), "aarch64-linux-gnu-g++ on PATH")
    arguments = [word.strip("'") for word in line.split()]
    assert_one_line(run(*arguments), *WRONG[line])
    assert list(Path.cwd().iterdir()) == []


def test_without_a_command_help_is_shown(run: Mbench) -> None:
    outcome = run()
    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: mbench" in outcome.err


def test_line_breaks_and_control_characters_in_arguments_stay_in_the_line(run: Mbench) -> None:
    outcome = run("show", "a\nb\x1b[31m\udcff.json")
    assert_one_line(outcome, "a b\\x1b[31m\\xff.json")


# ------------------------------------------------------------------------------------------------------- --output
QUICK = ("run", "mobilenet_v1_0.25_32", "--target", "x86_64_v2", "--repeat", "3")


def test_output_is_a_file(run: Mbench) -> None:
    Path("taken").write_text("precious")
    assert_one_line(run(*QUICK, "--output", "taken"), "--output taken", "is a file, expected a folder")
    assert_one_line(run(*QUICK, "--output", "taken/below"), "folder taken does not exist")
    assert Path("taken").read_text() == "precious"


def test_output_where_the_system_lets_nobody_write(run: Mbench) -> None:
    require(sys.platform == "linux", "/proc")
    assert_one_line(run(*QUICK, "--output", "/proc"), "--output /proc", "choose another folder")
    assert_one_line(run(*QUICK, "--output", "/proc/results"), "--output /proc/results", "choose another folder")


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
            done = started(*QUICK, "-o", output, before=before, env={"MBENCH_CACHE_DIR": str(cache_dir)})
            assert_one_line(Outcome(done.returncode, done.stdout, done.stderr), said, "Permission denied")
        assert list(locked.iterdir()) == []


def test_a_cache_folder_that_cannot_be(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("taken").write_text("")
    monkeypatch.setenv("MBENCH_CACHE_DIR", "taken")
    assert_one_line(run(*QUICK), "cache folder taken", "MBENCH_CACHE_DIR")


def test_a_shell_gets_its_script_of_completion() -> None:
    done = started(env={"_MBENCH_COMPLETE": "bash_source"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "complete" in done.stdout


# ------------------------------------------------------------------------------------------------------- --resume
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
        ("mobilenet_v1_1.0_224", "VARIANT"),
    ],
)
def test_resume_takes_no_other_settings(run: Mbench, interrupted: Path, options: str, named: str) -> None:
    before = interrupted.read_bytes()
    assert_one_line(run("run", "--resume", interrupted, *options.split()), "leave out", named)
    assert interrupted.read_bytes() == before
    assert list(Path.cwd().iterdir()) == []


def test_resume_of_nothing(run: Mbench, tmp_path: Path) -> None:
    assert_one_line(run("run", "--resume", tmp_path / "none.json"), "none.json: cannot be read")
    (tmp_path / "torn.json").write_text('{"format_version": 1, "run')
    assert_one_line(run("run", "--resume", tmp_path / "torn.json"), "truncated")


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
    outcome = run("run", "--resume", file)
    assert outcome.code == code, outcome.err
    assert "nothing is left to measure" in outcome.err
    assert "Totals" in outcome.out
    assert file.with_suffix(".html").exists()
    assert file.read_bytes() == written
    assert {path.name for path in tmp_path.iterdir()} == {"done.json", "done.html", "here", "cache"}


def test_a_record_is_worked_on_by_one_process_at_a_time(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "_PATIENCE_S", 0.0)
    before = interrupted.read_bytes()
    with scratch.only(interrupted):
        assert_one_line(run("run", "--resume", interrupted), f"another process ({os.getpid()}) works on it")
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
    assert_one_line(run("run", "--resume", interrupted), said, "start a new run")
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
        ({"dtype": "float16"}, "'float16' is for GPUs"),
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
    assert_one_line(run("run", "--resume", interrupted), str(interrupted), said)
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
    outcome = run("run", "--resume", interrupted)
    assert "qemu" not in outcome.err
    assert outcome.code == 4, "a variant failed"


def test_resume_through_a_link_goes_on_with_the_file(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = interrupted.with_name("link.json")
    link.symlink_to(interrupted)
    seen: list[Path] = []
    monkeypatch.setattr(runner, "run", lambda job, _: seen.append(job.path))
    run("run", "--resume", link)
    assert seen == [interrupted]


def test_a_page_alone_needs_no_tuned_files(run: Mbench, tmp_path: Path) -> None:
    file, record = tmp_path / "done.json", factory.record()
    settings = msgspec.structs.replace(record.settings, tuned={"gone.toml": "0" * 64})
    record_files.write(file, msgspec.structs.replace(record, settings=settings))
    (tmp_path / "cache").mkdir(exist_ok=True)
    outcome = run("run", "--resume", file)
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
    assert_one_line(run("run", "--resume", interrupted), str(interrupted), said)
    assert interrupted.read_bytes() == before


# ------------------------------------------------------------------------------------------- what a run comes back with
def test_a_page_never_takes_the_place_of_its_record(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = interrupted.rename(interrupted.with_suffix(".html"))
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    assert run("run", "--resume", file).code == 4
    assert record_files.read(file).results
    assert "<html" in file.with_name("interrupted.html.html").read_text()


def test_markup_in_a_path_is_only_a_name(run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = interrupted.rename(interrupted.with_name("[bold]x[nope] :smile:.json"))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupt)
    outcome = run("run", "--resume", file)
    assert outcome.code == 130
    assert f"mbench run --resume {shlex.quote(str(file))}\n" in outcome.err
    assert "1 of 2 variants are recorded" in outcome.err


def test_a_page_that_cannot_be_written_is_a_failure(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = msgspec.structs.replace(record_files.read(interrupted), failures=())
    record_files.write(interrupted, record)
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    assert run("run", "--resume", interrupted).code == 0
    interrupted.with_suffix(".html").unlink()
    interrupted.with_suffix(".html").mkdir()
    outcome = run("run", "--resume", interrupted)
    assert outcome.code == 4
    assert outcome.err.count("mbench: ") == 1
    assert "cannot be written" in outcome.err
    assert "Totals" in outcome.out


def test_peaks_that_could_not_be_measured_are_a_failure(
    run: Mbench, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_files.read(interrupted)
    device = msgspec.structs.replace(record.device, calibration=None, missing={"calibration": "the worker died"})
    record_files.write(interrupted, msgspec.structs.replace(record, failures=(), device=device))
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    assert run("run", "--resume", interrupted).code == 4


def test_an_interrupt_before_the_first_record_ends_quietly(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupt)
    outcome = run(*QUICK)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "\nmbench: interrupted\n")  # click ends the line of ^C


def test_a_defect_is_not_taken_for_a_regression(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run", lambda *_: 1 / 0)
    outcome = run(*QUICK)
    assert outcome.code == 4
    assert "ZeroDivisionError" in outcome.err


# --------------------------------------------------------------------------------------------- one document of JSON
def test_json_is_one_document(run: Mbench, record_file: Path) -> None:
    for command in ("variants", "variants mobilenet_v1_1.0_224", "targets", "targets x86_64_v3", "doctor"):
        outcome = run(*command.split(), "--json")
        assert (outcome.code, outcome.err) == (0, ""), command
        assert json.loads(outcome.out)
    shown = run("show", record_file, "--json")
    assert shown.code == 0
    assert json.loads(shown.out) == json.loads(record_file.read_bytes())


def test_json_is_strict_and_safe_for_any_terminal(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    record_files.write(file, factory.hostile(factory.record()))
    for command in (("show", file), ("targets",), ("variants",)):
        done = started(*command, "--json", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
        assert (done.returncode, done.stderr) == (0, "")
        json.loads(done.stdout, parse_constant=lambda token: pytest.fail(token))


def test_variants_json_agrees_with_the_paper(run: Mbench) -> None:
    by_name = {entry["name"]: entry for entry in json.loads(run("variants", "--json").out)}
    full = by_name["mobilenet_v1_1.0_224"]
    assert round(full["macs"] / 1e6) == 569  # arXiv:1704.04861, table 8
    assert round(full["params"] / 1e6, 1) == 4.2
    layers = json.loads(run("variants", "mobilenet_v1_1.0_224", "--json").out)
    assert sum(layer["macs"] for layer in layers["layers"]) == full["macs"]


def test_schema_prints_the_schema_of_records(run: Mbench, record_file: Path) -> None:
    outcome = run("schema")
    schema = json.loads(outcome.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    plain = json.loads(record_file.read_bytes())
    validator.validate(plain)
    assert not validator.is_valid({**plain, "surprise": 1})


# ------------------------------------------------------------------------------------------------------------- output
def test_help_fits_80_columns(run: Mbench) -> None:
    for command in COMMANDS:
        for option in ("--help", "-h"):
            outcome = run(*command.split(), option)
            assert (outcome.code, outcome.err) == (0, "")
            assert max(map(len, outcome.out.splitlines())) <= 80, command


def test_version(run: Mbench) -> None:
    assert run("--version").out == f"mbench, version {mbench.__version__}\n"


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}])
def test_piped_output_is_plain_and_fits_80_columns(tmp_path: Path, environment: dict[str, str]) -> None:
    file = tmp_path / "record.json"
    record_files.write(file, factory.record(failed=("mobilenet_v1_0.5_128",)))
    for command in (("show", file), ("variants",), ("variants", "mobilenet_v1_0.5_160"), ("targets",), ("doctor",)):
        done = started(*command, env=environment)
        assert (done.returncode, done.stderr) == (0, ""), command
        assert "\x1b" not in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80, command


def test_hostile_names_reach_no_terminal(run: Mbench, tmp_path: Path) -> None:
    record = factory.hostile(factory.record())
    file = tmp_path / "record.json"
    spoiled = msgspec.structs.replace(record.host, cpu="\x1b]0;owned\x07\x1b[2J")
    record_files.write(file, msgspec.structs.replace(record, host=spoiled))
    outcome = run("show", file)
    assert outcome.code == 0
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", outcome.out)


def test_a_reader_that_goes_away() -> None:
    for command in ("variants", "variants --json", "schema", "targets", "--help", "doctor"):
        reading, writing = os.pipe()
        os.close(reading)
        done = started(*command.split(), stdout=writing)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, ""), command


def test_a_reader_that_takes_one_line() -> None:
    pipeline_ = f"set -o pipefail; '{sys.executable}' -m mbench variants | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", pipeline_], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "Variants"


def test_standard_output_is_full() -> None:
    require(Path("/dev/full").exists(), "/dev/full")
    for command in ("variants", "variants --json", "schema"):
        with Path("/dev/full").open("w") as full:
            done = started(*command.split(), stdout=full)
        assert_one_line(Outcome(done.returncode, "", done.stderr), "standard output", "No space left", code=4)


# ---------------------------------------------------------------------------------------------------- show and report
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "cut": (b'{"format_version": 1, "run_id": "x', "truncated"),
    "binary": (bytes(range(256)), "not a whole JSON document"),
    "list": (b"[]", "no format_version"),
    "newer": (b'{"format_version": 3}', "format_version is 3, this mbench reads up to 2: newer format"),
    "bare": (b'{"format_version": 1}', "missing required field"),
    "deep": (b"[" * 100_000, "not a whole JSON document"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(run: Mbench, tmp_path: Path, record_file: Path, name: str) -> None:
    content, said = BAD_FILES[name]
    file = tmp_path / f"{name}.json"
    file.write_bytes(content)
    assert_one_line(run("show", file), str(file), said)
    assert_one_line(run("show", file, "--json"), str(file), said)
    assert_one_line(run("report", record_file, file, "-o", "page.html"), str(file), said)
    assert list(Path.cwd().iterdir()) == []


def test_report_of_hostile_names(run: Mbench, tmp_path: Path) -> None:
    for number, record in enumerate((factory.record(run_id="good"), factory.hostile(factory.record(run_id="bad")))):
        record_files.write(tmp_path / f"{number}.json", record)
    outcome = run("report", tmp_path / "0.json", tmp_path / "1.json", "-o", "page.html")
    assert (outcome.code, outcome.err) == (0, "")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert [path.name for path in Path.cwd().iterdir()] == ["page.html"]


def test_report_with_a_shared_copy_of_plotly(run: Mbench, record_file: Path) -> None:
    outcome = run("report", record_file, "-o", "page.html", "--plotlyjs", "directory")
    assert (outcome.code, outcome.err) == (0, "")
    script = next(path for path in Path.cwd().iterdir() if path.name.startswith("plotly-"))
    page = Path("page.html").read_text(encoding="utf-8")
    assert f'<script src="{script.name}"></script>' in page
    assert len(page) < 1_500_000 < script.stat().st_size
    assert_one_line(run("report", record_file, "-o", "page.html", "--plotlyjs", "cdn"), "plotlyjs")


def test_report_never_overwrites_a_record(run: Mbench, record_file: Path) -> None:
    before = record_file.read_bytes()
    Path("link.json").symlink_to(record_file)
    for output in (record_file, Path("link.json")):
        assert_one_line(run("report", record_file, "-o", output), "is one of the records")
    assert record_file.read_bytes() == before


@pytest.mark.parametrize("output", ["none/page.html", ".", "/proc/page.html"])
def test_report_where_nothing_can_be_written(run: Mbench, record_file: Path, output: str) -> None:
    assert_one_line(run("report", record_file, "-o", output), "cannot be written", code=4)
    assert list(Path.cwd().iterdir()) == []


# ------------------------------------------------------------------------------------------- records others have made
def small() -> Record:
    record = factory.record(("mobilenet_v1_0.25_32", "mobilenet_v1_0.25_32_standard"), repeat=4, layer_repeat=3)
    results = tuple(
        msgspec.structs.replace(
            result, layers=(*result.layers[:3], msgspec.structs.replace(result.layers[-1], index=3, inputs=()))
        )
        for result in record.results
    )
    return msgspec.structs.replace(record, results=results)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


STRANGE: tuple[Any, ...] = (
    None,
    0,
    1,
    -1,
    1e-300,
    1e300,
    2**53,
    "",
    "x",
    "\u202e\x00",
    [],
    [0],
    [0, 0, 0, 0],
    {},
    True,
)


@pytest.mark.slow
def test_whatever_is_accepted_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put strange values everywhere: a record is refused as a whole, or shown and made a page of."""
    from mbench.core.errors import RecordError
    from mbench.page import report
    from mbench.terminal import record_tables

    monkeypatch.setattr(report, "get_plotlyjs", lambda: "")
    plain = json.loads(record_files.encode(small()))
    accepted = 0
    for number, path in enumerate(places(plain)):
        target = plain
        for part in path[:-1]:
            target = target[part]
        kept = target[path[-1]]
        for offset in range(3):
            target[path[-1]] = strange = STRANGE[(3 * number + offset) % len(STRANGE)]
            try:
                record = record_files.decode(json.dumps(plain).encode(), source="x")
            except RecordError:
                continue
            accepted += 1
            try:
                console = printing.console()
                with console.capture():
                    for part in record_tables.record_tables(record):
                        console.print(part)
                if accepted % 20 == 0:
                    report.render([record])
            except Exception as error:
                raise AssertionError(f"{'.'.join(map(str, path))} = {strange!r}") from error
        target[path[-1]] = kept
    assert accepted > 250
