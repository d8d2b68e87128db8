from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import verdict_factory
from verdict_factory import LARGE, SMALL

from mbench.core.errors import UsageError
from mbench.gating import acceptance
from mbench.gating.acceptance import Acceptance

TODAY = datetime.date(2026, 6, 15)
WHY = 'reason = "borders are exact now"\n'
ENTRY = f'[[accepted]]\nvariant = "mobilenet_v1_0.25_*"\n{WHY}expires = 2026-06-15\n'
WORSE = verdict_factory.counted(base=1000, ratio=1.04, outcome="regressed", reason="40 more")


def entry(**changes: object) -> Acceptance:
    given = {"variant": "*", "layer": "block3.*", "reason": "agreed", "expires": TODAY, **changes}
    return Acceptance(**given)  # type: ignore[arg-type]


def test_an_accepted_change_no_longer_counts_as_regressed_and_says_why() -> None:
    [finding], used = acceptance.apply((WORSE,), (entry(),))
    assert (finding.outcome, finding.reason) == ("accepted", "40 more; accepted: agreed")
    assert used == ["* block3.*: agreed (until 2026-06-15)"]


@pytest.mark.parametrize(
    "other",
    [
        {"variant": "mobilenet_v2_*"}, {"layer": "block4.*"}, {"layer": None}, {"metric": "latency"}, {"up_to": "3.9%"},
        {"variant": LARGE},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_entry_is_not_about_stays_regressed(other: dict[str, object]) -> None:
    [finding], used = acceptance.apply((WORSE,), (entry(**other),))
    assert finding is WORSE
    assert used == []


def test_up_to_allows_the_size_and_no_more() -> None:
    assert entry(up_to="4.1%").covers(WORSE)
    assert not entry(up_to="3.9%").covers(WORSE)
    gone = verdict_factory.bare("block3.dw", outcome="regressed", reason="gone")
    assert entry(metric="presence").covers(gone)
    assert not entry(up_to="50%").covers(gone), "what is gone has no size"


def test_an_entry_without_a_layer_is_about_the_whole_network_only() -> None:
    whole = verdict_factory.counted(None, outcome="regressed", reason="more")
    assert entry(layer=None).covers(whole)
    assert not entry(layer="*").covers(whole)


def test_only_regressions_use_an_acceptance() -> None:
    same = verdict_factory.counted(outcome="same")
    assert acceptance.apply((same,), (entry(),)) == ((same,), [])


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(f'{ENTRY}layer = "block3.dw"\nmetric = "instructions"\nup_to = "5%"\n')
    [read] = acceptance.read(file, TODAY)
    assert read.covers(WORSE)
    assert read.words == (
        "mobilenet_v1_0.25_* block3.dw instructions up to 5%: borders are exact now (until 2026-06-15)"
    )


def test_an_entry_holds_on_its_last_day_and_stops_everything_on_the_next(tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(ENTRY)
    assert acceptance.read(file, TODAY)
    with pytest.raises(UsageError, match=r"accepted\[0\]: expired on 2026-06-15 .*remove it, or renew it"):
        acceptance.read(file, TODAY + datetime.timedelta(days=1))


def test_the_file_in_this_folder_is_found_and_none_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert acceptance.read(None, TODAY) == ()
    Path(acceptance.FILE).write_text(ENTRY)
    assert [each.variant for each in acceptance.read(None, TODAY)] == ["mobilenet_v1_0.25_*"]
    with pytest.raises(UsageError, match="cannot be read"):
        acceptance.read(tmp_path / "none.toml", TODAY)


@pytest.mark.parametrize(
    ("content", "said"),
    {
        "[[accepted]": "not valid TOML",
        "[accepted]\nvariant = '*'": "accepted: got a table, expected an array",
        "other = 3": "other: unknown key; expected accepted",
        "accepted = [3]": r"accepted\[0\]: got 3, expected a table",
        "[[accepted]]\nvariant = '*'\nexpires = 2026-12-31": r"accepted\[0\].reason: missing",
        "[[accepted]]\nvariant = '*'\nreason = ' '\nexpires = 2026-12-31": "reason is empty",
        f"[[accepted]]\nvariant = '*'\n{WHY}": r"accepted\[0\].expires: missing",
        f"[[accepted]]\nvariant = '*'\n{WHY}expires = 'never'": "expires",
        f"{ENTRY}metric = 'speed'": "metric",
        f"{ENTRY}until = 3": r"accepted\[0\].until: unknown key",
        f"{ENTRY}up_to = '0%'": "up_to is '0%', expected a percentage above 0",
        f"{ENTRY}up_to = 'much'": "up_to is 'much', expected a percentage",
    }.items(),
)  # fmt: skip
def test_a_file_that_says_nonsense_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        acceptance.read(file, TODAY)
    assert str(caught.value).startswith(str(file))


def test_names_match_as_globs() -> None:
    assert entry(variant=SMALL).covers(WORSE)
    assert entry(variant="mobilenet_v1_0.25_1[0-9]8").covers(WORSE)
