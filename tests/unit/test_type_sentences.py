"""What the first screen says of a record with both types."""

from __future__ import annotations

import quantized_records as quantized
import record_factory as factory

from mbench.page import type_sentences, views


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_what_int8_gives_is_said_first() -> None:
    view = views.of_record(quantized.both())
    first, *others = view.headlines
    said = plain(first)
    assert said.startswith("MobileNetV1 0.25 128 on host (x86\u201164, AVX\u2011512), 2 threads: ")
    assert " in float32, " in said
    assert " in int8: 3.0 times quicker, where 4 are expected of int8; " in said
    assert " of the rest is lost to " in said
    assert others == []


def test_a_record_of_one_type_says_nothing_of_another() -> None:
    assert views.of_record(factory.record()).types == ()
    assert list(type_sentences.several(())) == []


def test_many_networks_have_one_sentence() -> None:
    record = quantized.both()
    views_of = views.of_record(record)
    [pair] = views_of.types
    [said] = type_sentences.several([pair, pair])
    assert plain(said).startswith("int8: from 3.0 times (MobileNetV1 0.25 128) to 3.0 times quicker")
