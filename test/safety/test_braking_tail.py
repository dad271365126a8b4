# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import random

import numpy as np
import pytest

from bc_runtime.safety import (
    Checker,
    JointLimits,
    Limiter,
    audit_commands,
    braking_tail,
    follow_tail,
)
from bc_runtime.spec.errors import SafetyError

DT = 0.01


def joints() -> list[JointLimits]:
    return [
        JointLimits(name='slow', lower=-1.5, upper=1.5, velocity=2.0, acceleration=5.0,
                    deceleration=5.0),
        JointLimits(name='fast', lower=-0.2, upper=0.2, velocity=1.0, acceleration=20.0,
                    deceleration=40.0),
    ]  # fmt: skip


@pytest.mark.parametrize('stride', [1, 3, 7])
def test_property_every_tail_ends_at_rest_inside_all_limits(stride: int) -> None:
    limits = joints()
    limiter = Limiter(limits, DT)
    limiter.seed([0.0, 0.0])
    rng = random.Random(stride)
    target = [0.0, 0.0]
    horizon = max(math.ceil(one.velocity / (one.deceleration * DT)) * DT for one in limits)
    moving = 0
    for _ in range(3000):
        if rng.random() < 0.05:
            target = [rng.uniform(-2.0, 2.0) for _ in limits]
        before = limiter.position
        step = limiter.step(target)
        tail = braking_tail(step.position, step.velocity, limits, DT, stride=stride)
        assert tail.positions[0] == step.position
        assert tail.times_s[0] == 0.0
        assert all(b > a for a, b in zip(tail.times_s, tail.times_s[1:], strict=False))
        assert tail.velocities[-1] == (0.0, 0.0)
        assert tail.horizon_s <= horizon + 1e-9
        moving += not limiter.at_rest
        for row in tail.positions:
            for q, one in zip(row, limits, strict=True):
                assert one.low - 1e-9 <= q <= one.high + 1e-9
        if stride == 1:
            report = audit_commands(tail.positions, limits, DT, before=[before, before])
            # The jump from rest to the command is not part of the tail; what follows is.
            later = audit_commands(
                tail.positions[1:], limits, DT, before=[before, tail.positions[0]]
            )
            assert later.ok, later
            assert report.finite
    assert moving > 1000


def test_joints_brake_on_their_own() -> None:
    limits = joints()
    tail = braking_tail([0.0, 0.0], [2.0, 1.0], limits, DT)
    fast = [row[1] for row in tail.velocities]
    slow = [row[0] for row in tail.velocities]
    assert fast.index(0.0) == math.ceil(1.0 / 0.4)
    assert slow.index(0.0) == math.ceil(2.0 / 0.05)
    # A synchronised stop would have carried the fast joint on for as long as the slow one.
    assert np.ptp([row[1] for row in tail.positions]) < 0.02


def test_a_command_at_rest_is_its_own_tail() -> None:
    tail = braking_tail([0.1, 0.2], [0.0, 0.0], joints(), DT)
    assert tail.times_s == (0.0,)
    assert tail.positions == ((0.1, 0.2),)


@pytest.mark.parametrize(
    ('position', 'velocity', 'stride', 'says'),
    [
        ([0.0], [0.0], 1, 'needs 2 positions'),
        ([0.0, math.nan], [0.0, 0.0], 1, 'cannot brake'),
        ([0.0, 0.0], [0.0, 0.0], 0, 'stride'),
    ],
)
def test_wrong_use(position: list[float], velocity: list[float], stride: int, says: str) -> None:
    with pytest.raises(SafetyError, match=says):
        braking_tail(position, velocity, joints(), DT, stride=stride)


def test_after_missed_ticks_the_command_goes_on_where_the_driver_is() -> None:
    limits = joints()
    limiter, checker = Limiter(limits, DT), Checker(limits, DT)
    limiter.seed([0.0, 0.0])
    checker.seed([0.0, 0.0])
    driver = [(0.0, 0.0), (0.0, 0.0)]
    rng = random.Random(0)
    for k in range(2000):
        if k % 40 == 0:
            target = [rng.uniform(-1.5, 1.5), rng.uniform(-0.2, 0.2)]
        missed = rng.choice([0, 0, 0, 0, 0, 1, 3, 500]) if k else 0
        tail = braking_tail(limiter.position, limiter.velocity, limits, DT).positions
        follow_tail(limiter, checker, missed)
        # Meanwhile the driver went along the tail of the last message.
        driver += tail[1 : missed + 1]
        assert limiter.position == pytest.approx(driver[-1], abs=1e-12)
        assert limiter.at_rest or missed < 500
        step = limiter.step(target)
        assert checker.check(step.position).ok
        driver.append(step.position)
    report = audit_commands(driver[2:], limits, DT, before=driver[:2])
    assert report.ok, report
