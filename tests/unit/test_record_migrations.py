"""Records of earlier versions, as they were written then: they open everywhere, and say what they said."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench
from record_documents import Document, decoded, refusal

import mbench
from mbench.analysis import pairs, waterfall
from mbench.core import network_digest, record_files, record_migrations
from mbench.core.errors import RecordError
from mbench.core.records import FORMAT_MINOR, FORMAT_VERSION

ROOT = Path(__file__).parents[2]
KEPT = sorted((ROOT / "tests" / "data" / "records" / "v1").glob("*.json"))
OLDER_MINORS = sorted((ROOT / "tests" / "data" / "records" / "v2").glob("*.json"))
MEASURED = next(file for file in KEPT if file.name == "measured.json")
each_kept = pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)


def document(file: Path = MEASURED) -> Document:
    found: Document = json.loads(file.read_text(encoding="utf-8"))
    return found


# ------------------------------------------------------------------------------------------------------- version 1
def test_every_kind_of_version_1_is_kept() -> None:
    assert {file.stem for file in KEPT} == {
        *("measured", "emulated", "compile_only", "counted", "failed", "interrupted", "gpu", "rpc"),
    }
    assert {document(file)["format_version"] for file in KEPT} == {1}


@each_kept
def test_a_kept_file_is_read_and_written_as_today(file: Path, tmp_path: Path) -> None:
    record = record_files.read(file)
    assert (record.format_version, record.format_minor) == (FORMAT_VERSION, FORMAT_MINOR)
    record_files.write(tmp_path / "again.json", record)
    assert record_files.read(tmp_path / "again.json") == record


@each_kept
def test_nothing_that_was_said_is_lost(file: Path) -> None:
    """Every figure and word of the old document stands in the new one, under the same name or the new one."""
    old, new = document(file), json.loads(record_files.encode(record_files.read(file)))
    renamed = {"variants": "networks", "variant": "network", "books": "time_balance"}

    def same(before: Any, after: Any, path: str) -> None:
        if isinstance(before, dict) and not path.endswith((".missing", ".schedules", ".fallbacks")):
            for key, value in before.items():
                if key in ("width_multiplier", "resolution") and path.endswith(".variant"):
                    assert after["parameters"][key] == value
                elif key != "format_version":
                    same(value, after[renamed.get(key, key)], f"{path}.{key}")
        elif isinstance(before, list):
            assert len(before) == len(after), path
            for index, value in enumerate(before):
                same(value, after[index], f"{path}[{index}]")
        elif path.endswith(".missing"):
            assert list(before.values()) == list(after.values())
        else:
            assert before == after, path

    same(old, new, "$")


@each_kept
def test_migration_is_pure(file: Path) -> None:
    old = document(file)
    before = copy.deepcopy(old)
    assert record_migrations.migrated(old, 1) == record_migrations.migrated(old, 1)
    assert old == before


def test_names_become_blocks_and_roles() -> None:
    separable, standard = record_files.read(MEASURED).results
    placed = {layer.name: (layer.block, layer.role, layer.inputs) for layer in (*separable.layers, *standard.layers)}
    assert placed["conv0"] == ("stem", "stem", ())
    assert placed["block1.dw"] == ("block1", "depthwise", ("conv0",))
    assert placed["block1.pw"] == ("block1", "pointwise", ("block1.dw",))
    assert placed["block13.conv"] == ("block13", "standard", ("block12.conv",))
    assert placed["fc"] == ("head", "classifier", ("pool",))


def test_a_migrated_network_is_the_one_that_is_built_today() -> None:
    """The parameters, places and digest of an old file are those that the families give by construction."""
    for result in record_files.read(MEASURED).results:
        [today] = factory.record((result.variant.name,)).results
        assert result.variant.parameters == today.variant.parameters
        assert [(layer.block, layer.role, layer.inputs) for layer in result.layers] == [
            (layer.block, layer.role, layer.inputs) for layer in today.layers
        ]
        assert result.variant.digest == network_digest.of_layers(result.layers)


def test_rules_are_the_first_word_of_a_description() -> None:
    artifact = record_files.read(MEASURED).results[1].artifact
    assert artifact.rules.keys() == artifact.schedules.keys()
    assert "cpu.winograd" in artifact.rules.values()
    assert all(" " not in rule for rule in artifact.rules.values())
    failed = record_files.read(MEASURED.with_name("failed.json")).results[0].artifact
    assert failed.fallbacks
    assert not failed.rules.keys() & failed.fallbacks.keys()


def test_settings_say_what_version_1_let_infer() -> None:
    assert record_files.read(MEASURED).settings.repeat_asked
    assert record_files.read(MEASURED).settings.no_tuned is False  # there were tuned choices
    emulated = record_files.read(MEASURED.with_name("emulated.json")).settings
    assert (emulated.repeat_asked, emulated.no_tuned) == (False, None)  # none: left out, or there were none


def test_reasons_follow_a_renamed_field() -> None:
    result = record_files.read(MEASURED.with_name("compile_only.json")).results[0]
    assert result.time_balance is None
    assert pairs.why_missing(result, "time_balance") == "not measured: --compile-only"


@pytest.mark.parametrize("name", ["measured", "emulated", "gpu", "rpc"])
def test_old_pairs_are_explained(name: str) -> None:
    record = record_files.read(MEASURED.with_name(f"{name}.json"))
    [pair] = pairs.of_record(record)
    assert [block.name for block in pair.blocks()] == [f"block{number}" for number in range(1, 14)]
    found = waterfall.of_pair(pair, record)
    assert isinstance(found, waterfall.Waterfall)
    assert {"depthwise", "pointwise", "standard"} <= {step.part for step in found.steps}


# --------------------------------------------------------------------------------------------- what is wrong stays so
def _unknown(*path: str | int) -> Callable[[Document], None]:
    def change(content: Document) -> None:
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = {}

    return change


@pytest.mark.parametrize(
    "path",
    [
        ("lables",), ("labels",), ("format_minor",), ("settings", "networks"), ("settings", "no_tuned"),
        ("settings", "wamrup"), ("results", 0, "network"), ("results", 0, "time_balance"),
        ("results", 0, "variant", "parameters"), ("results", 0, "variant", "digest"),
        ("results", 0, "layers", 3, "role"), ("results", 0, "layers", 3, "block"), ("results", 0, "artifact", "rules"),
    ],
    ids=str,
)  # fmt: skip
def test_a_field_that_version_1_did_not_know_is_refused(path: tuple[str | int, ...]) -> None:
    content = document()
    _unknown(*path)(content)
    with pytest.raises(RecordError, match=f"unknown field `{path[-1]}`"):
        decoded(content)


WRONG: tuple[Any, ...] = (None, True, 0, -1.5, "text", [], [1], {}, {"a": 1}, [[]], [{}], [None])


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_form_is_refused_in_one_line(wrong: Any) -> None:
    for path in (
        ("settings",), ("results",), ("failures",), ("results", 0), ("results", 0, "variant"), ("results", 0, "layers"),
        ("results", 0, "layers", 0), ("results", 0, "layers", 0, "name"), ("results", 0, "layers", 0, "input_shape"),
        ("results", 0, "artifact"), ("results", 0, "artifact", "schedules"), ("results", 0, "artifact", "fallbacks"),
        ("results", 0, "missing"), ("results", 0, "books"), ("settings", "tuned"), ("settings", "measure_max_s"),
    ):  # fmt: skip
        content = document()
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = wrong
        said = refusal(content)
        assert said is None or said.startswith("FILE: not a valid record: ")
        assert "\n" not in (said or "")


# ---------------------------------------------------------------------------------------------------- minor versions
def test_every_minor_version_is_kept() -> None:
    assert [file.stem for file in OLDER_MINORS] == [f"minor-{number}" for number in range(FORMAT_MINOR)]
    assert [document(file)["format_minor"] for file in OLDER_MINORS] == list(range(FORMAT_MINOR))


@pytest.mark.parametrize("file", OLDER_MINORS, ids=lambda file: file.stem)
def test_an_older_minor_version_is_read_and_written_as_todays(file: Path, tmp_path: Path) -> None:
    """So that a run that goes on with it may add what today's version knows."""
    record = record_files.read(file)
    assert record.format_minor == FORMAT_MINOR
    record_files.write(tmp_path / "again.json", record)
    assert document(tmp_path / "again.json")["format_minor"] == FORMAT_MINOR
    assert record_files.read(tmp_path / "again.json") == record


