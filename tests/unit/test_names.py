"""Names that others give, wherever one becomes a path: they stay in their folder, and nothing of others' is removed."""

from __future__ import annotations

import ast
import hashlib
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import fake_devices as fakes
import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, Outcome, assert_one_line
from hypothesis import given
from hypothesis import strategies as st

import mbench
from mbench.core import artifact, names, record_files, scratch
from mbench.core.errors import MeasureError, TargetError, UsageError
from mbench.core.machine_types import Target
from mbench.core.records import Record
from mbench.devices import toolchain
from mbench.devices.remote_host import Snapshot
from mbench.devices.rpc import RpcDevice
from mbench.hardware import linker, targets
from mbench.measure import meters
from mbench.networks import variants
from mbench.page import report
from mbench.tuning import choice_files

NAME = "mobilenet_v1_0.25_32"
HOSTILE = (
    *("../../precious", "../precious", "..", ".", "../../../../../../etc/passwd", "/tmp/precious", "a/b", "a/../b"),
    *(".hidden", ".building-12345678", ".gone-1-x", "-rf", "--output", "nul\0byte", "line\nbreak", "back\\slash", " "),
    *("x" * 200, "\u00fc" * 200, "\U0001f600" * 200, "Caf\u00e9", "Cafe\u0301", "caf\u00e9", "NET", "net ", "Net", "~"),
    *("net~0", "$(touch precious)", "; rm -rf .", "\u202eevil", "\x1b[31m", "artifact.json", "model.so", "%2e"),
)  # fmt: skip
TARGET = targets.load("x86_64_v3")
HOST = factory.record([NAME]).host
USUAL = (*variants.catalog(), f"{NAME}_b8", "mobilenet_v3_large_1.0_224", "mobilenet_v4_conv_small_1.0_224")


def folded(name: str) -> str:
    """Return what a file system takes a name for that knows neither case nor how a letter is composed."""
    return unicodedata.normalize("NFC", name).casefold()


def assert_in(folder: Path, path: Path) -> None:
    """Check that a path is one part below a folder, and could be made there."""
    assert path.parent == folder
    assert Path(os.path.normpath(path)) == path
    assert names.is_plain(path.name.replace("~", "_")[:100])
    assert not path.name.startswith((".", "-"))
    assert len(os.fsencode(path.name)) < 240
    assert path.name.isprintable()


# ---------------------------------------------------------------------------------------------------------------- names
@pytest.mark.parametrize("name", USUAL)
def test_usual_names_stay_as_they_are(name: str) -> None:
    assert names.component(name) == name


@pytest.mark.parametrize("name", [*HOSTILE, "", "\ud800", "x" * 100_000])
def test_a_hostile_name_is_one_part_of_a_path(name: str, tmp_path: Path) -> None:
    part = names.component(name)
    assert_in(tmp_path, tmp_path / part)
    (tmp_path / part).mkdir()
    assert part not in set(USUAL)


def test_names_that_differ_are_different_parts_on_any_file_system() -> None:
    assert len({folded(names.component(name)) for name in (*HOSTILE, *USUAL)}) == len({*HOSTILE, *USUAL})


@given(st.text(), st.text())
def test_two_names_are_never_one_part(one: str, other: str) -> None:
    assert (folded(names.component(one)) == folded(names.component(other))) == (one == other)
    assert names.component(names.component(one)) == names.component(one) or "~" in names.component(one)


def test_what_is_readable_of_a_name_stays() -> None:
    assert names.component("My Net/v2").startswith("my-net-v2~")


@pytest.mark.parametrize(
    "path", ["/proc/../../x", "../x", "/proc/./x", "/a//b", "", "/", "/proc/a\0b", f"/{'x' * 256}"]
)
def test_a_path_that_leads_elsewhere_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the path of a file"):
        names.below(tmp_path, path)
    assert names.below(tmp_path, "/proc/cpuinfo") == tmp_path / "proc/cpuinfo"


# --------------------------------------------------------------------------------------------------------------- places
def _tuned_target(name: str, _: Path) -> tuple[Path, Path]:
    target = msgspec.structs.replace(TARGET, name=name)
    return choice_files.folder(), choice_files.own_file(target, HOST)


