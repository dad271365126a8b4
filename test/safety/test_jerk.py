# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The optional jerk stage: inside the same checker, and never worse than a brake."""

from __future__ import annotations

from dataclasses import replace
import math
import random
import sys

import pytest

from bc_runtime.safety import Checker, JerkLimiter, JointLimits, LimitFlag, jerk_available
from bc_runtime.spec.errors import SafetyError

needs_ruckig = pytest.mark.skipif(
    not jerk_available(), reason='ruckig is not installed. Run: pip install ruckig==0.19.4'
)


def joints(jerk: float | None = 300.0) -> list[JointLimits]:
    return [
        JointLimits(
            name=name, lower=-1.5, upper=1.5, velocity=2.0, acceleration=10.0, deceleration=15.0,
            jerk=jerk,
        )
        for name in ('a', 'b', 'c')
    ]  # fmt: skip


@needs_ruckig
@pytest.mark.parametrize('rate', [10.0, 50.0, 100.0, 500.0])
def test_property_no_command_leaves_its_limits_nor_its_jerk(rate: float) -> None:
    dt = 1.0 / rate
    rng = random.Random(rate)
    limits = joints()
    limiter, checker = JerkLimiter(limits, dt), Checker(limits, dt)
    limiter.seed([0.0, 0.5, -1.0])
    checker.seed(limiter.position)
    target = [0.0, 0.0, 0.0]
    rows = [limiter.position] * 3
    for _ in range(6000):
        if rng.random() < 0.05:
            target = [rng.choice([rng.uniform(-2.0, 2.0), 1e9, -1e9]) for _ in target]
        kind = rng.random()
        if kind < 0.03:
            step = limiter.brake()
        elif kind < 0.05:
            step = limiter.step([math.nan, 0.0, 0.0])
            assert step.active & LimitFlag.BAD_INPUT
        else:
            step = limiter.step(target)
        verdict = checker.check(step.position)
        assert verdict.ok, verdict
        rows = [*rows[1:], step.position]
        if len(rows) == 4:
            for j in range(3):
                a, b, c, d = (row[j] for row in rows)
                assert abs(d - 3 * c + 3 * b - a) / dt**3 <= 300.0 * (1 + 1e-6)
        rows = rows[-3:]


@needs_ruckig
def test_a_target_is_reached_and_the_command_rests() -> None:
    limiter = JerkLimiter(joints(), 0.01)
    limiter.seed([0.0, 0.0, 0.0])
    for _ in range(300):
        step = limiter.step([1.0, -1.0, 0.3])
    assert step.position == pytest.approx((1.0, -1.0, 0.3), abs=1e-7)
    assert limiter.at_rest
    assert limiter.hold().position == step.position


@needs_ruckig
def test_after_a_refusal_the_plain_law_brakes_until_rest() -> None:
    limits = joints()
    limiter, checker = JerkLimiter(limits, 0.01), Checker(limits, 0.01)
    limiter.seed([0.0, 0.0, 0.0])
    checker.seed(limiter.position)
    for _ in range(20):
        step = limiter.step([1.0, 1.0, 1.0])
        assert checker.check(step.position).ok
    limiter.step([1.0, 1.0, 1.0])
    limiter.rollback()
    assert limiter.position == step.position
    for _ in range(100):
        step = limiter.step([1.0, 1.0, 1.0])
        assert checker.check(step.position).ok
        if limiter.at_rest:
            break
    assert limiter.at_rest
    limiter.step([1.0, 1.0, 1.0])
    for _ in range(200):
        step = limiter.step([1.0, 1.0, 1.0])
        assert checker.check(step.position).ok
    assert step.position == pytest.approx((1.0, 1.0, 1.0), abs=1e-6)


@needs_ruckig
def test_an_error_of_ruckig_becomes_a_brake(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = joints()
    limiter, checker = JerkLimiter(limits, 0.01), Checker(limits, 0.01)
    limiter.seed([0.0, 0.0, 0.0])
    checker.seed(limiter.position)
    for _ in range(20):
        checker.check(limiter.step([1.0, 1.0, 1.0]).position)

    def fails(*_: object) -> None:
        raise ValueError('-101 is not a valid Result')

    monkeypatch.setattr(limiter, '_update', fails)
    for _ in range(60):
        step = limiter.step([1.0, 1.0, 1.0])
        assert checker.check(step.position).ok
    assert limiter.at_rest


@needs_ruckig
def test_every_joint_needs_a_jerk_limit() -> None:
    limits = joints()
    limits[1] = replace(limits[1], jerk=None)
    with pytest.raises(SafetyError, match=r"without: \['b'\]"):
        JerkLimiter(limits, 0.01)


def test_without_ruckig_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'ruckig', None)
    assert not jerk_available()
    with pytest.raises(SafetyError, match='pip install ruckig'):
        JerkLimiter(joints(), 0.01)
