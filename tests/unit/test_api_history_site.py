"""`mbench.publish`, and that what it makes follows the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import record_factory as factory

import mbench
from mbench.api import history_site
from mbench.core.errors import StoreError, UsageError
from mbench.history import serve


def test_publish_and_serve_show_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = factory.record(("mobilenet_v1_0.25_128",))
    second = factory.again(first, "later")
    states: list[str] = []
    with mbench.open_store(tmp_path / "history.db", create=True) as store:
        states.append(store.state())
        store.add([first])
        states.append(store.state())
        assert store.state() == states[-1]
        done = mbench.publish(store, tmp_path / "site", record_pages=0)
        assert (done.records, done.record_pages, done.pages) == (1, 0, 1)
        assert "data-live" not in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")

        def served(make: Callable[[Path, str], object], state: Callable[[], str], **_: object) -> None:
            make(tmp_path / "served", state())

        monkeypatch.setattr(serve, "serve", served)
        history_site.serve(store, record_pages=0)
        assert f'data-live="{states[-1]}"' in (tmp_path / "served" / "index.html").read_text(encoding="utf-8")
        store.add([second])
        states.append(store.state())
    assert len(set(states)) == 3


def test_a_record_that_is_gone_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mbench.open_store(tmp_path / "history.db", create=True) as store:
        store.add([factory.record(("mobilenet_v1_0.25_128",), latency=False)])

        def gone(name: str) -> mbench.Record:
            raise StoreError(f"no record {name[:4]}")

        monkeypatch.setattr(store, "read", gone)
        with pytest.warns(UserWarning, match="no page of record .*: no record"):
            mbench.publish(store, tmp_path / "site")


def test_what_somebody_agreed_to_is_marked_so(tmp_path: Path) -> None:
    whole = factory.emulated(("mobilenet_v1_0.25_128",))
    [result] = whole.results
    assert result.counts is not None
    counts = msgspec.structs.replace(result.counts.counters, instructions=2 * result.counts.counters.instructions)
    more = msgspec.structs.replace(result, counts=msgspec.structs.replace(result.counts, counters=counts))
    doubled = msgspec.structs.replace(
        whole, run_id="later", created_at_utc="2027-01-01T00:00:00Z", results=(more,)
    )  # fmt: skip
    agreed = tmp_path / "agreed.toml"
    agreed.write_text(
        '[[accepted]]\nvariant = "*"\nmetric = "instructions"\nreason = "a better model"\nexpires = 2026-12-31\n'
    )
    with mbench.open_store(tmp_path / "history.db", create=True) as store:
        store.add([whole, doubled])
        for file, badge in ((None, "worse"), (agreed, "accepted")):
            done = mbench.publish(store, tmp_path / "site", record_pages=0, accepted=file)
            html = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
            assert done.changes == 1
            assert f'<span class="badge {badge}">' in html
    assert "Accepted: a better model." in html


def test_a_network_that_is_not_there_leaves_the_site_that_is(tmp_path: Path) -> None:
    with mbench.open_store(tmp_path / "history.db", create=True) as store:
        mbench.publish(store, tmp_path / "site", record_pages=0)  # an empty store has a site
        store.add([factory.record(("mobilenet_v1_0.25_128",))])
        mbench.publish(store, tmp_path / "site", record_pages=0)
        before = (tmp_path / "site" / "index.html").read_bytes()
        with pytest.raises(UsageError, match=r"did you mean 'mobilenet_v1_0.25_128'"):
            mbench.publish(store, tmp_path / "site", mbench.Filter(networks=("mobilenet_v1_0.25_12",)))
    assert (tmp_path / "site" / "index.html").read_bytes() == before
