"""The digest of what the gate decides: a parameter or a step of the algorithm changes it, and its text does not."""

from __future__ import annotations

import ast
import importlib
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mbench.compile import objects
from mbench.core import stats
from mbench.gating import exact, limits, matching, paired, timed
from mbench.measure import duel, layout

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TIMED = (timed, paired, limits, stats, duel, layout, objects)
COUNTED = (exact, matching)


@pytest.fixture(scope="module")
def digest() -> Iterator[Any]:
    """Return benchmarks/gate_digest.py, which is in no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("gate_digest")


@pytest.fixture(scope="module")
def before(digest: Any) -> tuple[str, str]:
    """Return the digests for timed and for counted trials, of the code as it is."""
    return digest.timed(), digest.counted()


@pytest.fixture
def rewrite() -> Iterator[Callable[[ModuleType, Callable[[str], str]], None]]:
    """Return a function that runs a module's source anew, after it was changed; put everything back in the end."""
    kept = {module: dict(vars(module)) for module in (*TIMED, *COUNTED)}

    def anew(module: ModuleType, change: Callable[[str], str]) -> None:
        source = Path(str(module.__file__)).read_text()
        changed = change(source)
        assert changed != source
        exec(compile(changed, str(module.__file__), "exec"), vars(module))

    yield anew
    for module, content in kept.items():
        vars(module).clear()
        vars(module).update(content)


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(source: str) -> str:
        assert source.count(old) >= 1, f"{old!r} is not there any more; choose another change"
        return source.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (timed, "FAMILY_ERROR = 0.01", "FAMILY_ERROR = 0.02"),
        (timed, "LOOKS = 2", "LOOKS = 1"),
        (timed, "AIM = 2.5", "AIM = 2.0"),
        (timed, "NOISE_FACTOR = 3.0", "NOISE_FACTOR = 2.5"),
        (timed, "FLOOR_SHARE = 0.0006", "FLOOR_SHARE = 0.001"),
        (paired, "FRESH = 12", "FRESH = 13"),
        (paired, "MOST = 30", "MOST = 28"),
        (limits, '(Selector("*", "layer", "latency"), 0.02)', '(Selector("*", "layer", "latency"), 0.03)'),
        (stats, "(len(p_values) - rank)", "len(p_values)"),
        (duel, "(*order, *reversed(order))", "order"),
        (duel, "_ROUNDS = 30", "_ROUNDS = 20"),
        (duel, "_LAYER_RUNS = 3", "_LAYER_RUNS = 2"),
        (layout, "LARGE_PAGE = 2 << 20", "LARGE_PAGE = 4 << 20"),
        (objects, "_LINE = 64", "_LINE = 32"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_decides_about_times_changes_the_digest(
    digest: Any, before: tuple[str, str], rewrite: Any, module: ModuleType, old: str, new: str
) -> None:
    rewrite(module, replaced(old, new))
    assert digest.timed() != before[0]


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (exact, "change > threshold * before", "change >= threshold * before"),
        (limits, '(Selector("*", "layer", name), 0.005)', '(Selector("*", "layer", name), 0.004)'),
        (matching, "_ends(base) == _ends(head)", "len(base) == len(head)"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_decides_about_counts_changes_the_digest(
    digest: Any, before: tuple[str, str], rewrite: Any, module: ModuleType, old: str, new: str
) -> None:
    rewrite(module, replaced(old, new))
    assert digest.counted() != before[1]


def test_comments_and_formatting_do_not(digest: Any, before: tuple[str, str], rewrite: Any) -> None:
    for module in (*TIMED, *COUNTED):
        rewrite(module, lambda source: ast.unparse(ast.parse(source)))
    assert (digest.timed(), digest.counted()) == before


def test_names_and_a_step_that_becomes_a_function_do_not(digest: Any, before: tuple[str, str], rewrite: Any) -> None:
    rewrite(paired, replaced("_first_look", "_looked_first"))
    rewrite(duel, replaced("LEAST_S", "SHORTEST_TIME_S"))
    rewrite(stats, replaced("return statistics.stdev(values) / math.sqrt(len(values))", "return _error(values)"))
    vars(stats)["_error"] = lambda values: statistics.stdev(values) / len(values) ** 0.5
    assert digest.timed() == before[0]
