"""Every command and snippet of the documents is run, or left out for a reason that it gives itself.

Commands run in this process, with files as the documents name them, on a machine where building and measuring take no
time: names, options, files and what follows from one line to the next are real, compiled code and times are not. The
tutorial and the notebook run on this machine as it is (tests/integration/test_tutorial.py).
"""

from __future__ import annotations

import ast
import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import documents
import fake_devices as fakes
import fit_factory
import numpy as np
import pytest
import record_factory as factory
import tuning_world
from benchmark_scripts import script
from conftest import Mbench, require
from documents import Block
from gate_records import timed
from network_files import model, node, written

import mbench
from mbench import devices
from mbench.api import fit as fit_api
from mbench.core import fit_files, project_file, record_files
from mbench.core.artifact import Artifact
from mbench.core.fit_options import FitOptions
from mbench.core.fit_records import FitRecord
from mbench.devices import registry, toolchain
from mbench.devices.toolchain import Server
from mbench.history.store import open_store
from mbench.measure.observation import MeasurePlan, Observation
from mbench.networks import variants
from mbench.tuning import jobs, tuner

pytest_plugins = ("run_fixtures",)

LANGUAGES = {"sh", "python", "toml", "yaml", "json", "csv", "mermaid", "text"}
INSTEAD = {
    "--input-shape image=1,3,320,320": ("model.onnx", "detector.onnx", "whose input has open sides"),
    "mobilenet_v1 --dtype bfloat16": ("run", "run --target x86_64_v4_bf16 --compile-only", "which is everywhere"),
    "mobilenet_v2 --dtype float32,bfloat16": ("run", "run --target x86_64_v4_bf16 --compile-only", "likewise"),
    "model.onnx --dtype bfloat16": ("run", "run --target x86_64_v4_bf16 --compile-only", "likewise"),
}
"""What a line is run with in the place of what it says: by a part of the line, the text, another, and why."""
CODES = {"gate": {0, 1, 3}, "history check": {0, 1, 3}}
"""Exit codes of commands that judge; which one it is depends on what they are given. All others end with 0."""
SIDES = (1, 3, 32, 32)


# --------------------------------------------------------------------------------------------------------- the machine
class Emulator(fakes.Device):
    """Counts at once, and times nothing."""

    kind = name = "emulated"

    def measure(self, built: Artifact, plan: MeasurePlan, report: Callable[[str, float], None]) -> Observation:
        self.plans.append(plan)
        return fakes.emulated(built)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the documents have lying about."""
    folder = tmp_path_factory.mktemp("files")
    _networks(folder)
    for name in ("base", "head", "mbench-results"):
        (folder / name).mkdir()
    before, after = timed(), factory.again(timed(1.5), "after")
    for name, record in {"base": before, "before": before, "record": before, "head": after, "after": after}.items():
        record_files.write(folder / f"{name}.json", record)
    shutil.copy(folder / "base.json", folder / "base")
    shutil.copy(folder / "head.json", folder / "head")
    for name in ("mobilenet_v1_0.25_128", "mobilenet_v2_1.0_224"):
        record_files.write(folder / "mbench-results" / f"{name}.json", factory.record([name], run_id=name))
    for name in ("history.db", "mbench-history.db"):
        with open_store(folder / name, create=True) as store:
            store.add([record_files.read(file) for file in (folder / "mbench-results").iterdir()])
    return folder


def _networks(folder: Path) -> None:
    """Write the user's own networks, what they are checked on, and pictures."""
    from PIL import Image

    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [node("Conv", "image w", "a", pads=[1, 1, 1, 1]), node("GlobalAveragePool", "a", "p"), node("Flatten", "p")]
    one = model(nodes, inputs={"image": ("N", *SIDES[1:])}, constants={"w": weights})
    for name in ("model.onnx", "other.onnx"):
        written(folder, one, name)
    (folder / "models").mkdir()
    written(folder / "models", one)
    written(folder, model(nodes, inputs={"image": (1, 3, "H", "W")}, constants={"w": weights}), "detector.onnx")
    scales = {"s": 0.02, "z": np.array(128, np.uint8), "t": 0.01, "i": np.array(0, np.int8)}
    quantised = [
        node("QuantizeLinear", "image s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("DequantizeLinear", "w t i", "v"),
        node("Conv", "d v", "a", pads=[1, 1, 1, 1]),
        node("QuantizeLinear", "a s z", "r"),
        node("DequantizeLinear", "r s z", "y"),
    ]
    whole = {**scales, "w": np.clip(np.rint(weights * 50), -127, 127).astype(np.int8)}
    written(folder, model(quantised, inputs={"image": SIDES}, constants=whole), "quantised.onnx")
    images = np.random.default_rng(1).normal(size=(4, *SIDES[1:])).astype(np.float32)
    np.savez(folder / "inputs.npz", image=images[:1])
    np.savez(folder / "images.npz", image=images)
    for place in (folder / "images", *(folder / "labelled" / str(label) for label in range(2))):
        place.mkdir(parents=True)
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(place / "picture.png")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache of all blocks: a file of the user's is imported once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def quick(run: Mbench, world: Any, files: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mbench:
    """Return the command line on a machine where nothing takes time, in a folder with the files."""
    shutil.copytree(files, ".", dirs_exist_ok=True)
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(cache))
    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path / "tuned"))
    monkeypatch.delenv("MBENCH_STORE", raising=False)
    for kind, made in {"emulated": Emulator(), "rpc": world.device}.items():
        monkeypatch.setitem(devices.OPENERS, kind, lambda *_, made=made, **__: made)
    tuning = tuning_world.World(tmp_path)
    for name, double in {"tasks": tuning.tasks, "tiles": tuning.list_tiles, "compiled": tuning.compiled}.items():
        monkeypatch.setattr(jobs, name, double)
    monkeypatch.setattr(jobs, "grids", lambda *_: (tuning_world.GRID,))
    monkeypatch.setattr(tuner, "LocalDevice", lambda **_: tuning.arena)
    monkeypatch.setattr(tuner, "LocalTimer", lambda *_: tuning.device)
    for place in (mbench, fit_api):  # the first is made of the second when it is asked for
        monkeypatch.setattr(place, "fit", _found)
    monkeypatch.setattr(toolchain, "server", lambda *_: _server(tmp_path / "built"))
    return run


