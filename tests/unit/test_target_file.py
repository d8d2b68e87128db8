"""A file that describes a target: what is wrong in it is named with its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from target_descriptions import MINIMAL, TVM, write

from mbench.core.errors import TargetError
from mbench.hardware import target_file, targets


def test_part_of_the_energy_can_be_given(tmp_path: Path) -> None:
    own = '[energy]\nstatic_w = {value = 5, estimate = "measured at the plug"}\n'
    energy = targets.load("board", extra_dirs=[write(tmp_path, MINIMAL + own)]).energy
    assert energy is not None
    assert energy.static_w is not None
    assert energy.static_w.value == 5
    assert energy.multiply_j == target_file.default_energy().multiply_j


def test_a_file_that_was_changed_is_read_again(tmp_path: Path) -> None:
    file = write(tmp_path, MINIMAL) / "board" / "target.toml"
    before = target_file.read(file)
    assert target_file.read(file) is before
    file.write_text(MINIMAL.replace("cores = 4", "cores = 5"))
    assert (before.processor.cores, target_file.read(file).processor.cores) == (4, 5)


def error_line(folder: Path) -> str:
    with pytest.raises(TargetError) as caught:
        target_file.read(folder / "board" / "target.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        (MINIMAL.replace("cores = 4", 'cores = "four"'), "processor.cores", "got 'four', expected an integer"),
        (MINIMAL.replace("cores = 4", "cores = 0"), "processor.cores", "got 0, expected an integer >= 1"),
        (MINIMAL.replace("cores = 4\n", ""), "processor.cores", "missing"),
        (MINIMAL.replace('family = "arm"', 'family = "riscv"'), "family", "got 'riscv'; expected one of arm, gpu, x86"),
        (MINIMAL.replace("family", "fmaily"), "fmaily", "unknown key; did you mean 'family'?"),
        (MINIMAL + "fma = 2\n", "processor.fma", "unknown key"),
        (MINIMAL + "[processor.l1d]\nbytes = 32768\n", "processor.l1d.bytes", "got 32768, expected a table"),
        (
            MINIMAL + "[peaks.flops_per_s]\nfloat32 = {value = 1}\n",
            "peaks.flops_per_s.float32",
            "a figure needs `source`",
        ),
        (
            MINIMAL + "[peaks.flops_per_s]\n"
            'int8 = {value = 1, source = "x"}\nfloat32 = {value = 1, source = "x", estimate = "y"}\n',
            "peaks.flops_per_s.float32",
            "a figure needs `source`",
        ),
        (MINIMAL + '[peaks.bytes_per_s]\nL1 = {source = "x"}\n', "peaks.bytes_per_s.L1.value", "missing"),
        (
            MINIMAL + '[peaks.bytes_per_s]\nL9 = {value = 1, source = "x"}\n',
            "peaks.bytes_per_s.L9",
            "unknown key; expected one of L1, L2",
        ),
        (MINIMAL + "[energy.add_j]\nint8 = 3\n", "energy.add_j.int8", "got 3, expected a table"),
        (MINIMAL.replace('mcpu = "cortex-a72"', ""), "tvm.mcpu", "expected a string, got None"),
        (MINIMAL.replace('kind = "llvm"', ""), "tvm.kind", "missing"),
        (MINIMAL.replace('kind = "llvm"', 'kind = "cuda"'), "family", "'arm' does not go with tvm.kind 'cuda'"),
        (
            MINIMAL.replace('name = "board"', 'name = "other"'),
            "name",
            "expected 'board', the folder's name, got 'other'",
        ),
    ],
)
def test_a_wrong_description_names_file_key_and_what_was_expected(
    tmp_path: Path, text: str, key: str, said: str
) -> None:
    assert text != MINIMAL
    line = error_line(write(tmp_path, text)).lower()
    assert line.startswith(f"{tmp_path}/board/target.toml: {key}: {said}".lower())


def test_the_first_of_two_wrong_figures_is_named(tmp_path: Path) -> None:
    rates = '[peaks.flops_per_s]\nint8 = {value = 1, source = "x"}\nfloat32 = {value = 1}\n'
    line = error_line(write(tmp_path, MINIMAL + rates + "[peaks.bytes_per_s]\nL1 = {value = 1}\n"))
    assert line.startswith(f"{tmp_path}/board/target.toml: peaks.flops_per_s.float32: a figure needs")


def test_an_energy_that_is_no_table(tmp_path: Path) -> None:
    line = error_line(write(tmp_path, MINIMAL.replace(TVM, f"energy = 3\n{TVM}")))
    assert line.startswith(f"{tmp_path}/board/target.toml: energy: got 3, expected a table")


def test_a_syntax_error(tmp_path: Path) -> None:
    line = error_line(write(tmp_path, MINIMAL.replace("threads = 4", "threads = = 4")))
    assert line.startswith(f"{tmp_path}/board/target.toml: not valid TOML: ")
    assert "line 6" in line


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "board/target.toml").write_bytes(b"name = '\xff'")
    assert "not valid TOML" in error_line(tmp_path)
