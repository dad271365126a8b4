# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from bc_runtime.evaluation.statistics import (
    Interval,
    clopper_pearson_interval,
    percentiles,
    wilson_interval,
)
from bc_runtime.spec.errors import BcError

# 95 %, two-sided. 8/10, 10/10 and 45/50 as published tables of both methods give them.
KNOWN = [
    (8, 10, (0.490, 0.943), (0.444, 0.975)),
    (10, 10, (0.722, 1.0), (0.692, 1.0)),
    (16, 20, (0.584, 0.919), (0.563, 0.943)),
    (20, 20, (0.839, 1.0), (0.832, 1.0)),
    (40, 50, (0.670, 0.888), (0.663, 0.900)),
    (45, 50, (0.786, 0.957), (0.782, 0.967)),
    (50, 50, (0.929, 1.0), (0.929, 1.0)),
    (80, 100, (0.711, 0.867), (0.708, 0.873)),
    (0, 10, (0.0, 0.278), (0.0, 0.308)),
]


@pytest.mark.parametrize(('k', 'n', 'wilson', 'exact'), KNOWN)
def test_intervals_equal_known_values(k, n, wilson, exact):
    found = wilson_interval(k, n)
    assert (found.low, found.high) == pytest.approx(wilson, abs=5.1e-4)
    found = clopper_pearson_interval(k, n)
    assert (found.low, found.high) == pytest.approx(exact, abs=5.1e-4)


def test_clopper_pearson_of_all_successes_has_a_closed_form():
    found = clopper_pearson_interval(7, 7, confidence=0.9)
    assert found.low == pytest.approx(0.05 ** (1 / 7), abs=1e-10)
    assert found.high == 1.0


def test_intervals_without_trials_are_none():
    assert wilson_interval(0, 0) is None
    assert clopper_pearson_interval(0, 0) is None


@pytest.mark.parametrize('function', [wilson_interval, clopper_pearson_interval])
def test_intervals_refuse_impossible_counts(function):
    for k, n in ((-1, 3), (4, 3)):
        with pytest.raises(BcError, match=f'{k} successes in {n} trials'):
            function(k, n)
    with pytest.raises(BcError, match='confidence'):
        function(1, 3, confidence=95)


trials = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(deadline=None)
@given(trials, st.floats(0.5, 0.999))
def test_intervals_contain_the_rate_and_mirror_property(counts, confidence):
    k, n = counts
    for function in (wilson_interval, clopper_pearson_interval):
        found = function(k, n, confidence=confidence)
        mirrored = function(n - k, n, confidence=confidence)
        assert 0.0 <= found.low <= k / n <= found.high <= 1.0
        assert found.low == pytest.approx(1.0 - mirrored.high, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.floats(0.01, 0.99))
def test_clopper_pearson_never_covers_less_than_promised_property(n, p):
    covered = math.fsum(
        math.comb(n, k) * p**k * (1 - p) ** (n - k)
        for k in range(n + 1)
        if clopper_pearson_interval(k, n).low <= p <= clopper_pearson_interval(k, n).high
    )
    assert covered >= 0.95 - 1e-9


def test_percentiles_interpolate_and_ignore_what_is_not_finite():
    values = [float('nan'), *range(101), float('inf')]
    assert percentiles(values, (50, 99, 2.5)) == {'p50': 50.0, 'p99': 99.0, 'p2.5': 2.5}
    assert percentiles([1.0, 2.0], (50,)) == {'p50': 1.5}


def test_percentiles_of_nothing_are_none():
    assert percentiles([]) == {'p50': None, 'p99': None}
    assert percentiles([float('nan')], (99,)) == {'p99': None}


def test_interval_is_a_value():
    assert Interval(low=0.1, high=0.2) == Interval(low=0.1, high=0.2)
