"""A default gives way to what is typed and excludes it; two defaults that exclude each other are refused."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import pytest
from conftest import Mbench, Outcome, assert_one_line

import mbench
from mbench.api import gate as gate_api
from mbench.api import listing
from mbench.api import run as run_api
from mbench.cli import defaults, main, printing, yielding
from mbench.core.errors import UsageError
from mbench.core.machine_types import Host, Target
from mbench.devices import toolchain
from mbench.hardware import host, targets
from mbench.measure import decode
from mbench.pipeline import options as jobs
from mbench.pipeline import runner
from mbench.pipeline.job import Job

NETWORK = "mobilenet_v1_0.25_32"
INT8, BATCH = f"{NETWORK}_int8", f"{NETWORK}_b8"


def machine() -> Host:
    """Return a machine of four processors that measures x86_64_v2, and emulates x86_64_v3 and Arm."""
    features = ("cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3")
    return msgspec.structs.replace(
        host.describe(), architecture="x86_64", features=features, processors_usable=4, cores_usable=4,
        processors_quota=None,
    )  # fmt: skip


def resolved(name: str, folders: tuple[Path, ...] = ()) -> Target:
    """Return a target; this machine as x86_64_v2."""
    found = targets.load("x86_64_v2" if name == "host" else name, extra_dirs=folders)
    return msgspec.structs.replace(found, name=name)


@pytest.fixture(autouse=True)
def everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine()
    monkeypatch.setattr(host, "describe", lambda: here)
    monkeypatch.setattr(runner, "resolve_target", resolved)
    monkeypatch.setattr(toolchain, "emulator", lambda _: None)
    monkeypatch.setattr(toolchain, "sysroot", lambda _: None)
    monkeypatch.setattr(decode, "check_installed", lambda: None)
    monkeypatch.setattr("mbench.hardware.linker.find", lambda *_, **__: ("c++",))


Asked = Callable[..., tuple[Job, str]]


@pytest.fixture
def job(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Return a function that gives `mbench run` words; it returns the job that comes of them, and the lines before."""
    Path("mbench.toml").unlink(missing_ok=True)

    def ask(*words: str) -> tuple[Job, str]:
        made: list[Job] = []

        def begin(asked: Job, _option: str, _executor: object, display: Any) -> None:
            made.append(asked)
            display((), None, None)
            raise UsageError("enough")

        monkeypatch.setattr(run_api, "_run", begin)
        outcome = run("run", *words)
        assert made, outcome.err
        return made[0], outcome.err.removesuffix("mbench: enough\n")

    return ask


def put(text: str) -> None:
    Path("mbench.toml").write_text(text)


def of(asked: Job, path: str) -> Any:
    """Return a value of a job by its path: `settings.sessions`."""
    value: Any = asked
    for name in path.split("."):
        value = getattr(value, name)
    return value


