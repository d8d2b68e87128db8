"""A history published into a folder."""

from __future__ import annotations

import functools
import re
import urllib.parse
from pathlib import Path

import msgspec
import record_factory
import site_factory as factory

from mbench.core.errors import RecordError
from mbench.core.records import Record
from mbench.history import publish, site_folder, site_names
from mbench.page import single_file


@functools.cache
def record() -> Record:
    """Return a record whose page is small: without latency there are few figures."""
    return record_factory.record(("mobilenet_v1_0.25_128",), latency=False)


class Reader:
    """Reads records, and says which were asked for."""

    def __init__(self, *, damaged: bool = False) -> None:
        self.asked: list[str] = []
        self.damaged = damaged

    def __call__(self, digest: str) -> Record:
        self.asked.append(digest)
        if self.damaged:
            raise RecordError(f"record {digest[:12]} is damaged")
        return record()


def published(folder: Path, read: Reader, *, record_pages: int | None = 2) -> publish.PublishedSite:
    notes: list[str] = []
    series, changes = factory.history()
    done = publish.publish(folder, series, changes, read=read, note=notes.append, record_pages=record_pages)
    assert len(notes) == (len(read.asked) if read.damaged else 0)
    return done


def test_every_link_leads_to_a_file_and_nothing_leads_out(tmp_path: Path) -> None:
    done = published(tmp_path / "site", Reader())
    assert (done.series, done.pages, done.record_pages, done.records) == (48, 6, 2, 480)
    assert done.changes == 20
    pages = list((tmp_path / "site").glob("*.html"))
    assert len(pages) == 1 + 1 + 6 + 2
    for page in pages:
        links = re.findall(r'(?:href|src)="([^"#]*)', page.read_text(encoding="utf-8"))
        inside = [link for link in links if link and not link.startswith("data:")]
        assert inside, page
        assert [link for link in inside if not (tmp_path / "site" / urllib.parse.unquote(link)).is_file()] == []
    assert len(list((tmp_path / "site").glob("*.js"))) == 1
    assert done.bytes == sum(file.stat().st_size for file in (tmp_path / "site").iterdir())


def test_a_second_time_builds_no_page_of_a_record(tmp_path: Path) -> None:
    first, second, more = Reader(), Reader(), Reader()
    published(tmp_path / "site", first)
    before = {file.name: file.read_bytes() for file in (tmp_path / "site").iterdir()}
    done = published(tmp_path / "site", second)
    assert (len(first.asked), len(second.asked), done.kept) == (2, 0, 2)
    assert {file.name: file.read_bytes() for file in (tmp_path / "site").iterdir()} == before
    done = published(tmp_path / "site", more, record_pages=3)
    assert (len(more.asked), done.kept, done.record_pages) == (1, 2, 3)


def test_pages_of_records_lead_back_and_share_one_script(tmp_path: Path) -> None:
    read = Reader()
    published(tmp_path / "site", read)
    html = (tmp_path / "site" / site_names.record(read.asked[0])).read_text(encoding="utf-8")
    assert 'href="index.html"' in html
    assert len(html) < 1_500_000
    assert (tmp_path / "site" / single_file.plotly_file()).stat().st_size > 3_000_000


def test_a_record_that_cannot_be_read_is_said_and_the_rest_is_there(tmp_path: Path) -> None:
    done = published(tmp_path / "site", Reader(damaged=True))
    assert (done.record_pages, done.pages) == (0, 6)
    assert 'href="record-' not in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_all_records_have_pages_if_it_is_asked_for(tmp_path: Path) -> None:
    series = factory.series(count=5)
    done = publish.publish(tmp_path / "site", [series], {}, read=Reader(), note=print, record_pages=None)
    assert (done.record_pages, done.records) == (5, 5)


def test_an_empty_history_is_a_site(tmp_path: Path) -> None:
    done = publish.publish(tmp_path / "site", [], {}, read=Reader(), note=print)
    assert (done.series, done.pages) == (0, 0)
    assert {file.name for file in (tmp_path / "site").iterdir()} == {
        "index.html", ".nojekyll", single_file.plotly_file(), site_folder.MANIFEST,
    }  # fmt: skip


def test_hostile_networks_are_files_of_the_folder(tmp_path: Path) -> None:
    series = [
        msgspec.structs.replace(factory.series(count=3), id=str(at), identity=factory.identity(name, target))
        for at, (name, target) in enumerate(
            [("../../up", "x"), ("/etc/passwd", "<b>"), ("a\0b", ".."), ("x" * 3000, "\u202e"), ("A", "t"), ("a", "t")]
        )
    ]
    publish.publish(tmp_path / "in" / "site", series, {}, read=Reader(), note=print, record_pages=0)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["site"]
    assert len(list((tmp_path / "in" / "site").glob("*-on-*.html"))) == 6
