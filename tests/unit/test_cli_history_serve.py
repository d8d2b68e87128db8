"""`mbench history serve` as a user runs it; what it answers is of `mbench.history.serve`."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line

from mbench.api import history as stores
from mbench.cli.history import history
from mbench.cli.history_serve import serve
from mbench.history import serve as serving


def test_serve_prints_its_address_and_ends_when_it_is_interrupted(
    run: Mbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "history.db"
    with stores.open_store(file, create=True) as opened:
        opened.add([factory.record(("mobilenet_v1_0.25_128",), latency=False)])
    pages: list[str] = []

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    class Announced(serving.SiteServer):
        def show(self, version: str) -> None:
            super().show(version)
            with urllib.request.urlopen(self.url) as answer:
                pages.append(answer.read().decode())

    monkeypatch.setattr(serving, "sleep", interrupt)
    monkeypatch.setattr(serving, "SiteServer", Announced)
    outcome = run(history, serve, "--store", file)
    assert outcome.code == 130
    assert outcome.out.startswith("http://127.0.0.1:")
    assert "serving on this machine alone; Ctrl-C ends it" in outcome.err
    assert len(pages) == 1
    assert 'data-live="1-1-' in pages[0]


def test_serve_refuses_in_one_line(run: Mbench, tmp_path: Path) -> None:
    assert_one_line(run(history, serve, "--store", tmp_path / "none.db"), "none.db")
    stores.open_store(tmp_path / "history.db", create=True).close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_line(
            run(history, serve, "--store", tmp_path / "history.db", "--port", port), f"port {port} cannot be"
        )
    assert_one_line(run(history, serve, "--port", 70_000), "--port")
