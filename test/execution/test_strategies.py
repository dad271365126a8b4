# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.execution import (
    Latest,
    MaskSchedule,
    RealTimeChunking,
    RecedingHorizon,
    TemporalEnsemble,
    Timeline,
    WeightedAverage,
    make_strategy,
)
from bc_runtime.execution.soft_mask import fold_weights, mask
from bc_runtime.spec import ExecutionError

STEP = 100_000_000


def test_strategies_by_name():
    assert make_strategy('temporal_ensemble') == TemporalEnsemble(coeff=0.01)
    assert make_strategy('receding_horizon', {'n_action_steps': 8}) == RecedingHorizon(
        n_action_steps=8
    )
    assert make_strategy('latest') == Latest()
    assert make_strategy('weighted_average', {'old_share': 0.5}) == WeightedAverage(old_share=0.5)
    rtc = make_strategy('real_time_chunking', {'execution_horizon': 5, 'schedule': 'linear'})
    assert rtc == RealTimeChunking(execution_horizon=5, schedule=MaskSchedule.LINEAR)


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('temporal_ensembel', {}, "available: latest, .*Did you mean 'temporal_ensemble'"),
        ('temporal_ensemble', {'coef': 1}, "unknown option 'coef'; options: coeff.*Did you mean"),
        ('temporal_ensemble', {'coeff': math.nan}, 'finite coeff'),
        ('receding_horizon', {}, 'n_action_steps'),
        ('receding_horizon', {'n_action_steps': 0}, 'at least 1'),
        ('weighted_average', {'old_share': 1.0}, r'in \[0, 1\)'),
        ('real_time_chunking', {'schedule': 'cosine'}, "'cosine'"),
        ('real_time_chunking', {'strength': 1.5}, r'strength in \[0, 1\]'),
        ('real_time_chunking', {'execution_horizon': -1}, 'execution_horizon'),
    ],
)
def test_wrong_options_are_refused_by_name(name, options, message):
    with pytest.raises(ExecutionError, match=message):
        make_strategy(name, options)


def masks(delay, end, size, schedule):
    steps = np.arange(size, dtype=float)
    return mask(
        step=steps, delay=np.full(size, float(delay)), end=np.full(size, float(end)),
        schedule=MaskSchedule(schedule),
    )  # fmt: skip


@pytest.mark.parametrize(
    ('delay', 'end', 'size', 'schedule', 'expected'),
    [
        (2, 6, 10, 'linear', [1, 1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0, 0]),
        (2, 6, 10, 'exp', [1, 1, 0.570589, 0.287072, 0.114492, 0.02577, 0, 0, 0, 0]),
        (2, 5, 8, 'linear', [1, 1, 0.75, 0.5, 0.25, 0, 0, 0]),
        (2, 5, 8, 'exp', [1, 1, 0.487551, 0.18877, 0.041324, 0, 0, 0]),
        (4, 11, 16, 'exp', [
            1, 1, 1, 1, 0.712349, 0.487551, 0.315812, 0.18877, 0.099298, 0.041324, 0.009686,
            0, 0, 0, 0, 0,
        ]),
        (2, 6, 8, 'zeros', [1, 1, 0, 0, 0, 0, 0, 0]),
        (2, 6, 8, 'ones', [1, 1, 1, 1, 1, 1, 0, 0]),
        (9, 3, 6, 'linear', [1, 1, 1, 0, 0, 0]),  # a delay past the end is pulled down to it
        (0, -1, 3, 'exp', [0, 0, 0]),
    ],
)  # fmt: skip
def test_soft_mask_parity_with_the_paper_and_lerobot(delay, end, size, schedule, expected):
    assert masks(delay, end, size, schedule) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_property_folded_weights_are_the_fold(shares):
    chunks = np.random.default_rng(0).normal(size=len(shares))
    plan = chunks[0]
    for share, chunk in zip(shares[1:], chunks[1:], strict=True):
        plan = share * plan + (1 - share) * chunk
    w = fold_weights(np.array(shares))
    assert w.sum() == pytest.approx(1.0)
    assert (w >= 0).all()
    assert w @ chunks == pytest.approx(plan, abs=1e-12)


@pytest.mark.parametrize('coeff', [50.0, -50.0, 1e4, -1e4])
def test_extreme_coefficients_do_not_overflow(make_chunk, coeff):
    line = Timeline(make_strategy('temporal_ensemble', {'coeff': coeff}))
    for step in range(20):
        line.add(make_chunk(np.full(30, step), step=step))
    assert line.at(19 * STEP).values[0] == pytest.approx(0.0 if coeff > 0 else 19.0)


def test_real_time_chunking_does_not_jump_when_a_chunk_comes(make_chunk):
    """The new chunk disagrees by 1; the setpoint moves over in small steps."""
    line = Timeline(make_strategy('real_time_chunking', {'execution_horizon': 4}))
    line.add(make_chunk(np.zeros(30), step=0))
    received_ns = 10 * STEP + 350_000_000
    before = [line.at(t).values[0] for t in range(0, received_ns, STEP // 10)]
    line.add(make_chunk(np.ones(20), step=10, received_ns=received_ns))
    after = [line.at(t).values[0] for t in range(received_ns, 27 * STEP, STEP // 10)]
    jumps = np.abs(np.diff(before + after))
    assert before == [0.0] * len(before)
    assert after[-1] == pytest.approx(1.0)
    assert jumps.max() < 0.15
    assert np.diff(after).min() >= 0.0
    naive = Timeline(make_strategy('latest'))
    naive.add(make_chunk(np.zeros(30), step=0))
    naive.add(make_chunk(np.ones(20), step=10, received_ns=received_ns))
    assert naive.at(received_ns).values[0] == 1.0  # what the mask is for


def test_a_prefix_conditioned_policy_is_executed_as_it_is(make_chunk):
    line = Timeline(make_strategy('real_time_chunking', {'prefix_conditioned': True}))
    line.add(make_chunk(np.zeros(30), step=0))
    line.add(make_chunk(np.ones(20), step=10, received_ns=13 * STEP))
    assert line.at(13 * STEP).values[0] == 1.0


def test_masks_chain_through_the_plan_that_was_running(make_chunk):
    """Three chunks: what the second takes over from is already a blend."""
    options = {'execution_horizon': 2, 'schedule': 'linear', 'strength': 0.9}
    line = Timeline(make_strategy('real_time_chunking', options))
    chunks = [(0, 0.0, 0), (2, 1.0, 1), (4, 3.0, 2)]  # (step, value, delay in steps)
    size = 10
    for step, value, delay in chunks:
        line.add(make_chunk(np.full(size, value), step=step, received_ns=(step + delay) * STEP))
    for t in range(6, 10):
        plan = 0.0
        for step, value, delay in chunks[1:]:
            end = min(size - 2, (step - 2 + size) - step)
            m = min(1.0, max(0.0, (end - (t - step)) / (end - delay + 1)))
            plan = value + m * 0.9 * (plan - value)
        assert line.at(t * STEP).values[0] == pytest.approx(plan)
