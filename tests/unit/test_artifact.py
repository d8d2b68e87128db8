from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.core import artifact
from mbench.core.artifact import LIBRARY, MANIFEST, REFERENCE, LayerPlan, Manifest
from mbench.core.errors import BuildError, OutputError
from mbench.networks import architectures, variants

LAYER = LayerPlan(
    name="conv0",
    op="conv2d",
    kernels=("conv",),
    input_shape=(1, 3, 32, 32),
    output_shape=(1, 8, 16, 16),
    kernel_size=(3, 3),
    stride=(2, 2),
    groups=1,
    macs=55296,
    params=216,
    weight_bytes=896,
    activation_bytes=20480,
    workspace_bytes=13872,
)


def manifest() -> Manifest:
    return Manifest(
        digest="0123456789abcdef",
        inputs={"sources": "x"},
        variant=variants.parse("mobilenet_v1_0.25_32"),
        target="host",
        compile_s=1.25,
        schedules={"conv": "cpu.standard 8x1x8"},
        fallbacks={},
        narrow={},
        calls=(("conv", 0),),
        layers=(LAYER,),
        weight_bytes=896,
        activation_peak_bytes=20480,
        workspace_bytes=13872,
        files={},
    )


def built(parent: Path, content: bytes = b"\x7fELF code") -> Path:
    """Return a scratch folder as a finished build leaves it."""
    work = Path(tempfile.mkdtemp(dir=parent))
    (work / LIBRARY).write_bytes(content)
    (work / REFERENCE).write_bytes(b"PK numbers")
    return work


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return artifact.store(manifest(), built(tmp_path), tmp_path / "artifact").folder


def test_what_is_stored_is_read_back(tmp_path: Path) -> None:
    work = built(tmp_path)
    stored = artifact.store(manifest(), work, tmp_path / "artifact")
    assert artifact.load(tmp_path / "artifact") == stored
    assert msgspec.structs.replace(stored.manifest, files={}) == manifest()
    assert stored.library_bytes == len(b"\x7fELF code")
    assert stored.manifest.files[LIBRARY] == hashlib.sha256(b"\x7fELF code").hexdigest()
    assert not work.exists()


def test_an_artifact_may_be_moved(folder: Path, tmp_path: Path) -> None:
    elsewhere = folder.rename(tmp_path / "copy")
    assert artifact.load(elsewhere).library == elsewhere / LIBRARY


@pytest.mark.parametrize("name", [LIBRARY, REFERENCE, MANIFEST])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "byte flipped", "longer", "missing"])
def test_damage_is_noticed(folder: Path, name: str, damage: str) -> None:
    file = folder / name
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    else:
        data[len(data) // 2] ^= 0x01
        flipped = bytes(data)
        damaged: dict[str, bytes] = {
            "truncated": flipped[:-2],
            "emptied": b"",
            "byte flipped": flipped,
            "longer": flipped + b"x",
        }
        file.write_bytes(damaged[damage])
    with pytest.raises(BuildError, match=r"artifact .*: (.* has hash .*; it was damaged|cannot be read: .*)"):
        artifact.load(folder)


@given(data=st.data())
def test_any_flipped_bit_of_the_manifest_is_noticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    parent = tmp_path_factory.mktemp("flipped")
    folder = artifact.store(manifest(), built(parent), parent / "artifact").folder
    text = bytearray((folder / MANIFEST).read_bytes())
    visible = [index for index, byte in enumerate(text) if chr(byte) not in " \n"]
    text[data.draw(st.sampled_from(visible))] ^= 1 << data.draw(st.integers(0, 7))
    (folder / MANIFEST).write_bytes(text)
    with pytest.raises(BuildError):
        artifact.load(folder)


def edited(folder: Path, **changes: object) -> None:
    content = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize(
    "changes", [{"weight_bytes": 897}, {"files": {}}, {"target": "other"}, {"extra": 1}, {"layers": "none"}], ids=str
)
def test_an_edited_manifest_is_noticed(folder: Path, changes: dict[str, object]) -> None:
    artifact.load(folder)
    edited(folder, **changes)
    with pytest.raises(BuildError):
        artifact.load(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": ()}, "$.layers"),
        ({"layers": (LAYER, LAYER)}, "'conv0' is there twice"),
        ({"layers": (msgspec.structs.replace(LAYER, output_shape=(1,)),)}, "$.layers[0].output_shape"),
        ({"layers": (msgspec.structs.replace(LAYER, output_shape=(1, 8)),)}, "$.layers[0].output_shape"),
        ({"layers": (msgspec.structs.replace(LAYER, kernel_size=(10**18, 3)),)}, "$.layers[0].kernel_size"),
        ({"layers": (msgspec.structs.replace(LAYER, macs=2**63),)}, "$.layers[0].macs"),
        ({"calls": (("conv", 1),)}, "$.calls"),
        ({"compile_s": 1e300}, "$.compile_s"),
        ({"weight_bytes": -1}, "$.weight_bytes"),
    ],
)
def test_a_manifest_of_what_cannot_be_is_refused_even_if_its_hashes_are_right(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    artifact.store(msgspec.structs.replace(manifest(), **changes), built(tmp_path), tmp_path / "artifact")
    with pytest.raises(BuildError) as caught:
        artifact.load(tmp_path / "artifact")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whitespace_in_the_manifest_is_no_damage(folder: Path) -> None:
    edited(folder)
    assert artifact.load(folder).manifest.layers == (LAYER,)


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_no_artifact_is_one_line(tmp_path: Path, there: str) -> None:
    if there == "a file":
        (tmp_path / "artifact").write_bytes(b"")
    with pytest.raises(BuildError) as caught:
        artifact.load(tmp_path / "artifact")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"artifact {tmp_path / 'artifact'}: cannot be read: ")


