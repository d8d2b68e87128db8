from __future__ import annotations

import pytest

from mbench.core import strict_json
from mbench.core.strict_json import MisfitError, NotJsonError


def test_a_document_of_the_type_is_read() -> None:
    assert strict_json.decode(b'{"a": [1, 2]}', dict[str, list[int]]) == {"a": [1, 2]}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1] [2]", b'"\xff"', b"\xef\xbb\xbf[1]", b"\xff\xfe[\x00]\x00", b"[" * 100_000]
)
def test_what_is_no_whole_document_in_utf8_is_refused(data: bytes) -> None:
    with pytest.raises(NotJsonError):
        strict_json.decode(data, object)


def test_a_document_of_another_type_is_refused_with_the_place() -> None:
    with pytest.raises(MisfitError, match=r"Expected `int`, got `str` - at `\$\[1\]`"):
        strict_json.decode(b'[1, "x"]', list[int])


def test_what_a_message_quotes_is_short() -> None:
    with pytest.raises(MisfitError) as caught:
        strict_json.decode(b'{"' + b"k" * 10_000 + b'": "x"}', dict[str, int])
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("data", [b'{"a": 1, "a": 2}', b'[{"b": {"a": 1, "c": 0, "a": 1}}]'])
def test_a_key_that_is_there_twice_is_refused(data: bytes) -> None:
    with pytest.raises(MisfitError, match="an object has the key 'a' twice"):
        strict_json.refuse_repeated_keys(data)


def test_a_key_in_two_objects_is_fine() -> None:
    strict_json.refuse_repeated_keys(b'[{"a": 1}, {"a": {"a": 1}}]')
