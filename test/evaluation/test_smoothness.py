# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bc_runtime.evaluation.episode_record import SOURCE_POLICY, JointSeries
from bc_runtime.evaluation.smoothness import mean_squared_jerk, policy_jerk

TIMES = np.arange(0.0, 8 * np.pi, 0.01)


@pytest.mark.parametrize(
    ('motion', 'expected'),
    [
        (lambda t: 0.3 + 0.2 * t + 0.5 * t**2, 0.0),
        (lambda t: 0.5 * t**3, 9.0),
        # The third derivative of sin(t) is -cos(t); its square is 1/2 over whole periods.
        (np.sin, 0.5),
    ],
)
def test_jerk_is_that_of_the_motion(motion, expected):
    found = mean_squared_jerk(TIMES, motion(TIMES)[:, None])
    assert found == pytest.approx(expected, rel=0.05, abs=1e-9)


def test_jerk_does_not_see_when_the_samples_were_taken():
    uneven = np.sort(TIMES + np.random.default_rng(0).uniform(-0.003, 0.003, len(TIMES)))
    assert mean_squared_jerk(uneven, np.sin(uneven)[:, None]) == pytest.approx(0.5, rel=0.05)


def test_a_motion_in_steps_has_more_jerk_than_the_same_motion():
    smooth = np.sin(TIMES)[:, None]
    steps = np.sin(np.floor(TIMES / 0.4) * 0.4)[:, None]
    assert mean_squared_jerk(TIMES, steps) > 10 * mean_squared_jerk(TIMES, smooth)


@pytest.mark.parametrize('count', [0, 1, 20])
def test_a_motion_shorter_than_the_window_has_no_jerk(count):
    assert mean_squared_jerk(TIMES[:count], np.zeros((count, 2))) is None


def test_only_what_the_policy_does_counts_and_only_the_joints_asked_for():
    # The policy acts from 1 s to 2 s and from 3 s on; what others do is wild.
    by_policy = ((TIMES >= 1.0) & (TIMES < 2.0)) | (TIMES >= 3.0)
    wild = np.random.default_rng(0).normal(size=len(TIMES))
    position = np.stack([np.where(by_policy, TIMES**2, wild), wild], axis=1)
    ticks = SimpleNamespace(t_s=TIMES, source=np.where(by_policy, SOURCE_POLICY, 2))
    series = JointSeries(names=('turns', 'other'), t_s=TIMES, position=position)
    found = policy_jerk(ticks, series, ('turns', 'absent'))
    assert found.shape[1] == 1
    assert len(found) > 100
    np.testing.assert_allclose(found, 0.0, atol=1e-9)
    assert policy_jerk(ticks, None, ('turns',)).size == 0
    assert policy_jerk(ticks, series, ()).size == 0
