# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The optional jerk stage: as sound as the limiter that has the last word on it."""

from __future__ import annotations

from dataclasses import replace
import math
import random
import sys

import pytest

from bc_runtime.safety import (
    Checker,
    JerkLimiter,
    JointLimits,
    LimitFlag,
    align_limits,
    jerk_available,
)
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


def jerk_of(rows: list[tuple[float, ...]], dt: float) -> float:
    """Largest third difference of the last four commands."""
    return max(abs(d - 3 * c + 3 * b - a) / dt**3 for a, b, c, d in zip(*rows[-4:], strict=True))


@needs_ruckig
@pytest.mark.parametrize('rate', [10.0, 50.0, 100.0, 500.0])
def test_property_the_jerk_is_bounded_while_the_limiter_has_nothing_to_correct(
    rate: float,
) -> None:
    """Regressions pinned: a version of this test never looked at a jerk."""
    dt = 1.0 / rate
    rng = random.Random(rate)
    limiter = JerkLimiter(joints(), dt)
    limiter.seed([0.0, 0.5, -1.0])
    target = [0.0, 0.0, 0.0]
    # A command that the limiter had to correct ends a stretch of bounded jerk.
    rows, judged = [limiter.position] * 3, 0
    for _ in range(6000):
        if rng.random() < 0.02:
            target = [rng.uniform(-1.4, 1.4) for _ in target]
        step = limiter.step(target)
        smooth = limiter._state[0] is step.position
        rows = [*rows, step.position] if smooth else []
        if len(rows) >= 4:
            judged += 1
            assert jerk_of(rows, dt) <= 300.0 * (1 + 1e-4)
    assert judged > 5000


@needs_ruckig
@pytest.mark.parametrize('rate', [10.0, 50.0, 100.0, 200.0, 500.0])
def test_property_the_checker_has_nothing_to_refuse_whatever_happens(rate: float) -> None:
    """Regressions pinned: limits lowered in motion made the checker refuse a command.

    So it was where a hole in the plan was filled before the robot had stopped: ALIGN is slower,
    Ruckig braked with bounded jerk and the checker wanted the whole deceleration at once.
    """
    dt = 1.0 / rate
    rng = random.Random(rate)
    limits = joints(10.0 ** rng.uniform(1.0, 3.0))
    limiter, checker = JerkLimiter(limits, dt), Checker(limits, dt)
    limiter.seed([0.0, 0.5, -1.0])
    checker.seed(limiter.position)
    target = [0.0, 0.0, 0.0]
    for _ in range(10_000):
        if rng.random() < 0.05:
            target = [rng.choice([rng.uniform(-2.0, 2.0), 1e9, -1e9]) for _ in target]
        if rng.random() < 0.02:
            slower = rng.choice([limits, align_limits(limits)])
            limiter.set_limits(slower)
            checker.set_limits(slower)
        before = limiter.velocity
        kind = rng.random()
        if kind < 0.05:
            step = rng.choice([limiter.brake, limiter.hold, limiter.tail_step])()
            for v, w in zip(before, step.velocity, strict=True):
                assert abs(w) <= abs(v), 'a brake that speeds up'
        elif kind < 0.07:
            step = limiter.step(rng.choice([[math.nan, 0.0, 0.0], [math.inf] * 3, [0.0]]))
            assert step.active & LimitFlag.BAD_INPUT
        else:
            step = limiter.step(target)
        if kind > 0.99:
            limiter.rollback()
            continue
        verdict = checker.check(step.position)
        assert verdict.ok, verdict


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
def test_after_a_refusal_it_goes_on_from_the_command_before() -> None:
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
    for _ in range(300):
        step = limiter.step([1.0, 1.0, 1.0])
        assert checker.check(step.position).ok
    assert step.position == pytest.approx((1.0, 1.0, 1.0), abs=1e-6)
    assert limiter.at_rest


@needs_ruckig
@pytest.mark.parametrize('answer', ['an error', 'no result'])
def test_without_an_answer_of_ruckig_it_brakes(
    monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    import ruckig

    limits = joints()
    limiter, checker = JerkLimiter(limits, 0.01), Checker(limits, 0.01)
    limiter.seed([0.0, 0.0, 0.0])
    checker.seed(limiter.position)
    for _ in range(20):
        checker.check(limiter.step([1.0, 1.0, 1.0]).position)
    assert not limiter.at_rest

    class Failing:
        def __init__(self, *_: object) -> None:
            pass

        def update(self, *_: object) -> object:
            if answer == 'an error':
                raise ValueError('-101 is not a valid Result')
            return ruckig.Result.ErrorInvalidInput

    monkeypatch.setattr(ruckig, 'Ruckig', Failing)
    for _ in range(60):
        step = limiter.step([1.0, 1.0, 1.0])
        assert step.active & LimitFlag.BRAKE
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