RUNS = (
    # what mbench.toml has; what is typed; the line; what the job has then
    ("quick = true", "--sessions 3", "quick is not used: --sessions 3 was given", "settings.sessions", 3),
    ("sessions = 3", "--quick", "sessions '3' is not used: --quick was given", "settings.sessions", 1),
    ("sessions = 3", "--compile-only", "sessions '3' is not used: --compile-only was given", "settings.sessions", 1),
    ("sessions = 3", "--target x86_64_v3", "sessions '3' is not used: --target x86_64_v3 was", "device", "emulated"),
    ("sessions = 3", "--device emulated --target x86_64_v3", "sessions '3' is not used", "device", "emulated"),
    ("sustain = '2min'", "--compile-only", "sustain '2min' is not used: --compile-only", "settings.sustain_s", None),
    ("sustain = '2min'", "--target x86_64_v3", "sustain '2min' is not used: --target", "settings.sustain_s", None),
    ("counts = true", "--compile-only", "counts is not used: --compile-only was given", "settings.counts", False),
    ("compile-only = true", "--counts", "compile-only is not used: --counts was given", "settings.compile_only", False),
    ("device = 'local'", "--target x86_64_v3", "device 'local' is not used: --target", "device", "emulated"),
    ("target = 'x86_64_v3'", "--device local", "target 'x86_64_v3' is not used: --device", "target.name", "host"),
    ("target = 'x86_64_v4'", "--device emulated", "target 'x86_64_v4' is not used: --device", "target.name", "host"),
    ("threads = 64", "--target x86_64_v2", "threads '64' is not used: --target x86_64_v2 was", "settings.threads", 4),
    ("dtype = 'float16'", "--target x86_64_v2", "dtype 'float16' is not used: --target", "settings.dtype", "float32"),
    ("target = 'x86_64_v3'", "--dtype float16", None, "", None),
    ("dtype = 'float32'", INT8, f"dtype 'float32' is not used: {INT8} was given", "settings.dtype", "int8"),
    (f"networks = '{NETWORK}_int8'", "--dtype float32", "networks 'mobil", "settings.dtype", "float32"),
    ("batch = 4", BATCH, f"batch '4' is not used: {BATCH} was given", "settings.variants", (BATCH,)),
    ("percentile = 99.9", "--dtype float32", "percentile '99.9' is not used: --dtype", "settings.dtype", "float32"),
    ("percentile = 99.9", NETWORK, f"percentile '99.9' is not used: {NETWORK} was given", "settings.dtype", "float32"),
    ("input-shape = ['x=1,3,8,8']", NETWORK, "input-shape 'x=1,3,8,8' is not used", "settings.variants", (NETWORK,)),
    ("input = 'in.npz'", f"{NETWORK} {NETWORK}_int8", "input 'in.npz' is not used: 2 networks were given", "", None),
    ("sweep = 'sweep.toml'", NETWORK, f"sweep 'sweep.toml' is not used: {NETWORK}", "settings.variants", (NETWORK,)),
    ("resume = 'a.json'", NETWORK, f"resume 'a.json' is not used: {NETWORK} was", "settings.variants", (NETWORK,)),
    ("preprocessing = 'unit'", "--dtype int8 --calibration i.npz", "preprocessing 'unit' is not used: --cal", "", None),
    ("evaluate = 'i.npz'", f"--dtype int8 {NETWORK}", f"evaluate 'i.npz' is not used: {NETWORK} was", "", None),
)  # fmt: skip


@pytest.mark.parametrize(("default", "typed", "line", "path", "value"), RUNS)
def test_a_default_of_a_run_yields_to_what_is_typed(
    job: Asked, run: Mbench, default: str, typed: str, line: str | None, path: str, value: object
) -> None:
    np.savez("i.npz", input=np.zeros((4, 3, 32, 32), np.float32), labels=np.zeros(4, np.int64))
    put(f"[run]\n{default}\n")
    if line is None:  # it does not help: the first refusal says all, and where the default is
        refused = run("run", *typed.split())
        assert_one_line(refused, "dtype 'float16'", "(--target is from mbench.toml: run.target)")
        return
    made, said = job(*typed.split())
    assert said.startswith(f"mbench.toml's {line}"), said
    assert said.count("\n") == 1
    if path:
        assert of(made, path) == value
    assert job(*typed.split(), "--quiet")[1] == ""


@pytest.mark.parametrize("place", ["device = 'emulated'\ntarget = 'x86_64_v2'", "target = 'raspberry_pi_4'"])
@pytest.mark.parametrize("typed", [("--threads", "4"), ("--sessions", "3"), ("--sustain", "2min")])
@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_how_much_is_asked_never_changes_where_it_is_measured(
    run: Mbench, place: str, typed: tuple[str, ...], quiet: tuple[str, ...]
) -> None:
    put(f"[run]\n{place}\n")
    assert_one_line(run("run", NETWORK, *typed, *quiet), typed[0])


@pytest.mark.parametrize("typed", ["x86_64_v2", "graviton2", "raspberry_pi_5", "host"])
def test_a_board_is_for_the_target_beside_it(job: Asked, run: Mbench, typed: str) -> None:
    assert run("device", "add", "pi4", "--rpc", "192.168.1.20:9090").code == 0
    put("[run]\ntarget = 'raspberry_pi_4'\ndevice = 'pi4'\n")
    assert job(NETWORK)[0].device_name == "pi4"
    made, said = job(NETWORK, "--target", typed)
    if typed in ("graviton2", "raspberry_pi_5"):  # other Arm: it may be the same board
        assert (made.device_name, said) == ("pi4", "")
        return
    assert said == f"mbench.toml's device 'pi4' is not used: --target {typed} was given\n"
    assert (made.device, made.target.name) == ("local", typed)
    assert job(NETWORK, "--target", typed, "--device", "pi4")[0].device_name == "pi4"


