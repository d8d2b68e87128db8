"""A file that describes a target: what is wrong in it is named with its key."""

from __future__ import annotations

from pathlib import Path

import msgspec
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


# --------------------------------------------------------------------------------------------------------------- boards
CORE = MINIMAL.replace('name = "board"', 'name = "a_core"').replace(
    'mcpu = "cortex-a72"', 'mcpu = "cortex-a72"\nnum-cores = 4'
)
CORE += """requires = ["asimd"]
frequency_hz = {value = 1e9, source = "the core's data sheet"}
fma_units = {value = 2, source = "the core's manual"}

[processor.l2]
bytes = {value = 1048576, source = "the core's data sheet"}
ways = {value = 16, source = "the core's manual"}
shared_by = 4

[peaks.flops_per_s]
float32 = {value = 64e9, estimate = "16 FLOP/cycle x 4 cores x 1 GHz"}
int8 = {value = 256e9, estimate = "64 operations a cycle x 4 cores x 1 GHz"}

[peaks.bytes_per_s]
DRAM = {value = 4e9, estimate = "32 bits at 1e9 transfers a second"}

[energy]
static_w = {value = 3, estimate = "of the reference machine"}

[emulation]
qemu_cpu = "cortex-a72"
"""
BOARD = """name = "board"
core = "a_core"
description = "a board with that core"
"""
PEAKS = """
[peaks.flops_per_s]
float32 = {value = 48e9, estimate = "16 FLOP/cycle x 2 cores x 1.5 GHz"}
[peaks.bytes_per_s]
DRAM = {value = 8e9, estimate = "64 bits at 1e9 transfers a second"}
"""


def board(folder: Path, text: str = BOARD, core: str = CORE) -> Path:
    """Write a board and its core beside it, and return their folder."""
    write(folder, core, name="a_core")
    return write(folder, text)


def test_a_board_that_says_nothing_is_its_core(tmp_path: Path) -> None:
    folder = board(tmp_path)
    found, core = (targets.load(name, extra_dirs=[folder]) for name in ("board", "a_core"))
    own = {"name": "board", "description": "a board with that core"}
    assert msgspec.to_builtins(found) == {**msgspec.to_builtins(core), **own}
    assert target_file.core(folder / "board" / "target.toml") == "a_core"
    assert target_file.core(folder / "a_core" / "target.toml") is None
    assert targets.cores([folder])["board"] == "a_core"


def test_a_board_has_what_it_says_and_the_rest_of_its_core(tmp_path: Path) -> None:
    text = (
        BOARD
        + """memory_bytes = {value = 1e9, source = "the board's data sheet"}
[processor]
cores = 2
frequency_hz = {value = 1.5e9, source = "the board's data sheet"}
[processor.l2]
bytes = {value = 524288, source = "the board's data sheet"}
shared_by = 2
[energy]
static_w = {value = 1, source = "the board's data sheet"}
"""
    )
    found = targets.load("board", extra_dirs=[board(tmp_path, text + PEAKS)])
    processor = found.processor
    assert (found.threads, processor.cores, found.tvm["num-cores"], found.tvm["mcpu"]) == (2, 2, 2, "cortex-a72")
    assert processor.frequency_hz is not None
    assert (processor.frequency_hz.value, processor.frequency_hz.source) == (1.5e9, "the board's data sheet")
    assert processor.fma_units is not None
    assert processor.fma_units.source == "the core's manual"
    assert processor.l2 is not None
    assert processor.l2.ways is not None
    assert (processor.l2.bytes.value, processor.l2.ways.value, processor.l2.shared_by) == (524288, 16, 2)
    assert set(found.peaks.flops_per_s) == {"float32"}, "peaks are the board's own as a whole"
    assert found.energy is not None
    assert found.energy.static_w is not None
    assert found.energy.static_w.source == "the board's data sheet"
    assert found.energy.multiply_j == target_file.default_energy().multiply_j
    assert found.emulation == {"qemu_cpu": "cortex-a72"}


def test_a_figure_of_a_board_is_no_mixture(tmp_path: Path) -> None:
    """An estimate in the place of a sourced figure would have both, which no figure may."""
    text = BOARD + '[processor]\nfma_units = {value = 1, estimate = "half of them"}\n'
    found = targets.load("board", extra_dirs=[board(tmp_path, text)]).processor.fma_units
    assert found is not None
    assert (found.value, found.source, found.estimate) == (1, None, "half of them")


def test_threads_and_processors_that_a_board_gives_stay(tmp_path: Path) -> None:
    text = BOARD + "threads = 1\n[tvm]\nnum-cores = 3\n[processor]\ncores = 2\n" + PEAKS
    found = targets.load("board", extra_dirs=[board(tmp_path, text)])
    assert (found.threads, found.tvm["num-cores"], found.processor.cores) == (1, 3, 2)


def test_a_core_of_mbench_and_one_beside_the_board(tmp_path: Path) -> None:
    text = BOARD.replace("a_core", "arm64_cortex_a53")
    assert targets.load("board", extra_dirs=[write(tmp_path / "one", text)]).tvm["mcpu"] == "cortex-a53"


def test_a_core_that_was_changed_is_read_again(tmp_path: Path) -> None:
    folder = board(tmp_path)
    file = folder / "board" / "target.toml"
    assert target_file.read(file).processor.vector_bits == 128
    write_again = folder / "a_core" / "target.toml"
    write_again.write_text(CORE.replace("vector_bits = 128", "vector_bits = 256"))
    assert target_file.read(file).processor.vector_bits == 256


@pytest.mark.parametrize(
    ("text", "core", "said"),
    [
        (
            BOARD.replace("a_core", "b_core"),
            CORE,
            "core: there is no target 'b_core' beside it or in mbench; did you mean",
        ),
        (BOARD.replace("a_core", "../a_core"), CORE, "core: there is no target '../a_core' beside it"),
        (BOARD.replace('"a_core"', "3"), CORE, "core: there is no target 3 beside it"),
        (BOARD.replace('"a_core"', "[]"), CORE, "core: there is no target an array beside it"),
        (BOARD.replace("a_core", "board"), CORE, "core: there is no target 'board' beside it"),
        (
            BOARD.replace("a_core", "raspberry_pi_4"),
            CORE,
            "core: 'raspberry_pi_4' is a board itself; expected 'arm64_c",
        ),
        ('name = "board"\ncore = "a_core"\n', CORE, "description: missing"),
        (
            BOARD + "[processor]\ncores = 2\n",
            CORE,
            "peaks.flops_per_s: missing; those of 'a_core' do not hold for another",
        ),
        (BOARD + "[processor]\ncores = 0\n" + PEAKS, CORE, "processor.cores: got 0, expected an integer >= 1"),
        (BOARD + "processor = 3\n", CORE, "processor: got 3, expected a table"),
        (BOARD + "tvm = 3\n[processor]\ncores = 2\n" + PEAKS, CORE, "tvm: got 3, expected a table"),
        (BOARD + "[processor]\nfma = 2\n", CORE, "processor.fma: unknown key"),
        (BOARD, CORE.replace("cores = 4\nv", "v"), "a_core/target.toml: processor.cores: missing"),
        (BOARD, CORE.replace('name = "a_core"', 'name = "a_core"\ncore = "board"'), "'a_core' is a board itself"),
    ],
)
def test_what_is_wrong_between_a_board_and_its_core(text: str, core: str, said: str, tmp_path: Path) -> None:
    assert said in error_line(board(tmp_path, text, core))
