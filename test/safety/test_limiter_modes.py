# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The limiter when limits move, from outside its limits, round the circle and in velocities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from bc_runtime.safety import Checker, JointLimits, Limiter, LimitFlag, align_limits
from bc_runtime.spec.errors import SafetyError

DT = 0.01


def joint(name: str = 'j', **changes: object) -> JointLimits:
    values: dict[str, object] = {
        'name': name, 'lower': -1.5, 'upper': 1.5, 'velocity': 2.0, 'acceleration': 10.0,
        'deceleration': 15.0,
    }  # fmt: skip
    return JointLimits(**{**values, **changes})  # type: ignore[arg-type]


def seeded(
    limits: Sequence[JointLimits], positions: Sequence[float] | None = None, **options: object
) -> Limiter:
    limiter = Limiter(limits, DT, **options)  # type: ignore[arg-type]
    limiter.seed([0.0] * len(limits) if positions is None else positions)
    return limiter


def test_a_lower_velocity_limit_is_reached_by_braking() -> None:
    limiter = seeded([joint()])
    for _ in range(25):
        step = limiter.step([1.4])
    assert step.velocity[0] == pytest.approx(2.0)
    limiter.set_limits([joint(velocity=0.5)])
    speed = 2.0
    while speed > 0.5:
        step = limiter.step([1.4])
        assert step.velocity[0] == pytest.approx(max(speed - 15.0 * DT, 0.5))
        speed = step.velocity[0]


def test_a_lower_deceleration_does_not_take_the_promise_back() -> None:
    limiter = seeded([joint(lower=-1.0, upper=1.0)])
    while limiter.position[0] < 0.7:
        limiter.step([5.0])
    limiter.set_limits([joint(lower=-1.0, upper=1.0, deceleration=1.0)])
    for _ in range(200):
        step = limiter.step([5.0])
        assert step.position[0] <= 1.0
    assert step.position[0] == pytest.approx(1.0, abs=1e-6)
    # At rest the lower one holds: a new motion brakes gently.
    for _ in range(10):
        limiter.step([0.0])
    before = limiter.velocity[0]
    assert abs(limiter.brake().velocity[0] - before) == pytest.approx(1.0 * DT)


def test_only_limits_may_change_not_joints() -> None:
    with pytest.raises(SafetyError, match='joints cannot'):
        seeded([joint('a')]).set_limits([joint('b')])


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6))
def test_property_position_limits_moved_in_motion_brake_and_come_back(seed: int) -> None:
    rng = random.Random(seed)
    limits = [joint('a'), joint('b')]
    limiter, checker = seeded(limits), Checker(limits, DT)
    checker.seed(limiter.position)
    for _ in range(6):
        target = [rng.uniform(-1.5, 1.5) for _ in limits]
        for _ in range(rng.randint(1, 80)):
            step = limiter.step(target, [rng.uniform(-2.0, 2.0) for _ in limits])
            verdict = checker.check(step.position)
            assert verdict.ok, verdict
        moved = []
        for one in limits:
            low = rng.uniform(-1.5, 1.0)
            moved.append(replace(one, lower=low, upper=rng.uniform(low + 0.05, 1.5)))
        limiter.set_limits(moved)
        checker.set_limits(moved)
    for _ in range(1500):
        assert checker.check(limiter.step([0.0, 0.0]).position).ok
    for q, one in zip(limiter.position, moved, strict=True):
        assert one.low - 1e-9 <= q <= one.high + 1e-9


@settings(max_examples=100, deadline=None)
@given(st.floats(-0.5, 0.5), st.integers(0, 10**6))
def test_property_i1_outside_the_limits_only_inward_and_slowly(out: float, seed: int) -> None:
    rng = random.Random(seed)
    one = joint()
    start = (one.high + out) if out > 0.0 else (one.low + out)
    limiter, checker = seeded([one], [start]), Checker([one], DT)
    checker.seed([start])
    excess = abs(out)
    for _ in range(300):
        if rng.random() < 0.3:
            step = limiter.step_velocity([rng.uniform(-9.0, 9.0)])
        else:
            step = limiter.step([rng.uniform(-9.0, 9.0)])
        assert checker.check(step.position).ok
        now = max(step.position[0] - one.high, one.low - step.position[0], 0.0)
        assert now <= excess + 1e-12
        if now > 0.0:
            assert step.active & LimitFlag.OUTSIDE
            assert abs(step.velocity[0]) <= 0.25 * one.velocity * (1 + 1e-9)
        excess = now


def test_continuous_joints_take_the_short_way_round() -> None:
    one = joint(continuous=True, lower=-math.inf, upper=math.inf)
    limiter = seeded([one], [3.0])
    for _ in range(200):
        step = limiter.step([-3.0])
    assert step.position[0] == pytest.approx(2.0 * math.pi - 3.0, abs=1e-9)
    for _ in range(3000):
        limiter.step_velocity([2.0])
    assert limiter.position[0] > 50.0


def test_velocity_commands_stop_before_the_limit() -> None:
    limits = [joint()]
    limiter, checker = seeded(limits), Checker(limits, DT)
    checker.seed(limiter.position)
    for _ in range(300):
        step = limiter.step_velocity([2.0])
        assert checker.check(step.position).ok
    assert step.position[0] == pytest.approx(1.5, abs=1e-9)
    assert step.active & LimitFlag.STOPPING_DISTANCE


@pytest.mark.parametrize('lag', [0.0, 0.05])
def test_a_driver_in_velocities_is_stopped_by_the_measured_position(lag: float) -> None:
    one = joint()
    limiter = seeded([one], lag_s=lag)
    checker = Checker([one], DT)
    checker.seed([0.0])
    delay = [0.0] * round(lag / DT)
    where, farthest = 0.0, 0.0
    for _ in range(400):
        step = limiter.step_velocity([2.0], [where])
        assert checker.check_velocity(step.velocity).ok
        delay.append(step.velocity[0])
        where += delay.pop(0) * DT
        farthest = max(farthest, where)
    assert farthest <= one.high + 2.0 * lag * 0.2
    assert farthest > one.high - 0.05
    assert limiter.step_velocity([1.0], [math.nan]).active & LimitFlag.BAD_INPUT


def test_a_twist_is_limited_per_component_or_in_direction() -> None:
    parts = [
        JointLimits(name=n, velocity=0.2, acceleration=1.0, deceleration=2.0, continuous=True)
        for n in ('x', 'y', 'z')
    ]
    limiter = seeded(parts, coordinated=True)
    for _ in range(200):
        step = limiter.step_velocity([0.4, 0.2, 0.0])
    assert step.velocity == pytest.approx((0.2, 0.1, 0.0), abs=1e-9)


def test_align_limits_are_slow() -> None:
    limiter = seeded([joint()])
    limiter.set_limits(align_limits(limiter.limits))
    for _ in range(100):
        step = limiter.step([1.4])
        assert abs(step.velocity[0]) <= 0.5
