"""Where builds are done, by what is asked for."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from builder_fakes import NAMES, TARGET, WANTED

from mbench.build import builders, carried, places
from mbench.build.dask_address import DaskAddress
from mbench.build.places import CarriedPlace, LocalPlace
from mbench.core.errors import UsageError
from mbench.core.quantized import QuantizationSettings


def opened(executor: Any) -> Any:
    with places.opened(executor, lambda _: None) as place:
        return place


def test_the_words_for_this_machine() -> None:
    assert opened("local") is places.LOCAL_PLACE
    assert opened("local:3").workers == 3


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        ("locally", "--executor locally: not known; expected local, local:N, or dask://HOST:PORT"),
        ("local:", "--executor local:: not known"),
        ("local:0", "0 is out of range; expected 1 to 256"),
        ("local:1000", "1000 is out of range"),
        ("http://h:1", "not known"),
        ("dask://h", "there is no port"),
        ("local:1\n", "--executor local:1: not known"),
        (7, "executor 7: expected local"),
    ],
)
def test_what_is_no_executor_is_refused_before_any_work(executor: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        places.check(executor)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_so_many_builds_side_by_side_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def build_all(*_: Any, workers: int | None, **__: Any) -> dict[str, Any]:
        given.append(workers)
        return {}

    monkeypatch.setattr(builders, "build_all", build_all)
    for place in (LocalPlace(), LocalPlace(5)):
        place.build_all(WANTED, TARGET, lambda *_: None, use_cache=True, timeout_s=1.0, note=lambda _: None)
        assert place.emulator(TARGET, timeout_s=1.0, note=lambda _: None) is None
    assert given == [None, 5]


def test_what_reads_images_of_the_user_is_built_here(monkeypatch: pytest.MonkeyPatch) -> None:
    own = msgspec.structs.replace(WANTED[0], quantization=QuantizationSettings(calibration_sha256="a" * 64))
    here: list[str] = []
    there: list[str] = []
    notes: list[str] = []

    def local(wanted: Any, *_: Any, **__: Any) -> Any:
        here.extend(each.name for each in wanted)
        return dict.fromkeys(here)

    def elsewhere(_carrier: Any, _store: Any, wanted: Any, *_: Any, **__: Any) -> Any:
        there.extend(each.name for each in wanted)
        return dict.fromkeys(there)

    monkeypatch.setattr(builders, "build_all", local)
    monkeypatch.setattr(carried, "build_all", elsewhere)
    with ThreadPoolExecutor(1) as threads:
        place = opened(threads)
        assert isinstance(place, CarriedPlace)
        wanted = [own, *WANTED[1:]]
        built = place.build_all(wanted, TARGET, lambda *_: None, use_cache=True, timeout_s=1.0, note=notes.append)
        assert threads.submit(int).result() == 0, "it is left open"
    assert (here, there) == ([NAMES[0]], list(NAMES[1:]))
    assert list(built) == list(NAMES)
    assert notes == [f"built on this machine, since images of yours are read for it: {NAMES[0]}"]


def test_a_cluster_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"needs the package distributed; install: pip install 'mobilenet-bench\[clus"):
        opened("dask://127.0.0.1:1")
    assert str(DaskAddress.parse("dask://127.0.0.1:1")) == "dask://127.0.0.1:1"