def _tuned_mcpu(name: str, _: Path) -> tuple[Path, Path]:
    target = msgspec.structs.replace(TARGET, name="host", tvm={**TARGET.tvm, "mcpu": name})
    return choice_files.folder(), choice_files.own_file(target, HOST)


def _tuned_cpu(name: str, _: Path) -> tuple[Path, Path]:
    host = msgspec.structs.replace(HOST, cpu=name)
    return choice_files.folder(), choice_files.own_file(TARGET, host)


def _database(name: str, folder: Path) -> tuple[Path, Path]:
    where, file = _tuned_target(name, folder)
    return where, choice_files.database(file)


def _lock(name: str, folder: Path) -> tuple[Path, Path]:
    address = (
        f"rpc://{name}:9090" if names.is_plain(name) else f"rpc://{hashlib.sha256(name.encode()).hexdigest() * 9}:1"
    )
    device = RpcDevice(TARGET, address, lock_dir=folder, timeout_s=1.0, waiting=lambda _: None)
    device.close()
    return folder, device.files[0]


def _download(name: str, folder: Path) -> tuple[Path, Path]:
    record = msgspec.structs.replace(factory.record([NAME]), run_id=name)
    return folder, folder / report._section("run1", record, b"", detailed=False, several=False).download.name


PLACES: dict[str, Callable[[str, Path], tuple[Path, Path]]] = {
    "an artifact beside a record": lambda name, at: (at / "a.artifacts", artifact.place(at / "a.json", name)),
    "tuned choices by target": _tuned_target,
    "tuned choices by LLVM's name": _tuned_mcpu,
    "tuned choices by processor": _tuned_cpu,
    "MetaSchedule's database": _database,
    "a lock of a device": _lock,
    "a download": _download,
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_keeps_every_name_in_its_folder(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path / "tuned"))
    for name in HOSTILE:
        assert_in(*PLACES[place](name, tmp_path))


MADE = {
    "artifact_store: self.folder / digest": "a hash",
    "artifact_store: work / name": "FILES",
    "imported_store: folder() / digest": "a hash",
    "orders: artifacts / digest": "a hash",
    "orders: folder / name": "FILES, or files that are there",
    "orders: imported_store.folder() / digest": "a hash",
    "orders: work / Path(name).name": "the last part alone",
    "publish: resources.PACKAGE / name": "constants",
    "serve: self.server.folder / name": "files that are there",
    "site_folder: self._before / name": "made by site_names",
    "site_folder: self._folder / name": "made by site_names",
    "worker_facts: Path(folder) / name": "chance",
    "imported_store: _entry(digest) / name": "_FILES",
    "imported_store: _entry(content(variant)) / name": "constants",
    "scratch: parent / entry.name": "a folder that is there",
    "scratch: path.with_name(_LOCK + hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16])": "a hash",
    "system_limits: each / name": "constants",
    "artifact: aside / folder.name": "a folder that is there",
    "artifact: files / name": "FILES",
    "artifact: folder / name": "FILES",
    "artifact: kept.folder / name": "FILES",
    "artifact: record.with_name(record.name.removesuffix('.json') + BESIDE)": "a file that the user named",
    "run: record.with_name(f'{record.name}.html')": "a file that the user named",
    "runner: Path(tempfile.gettempdir()) / job.path.name": "a file that the user named",
    "remote_host: self.root / path": "constants",
    "rpc_jobs: self._work / name": "constants",
    "host: folder / name": "constants",
    "host: root / 'sys/class/dmi/id' / name": "constants",
    "host: sensor / name": "constants",
    "resources: PACKAGE / '_data' / name": "constants",
    "resources: PACKAGE.parent / name": "constants",
    "templates: resources.data_dir('reports') / name": "constants",
    "calibrations: resources.PACKAGE / 'measure' / name": "mbench's modules",
    "pace_library: resources.PACKAGE / 'measure' / name": "mbench's modules",
    "pace_library: folder / loops.library.name": "a hash",
    "cgroups: folder / name": "files that the system has",
    "tool_cache: place / folder.name": "a hash",
    "fit: path.with_name(f'{path.stem}-measured.json')": "made of names.component",
    "fit: path.with_name(found.measured_record)": "the name of the line above",
    "planning: output / f'{runner.new_run_id()}.json'": "digits",
    "planning: self.file.parent / path": "a path that the user's file names",
    "sweep_files: folder / f'{name}{ENDING}'": "letters, digits and ._- as sweep_definition checks",
    "work: self._sweep.output / file.name": "a file that is there",
    "observations: self.folder / f'{runner.new_run_id()}.json'": "digits",
    "machine_cache: resources.cache_dir() / kind / f'{hashed.hexdigest()[:16]}.json'": "a hash",
    "meters: file.with_name(file.name.replace('_input', '_label'))": "a file that is there",
    "names: root.joinpath(*parts)": "checked there",
    "options: options.output / f'{runner.new_run_id()}.json'": "the clock and chance",
    "process: lock_dir / f'{file}.lock'": "its callers",
    "process: lock_dir / f'{file}.log'": "its callers",
    "rpc_jobs: self._work / f'kernels{self._loaded}.so'": "a number",
    "search: self.scratch / f'{next(self._numbers)}'": "a number",
    "search: self.scratch / f'{next(self._numbers)}.log'": "a number",
    "search: self.scratch / f'{next(self._numbers)}.so'": "a number",
    "host: root / _CPUS / f'cpu{number}/cpufreq/cpuinfo_max_freq'": "a number",
    "tvm_runtime: folder / name": "LIBRARIES",
    "tvm_runtime: package_folder(package) / 'lib' / library": "LIBRARIES",
    "toolchain: self.folder / name": "LIBRARIES",
    "toolchain: work / name": "LIBRARIES",
    "tvm_runtime: folder / Path(wheel.member).name": "WHEELS",
    "tvm_runtime: resources.cache_dir() / 'runtime' / f'{architecture}-{wheels[0].sha256[:8]}-{wheels[1].sha256[:8]}'": "WHEELS",  # noqa: E501
}
"""Where a path is made of a name without `names.component`, and what the name is from; none is of a record's, a
manifest's, a target's, a device's or a server's."""


