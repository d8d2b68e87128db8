"""Where a store's series changed, from Python."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import changed_stores as stores
import pytest
from changed_stores import NAME, OTHER

import mbench
from mbench.api import changes
from mbench.core.errors import UsageError
from mbench.history.filters import Filter


@pytest.fixture
def slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return stores.store(tmp_path, stores.nights([1.0] * 20 + [1.1] * 5), stores.nights([1.0] * 25, OTHER))


def test_a_check_is_the_same_from_python(slower: Path) -> None:
    with mbench.open_store(slower) as store:
        verdict = mbench.check_history(store)
        assert (verdict.conclusion, verdict.findings[0].identity.network) == ("regressed", NAME)
        assert mbench.check_history(store, Filter(networks=(OTHER,))).conclusion == "passed"
        late = datetime.datetime(2026, 3, 22, tzinfo=datetime.UTC)
        assert mbench.check_history(store, options=mbench.CheckOptions(since=late)).conclusion == "passed"
        with pytest.raises(UsageError, match="not known"):
            mbench.check_history(store, options=mbench.CheckOptions(quantities=("speed",)))


def test_what_is_drawn_has_the_changes_of_all_quantities(slower: Path) -> None:
    with mbench.open_store(slower) as store:
        drawn = changes.drawn(store, Filter(networks=(NAME,)))
    assert [each.quantity.name for each in drawn.series] == ["latency_s"]
    assert {each.identity.network for each in drawn.others} == {NAME}
    assert [change.at for change in drawn.changes[drawn.series[0].id]] == [20]
    assert drawn.changes.keys() == {each.id for each in (*drawn.series, *drawn.others)}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"networks": ("mobilenet_v1_0.5_3",)}, "did you mean"),
        ({"networks": ("resnet*",)}, f"there is {NAME}"),
        ({"networks": (NAME,), "targets": ("pi",)}, f"{NAME}, target pi; there is target host"),
        ({"machines": ("testhos",)}, "did you mean 'testhost'?"),
        ({"branches": ("main",)}, "no runs of branch main; see mbench history list"),
        ({"dtypes": ("int8",), "threads": (9,)}, "no runs of int8, 9 threads; see mbench history list"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(slower: Path, asked: dict[str, Any], said: str) -> None:
    with mbench.open_store(slower) as store:
        for use in (mbench.check_history, changes.drawn):
            with pytest.raises(UsageError) as caught:
                use(store, Filter(**asked))
            assert said in str(caught.value)


def test_an_empty_store_is_called_one(tmp_path: Path) -> None:
    with mbench.open_store(tmp_path / "a.db", create=True) as store, pytest.raises(UsageError) as caught:
        mbench.check_history(store)
    assert "has no runs yet; 'mbench history add'" in str(caught.value)
