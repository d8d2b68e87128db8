"""`mbench.publish`, and that what it makes follows the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import record_factory as factory

import mbench
from mbench.api import history_site
from mbench.core.errors import StoreError


def test_publish_and_serve_show_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (
        factory.again(factory.record(("mobilenet_v1_0.25_128",), latency=False), run_id) for run_id in ("one", "two")
    )
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

        monkeypatch.setattr(history_site.serving, "serve", served)
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
