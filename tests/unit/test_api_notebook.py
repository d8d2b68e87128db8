"""What a record answers to a notebook."""

from __future__ import annotations

import msgspec
import pytest
import record_factory as factory

from mbench.api import notebook
from mbench.core.records import Record
from mbench.page import notebook as page


@pytest.fixture(autouse=True)
def shown_by_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take from records the two methods that notebooks ask for, and let the API give them again."""
    for name in ("_repr_html_", "_repr_mimebundle_"):
        monkeypatch.delattr(Record, name, raising=False)
    notebook.register()


def test_where_only_text_is_shown_a_record_is_a_table() -> None:
    record = factory.record()
    bundle = record._repr_mimebundle_()  # type: ignore[attr-defined]
    assert bundle == {"text/html": page.render(record), "text/plain": bundle["text/plain"]}
    assert "mobilenet_v1_1.0_224" in bundle["text/plain"]
    assert max(map(len, bundle["text/plain"].splitlines())) < 200
    assert set(record._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}  # type: ignore[attr-defined]
    assert set(record._repr_mimebundle_(exclude={"text/plain"})) == {"text/html"}  # type: ignore[attr-defined]
    spoiled = msgspec.structs.replace(record, host=msgspec.structs.replace(record.host, cpu="a CPU\x1b[31m"))
    text = spoiled._repr_mimebundle_()["text/plain"]  # type: ignore[attr-defined]
    assert "a CPU" in text
    assert "\x1b" not in text


def test_they_are_no_fields_and_in_no_file() -> None:
    assert not [name for name in Record.__struct_fields__ if name.startswith("_repr")]
    assert factory.record()._repr_html_() == page.render(factory.record())  # type: ignore[attr-defined]
