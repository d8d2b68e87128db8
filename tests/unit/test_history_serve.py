"""A site served on loopback: to whom it answers, with what, and when it is made anew."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mbench.core.errors import StoreError, UsageError
from mbench.history import serve


class Store:
    """A store whose state the test sets, and a server that makes a page of it."""

    def __init__(self) -> None:
        self.state = "1"
        self.error = ""
        self.made: list[str] = []
        self.notes: list[str] = []
        self.address = ""
        self.turns: list[Callable[[], None]] = []

    def make(self, folder: Path, state: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "index.html").write_text(f"state {state}")
        (folder / ".nojekyll").write_text("")
        (folder / "mbench-site.json").write_text("{}")
        self.made.append(state)

    def ask(self) -> str:
        if self.error:
            raise StoreError(self.error)
        return self.state

    def pause(self) -> None:
        """Do what the test wants between two looks, and end the server when there is nothing left."""
        if not self.turns:
            raise KeyboardInterrupt
        self.turns.pop(0)()

    def serve(self, *turns: Callable[[], None], port: int = 0) -> None:
        self.turns = list(turns)
        with pytest.raises(KeyboardInterrupt):
            serve.serve(
                self.make, self.ask, port=port, announce=self.announced, note=self.notes.append, pause=self.pause
            )

    def announced(self, url: str) -> None:
        self.address = url.removeprefix("http://").removesuffix("/")

    def get(self, path: str, *, host: str | None = None, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", self.address if host is None else host)
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read().decode()
        self.headers = dict(answer.getheaders())
        connection.close()
        return answer.status, text


@pytest.fixture
def store() -> Iterator[Store]:
    before = threading.active_count()
    yield Store()
    assert threading.active_count() <= before + 1  # a request's own thread may still be ending


def test_it_answers_with_the_site_and_listens_on_loopback_alone(store: Store) -> None:
    found: dict[str, tuple[int, str]] = {}

    def look() -> None:
        for path in ("/", "/index.html", "/index.html?x=1", "/version.txt", "/none.html"):
            found[path] = store.get(path)
        found["head"] = store.get("/", method="HEAD")
        assert store.headers["X-Content-Type-Options"] == "nosniff"
        assert store.headers["Cache-Control"] == "no-store"

    store.serve(look)
    assert store.address.startswith("127.0.0.1:")
    assert found["/"] == found["/index.html"] == found["/index.html?x=1"] == (200, "state 1")
    assert found["/version.txt"] == (200, "1")
    assert found["/none.html"][0] == 404
    assert found["head"] == (200, "")


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/.nojekyll", "/..", "/%00",
        "/index.html/../../x", "http://evil.example/index.html/..", "/etc%2fpasswd",
    ],
)  # fmt: skip
def test_nothing_outside_the_site_is_read(store: Store, path: str) -> None:
    found: list[tuple[int, str]] = []
    store.serve(lambda: found.append(store.get(path)))
    assert [code for code, _ in found] == [404]


def test_a_name_that_leads_here_from_elsewhere_gets_nothing(store: Store) -> None:
    found: dict[str, tuple[int, str]] = {}

    def look() -> None:
        port = store.address.rpartition(":")[2]
        for host in ("evil.example", f"evil.example:{port}", "", "127.0.0.1", "127.0.0.1:1", f"localhost:{port}"):
            found[host.replace(port, "PORT")] = store.get("/", host=host)
            found["version"] = store.get("/version.txt", host="evil.example")

    store.serve(look)
    assert {host for host, (code, _) in found.items() if code == 200} == {"localhost:PORT"}
    assert {code for code, _ in found.values()} == {200, 421}
    assert all("state" not in text for code, text in found.values() if code == 421)


def test_other_methods_change_nothing(store: Store) -> None:
    found: list[int] = []
    store.serve(lambda: found.extend(store.get("/", method=method)[0] for method in ("POST", "PUT", "DELETE")))
    assert found == [501, 501, 501]


def test_it_is_made_anew_when_the_store_changes_and_only_then(store: Store) -> None:
    seen: list[tuple[int, str]] = []

    def change() -> None:
        store.state = "2"

    def look() -> None:
        seen.extend([store.get("/"), store.get("/version.txt")])

    store.serve(lambda: None, lambda: None, change, look)
    assert store.made == ["1", "2"]
    assert seen == [(200, "state 2"), (200, "2")]


def test_what_cannot_be_read_for_a_while_is_said_once_and_the_site_stays(store: Store) -> None:
    seen: list[tuple[int, str]] = []

    def fail() -> None:
        store.error = "history.db is locked"

    def recover() -> None:
        seen.append(store.get("/"))
        store.error, store.state = "", "2"

    store.serve(fail, lambda: None, recover, lambda: None)
    assert store.notes == ["the site stays as it was: history.db is locked"]
    assert seen == [(200, "state 1")]
    assert store.made == ["1", "2"]


def test_a_store_that_cannot_be_read_at_all_is_an_error(store: Store) -> None:
    store.error = "no store"
    with pytest.raises(StoreError, match="no store"):
        serve.serve(store.make, store.ask, port=0, announce=print, note=print)


def test_a_port_that_is_taken_is_refused_in_a_line(store: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} cannot be listened on"):
            serve.serve(store.make, store.ask, port=port, announce=print, note=print)