def _found(_networks: object, *, options: FitOptions, **_: object) -> FitRecord:
    """Stand for a search: its options are checked, and its files are written."""
    options.output.mkdir(exist_ok=True)
    record_files.write(options.output / fit_factory.MEASURED, factory.record(latency=False))
    found = fit_factory.record()
    fit_files.write(options.output / "fit-search.json", found)
    return found


def _server(folder: Path) -> Server:
    made = Server(folder)
    folder.mkdir(exist_ok=True)
    for path in made.files:
        path.write_text("/lib/ld-linux-aarch64.so.1 \nGLIBC_2.34\0")
    return made


# ------------------------------------------------------------------------------------------------------------ commands
def of_no_other_test(*languages: str) -> list[Any]:
    """Return the blocks that are run here, each by its place."""
    found = [
        block
        for block in documents.all_blocks(*languages)
        if block.document not in documents.OWN_TESTS and block.mark != documents.SHELL
    ]
    return [pytest.param(block, id=block.place) for block in found]


def shorter(line: str) -> str:
    """Return a line as it is run here."""
    for part, (text, instead, _) in INSTEAD.items():
        if part in line:
            line = line.replace(text, instead, 1)
    return line


@pytest.mark.parametrize("block", of_no_other_test("sh"))
def test_commands_run(block: Block, quick: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(block)
    for line in block.lines:
        words = documents.words(shorter(line))
        if documents.why_left_out(line):
            read(words, monkeypatch)
        elif words[0] == "mbench":
            outcome = quick(*words[1:])
            command = " ".join(words[1 : 2 + (words[1] == "history")])
            assert outcome.code in CODES.get(command, {0}), (line, outcome.err)
        else:
            require(shutil.which(words[0]), words[0])
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert (done.returncode, bool(done.stdout)) == (0, True), (line, done.stderr)


def prepare(block: Block) -> None:
    """Take away what a block makes itself, and make what it has from others."""
    for other in documents.blocks(documents.ROOT / block.document):
        if other.file:
            Path(other.file).write_text(other.text, encoding="utf-8")
    for folder in ("base", "head"):
        if f"-o {folder}" in block.text:
            shutil.rmtree(folder)
    if "device add" not in block.text:
        registry.add("pi4", registry.NamedDevice(rpc="127.0.0.1:9090"))


def read(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse a line that is not run, where it is mbench's own."""
    if words[0] == "mbench":
        documents.parse(words[1:])
    elif words[:2] == ["python", f"benchmarks/{Path(words[1]).name}"]:
        monkeypatch.setattr(sys, "argv", words[1:])
        script(Path(words[1]).stem)._arguments()


def test_a_wrong_command_is_seen(quick: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    block = Block("README.md", 1, "sh", "mbench variants --publish\n", "")
    with pytest.raises(AssertionError, match="No such option"):
        test_commands_run(block, quick, monkeypatch)
    with pytest.raises(SystemExit):
        read(["python", "benchmarks/peers.py", "--no-such-option"], monkeypatch)


NAMES_ALONE = (click.MissingParameter, click.exceptions.BadOptionUsage, click.exceptions.NoArgsIsHelpError)
"""What a command's or an option's name comes to where it stands without its words."""
NEWEST = [path for path in documents.DOCUMENTS if path.name != "CHANGELOG.md"]
"""Documents that say what is now."""


@pytest.mark.parametrize("document", NEWEST, ids=lambda path: path.name)
def test_commands_within_a_sentence_can_be_read(document: Path) -> None:
    for line in sentence_commands(document.read_text(encoding="utf-8")):
        with contextlib.suppress(*NAMES_ALONE):
            documents.parse(documents.words(line)[1:])


def sentence_commands(text: str) -> list[str]:
    """Return the commands in backticks that leave nothing open."""
    found = re.findall(r"`(mbench [a-z][^`]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return [" ".join(line.split()) for line in found if not re.search(r"[…\[<|]|\b[A-Z]+\b|mbench \w+ [a-z]+\|", line)]


def test_a_wrong_command_within_a_sentence_is_seen() -> None:
    [line, _] = sentence_commands("Run `mbench run --no-such > x`, `mbench show RECORD`, or\n`mbench gate base\nhead`.")
    assert documents.words(line) == ["mbench", "run", "--no-such"]
    with pytest.raises(Exception, match="No such option"):
        documents.parse(documents.words(line)[1:])


# -------------------------------------------------------------------------------------------------------------- Python
@pytest.mark.parametrize("block", of_no_other_test("python"))
def test_snippets_run(block: Block, quick: Mbench) -> None:
    del quick  # for the machine and the folder
    if block.file:
        Path(block.file).write_text(block.text, encoding="utf-8")
        variants_of_function(block.file)
    elif any(documents.why_left_out(line) for line in block.text.splitlines()):
        ast.parse(block.text)
    else:
        exec(compile(block.text, block.place, "exec"), {"__name__": "snippet"})


def variants_of_function(file: str) -> None:
    """Check that a file's functions can be called."""
    names: dict[str, Any] = {}
    exec(compile(Path(file).read_text(encoding="utf-8"), file, "exec"), names)
    for name in re.findall(r"^def (\w+)\(\)", Path(file).read_text(encoding="utf-8"), re.MULTILINE):
        module, example = names[name]()
        module(example)


# --------------------------------------------------------------------------------------------------------------- files
@pytest.mark.parametrize("block", of_no_other_test("toml"))
def test_files_are_ones_that_mbench_takes(block: Block, quick: Mbench, tmp_path: Path) -> None:
    if block.file:  # a command of the page takes it
        lines = (line for each in documents.blocks(documents.ROOT / block.document) for line in each.lines)
        assert any(block.file in line for line in lines)
    elif "[devices." in block.text:
        config = tmp_path / "config"
        config.mkdir(exist_ok=True)
        (config / "devices.toml").write_text(block.text, encoding="utf-8")
        assert set(registry.devices()) == set(re.findall(r"\[devices\.(\w+)\]", block.text))
    else:
        Path("mbench.toml").write_text(block.text, encoding="utf-8")
        project_file.read()
        assert quick("doctor").code == 0


# --------------------------------------------------------------------------------------------------------- what is left
def test_every_block_says_its_language() -> None:
    found = [block for path in documents.DOCUMENTS for block in documents.blocks(path)]
    assert {block.place: block.language for block in found if block.language not in LANGUAGES} == {}
    assert {block.document for block in found if block.language == "yaml"} <= set(documents.OWN_TESTS)


def test_no_code_is_indented_where_nothing_would_run_it() -> None:
    for path in documents.DOCUMENTS:
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert re.findall(r"\n\n {4}\S.*", text) == [], path.name


def test_a_document_with_a_test_of_its_own_has_one_that_reads_it() -> None:
    for document, test in documents.OWN_TESTS.items():
        source = (documents.ROOT / test).read_text(encoding="utf-8")
        assert f'"{Path(document).name}"' in source


def test_every_reason_is_needed_and_nothing_that_could_run_is_left_out() -> None:
    reasons = {reason for _, _, reason in documents.left_out()}
    assert reasons == set(documents.LEFT_OUT.values())
    own = [line for _, line, _ in documents.left_out() if line.startswith("mbench")]
    assert [line for line in own if not re.search("--target cuda|serve|--sweep|--device farm", line)] == []


def test_every_change_of_a_line_is_needed() -> None:
    lines = [line for block in documents.all_blocks("sh") for line in block.lines]
    assert [part for part in INSTEAD if not any(part in line for line in lines)] == []


@pytest.mark.parametrize(
    ("line", "left_out"),
    [("mbench run", False), ("mbench run mobilenet_v2 --target cuda", True), ("mbench run --target cuda_sm90", False)],
)
def test_what_needs_a_gpu_is_left_out(line: str, left_out: bool) -> None:
    assert bool(documents.why_left_out(line)) is left_out


def test_a_block_has_its_mark_and_its_line() -> None:
    text = "# A\n\n<!-- run as a shell does -->\n```sh\nmbench show \\\n  x.json # y\n\n# a comment\n```\n"
    path = documents.ROOT / "page.md"
    [block] = [
        Block("page.md", 3, found["language"], found["text"], found["mark"])
        for found in documents._BLOCK.finditer(text)
    ]
    assert (block.mark, block.lines) == (documents.SHELL, ["mbench show x.json # y"])
    assert documents.words(block.lines[0]) == ["mbench", "show", "x.json"]
    assert not path.exists()
    assert variants.parse("mobilenet_v2").name
