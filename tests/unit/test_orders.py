"""What travels by content: the user's networks, artifacts and tuned databases, and what a worker lacks of it."""

from __future__ import annotations

from pathlib import Path

import imported_networks
import pytest
from builder_fakes import NAMES, TARGET, WANTED, compiled

from mbench.build import orders
from mbench.build.artifact_store import ArtifactStore
from mbench.build.orders import BuildOrder
from mbench.core import artifact
from mbench.core.choices import Choice, Choices
from mbench.core.errors import BuildError
from mbench.networks import imported_store


def test_a_network_of_the_user_travels_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "here"))
    network = imported_networks.kept()
    order = BuildOrder(facts={}, variant=network, target=TARGET, inputs={}, use_cache=True, limit_s=1.0)
    [needed] = order.needs
    assert needed == f"networks/{imported_store.content(network)}"
    assert orders.lacking(order.needs) == ()
    content = orders.content_of(needed, {}, tmp_path)

    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "there"))
    assert orders.lacking(order.needs) == (needed,)
    orders.unpack({needed: content})
    orders.unpack({needed: content})
    assert orders.lacking(order.needs) == ()
    assert imported_store.is_sound(imported_store.content(network))
    (orders.place_of(needed) / imported_store.PARAMETERS).write_bytes(b"damaged")
    assert orders.lacking(order.needs) == (needed,), "what is damaged is sent again"


def test_a_built_in_network_needs_nothing() -> None:
    order = BuildOrder(facts={}, variant=WANTED[0], target=TARGET, inputs={}, use_cache=True, limit_s=1.0)
    assert order.needs == ()


def test_what_cannot_be_read_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot be sent to a worker: No such file"):
        orders.content_of("artifacts/" + "0" * 32, {}, tmp_path)


def test_an_artifact_travels_whole(tmp_path: Path) -> None:
    made, _ = compiled(WANTED[0], TARGET, tmp_path / "store")
    content = orders.packed(made.folder, artifact.FILES)
    received = ArtifactStore(tmp_path / "other").receive(made.manifest.digest, content)
    assert received.manifest.files == made.manifest.files
    with pytest.raises(BuildError, match="it was damaged"):
        ArtifactStore(tmp_path / "third").receive(made.manifest.digest, {**content, artifact.LIBRARY: b"other"})
    with pytest.raises(BuildError, match="expected 00000000"):
        ArtifactStore(tmp_path / "third").receive("0" * 32, content)
    with pytest.raises(BuildError, match=r"it consists of .*; expected artifact\.json, model\.so, reference\.npz"):
        ArtifactStore(tmp_path / "third").receive(made.manifest.digest, {"model.so": b""})
    assert list((tmp_path / "third").iterdir()) == []


def test_tuned_databases_keep_their_order_and_their_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of choices hashes databases in the order of their folders; names by content must sort alike."""
    kernels = {}
    for place, text in enumerate(("z", "a", "m")):
        folder = tmp_path / f"db{place}"
        folder.mkdir()
        (folder / "database_workload.json").write_text(text)
        kernels[f"k{place}"] = Choice(rule="metaschedule", parameters={}, database=str(folder))
    choices = Choices(kernels=kernels)
    named, folders = orders.named_by_content(choices)
    assert sorted(folders) == list(folders)
    order = BuildOrder(
        facts={}, variant=WANTED[0], target=TARGET, choices=named, inputs={}, use_cache=True, limit_s=1.0
    )
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "there"))
    assert len(orders.lacking(order.needs)) == len(NAMES)
    orders.unpack({each: orders.content_of(each, folders, tmp_path) for each in order.needs})
    assert orders.with_local_databases(named).digest == choices.digest