CALLS = ("joinpath", "with_name", "with_stem")


def made_of_names(code: str) -> set[str]:
    """Return the expressions that make a path of something that a name could be."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _named(node.right):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            found.update([ast.unparse(node)] if not all(map(_fixed, node.args)) else [])
    return found


def _fixed(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (
        isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).isupper()
    )


def _named(node: ast.expr) -> bool:
    if isinstance(node, ast.JoinedStr):
        values = [value.value for value in node.values if isinstance(value, ast.FormattedValue)]
        return not all(_checked(value) or _fixed(value) for value in values)
    word = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    inside = isinstance(node, ast.Call) and not _checked(node) and "name" in ast.unparse(node)
    return inside or word in ("name", "path", "part", "word", "file", "variant", "library", "run_id", "digest", "stem")


def _checked(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "names.component"


def test_no_other_path_is_made_of_a_name() -> None:
    package = Path(mbench.__file__).parent
    found = {f"{file.stem}: {made}" for file in package.rglob("*.py") for made in made_of_names(file.read_text())}
    assert found - MADE.keys() == set(), "make it with names.component, or list where its name is from"


def test_the_search_for_paths_can_fail() -> None:
    for code in ("folder / result.variant.name", "folder / f'{run_id}.json'", "a.joinpath(b)", "a / str(x.name)"):
        assert made_of_names(code)
    assert not made_of_names("folder / 'x' / names.component(name) / f'{names.component(name)}.toml'")


# --------------------------------------------------------------------------------------------------- servers and boards
def test_a_server_that_names_files_elsewhere_writes_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    for path in ("/../precious", "/proc/../../precious", f"{tmp_path}/../x/../precious", "/proc/\0", "/"):
        with pytest.raises(MeasureError, match="a file that it cannot have"):
            Snapshot({path: "gone"}, tmp_path / "tree")
    for files in ({"/proc": "a file", "/proc/stat": "in it"}, {"/proc/stat": "\u20ac is no byte"}):
        with pytest.raises(MeasureError, match="a file that it cannot have"):
            Snapshot(files, tmp_path / "tree")
    with pytest.raises(UsageError, match="is not the path of a file"):
        meters.replayed({"/../precious": [(0.0, 1), (1.0, 2)]}, root=tmp_path / "tree", runs=1)
    assert (tmp_path / "precious").read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"precious", "tree"}


# -------------------------------------------------------------------------------------------------------------- targets
def test_a_targets_architecture_is_no_program_of_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for program in ("evil-linux-gnu-g++", "evil"):
        (tmp_path / program).write_text("#!/bin/sh\ntouch called\n")
        (tmp_path / program).chmod(0o755)
    for triple in (f"{tmp_path}/evil-linux-gnu", "x/../evil-linux-gnu", "./evil-linux-gnu", "a b-linux-gnu", ".."):
        for ask in (linker.find, toolchain.emulator, toolchain.sysroot, toolchain.compiler, toolchain.server):
            with pytest.raises(UsageError, match=r"architecture .* cannot be"):
                ask(triple)
    assert not (tmp_path / "called").exists()


def test_a_target_file_with_such_an_architecture_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "board"
    folder.mkdir()
    text = (Path(targets.available()["arm64_cortex_a72"])).read_text()
    text = text.replace('"arm64_cortex_a72"', '"board"', 1).replace("aarch64-linux-gnu", "x/../evil-linux-gnu")
    (folder / "target.toml").write_text("\n".join(line for line in text.splitlines() if not line.startswith("aliases")))
    with pytest.raises(TargetError, match=r"target\.toml: tvm\.mtriple: expected an architecture first"):
        targets.load("board", extra_dirs=[tmp_path])


# ------------------------------------------------------------------------------------------------------------- commands
@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Return a folder that nothing may touch; `../../precious` leads there from a baseline's artifacts."""
    folder = tmp_path / "precious"
    folder.mkdir()
    for name in (*artifact.FILES, "thesis.txt"):
        (folder / name).write_text(f"precious {name}")
    return folder