# ------------------------------------------------------------------------------------------------- several at one place
def test_an_artifact_that_is_there_stays(folder: Path, tmp_path: Path) -> None:
    second = artifact.store(manifest(), built(tmp_path, b"other code"), folder)
    assert second == artifact.load(folder)
    assert second.library.read_bytes() == b"\x7fELF code"


def test_an_artifact_of_an_earlier_version_keeps_its_hash() -> None:
    assert b"parallel_loops" not in msgspec.json.encode(manifest()), "it did not exist then"
    known = msgspec.structs.replace(LAYER, parallel_loops=2)
    assert b"parallel_loops" in msgspec.json.encode(msgspec.structs.replace(manifest(), layers=(known,)))


def test_a_damaged_artifact_is_replaced(folder: Path, tmp_path: Path) -> None:
    (folder / LIBRARY).write_bytes(b"")
    second = artifact.store(manifest(), built(tmp_path, b"new code"), folder)
    assert artifact.load(folder) == second
    assert second.library.read_bytes() == b"new code"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_many_at_once_leave_one_whole_artifact(tmp_path: Path) -> None:
    works = [built(tmp_path, f"code {number}".encode()) for number in range(8)]
    together = threading.Barrier(len(works))
    stored: list[artifact.Artifact] = []

    def store(work: Path) -> None:
        together.wait()
        stored.append(artifact.store(manifest(), work, tmp_path / "artifact"))

    threads = [threading.Thread(target=store, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored) == len(works)
    assert set(map(repr, stored)) == {repr(artifact.load(tmp_path / "artifact"))}


def test_discarding_twice_is_no_error(folder: Path, tmp_path: Path) -> None:
    artifact.discard(folder)
    artifact.discard(folder)
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_is_kept_by_many_at_once(folder: Path, tmp_path: Path) -> None:
    """Each puts its own in the other's place; a folder that came back meanwhile is no error."""
    made, place = artifact.load(folder), tmp_path / "kept" / "net"
    together = threading.Barrier(8)

    def keep(_: int) -> None:
        together.wait()
        for _ in range(20):
            artifact.keep(made, place)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(8)))
    assert artifact.load(place).manifest == made.manifest
    assert [path.name for path in place.parent.iterdir()] == ["net"]


def test_a_folder_that_comes_back_between_two_steps_gives_way(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, place = artifact.load(folder), tmp_path / "kept" / "net"
    discard, others = artifact.discard, [1, 1]

    def discard_late(path: Path) -> None:
        discard(path)
        if path == place and others:
            others.pop()
            shutil.copytree(folder, place)  # another process

    monkeypatch.setattr(artifact, "discard", discard_late)
    artifact.keep(made, place)
    assert artifact.load(place).manifest == made.manifest


def test_what_cannot_be_kept_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made = artifact.load(folder)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OutputError, match="No space left on device"):
        artifact.keep(made, tmp_path / "kept" / "net")
    assert list((tmp_path / "kept").iterdir()) == []


# ---------------------------------------------------------------------------------------------------- earlier versions
KEPT = Path(__file__).parents[1] / "data" / "artifacts" / "v1"


def test_an_artifact_of_an_earlier_version_is_read_with_its_hash() -> None:
    """Kept from before format version 2, for `gate --paired`: its manifest has the fields of that time."""
    assert "width_multiplier" in json.loads((KEPT / MANIFEST).read_bytes())["variant"]
    manifest = artifact.load(KEPT).manifest
    assert manifest.variant == variants.parse("mobilenet_v1_0.25_96_standard")
    assert [(layer.block, layer.role, layer.inputs) for layer in manifest.layers] == [
        (spec.block, spec.role, spec.inputs) for spec in architectures.layers(manifest.variant)
    ]
    assert "cpu.winograd" in manifest.rules.values()


def test_damage_of_an_artifact_of_an_earlier_version_is_noticed(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(KEPT, tmp_path / "kept"))
    edited(folder, compile_s=0.5)
    with pytest.raises(BuildError, match="was damaged"):
        artifact.load(folder)


def test_a_manifest_that_mixes_versions_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(KEPT, tmp_path / "kept"))
    edited(folder, rules={})
    with pytest.raises(BuildError):
        artifact.load(folder)


def test_manifests_share_equal_strings(folder: Path) -> None:
    first, second = artifact.load(folder).manifest, artifact.load(folder).manifest
    assert first is not second
    assert first.schedules["conv"] is second.schedules["conv"]
    assert first.layers[0].kernels[0] is second.layers[0].kernels[0]
