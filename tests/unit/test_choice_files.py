from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
import record_factory as factory
from target_descriptions import MINIMAL, write

from mbench.core import machine_types, resources
from mbench.core.choices import METASCHEDULE, NO_CHOICES, Choice
from mbench.core.errors import OutputError, RecordError
from mbench.core.machine_types import Host, Target
from mbench.hardware import targets
from mbench.measure import activity
from mbench.tuning import choice_files
from mbench.tuning.choice_files import File, InPlace, MadeWith, TimedChoice, TimedNetwork, TunedKernel

KERNEL = "conv2d_nhwc_1x14x14x512_k1x1_s1_p0_512"
HOST: Host = factory.record().host
TARGET = targets.load("x86_64_v3")
HERE = msgspec.structs.replace(TARGET, name="host", tvm={**TARGET.tvm, "mcpu": "znver3"})


def entry(kernel: str = KERNEL, threads: int = 2, rows: int = 6, **changes: object) -> TunedKernel:
    made = TunedKernel(
        kernel=kernel, threads=threads, rule="cpu.matmul", parameters={"rows": rows, "vectors": 2}, seconds=1.25e-5,
        error=2.5e-7, default=TimedChoice(rule="cpu.matmul", parameters={"rows": 4, "vectors": 2}, seconds=1.5e-5),
        made_with=MadeWith(mbench="0.1.0", tvm="0.27.0", date="2026-01-31"),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def placed(high_ratio: float) -> InPlace:
    return InPlace(
        layers=5, default_seconds=1e-4, seconds=9e-5, high_ratio=high_ratio, mcpu="znver4",
        made_with=MadeWith(mbench="0.1.0", tvm="0.27.0", date="2026-01-31"),
    )  # fmt: skip


def network(**changes: object) -> TimedNetwork:
    made = TimedNetwork(
        variant="mobilenet_v1_1.0_224", threads=2, default_seconds=6e-3, seconds=5e-3, mcpu="znver4",
        made_with=MadeWith(mbench="0.1.0", tvm="0.27.0", date="2026-01-31"),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def file(*entries: TunedKernel, **changes: str) -> File:
    found = File(format_version=1, target="x86_64_v3", cpu="AMD EPYC", mcpu="znver3", kernels=entries)
    return msgspec.structs.replace(found, **changes)


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of the user's own choices, in an empty folder."""
    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    return choice_files.own_file(TARGET, HOST)


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of the choices that ship with the target; it is not there yet."""
    copy = tmp_path / "data" / "targets"
    for name in ("x86_64_v2", "x86_64_v3"):
        (copy / name).mkdir(parents=True)
        text = (resources.data_dir("targets") / name / "target.toml").read_bytes()
        (copy / name / "target.toml").write_bytes(text)
    (copy / "energy_default.toml").write_bytes((resources.data_dir("targets") / "energy_default.toml").read_bytes())
    (copy / "x86_64_v3" / "tuned").mkdir()
    monkeypatch.setattr(resources, "data_dir", lambda _: copy)
    return copy / "x86_64_v3" / "tuned" / "rules.toml"


# ------------------------------------------------------------------------------------------------------------- the file
def test_what_is_written_is_read(own: Path) -> None:
    before = file(
        entry(), entry(threads=4, error=None), entry("matmul_1x4x8", rule=METASCHEDULE, parameters={}, trials=9)
    )
    choice_files.write(own, before)
    assert choice_files.read(own) == before
    assert stat.S_IMODE(own.stat().st_mode) & 0o400
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_networks_are_written_with_the_kernels(own: Path) -> None:
    before = (
        file(entry(in_place=placed(0.9)), entry(threads=4)).with_network(network()).with_network(network(threads=4))
    )
    choice_files.write(own, before)
    assert choice_files.read(own) == before
    again = before.with_network(network(seconds=4e-3))
    assert [(one.threads, one.seconds) for one in again.networks] == [(2, 4e-3), (4, 5e-3)]


def test_a_network_that_is_there_twice_is_refused(own: Path) -> None:
    own.write_text(
        choice_files.encode(msgspec.structs.replace(file(), networks=(network(), network()))), encoding="utf-8"
    )
    with pytest.raises(RecordError, match=r"network .* at 2 threads is there twice"):
        choice_files.read(own)


@pytest.mark.parametrize(("ratio", "wins"), [(None, True), (0.999, True), (1.0, False), (1.1, False)])
def test_a_choice_that_is_not_quicker_in_place_is_not_picked(own: Path, ratio: float | None, wins: bool) -> None:
    one = entry(in_place=None if ratio is None else placed(ratio))
    assert (one.differs, one.wins) == (True, wins)
    choice_files.write(own, file(one))
    assert set(choice_files.choices(TARGET, HOST, 2).kernels) == ({KERNEL} if wins else set())


def test_people_can_read_it() -> None:
    text = choice_files.encode(file(entry()))
    assert 'rule = "cpu.matmul"\nparameters = {rows = 6, vectors = 2}\nseconds = 1.25e-05\n' in text
    assert 'default = {rule = "cpu.matmul", parameters = {rows = 4, vectors = 2}, seconds = 1.5e-05}\n' in text
    assert text.startswith("# ")


@pytest.mark.parametrize("name", ['"quoted" \\ back', "line\nbreak\ttab\x7f\x01", "µ™ 漢字 🙂"])
def test_any_processors_name_survives(own: Path, name: str) -> None:
    choice_files.write(own, file(entry(), cpu=name))
    assert choice_files.read(own).cpu == name


def test_numbers_survive(own: Path) -> None:
    for seconds in (0.0, 1.0, 2.0, 1e-9, 123456.0, 0.00123456):
        choice_files.write(own, file(entry(seconds=seconds)))
        assert choice_files.read(own).kernels[0].seconds == pytest.approx(seconds, rel=1e-3)


def test_an_entry_takes_the_place_of_the_one_before() -> None:
    found = (
        file().with_entry(entry("b")).with_entry(entry("a")).with_entry(entry("b", 4)).with_entry(entry("b", rows=9))
    )
    assert [(one.key, one.parameters["rows"]) for one in found.kernels] == [(("a", 2), 6), (("b", 2), 9), (("b", 4), 6)]
    assert found.find("b", 2) == entry("b", rows=9)
    assert found.find("b", 8) is None


GOOD = choice_files.encode(file(entry()))
BAD: dict[str, tuple[str | bytes, str]] = {
    "not TOML": ("not a file", "not valid TOML"),
    "truncated": (GOOD[:-40], "not valid TOML"),
    "not text": (b"\xff\xfe", "not valid TOML"),
    "empty": ("", "format_version is None"),
    "a later version": (
        GOOD.replace("format_version = 1", "format_version = 2"),
        "format_version is 2, this mbench reads 1",
    ),
    "no target": (GOOD.replace("target =", "aim ="), "aim"),
    "a key too many": (
        GOOD.replace("threads = 2", "threads = 2\nlanes = 8"),
        "kernels[0].lanes: unknown key",
    ),
    "a key missing": (GOOD.replace("threads = 2\n", ""), "kernels[0].threads: missing"),
    "no number": (
        GOOD.replace("rows = 6", 'rows = "six"'),
        "kernels[0].parameters.rows: got 'six', expected an integer",
    ),
    "no whole number": (
        GOOD.replace("rows = 6", "rows = 6.5"),
        "kernels[0].parameters.rows: got 6.5, expected an integer",
    ),
    "below zero": (GOOD.replace("rows = 6", "rows = -6"), ">= 0"),
    "no threads": (GOOD.replace("threads = 2", "threads = 0"), "threads"),
    "negative seconds": (GOOD.replace("seconds = 1.25e-05", "seconds = -1.0"), ">= 0"),
    "twice": (choice_files.encode(file(entry(), entry())), f"kernel '{KERNEL}' at 2 threads is there twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_line(own: Path, name: str) -> None:
    content, said = BAD[name]
    own.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecordError) as caught:
        choice_files.choices(TARGET, HOST, 2)
    for text in (str(own), said, "--no-tuned"):
        assert text.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(own: Path) -> None:
    own.mkdir()
    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        choice_files.choices(TARGET, HOST, 2)


def test_a_file_that_cannot_be_written(own: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written: No such file .*MBENCH_TUNED_DIR"):
        choice_files.write(own.parent / "none" / "file.toml", file())


# -------------------------------------------------------------------------------------------------------------- look-up
def picked(target: Target = TARGET, threads: int = 2) -> dict[str, int]:
    return {
        name: choice.parameters["rows"] for name, choice in choice_files.choices(target, HOST, threads).kernels.items()
    }


def test_without_a_file_there_is_no_choice(own: Path) -> None:
    assert choice_files.choices(TARGET, HOST, 2) == NO_CHOICES


def test_what_ships_is_valid_and_of_quiet_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = {
        path.parent.parent.name: choice_files.read(path)
        for path in resources.data_dir("targets").glob("*/tuned/*.toml")
    }
    assert "x86_64_v3" in found
    for name, file in found.items():
        assert file.target == name
        path = resources.data_dir("targets") / name / "tuned" / "rules.toml"
        assert choice_files.encode(file) == path.read_text(encoding="utf-8"), "what is written reads the same to people"
        assert all((item.made_with.others_busy or 0.0) <= activity.DISTURBED for item in file.kernels)


def test_only_what_wins_is_a_choice(own: Path) -> None:
    choice_files.write(
        own, file(entry("better"), entry("same", rows=4), entry("other", rows=4, rule="cpu.convolution"))
    )
    found = choice_files.choices(TARGET, HOST, 2)
    assert set(found.kernels) == {"better", "other"}
    assert found.kernels["better"] == Choice(rule="cpu.matmul", parameters={"rows": 6, "vectors": 2})
    assert list(found.files) == [own.name]


def test_a_board_has_the_choices_of_its_core_and_its_own_before_them(tmp_path: Path) -> None:
    """What the core's target brings, what this user tuned for it, and then the same of the board."""
    folder = tmp_path / "boards"
    for name, text in (("a_core", MINIMAL.replace('"board"', '"a_core"')), ("board", BOARD), ("other", OTHER)):
        write(folder, text, name=name)
    (folder / "a_core" / "tuned").mkdir()
    choice_files.write(
        folder / "a_core/tuned/rules.toml", file(entry("a", rows=1), entry("b", rows=1), entry("c", rows=1))
    )
    core, board, other = (targets.load(name, extra_dirs=[folder]) for name in ("a_core", "board", "other"))

    def rows(target: Target) -> dict[str, int]:
        found = choice_files.choices(target, HOST, 2, [folder]).kernels
        return {name: choice.parameters["rows"] for name, choice in found.items()}

    assert rows(board) == rows(core) == {"a": 1, "b": 1, "c": 1}
    assert choice_files.choices(board, HOST, 2, [folder]) == choice_files.choices(core, HOST, 2, [folder])
    choice_files.write(choice_files.own_file(core, HOST), file(entry("b", rows=2), entry("c", rows=2)))
    choice_files.write(choice_files.own_file(board, HOST), file(entry("c", rows=3)))
    assert rows(board) == {"a": 1, "b": 2, "c": 3}
    assert rows(core) == {"a": 1, "b": 2, "c": 2}
    assert rows(other) == {}, "its vectors are wider, so that no choice of its core is one of its own"


BOARD = 'name = "board"\ncore = "a_core"\ndescription = "a board"\n'
OTHER = BOARD.replace('name = "board"', 'name = "other"') + "[processor]\nvector_bits = 256\n"
THREADS = {1: 8, 2: 7, 3: 9, 4: 9, 5: None}


@pytest.mark.parametrize("threads", THREADS)
def test_the_next_higher_number_of_threads_counts_never_a_lower_one(own: Path, threads: int) -> None:
    choice_files.write(own, file(entry(threads=4, rows=9), entry(threads=2, rows=7), entry(threads=1, rows=8)))
    rows = THREADS[threads]
    assert picked(threads=threads) == ({} if rows is None else {KERNEL: rows})


def test_the_users_own_go_before_the_shipped_ones(own: Path, shipped: Path) -> None:
    choice_files.write(shipped, file(entry("a", rows=1), entry("b", rows=2), entry("c", rows=3)))
    choice_files.write(own, file(entry("b", rows=7), entry("c", rows=4)))
    assert picked() == {"a": 1, "b": 7}  # for c, the rules' own choice was best here
    assert list(choice_files.choices(TARGET, HOST, 2).files) == ["x86_64_v3/tuned/rules.toml", own.name]


def test_another_target_has_none_of_it(own: Path, shipped: Path) -> None:
    choice_files.write(shipped, file(entry()))
    choice_files.write(own, file(entry()))
    assert picked(targets.load("x86_64_v2")) == {}


def test_the_host_takes_what_was_shipped_for_such_a_processor(shipped: Path) -> None:
    choice_files.write(shipped, file(entry()))
    assert picked(HERE) == {KERNEL: 6}
    choice_files.write(shipped, file(entry(), mcpu="haswell"))
    assert picked(HERE) == {}


def test_the_host_takes_nothing_for_other_registers(shipped: Path) -> None:
    choice_files.write(shipped, file(entry()))
    wider = msgspec.structs.replace(HERE.processor, vector_bits=512)
    assert picked(msgspec.structs.replace(HERE, processor=wider)) == {}


def test_files_of_different_processors_have_different_names() -> None:
    other = msgspec.structs.replace(HOST, cpu="Another (R) CPU @ 3.0 GHz")
    names = {choice_files.own_file(target, host).name for target in (TARGET, HERE) for host in (HOST, other)}
    assert len(names) == 4
    assert "x86_64_v3-another-r-cpu-3-0-ghz.toml" in names
    assert any(name.startswith("host-znver3-") for name in names)


def test_choices_for_a_gpu_are_filed_by_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    target = msgspec.structs.replace(TARGET, name="cuda_sm90", family="gpu")
    gpu = machine_types.Gpu(name="NVIDIA H100 80GB HBM3", arch="sm_90")
    monkeypatch.setattr("mbench.hardware.gpus.found", lambda: gpu)
    assert choice_files.processor(target, HOST) == gpu.name
    assert choice_files.own_file(target, HOST).name == "cuda_sm90-nvidia-h100-80gb-hbm3.toml"
    monkeypatch.setattr("mbench.hardware.gpus.found", lambda: None)
    assert choice_files.own_file(target, HOST).name == "cuda_sm90-no-gpu.toml"
    assert choice_files.processor(TARGET, HOST) == HOST.cpu


def test_the_users_folder_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MBENCH_TUNED_DIR")
    assert choice_files.folder().parts[-2:] == ("mbench", "tuned")


# --------------------------------------------------------------------------------------------------------------- digest
def test_the_digest_is_of_the_choices(own: Path) -> None:
    seen = {NO_CHOICES.digest}
    for entries in ([entry()], [entry(rows=7)], [entry(rule="cpu.other")], [entry("other")]):
        choice_files.write(own, file(*entries))
        seen.add(choice_files.choices(TARGET, HOST, 2).digest)
    assert len(seen) == 5
    choice_files.write(
        own, file(entry("other", seconds=1e-6, made_with=MadeWith(mbench="9", tvm="9", date="2027-01-01")))
    )
    assert choice_files.choices(TARGET, HOST, 2).digest in seen  # the same choice, measured again


def test_the_digest_is_of_metaschedules_records_too(own: Path) -> None:
    choice_files.write(own, file(entry(rule=METASCHEDULE, parameters={})))
    beside = choice_files.database(own)
    beside.mkdir()
    (beside / "records.json").write_text("a")
    found = choice_files.choices(TARGET, HOST, 2)
    assert found.kernels[KERNEL].database == str(beside)
    before = found.digest
    (beside / "records.json").write_text("b")
    assert found.digest != before
