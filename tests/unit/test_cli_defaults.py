"""Defaults of options: the command line wins over a variable, a variable over `mbench.toml`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import documented_options
import pytest
from conftest import Mbench, assert_one_line

from mbench.api import fit as fit_api
from mbench.api import run as api
from mbench.api import tune as tune_api
from mbench.cli import defaults, main
from mbench.core.errors import UsageError


@pytest.fixture
def asked(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that gives `mbench run` words, and returns the options and the target that come of them."""

    def ask(*words: str) -> tuple[Any, str]:
        found: list[tuple[Any, str]] = []

        def api_run(_networks: object, *, target: str, options: Any, **_: object) -> None:
            found.append((options, target))
            raise UsageError("enough")

        monkeypatch.setattr(api, "run", api_run)
        outcome = run("run", *words)
        assert_one_line(outcome, "enough" if found else "")
        if not found:
            raise AssertionError(outcome.err)
        return found[0]

    return ask


def put(text: str) -> None:
    Path("mbench.toml").write_text(text)


def test_a_file_a_variable_and_the_command_line(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(
        '[run]\ntarget = "x86_64_v2"\nthreads = 3\nrepeat = 7\nquick = true\nlabel = ["a=1", "b=2"]\nsustain = "2min"\n'
    )
    options, target = asked()
    assert (options.threads, options.repeat, options.quick, target) == (3, 7, True, "x86_64_v2")
    assert (options.labels, options.sustain_s) == (("a=1", "b=2"), 120)
    monkeypatch.setenv("MBENCH_RUN_THREADS", "5")
    monkeypatch.setenv("MBENCH_RUN_LABEL", "c=3 'd=4 5'")
    monkeypatch.setenv("MBENCH_RUN_QUICK", "0")
    options, target = asked()
    assert (options.threads, options.repeat, options.quick) == (5, 7, False)
    assert options.labels == ("c=3", "d=4 5")
    options, target = asked("--threads", "6", "--target", "host", "--label", "e=5", "--quick")
    assert (options.threads, options.quick, options.labels, target) == (6, True, ("e=5",), "host")


def test_lists_of_options_that_take_commas(asked: Any) -> None:
    put('[run]\nbatch = [1, 8]\ndtype = ["float32", "int8"]\nwait-quiet = true\npercentile = 99.9\nweight-bits = 7\n')
    options, _ = asked()
    assert (options.batches, options.dtype, options.wait_quiet_s) == ((1, 8), "float32,int8", 60)
    assert (options.percentile, options.weight_bits) == (99.9, 7)


def test_the_networks_of_a_project(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[object, ...]] = []

    def begin(networks: tuple[object, ...], **_: object) -> None:
        seen.append(networks)
        raise UsageError("enough")

    for module, name in ((api, "run"), (tune_api, "tune"), (fit_api, "predict"), (fit_api, "fit")):
        monkeypatch.setattr(module, name, begin)
    names = '["mobilenet_v2", "own.onnx"]'
    put(f"[run]\nnetworks = {names}\n[tune]\nnetworks = {names}\n[predict]\nnetworks = 'mobilenet_v2'\n")
    for command in ("run", "tune", "predict", "fit"):
        assert_one_line(run(command), "enough")
    both = ("mobilenet_v2", "own.onnx")
    assert seen == [both, both, ("mobilenet_v2",), ()]
    put("[fit]\nfamilies = ['mobilenet_v3']\n")
    monkeypatch.setenv("MBENCH_RUN_NETWORKS", "'mobilenet_v1_{0.25,0.5}' mobilenet_v2")
    for words in (("fit",), ("run",), ("run", "mobilenet_v4")):
        run(*words)
    assert seen[4:] == [("mobilenet_v3",), ("mobilenet_v1_{0.25,0.5}", "mobilenet_v2"), ("mobilenet_v4",)]
    doctor = [check["text"] for check in json.loads(run("doctor", "--json").out)]
    assert "fit NETWORK: mobilenet_v3, from mbench.toml" in doctor
    assert "run NETWORK: 'mobilenet_v1_{0.25,0.5}' mobilenet_v2, from MBENCH_RUN_NETWORKS" in doctor
    assert_one_line(run("tune"), "Missing argument")


def test_a_flag_of_the_file_is_taken_back(asked: Any) -> None:
    put("[run]\nquick = true\nno-cache = true\nwait-quiet = false\n")
    options, _ = asked()
    assert (options.quick, options.use_cache, options.wait_quiet_s) == (True, False, None)
    options, _ = asked("--no-quick", "--cache")
    assert (options.quick, options.use_cache) == (False, True)


def test_every_flag_can_be_taken_back_and_no_option_is_hidden_by_it() -> None:
    for words, command in defaults.commands(main.main):
        taken = [word for each in command.params for word in each.opts]
        backs = list(defaults.taken_back(command).values())
        assert not set(backs) & set(taken), words
        flags = [each for each in defaults.options(command).values() if getattr(each, "is_flag", False)]
        assert len(backs) == len(flags), words


WRONG = {
    "[rnu]\nthreads = 1\n": "mbench.toml: rnu: unknown key; did you mean 'run'?",
    "[run]\nthread = 1\n": "mbench.toml: run.thread: unknown key; did you mean 'threads'?",
    "[run]\nmax_latency = 1\n": "mbench.toml: run.max_latency: unknown key",
    "[fit]\nmax_latency = 1\n": "mbench.toml: fit.max_latency: unknown key; did you mean 'max-latency'?",
    "[history.lst]\n": "mbench.toml: history.lst: unknown key; did you mean 'list'?",
    "[gate.treshold]\n": "mbench.toml: gate.treshold: unknown key; did you mean 'threshold",
    "run = 3\n": "mbench.toml: run: got 3, expected a table: [run]",
    '[run]\nthreads = "two"\n': "mbench.toml: run.threads: 'two' is not a valid int",
    "[run]\nthreads = true\n": "mbench.toml: run.threads: got true, expected a value",
    "[run]\nthreads = [1, 2]\n": "mbench.toml: run.threads: got an array, expected one value",
    "[run]\nquick = 1\n": "mbench.toml: run.quick: got 1, expected true or false",
    '[run]\nsustain = "soon"\n': "mbench.toml: run.sustain: --sustain",
    '[run]\noutput = "none/results"\n': "mbench.toml: run.output: --output none/results: the folder none does",
    "[run.threads]\n": "mbench.toml: run.threads: got a table, expected a value",
    "[run\n": "mbench.toml: not valid TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_is_refused_in_a_line_that_names_file_and_key(run: Mbench, text: str) -> None:
    put(text)
    assert_one_line(run("run", "mobilenet_v2"), WRONG[text])
    assert "Usage: mbench run" in run("run", "--help").out
    assert run("completion", "bash").code == 0


def test_a_variable_that_cannot_be_is_named(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_RUN_THREADS", "two")
    assert_one_line(run("run", "mobilenet_v2"), "MBENCH_RUN_THREADS: 'two' is not a valid int")
    monkeypatch.setenv("MBENCH_RUN_THREADS", "")
    monkeypatch.setenv("MBENCH_RUN_LABEL", "'a=1")
    assert_one_line(run("run", "mobilenet_v2"), "MBENCH_RUN_LABEL: no closing quotation; expected words")


def test_a_default_that_is_refused_is_said_to_be_one(run: Mbench) -> None:
    put("[run]\ndevice = 'nowhere'\n")
    assert_one_line(run("run", "mobilenet_v1_0.25_32"), "not known", "(--device is from mbench.toml: run.device)")
    put("")
    assert "(" not in run("run", "mobilenet_v1_0.25_32", "--device", "nowhere").err


def test_an_output_that_is_not_used_is_not_refused(run: Mbench, asked: Any, record_file: Path) -> None:
    put('[run]\noutput = "none/results"\n')
    for words in (("--output", "here"), ("-o", "here"), ("--output=here",)):
        assert str(asked(*words)[0].output) == "here"
    assert "none" not in run("run", "--resume", record_file).err


def test_thresholds_of_the_gate_as_an_option_and_as_a_table(run: Mbench, record_file: Path) -> None:
    for text in ("[gate]\nsensitivity = ['latency=3%']\n", "[gate.sensitivity]\nlatency = '3%'\n"):
        put(text)
        assert "mbench.toml" not in run("gate", record_file, record_file).err


def test_another_commands_table_is_not_in_the_way(run: Mbench) -> None:
    put("[run]\nthreads = 2\njson = false\n[list]\njson = true\n[gate.thresholds]\nlatency = '3%'\n")
    assert run("list", "types").out.startswith("{")
    assert not run("list", "types", "--no-json").out.startswith("{")


def test_a_file_of_thresholds_with_another_name_is_looked_at(run: Mbench, record_file: Path) -> None:
    Path("other.toml").write_text("[gates]\n")
    refused = run("gate", record_file, record_file, "--config", "other.toml")
    assert_one_line(refused, "other.toml: gates: unknown key; did you mean 'gate'?")


def test_doctor_says_which_file_and_which_values(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    put("[run]\nthreads = 2\nlabel = ['a=1', 'b=2']\n[gate.thresholds]\nlatency = '3%'\n[history]\nstore = 'h.db'\n")
    monkeypatch.setenv("MBENCH_FIT_TIME", "2min")
    monkeypatch.setenv("MBENCH_RUN_THREAD", "2")
    said = [check["text"] for check in json.loads(run("doctor", "--json").out) if check["name"] != "cache"]
    assert f"{Path.cwd()}/mbench.toml: 4 values" in said
    assert {"run --threads: 2, from mbench.toml", "run --label: a=1, b=2, from mbench.toml"} <= set(said)
    assert {"gate.thresholds.latency = 3%, from mbench.toml", "history.store = h.db, from mbench.toml"} <= set(said)
    assert "fit --time: 2min, from MBENCH_FIT_TIME" in said
    found = {check["name"]: check["hint"] for check in json.loads(run("doctor", "--json").out)}
    assert found["MBENCH_RUN_THREAD"] == "did you mean 'MBENCH_RUN_THREADS'?"
    put("[history]\nstore = 'postgresql://me:secret@h/d'\n[run]\nstore = 'postgresql://me:secret@h/d'\n")
    said = [check["text"] for check in json.loads(run("doctor", "--json").out)]
    assert [text for text in said if "secret" in text] == []
    assert len([text for text in said if "postgresql://h/d" in text]) == 2
    put("[rnu]\n")
    broken = run("doctor", "--json")
    assert broken.code == 0
    assert "mbench.toml: rnu: unknown key; did you mean 'run'?" in broken.out


def test_the_document_has_all_keys() -> None:
    document = documented_options.DOCUMENT.read_text(encoding="utf-8")
    assert documented_options.table() in document, f"run: python {documented_options.__file__}"


def test_names_of_variables_are_each_options_own() -> None:
    names = [
        defaults.variable(words, option)
        for words, command in defaults.commands(main.main)
        for option in defaults.options(command).values()
    ]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"MBENCH(_[A-Z0-9]+)+", name) for name in names)
    assert not {"MBENCH_STORE", "MBENCH_CACHE_DIR", "MBENCH_CONFIG_DIR", "MBENCH_TUNED_DIR"} & set(names)
