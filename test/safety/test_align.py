# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from bc_runtime.safety import Approach, HumanTarget, JointLimits, Limiter, Pace, align_limits
from bc_runtime.spec.errors import SafetyError

DT = 0.01
TICK_NS = 10_000_000


def joints() -> list[JointLimits]:
    return [
        JointLimits(name='a', lower=-1.5, upper=1.5, velocity=2.0, acceleration=10.0,
                    deceleration=10.0),
        JointLimits(name='b', velocity=2.0, acceleration=10.0, deceleration=10.0,
                    continuous=True),
    ]  # fmt: skip


def test_an_approach_arrives_slowly_and_then_dwells() -> None:
    limits = joints()
    limiter = Limiter(align_limits(limits), DT)
    limiter.seed([0.0, 3.0])
    approach = Approach(limits)
    assert approach.begin([0.8, -3.0], limiter.position) == ''
    assert approach.target is not None
    arrived = None
    for k in range(600):
        step = limiter.step(approach.target)
        assert all(abs(v) <= 0.5 for v in step.velocity)
        if approach.update(step.position, k * TICK_NS):
            break
        near = max(abs(0.8 - step.position[0]), abs(2 * math.pi - 3.0 - step.position[1]))
        if near <= 1e-3 and arrived is None:
            arrived = k
    assert approach.aligned
    assert arrived is not None
    assert k - arrived == 20


def test_a_target_that_is_too_far_is_named() -> None:
    approach = Approach(joints(), max_distance={'a': 0.5})
    text = approach.begin([0.6, 1.5], [0.0, 0.0])
    assert 'a: 0.6 away, allowed 0.5' in text
    assert 'b: 1.5 away, allowed 1' in text
    assert approach.target is None
    assert not approach.update([0.6, 1.5], 0)


def test_a_target_outside_the_limits_is_approached_to_the_limit() -> None:
    approach = Approach(joints(), max_time_s=5.0)
    assert approach.begin([2.0, 0.0], [1.0, 0.0]) == ''
    assert approach.target == (1.5, 0.0)


def test_leaving_the_target_starts_the_dwell_again() -> None:
    approach = Approach(joints())
    approach.begin([0.1, 0.0], [0.0, 0.0])
    for k in range(15):
        assert not approach.update([0.1, 0.0], k * TICK_NS)
    approach.update([0.2, 0.0], 15 * TICK_NS)
    assert not approach.update([0.1, 0.0], 30 * TICK_NS)
    approach.reset()
    assert approach.target is None


def test_wrong_targets() -> None:
    with pytest.raises(SafetyError, match='do not exist'):
        Approach(joints(), max_distance={'z': 1.0})
    with pytest.raises(SafetyError, match='2 finite numbers'):
        Approach(joints()).begin([math.nan, 0.0], [0.0, 0.0])


def test_the_pace_moves_gradually_and_stays_in_range() -> None:
    pace = Pace(rate_per_s=2.0)
    scales = [pace.step(0.5, DT) for _ in range(30)]
    assert scales[0] == pytest.approx(0.98)
    assert scales[24] == pytest.approx(0.5)
    assert scales[-1] == 0.5
    for _ in range(200):
        pace.step(9.0, DT)
    assert pace.scale == 1.0


def test_an_absolute_leader_engages_only_at_the_robot_s_pose() -> None:
    human = HumanTarget('absolute', tolerance=0.05)
    assert not human.aligned([0.5, 0.0], [0.0, 0.0])
    assert human.farthest([0.5, 0.0], [0.0, 0.1]) == (0, 0.5)
    with pytest.raises(SafetyError, match='may not engage'):
        human.engage([0.5, 0.0], [0.0, 0.0])
    with pytest.raises(SafetyError, match='not engaged'):
        human.target([0.0, 0.0])
    human.engage([0.04, 0.0], [0.0, 0.0])
    assert human.target([0.3, 0.1]) == (0.3, 0.1)


def test_a_clutch_engages_anywhere_without_a_jump() -> None:
    human = HumanTarget('relative')
    assert human.aligned([9.0, 9.0], [0.0, 1.0])
    human.engage([9.0, 9.0], [0.0, 1.0])
    assert human.target([9.0, 9.0]) == (0.0, 1.0)
    assert human.target([9.1, 8.9]) == pytest.approx((0.1, 0.9))
    human.release()
    with pytest.raises(SafetyError):
        human.target([9.0, 9.0])


@pytest.mark.parametrize('leader', [None, [0.0], [math.nan, 0.0]])
def test_a_leader_that_is_not_there_never_engages(leader: list[float] | None) -> None:
    for mode in ('absolute', 'relative'):
        assert not HumanTarget(mode).aligned(leader, [0.0, 0.0])  # type: ignore[arg-type]


def test_impossible_modes() -> None:
    with pytest.raises(SafetyError, match='mode'):
        HumanTarget('mirror')  # type: ignore[arg-type]
    with pytest.raises(SafetyError, match='tolerance'):
        HumanTarget('absolute', tolerance=0.0)
