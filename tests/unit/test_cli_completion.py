"""Words completed by real shells, with the script that `mbench completion` prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_process import ROOT
from conftest import Mbench, assert_one_line, require

from mbench.cli import completing
from mbench.cli.completion import SHELLS, completion
from mbench.devices import registry

BASH = """
source {script}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ echo "option $2"; }}
_mbench_completion mbench
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compdef() {{ :; }}
source {script}
compadd() {{ print -l -- ${{(P)@[-1]}}; }}
_describe() {{ print -l -- ${{${{(P)3}}%%:*}}; }}
_path_files() {{ print files; }}
words=({words}); CURRENT=${{#words}}
_mbench_completion
"""


@pytest.fixture
def shell(tmp_path: Path, run: Mbench) -> dict[str, str]:
    """Return the environment of a shell that finds `mbench` on PATH, and lies in an empty folder."""
    program = tmp_path / "bin" / "mbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mbench "$@"\n')
    program.chmod(0o755)
    for name in SHELLS:
        (tmp_path / f"mbench.{name}").write_text(run(completion, name).out)
    path = os.pathsep.join((str(program.parent), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "MBENCH_CONFIG_DIR": str(tmp_path / "config")}


def completed(shell: dict[str, str], tmp_path: Path, line: str, name: str = "bash") -> list[str]:
    """Return what a shell offers for the last word of a line."""
    words = " ".join(f"'{word}'" for word in line.split(" "))
    script = tmp_path / f"mbench.{name}"
    if name == "fish":
        command = ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"]
    else:
        code = {"bash": BASH, "zsh": ZSH}[name].format(script=script, words=words)
        command = ["bash", "--norc", "-c", code] if name == "bash" else ["zsh", "-f", "-c", code]
    done = subprocess.run(command, env=shell, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return [word.partition("\t")[0].strip() for word in done.stdout.split("\n") if word.strip()]


def test_bash_completes_what_there_is(shell: dict[str, str], tmp_path: Path) -> None:
    registry.add("pi4", registry.NamedDevice(rpc="127.0.0.1:9090"))
    Path("net.onnx").touch()
    assert completed(shell, tmp_path, "mbench comp") == ["compare", "completion"]
    assert completed(shell, tmp_path, "mbench history ex") == ["export"]
    assert "--max-latency" in completed(shell, tmp_path, "mbench fit --max")
    assert completed(shell, tmp_path, "mbench run mobilenet_v3_small") == [
        "mobilenet_v3_small", "mobilenet_v3_small_minimalistic", "mobilenet_v3_small_0.75_224", *(
            "mobilenet_v3_small_1.0_224", "mobilenet_v3_small_minimalistic_1.0_224"),
    ]  # fmt: skip
    assert completed(shell, tmp_path, "mbench run ne") == ["net.onnx"]
    assert completed(shell, tmp_path, "mbench run --target arm64_cortex_a72") == ["arm64_cortex_a72"]
    assert completed(shell, tmp_path, "mbench tune x --device p") == ["pi4"]
    assert completed(shell, tmp_path, "mbench run --dtype float32,i") == ["float32,int8"]
    assert completed(shell, tmp_path, "mbench run --prefer m") == ["memory"]
    assert "option default" in completed(shell, tmp_path, "mbench show rec")
    assert "option dirnames" in completed(shell, tmp_path, "mbench run -o res")


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_other_shells_complete_the_same(shell: dict[str, str], tmp_path: Path, name: str) -> None:
    require(shutil.which(name), f"{name} on PATH")
    assert completed(shell, tmp_path, "mbench comp", name) == ["compare", "completion"]
    assert completed(shell, tmp_path, "mbench run --target arm64_cortex_a72", name) == ["arm64_cortex_a72"]
    assert completed(shell, tmp_path, "mbench run --dtype float32,i", name) == ["float32,int8"]


def test_nothing_is_said_where_a_file_of_names_is_broken(shell: dict[str, str], tmp_path: Path) -> None:
    registry.file().parent.mkdir(exist_ok=True)
    registry.file().write_text("not toml")
    Path("mbench.toml").write_text("[rnu]\n")
    assert completed(shell, tmp_path, "mbench run --device lo") == []
    assert completed(shell, tmp_path, "mbench doc") == ["doctor"]


def test_the_shell_is_the_users_own_where_none_is_named(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert run("completion").out == run("completion", "zsh").out
    assert run("completion").out.startswith("#compdef mbench\n")
    monkeypatch.setenv("SHELL", "/bin/csh")
    assert_one_line(run("completion"), "the shell 'csh' is none of bash, zsh, fish; name one: mbench completion bash")
    assert_one_line(run("completion", "ksh"), "'ksh'")


def test_names_are_there_without_a_compiler() -> None:
    heavy = ("tvm", "torch", "rich", "pandas", "numpy")
    code = (
        "import sys, mbench.cli.main, mbench.cli.completing as names\n"
        "print(len(names.networks('mobilenet_v2') + names.targets() + names.devices() + names.types()))\n"
        f"print(*(name for name in {heavy!r} if name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    count, imported = done.stdout.split("\n")[:2]
    assert (int(count) > 50, imported) == (True, "")


def test_a_family_that_is_typed_whole_offers_its_networks() -> None:
    assert completing.networks("mobilenet_v1_1.0_2") == [
        f"mobilenet_v1_1.0_224{suffix}" for suffix in ("", "_standard", "_shallow")
    ]
    assert set(completing.networks("")) >= set(completing.families())
    assert completing.types("int8,") == ["int8,float32", "int8,float16", "int8,bfloat16"]