def test_a_pair_of_before_is_explained_without_what_was_replaced() -> None:
    record = record_files.read(OLDER_MINORS[0])
    [pair] = pairs.of_record(record)
    assert pair.standard.replaced == ()
    assert [block.name for block in pair.blocks()] == [f"block{number}" for number in range(1, 14)]
    assert all(block.achieved and block.by_the_formula for block in pair.blocks())
    found = waterfall.of_pair(pair, record)
    assert isinstance(found, waterfall.Waterfall)
    assert {"depthwise", "pointwise", "standard"} <= {step.part for step in found.steps}


# ------------------------------------------------------------------------------------------------------- every reader
@pytest.mark.parametrize("file", [*KEPT, *OLDER_MINORS], ids=lambda file: file.stem)
def test_show_and_report_open_a_kept_file(file: Path, tmp_path: Path, run: Mbench) -> None:
    shown = run("show", file)
    assert (shown.code, "Traceback" in shown.err) == (0, False)
    made = run("report", file, "-o", tmp_path / "page.html")
    assert made.code == 0, made.err
    assert (tmp_path / "page.html").stat().st_size > 1000
    again = json.loads(run("show", file, "--json").out)
    assert again["format_version"] == FORMAT_VERSION


def test_load_puts_kept_files_into_one_table() -> None:
    table = mbench.load(MEASURED.parent)
    networks = table[table["scope"] == "network"]
    assert set(networks["width_multiplier"]) == {0.25}
    assert set(networks["family"]) == {"mobilenet_v1"}


@pytest.mark.parametrize("command", ["compare", "gate"])
def test_a_kept_file_beside_itself_has_no_change(command: str, tmp_path: Path, run: Mbench) -> None:
    base = MEASURED.with_name("emulated.json")
    head = tmp_path / "head.json"
    shutil.copy(base, head)
    record = record_files.read(base)
    record_files.write(head, msgspec.structs.replace(record, run_id="another"))
    done = run(command, base, head)
    assert done.code == 0, done.out + done.err


@pytest.mark.parametrize("name", ["measured", "interrupted"])
def test_resume_reads_a_kept_file(name: str, tmp_path: Path, run: Mbench) -> None:
    """What is finished stays as it is; what another machine began is refused with what differs."""
    file = tmp_path / "record.json"
    content = document(MEASURED.with_name(f"{name}.json"))
    content["host"]["name"] = "another machine"
    file.write_text(json.dumps(content), encoding="utf-8")
    done = run("run", "--resume", file)
    if name == "measured":
        assert done.code == 0, done.err
    else:
        assert done.code == 2
        assert "host was another machine" in done.err
    assert document(file) == content