def test_a_board_without_a_target_beside_it_is_for_any(job: Asked) -> None:
    put("[run]\ndevice = 'rpc://192.168.1.20:9090'\n")
    made, said = job(NETWORK, "--target", "raspberry_pi_4")
    assert (made.device, said) == ("rpc", "")


def test_a_farm_yields_to_a_target_that_none_of_its_devices_has(job: Asked) -> None:
    Path("farm.toml").write_text(
        "format_version = 1\n[devices.one]\nrpc = '192.168.1.20:9090'\ntargets = ['raspberry_pi_4']\n"
    )
    put("[run]\ntarget = 'raspberry_pi_4'\ndevice = 'farm.toml'\n")
    assert job(NETWORK)[0].device == "farm"
    made, said = job(NETWORK, "--target", "x86_64_v2")
    assert said == "mbench.toml's device 'farm.toml' is not used: --target x86_64_v2 was given\n"
    assert made.device == "local"


def test_a_variable_yields_as_well_and_several_defaults_do(job: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_RUN_SESSIONS", "3")
    put("[run]\nsustain = '2min'\ncounts = true\n")
    made, said = job(NETWORK, "--compile-only")
    assert sorted(said.splitlines()) == [
        "MBENCH_RUN_SESSIONS '3' is not used: --compile-only was given",
        "mbench.toml's counts is not used: --compile-only was given",
        "mbench.toml's sustain '2min' is not used: --compile-only was given",
    ]
    assert (made.settings.sessions, made.settings.sustain_s, made.settings.counts) == (1, None, False)


def test_two_defaults_that_exclude_each_other_are_refused_with_both_places(
    run: Mbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("[run]\nquick = true\nsessions = 3\n")
    both = "(--sessions is from mbench.toml: run.sessions; --quick is from mbench.toml: run.quick)"
    assert_one_line(run("run", NETWORK), both)
    put("[run]\nquick = true\n")
    monkeypatch.setenv("MBENCH_RUN_SESSIONS", "3")
    assert_one_line(run("run", NETWORK), "--sessions is from MBENCH_RUN_SESSIONS; --quick is from mbench.toml: run.q")
    put("[run]\nsweep = 's.toml'\nresume = 'a.json'\n")
    assert_one_line(run("run"), "--sweep is from mbench.toml: run.sweep; --resume is from mbench.toml: run.resume")


def test_what_is_typed_and_excludes_itself_is_refused_as_before(run: Mbench) -> None:
    refused = run("run", NETWORK, "--sessions", "3", "--quick")
    assert_one_line(refused, "--quick is one session, --sessions asks for 3; give one of them\n")


def test_an_error_about_nothing_that_was_set_elsewhere_is_as_it_was() -> None:
    error = UsageError("--quick: no")
    assert yielding.explained(click.Context(main.main.commands["run"]), error) is error


def test_a_command_that_is_refused_for_something_else_says_that_alone(run: Mbench) -> None:
    put("[run]\nquick = true\n")
    assert_one_line(run("run", NETWORK, "--sessions", "3", "--label", "wrong"), "--label wrong: no '='")
    put("[run]\ntarget = 'raspberry_pi_4'\ndevice = 'rpc://192.168.1.20:9090'\n")
    assert_one_line(run("run", NETWORK, "--target", "host", "--threads", "64"), "--threads 64 is out of range")


# ------------------------------------------------------------------------------------------------------ other commands
def test_defaults_of_the_gate_yield(run: Mbench, record_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(*words: str) -> Outcome:
        return run("gate", record_file, record_file, *words)

    put("[gate]\nannotations = true\n")
    assert "mbench.toml's annotations is not used: --json was given" in judged("--json").err
    put("[gate]\njunit = 'a.xml'\n")
    outcome = judged("--output-file", "junit=b.xml")
    assert "mbench.toml's junit 'a.xml' is not used: --output-file" in outcome.err
    assert (Path("a.xml").exists(), Path("b.xml").exists()) == (False, True)
    put("[gate]\npaired = true\n")
    assert "mbench.toml's paired is not used: --recorded was given" in judged("--recorded").err
    monkeypatch.setattr(gate_api, "_fight", None)
    put("[gate]\npaired = true\nrecorded = true\n")
    assert_one_line(judged(), "--paired is from mbench.toml: gate.paired; --recorded is from mbench.toml: gate.recor")


def test_defaults_of_other_commands_yield(run: Mbench) -> None:
    put("[variants]\npublished = true\n")
    outcome = run("variants", NETWORK)
    assert (outcome.code, outcome.err) == (0, f"mbench.toml's published is not used: {NETWORK} was given\n")
    put("[variants]\ninput-shape = ['x=1,3,8,8']\n")
    assert "mbench.toml's input-shape 'x=1,3,8,8' is not used" in run("variants", NETWORK).err
    put("[device.add]\ntracker = '10.0.0.1:9190'\nkey = 'pi'\n")
    outcome = run("device", "add", "pi4", "--rpc", "10.0.0.2:9090")
    assert outcome.code == 0
    assert "mbench.toml's tracker '10.0.0.1:9190' is not used: --rpc 10.0.0.2:9090 was given" in outcome.err
    assert "mbench.toml's key 'pi' is not used: --rpc 10.0.0.2:9090 was given" in outcome.err
    assert str(listing.named_devices()["pi4"].address) == "rpc://10.0.0.2:9090"


@pytest.mark.parametrize(
    ("default", "typed", "line"),
    [
        ("trials = 5\ndeep = true", "--no-deep", "mbench.toml's trials '5' is not used: --no-deep was given"),
        (
            "dtype = 'float16'",
            "--target x86_64_v2",
            "mbench.toml's dtype 'float16' is not used: --target x86",
        ),
        ("threads = 64", "--target x86_64_v2", "mbench.toml's threads '64' is not used: --target x86_64_v2 was given"),
        ("deep = true", "--target cuda_sm90", "target 'cuda_sm90'"),  # which is not refused for --deep any more
        ("deep = false", "--trials 5", "--trials is of MetaSchedule; it goes with --deep (--deep is from mbench.toml"),
    ],
)
def test_defaults_of_tuning_yield(
    run: Mbench, monkeypatch: pytest.MonkeyPatch, default: str, typed: str, line: str
) -> None:
    def begin(_folder: Path) -> None:
        printing.remark("begun")
        raise UsageError("enough")

    monkeypatch.setattr(jobs, "prepare_tuning", begin)
    monkeypatch.setattr(jobs, "DEEP_NEEDS", ())
    put(f"[tune]\n{default}\n")
    outcome = run("tune", NETWORK, *typed.split())
    assert line in outcome.err
    assert outcome.err.count("\n") == (3 if "begun" in outcome.err else 1)


# ----------------------------------------------------------------------------------------------------- the whole kind
ALONE = {
    # refusals with two options of which one does not exclude the other
    "mbench/core/fit_options.py": "a search needs a limit: none that is there is too much",
}


@functools.cache
def calls(name: str) -> tuple[tuple[str, ast.Call], ...]:
    """Return the places where an error of mbench's is made, each with its file."""
    folder = Path(mbench.__file__).parent
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    return tuple(
        (f"mbench/{path.relative_to(folder).as_posix()}", node)
        for path, text in sources.items() if f"{name}(" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    )  # fmt: skip


def texts(*nodes: ast.AST) -> list[str]:
    found = [each for node in nodes for each in ast.walk(node)]
    return [each.value for each in found if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def refusals() -> Iterator[tuple[str, int, set[str]]]:
    """Yield each refusal that can name two options of one command: its file, its line and the options."""
    together = [{defaults.flag(each) for each in command.params} for _, command in defaults.commands(main.main)]
    for file, node in calls("UsageError"):
        named = set(re.findall(r"--[a-z][a-z-]+", " ".join(texts(node))))
        if any(len(named & options) > 1 for options in together):
            yield file, node.lineno, named


def test_every_refusal_of_two_options_says_which_they_are() -> None:
    """A refusal that names two options and is no CollisionError makes a default stand in the way of what is typed."""
    found = list(refusals())
    assert {f"{file}:{line} {', '.join(sorted(named))}" for file, line, named in found if file not in ALONE} == set()
    assert {file for file, _, _ in found} == set(ALONE), "a reason of no refusal"


def test_what_collides_are_options_of_some_command() -> None:
    known = {defaults.flag(each) for _, command in defaults.commands(main.main) for each in command.params}
    named = {text for _, node in calls("CollisionError") for text in texts(*node.args[1:])}
    assert {"--sessions", "--quick", "--device", "--target", "NETWORK"} <= named
    assert named - {"--"} <= known
