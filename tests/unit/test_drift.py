"""When a device is slower than it was: the prediction interval, against one that is worked out by another way."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy import stats as scipy_stats

from mbench.measure import drift


def test_the_limit_is_the_upper_end_of_students_prediction_interval() -> None:
    first_s = [0.010, 0.0104, 0.0099, 0.0101]
    logs = np.log(first_s)
    error = logs.std(ddof=1) * math.sqrt(1 + 1 / 4)
    expected = math.exp(scipy_stats.t.ppf(0.99, df=3, loc=logs.mean(), scale=error))
    assert drift.slowest_s(first_s) == pytest.approx(expected, rel=1e-12)


def test_a_new_session_of_an_unchanged_device_is_beyond_it_once_in_a_hundred() -> None:
    draws = np.exp(np.random.default_rng(3).normal(math.log(0.01), 0.03, size=(4000, 4)))
    beyond = statistics.fmean(float(row[3]) > drift.slowest_s([float(each) for each in row[:3]]) for row in draws)
    assert 0.005 < beyond < 0.016


def test_sessions_that_agree_by_luck_leave_some_room() -> None:
    assert 0.0101 < drift.slowest_s([0.01, 0.01, 0.01]) < 0.0106


def test_what_the_farm_file_allows_stands_whatever_the_spread() -> None:
    assert drift.slowest_s([0.01, 0.02], 0.5) == pytest.approx(math.sqrt(0.01 * 0.02) * 1.5)