def tree(folder: Path) -> dict[str, tuple[str, float]]:
    """Return all that lies below a folder: what it is or holds, and when it changed."""
    return {
        str(path.relative_to(folder)): (
            str(path.readlink()) if path.is_symlink() else path.read_bytes().hex() if path.is_file() else "folder",
            path.lstat().st_mtime,
        )
        for path in folder.rglob("*")
    }


def renamed(*given: str, run_id: str) -> Record:
    """Return a record in which a network has each of these names, with counts."""
    [result] = factory.counted(factory.record([NAME])).results
    result = msgspec.structs.replace(result, layers=result.layers[:2])
    results = tuple(
        msgspec.structs.replace(result, variant=msgspec.structs.replace(result.variant, name=name)) for name in given
    )
    settings = msgspec.structs.replace(factory.record([NAME]).settings, variants=given, threads=1)
    item = msgspec.structs.replace(factory.record([NAME]), results=results, settings=settings)
    return msgspec.structs.replace(factory.again(item, run_id), target=targets.load("x86_64_v2"))


def kept(file: Path, item: Record, scratch: Path, *, claimed: str | None = None) -> Path:
    """Write a record with an artifact of each network beside it; `claimed`: what their manifests say they are of."""
    file.parent.mkdir(parents=True, exist_ok=True)
    results = []
    for number, result in enumerate(item.results):
        name = result.variant.name
        variant = msgspec.structs.replace(result.variant, name=claimed or name)
        work = fakes.compiled(scratch / f"{file.stem}-{number}", fakes.variant(NAME), digest=f"{number:032}")
        (work.folder / artifact.REFERENCE).write_bytes(b"numbers")
        manifest = msgspec.structs.replace(work.manifest, variant=variant)
        artifact.beside(file).mkdir(exist_ok=True)
        built = artifact.store(manifest, work.folder, artifact.place(file, name))
        info = msgspec.structs.replace(result.artifact, digest=built.manifest.digest)
        results.append(msgspec.structs.replace(result, artifact=info))
    record_files.write(file, msgspec.structs.replace(item, results=tuple(results)))
    return file


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Return BASE and HEAD, with an artifact of each hostile name."""
    base = kept(tmp_path / "base" / "base.json", renamed(*HOSTILE, run_id="base"), tmp_path / "scratch")
    return base, kept(tmp_path / "head" / "head.json", renamed(*HOSTILE, run_id="head"), tmp_path / "scratch")


def test_a_baseline_moves_for_one_process_at_a_time(
    run: Mbench, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, head = sides
    before = base.read_bytes()
    monkeypatch.setattr(scratch, "_PATIENCE_S", 0.0)
    with scratch.only(base):
        assert_one_line(run("gate", base, head, "--update-baseline"), f"{base}: another process")
    assert base.read_bytes() == before


def test_a_baseline_of_hostile_names_is_renewed_in_its_own_folder(
    run: Mbench, sides: tuple[Path, Path], precious: Path, tmp_path: Path
) -> None:
    base, head = sides
    before, folder = tree(tmp_path), artifact.beside(base)
    assert run("gate", base, head, "--update-baseline").code == 0
    after = tree(tmp_path)
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} <= {
        path for path in before.keys() | after.keys() if path == "base" or path.startswith(("base/", "cache"))
    }
    assert {names.component(name) for name in HOSTILE} == {path.name for path in folder.iterdir()}
    assert len(list(folder.iterdir())) == len(HOSTILE)
    for name in HOSTILE:
        assert artifact.load(artifact.place(base, name)).manifest.variant.name == name


FEW = ("../../precious", "../precious")
READING = (
    ("gate", "{base}", "{head}"), ("gate", "{base}", "{head}", "--junit", "j", "--html", "h", "--markdown", "m"),
    ("compare", "{base}", "{head}"), ("report", "{base}", "{head}", "-o", "page.html"), ("show", "{head}"),
    ("run", "--resume", "{head}"), ("gate", "{bare}", "{head}", "--update-baseline"),
)  # fmt: skip


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_no_command_touches_what_lies_elsewhere(
    run: Mbench, precious: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    base, head, bare = (tmp_path / side / f"{side}.json" for side in ("base", "head", "bare"))
    kept(base, renamed(*FEW, run_id="base"), tmp_path / "scratch")
    kept(head, msgspec.structs.replace(renamed(*FEW, run_id=FEW[0]), target=_elsewhere()), tmp_path / "scratch")
    bare.parent.mkdir()
    record_files.write(bare, renamed(*FEW, run_id="bare"))
    before = tree(tmp_path)
    done: Outcome = run(*(word.format(base=base, head=head, bare=bare) for word in words))
    assert "Traceback" not in done.err
    after = tree(tmp_path)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    page = {"head", "head/head.html"} if words[0] == "run" else set()  # of a finished record, made again
    assert {path for path in changed if not path.startswith(("here", "cache", "bare"))} == page, done


def _elsewhere() -> Target:
    """Return a target whose every name leads elsewhere."""
    return msgspec.structs.replace(targets.load("x86_64_v2"), description="../../precious", aliases=("../../precious",))


# ------------------------------------------------------------------------------------------------------------ baselines
def test_a_manifest_that_names_another_network_is_one_line_and_nothing_is_removed(
    run: Mbench, precious: Path, tmp_path: Path
) -> None:
    base = kept(tmp_path / "base" / "base.json", renamed(NAME, run_id="base"), tmp_path / "scratch")
    head = kept(
        tmp_path / "head" / "head.json", renamed(NAME, run_id="head"), tmp_path / "scratch", claimed="../../precious"
    )  # fmt: skip
    before = tree(tmp_path)
    assert_one_line(run("gate", base, head, "--update-baseline"), f"is of ../../precious, not of {NAME}")
    assert tree(precious) == {path.removeprefix("precious/"): at for path, at in before.items() if "precious/" in path}
    assert record_files.read(base).run_id == "base"


def _extra_file(folder: Path, _: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def _a_link(folder: Path, precious: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.symlink_to(precious)


def _a_linked_file(folder: Path, precious: Path) -> None:
    (folder / artifact.LIBRARY).unlink()
    (folder / artifact.LIBRARY).symlink_to(precious / "thesis.txt")


def _a_folder(folder: Path, _: Path) -> None:
    (folder / artifact.REFERENCE).unlink()
    (folder / artifact.REFERENCE).mkdir()
    (folder / artifact.REFERENCE / "notes.txt").write_text("mine")


def _a_file(folder: Path, _: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("mine")


ALIEN = {
    function.__name__.strip("_"): function for function in (_extra_file, _a_link, _a_linked_file, _a_folder, _a_file)
}


@pytest.mark.parametrize("kind", ALIEN)
def test_what_mbench_did_not_write_is_not_replaced(run: Mbench, precious: Path, tmp_path: Path, kind: str) -> None:
    base = kept(tmp_path / "base" / "base.json", renamed(NAME, run_id="base"), tmp_path / "scratch")
    head = kept(tmp_path / "head" / "head.json", renamed(NAME, run_id="head"), tmp_path / "scratch")
    ALIEN[kind](artifact.place(base, NAME), precious)
    before = {path: at for path, at in tree(tmp_path).items() if not path.startswith(("cache", "here"))}
    assert_one_line(run("gate", base, head, "--update-baseline"), "is not mbench's, and is not replaced; move it away")
    assert {path: at for path, at in tree(tmp_path).items() if not path.startswith(("cache", "here"))} == before


@pytest.mark.parametrize("kind", ALIEN)
def test_what_mbench_did_not_write_stays_beside_a_new_baseline(
    run: Mbench, precious: Path, tmp_path: Path, kind: str
) -> None:
    base = kept(tmp_path / "base" / "base.json", renamed(NAME, run_id="base"), tmp_path / "scratch")
    head = tmp_path / "head.json"
    record_files.write(head, renamed(NAME, run_id="head"))
    ALIEN[kind](artifact.place(base, NAME), precious)
    (artifact.beside(base) / "diary").mkdir()
    (artifact.beside(base) / "diary" / "today.txt").write_text("mine")
    before = tree(artifact.beside(base))
    assert run("gate", base, head, "--update-baseline").code == 0
    assert record_files.read(base).run_id == "head"
    assert tree(artifact.beside(base)) == before
    assert (precious / "thesis.txt").read_text() == "precious thesis.txt"


def test_stale_artifacts_go_and_their_folder_with_them(run: Mbench, tmp_path: Path) -> None:
    base = kept(tmp_path / "base" / "base.json", renamed(NAME, "a/b", run_id="base"), tmp_path / "scratch")
    head = tmp_path / "head.json"
    record_files.write(head, renamed(NAME, "a/b", run_id="head"))
    assert run("gate", base, head, "--update-baseline").code == 0
    assert [path.name for path in base.parent.iterdir()] == ["base.json"]


def test_a_folder_of_artifacts_that_is_a_link_is_not_followed(run: Mbench, precious: Path, tmp_path: Path) -> None:
    base, head = tmp_path / "base.json", tmp_path / "head.json"
    record_files.write(base, renamed(NAME, run_id="base"))
    record_files.write(head, renamed(NAME, run_id="head"))
    artifact.beside(base).symlink_to(precious)
    assert_one_line(run("gate", base, head, "--update-baseline"), "is a link, and not followed")
    assert len(tree(precious)) == 4


def test_only_an_artifacts_own_files_are_copied(tmp_path: Path) -> None:
    file = kept(tmp_path / "base" / "base.json", renamed(NAME, run_id="base"), tmp_path / "scratch")
    place = artifact.place(file, NAME)
    (place / "notes.txt").write_text("mine")
    os.mkfifo(place / "waits-for-ever")
    (tmp_path / "copies").mkdir()
    assert {path.name for path in artifact.copied(artifact.load(place), tmp_path / "copies").iterdir()} == set(
        artifact.FILES
    )


def test_a_manifest_that_lists_other_files_is_refused_before_they_are_read(tmp_path: Path) -> None:
    file = kept(tmp_path / "base" / "base.json", renamed(NAME, run_id="base"), tmp_path / "scratch")
    manifest = artifact.place(file, NAME) / artifact.MANIFEST
    content = msgspec.json.decode(manifest.read_bytes())
    content["files"]["/dev/zero"] = "0" * 64
    manifest.write_bytes(msgspec.json.encode(content))
    with pytest.raises(mbench.core.errors.BuildError, match="does not list its files"):
        artifact.load(manifest.parent)


def test_a_record_whose_name_is_as_long_as_a_name_can_be_is_judged(run: Mbench, tmp_path: Path) -> None:
    base, head = tmp_path / f"{'b' * 250}.json", tmp_path / "head.json"
    base.write_bytes(record_files.encode(renamed(NAME, run_id="base")))
    record_files.write(head, renamed(NAME, run_id="head"))
    assert run("gate", base, head).code == 0
    done = run("gate", base, head, "--update-baseline")
    assert (done.code in (0, 4), "Traceback" in done.err) == (True, False), done
