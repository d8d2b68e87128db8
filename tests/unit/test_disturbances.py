"""What disturbed results, folded."""

from __future__ import annotations

import msgspec
import record_factory as factory

from mbench.analysis import disturbances
from mbench.core.records import Result

replace = msgspec.structs.replace


def disturbed(*why: tuple[str, ...], at: int = 0) -> Result:
    """Return a result none of whose sessions were quiet, each disturbed by what is given for it."""
    result = factory.in_sessions(factory.record(), count=len(why), disturbed=range(len(why))).results[at]
    return replace(
        result,
        sessions=tuple(replace(each, disturbed=said) for each, said in zip(result.sessions, why, strict=True)),
    )


def test_causes_that_differ_in_their_numbers_are_one() -> None:
    result = disturbed(("kept 1.6 busy", "stolen"), ("kept 0.9 busy", "stolen"), ("kept 10.25 busy",))
    assert disturbances.of_result(result) == "kept 0.9 to 10.25 busy; stolen"


def test_causes_of_several_networks_are_folded_as_well() -> None:
    assert disturbances.folded(["kept 1.6 busy", "stolen", "kept 0.9 busy"]) == ("kept 0.9 to 1.6 busy", "stolen")
    assert disturbances.folded([]) == ()


def test_a_number_that_is_the_same_in_all_stands_once() -> None:
    assert disturbances.of_result(disturbed(("7 of 9",), ("5 of 9",))) == "5 to 7 of 9"


def test_each_cause_names_the_results_that_it_disturbed() -> None:
    one, other = disturbed(("kept 1 busy",), ("stolen",)), disturbed(("kept 3 busy",), at=1)
    [(busy, both), (stolen, alone)] = disturbances.of_results([one, other])
    assert (busy, [each.variant.name for each in both]) == ("kept 1 to 3 busy", [one.variant.name, other.variant.name])
    assert (stolen, [each.variant.name for each in alone]) == ("stolen", [one.variant.name])


def test_a_result_with_a_quiet_session_is_not_disturbed() -> None:
    quiet = factory.in_sessions(factory.record(), disturbed=(1, 2)).results[0]
    assert disturbances.of_result(quiet) is None
    assert disturbances.of_results([quiet, factory.record().results[0]]) == ()


def test_a_time_is_marked_where_it_is_doubtful() -> None:
    assert disturbances.seconds(0.00504, ()) == "5.04 ms"
    assert disturbances.seconds(0.00504, ("busy",)) == "~5.0 ms"
