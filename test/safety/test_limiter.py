# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The limiter's promises, one test each; I1-I16 are numbered as in docs/explanation/safety.md."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
import math
from pathlib import Path
import random

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from bc_runtime.safety import (
    Checker,
    JointLimits,
    Limiter,
    LimiterStep,
    LimitFlag,
    braking_travel,
    safe_speed,
)
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


numbers = st.one_of(
    st.floats(-10.0, 10.0),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e9, -1e9, 1e308, -1e308]),
)


# -- braking travel and its inverse -----------------------------------------------------------


@given(st.floats(0.0, 10.0), st.floats(0.1, 50.0), st.sampled_from([0.1, 0.01, 0.002]))
def test_property_braking_travel_is_the_sum_it_stands_for(
    speed: float, d: float, dt: float
) -> None:
    travel, v = 0.0, speed
    while v > 0.0:
        travel += v * dt
        v -= d * dt
    assert braking_travel(speed, d * dt, dt) == pytest.approx(travel, abs=1e-9)


@given(st.floats(0.0, 10.0), st.floats(0.1, 50.0), st.sampled_from([0.1, 0.01, 0.002]))
def test_property_safe_speed_is_the_exact_inverse(gap: float, d: float, dt: float) -> None:
    speed = safe_speed(gap, d, dt)
    assert braking_travel(speed, d * dt, dt) == pytest.approx(gap, rel=1e-9, abs=1e-12)


# -- any input --------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=60), st.booleans())
def test_property_i1_to_i6_hold_for_any_stream(
    stream: list[tuple[float, float, float, float]], coordinated: bool
) -> None:
    limits = [joint('a'), joint('b', lower=-0.1, upper=0.05, velocity=5.0)]
    limiter = seeded(limits, coordinated=coordinated)
    checker = Checker(limits, DT)
    checker.seed(limiter.position)
    for a, b, va, vb in stream:
        step = limiter.step([a, b], [va, vb])
        verdict = checker.check(step.position)
        assert verdict.ok, verdict
        finite = all(map(math.isfinite, (a, b, va, vb)))
        bad = bool(step.active & LimitFlag.BAD_INPUT)
        assert bad is not finite


@pytest.mark.parametrize(
    ('q_ref', 'v_ref'),
    [
        ([math.nan, 0.0], None),
        ([0.0, math.inf], None),
        ([0.0, 0.0], [0.0, math.nan]),
        ([0.0], None),
        ([0.0, 0.0, 0.0], None),
        ([0.0, 0.0], [0.0]),
        ([], None),
        (None, None),
        ([None, 0.0], None),
        ('xy', None),
        ([10**400, 0.0], None),
    ],
)
def test_i6_bad_input_brakes_all_joints_and_says_so(q_ref: object, v_ref: object) -> None:
    limiter = seeded([joint('a'), joint('b')])
    for _ in range(30):
        moving = limiter.step([1.0, -1.0])
    step = limiter.step(q_ref, v_ref)  # type: ignore[arg-type]
    assert all(flag & LimitFlag.BAD_INPUT and flag & LimitFlag.BRAKE for flag in step.flags)
    for before, after in zip(moving.velocity, step.velocity, strict=True):
        assert abs(after) == pytest.approx(abs(before) - 15.0 * DT)


def test_i7_braking_ends_at_rest_within_its_time_and_never_speeds_up() -> None:
    limits = [joint('a', velocity=3.0), joint('b', deceleration=11.0)]
    for ticks in range(1, 60, 7):
        limiter = seeded(limits)
        for _ in range(ticks):
            step = limiter.step([1.4, -1.4])
        most = max(math.ceil(one.velocity / (one.deceleration * DT)) for one in limits)
        for _ in range(most):
            slower = limiter.brake()
            for before, after in zip(step.velocity, slower.velocity, strict=True):
                assert abs(after) <= abs(before)
                assert after * before >= 0.0
            step = slower
        assert step.velocity == (0.0, 0.0)
        assert limiter.at_rest
        assert limiter.hold().position == step.position
        assert limiter.hold().flags == (0, 0)


# -- tracking ---------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(0.2, 5.0), st.floats(1.0, 40.0),
    st.floats(1.0, 3.0), st.sampled_from([0.1, 0.02, 0.01, 0.002]),
)  # fmt: skip
def test_property_i8_constant_target_is_reached_without_overshoot(
    start: float, target: float, vmax: float, accel: float, ratio: float, dt: float
) -> None:
    one = joint(velocity=vmax, acceleration=accel, deceleration=ratio * accel)
    limiter = Limiter([one], dt)
    limiter.seed([start])
    way = abs(target - start)
    # Speed up, travel, brake gently, and some ticks of rounding up.
    bound = way / vmax + vmax / accel + vmax / (0.5 * one.deceleration)
    ticks = math.ceil(bound / dt) + 10
    side = math.copysign(1.0, target - start)
    for _ in range(ticks):
        step = limiter.step([target])
        assert side * (step.position[0] - target) <= 1e-9
    assert step.position[0] == pytest.approx(target, abs=1e-9)
    assert step.velocity[0] == pytest.approx(0.0, abs=1e-6)


def test_i9_a_reference_inside_all_limits_passes_through_unchanged() -> None:
    limits = [joint('a'), joint('b', continuous=True, lower=-math.inf, upper=math.inf)]
    amplitude, rate = (0.6, 0.3), (2.0, 3.0)
    for coordinated in (False, True):
        limiter = Limiter(limits, DT, coordinated=coordinated)
        q0 = [-a * math.cos(0.0) for a in amplitude]
        limiter.seed(q0)
        for k in range(1, 1000):
            t = k * DT
            q = [-a * math.cos(w * t) for a, w in zip(amplitude, rate, strict=True)]
            v = [a * w * math.sin(w * t) for a, w in zip(amplitude, rate, strict=True)]
            step = limiter.step(q, v)
            assert step.flags == (0, 0), (k, step)
            assert step.position == pytest.approx(q, abs=1e-12)


def test_without_reference_velocity_the_lag_is_bounded_by_the_approach_curve() -> None:
    limiter = seeded([joint()])
    worst = 0.0
    for k in range(400):
        q = 0.5 * math.sin(1.5 * k * DT)
        worst = max(worst, abs(limiter.step([q]).position[0] - q))
    speed = 0.75
    assert worst <= speed * speed / (2.0 * 0.5 * 15.0) + 2.0 * speed * DT


def smooth(limiter: Limiter, ticks: int, seed: int) -> list[LimiterStep]:
    rng = random.Random(seed)
    steps, target = [], [0.0] * len(limiter.limits)
    for _ in range(ticks):
        if rng.random() < 0.05:
            target = [rng.uniform(-2.0, 2.0) for _ in target]
        steps.append(limiter.step(target, [rng.uniform(-1.0, 1.0) for _ in target]))
    return steps


@pytest.mark.parametrize('coordinated', [False, True])
def test_property_i10_joints_are_equal_and_left_is_like_right(coordinated: bool) -> None:
    limits = [
        joint('a'), joint('b', velocity=3.0, lower=-0.4), joint('c', acceleration=3.0, upper=0.3),
    ]  # fmt: skip
    rng = random.Random(3)
    order = [2, 0, 1]
    mirrored = [replace(one, lower=-one.upper, upper=-one.lower) for one in limits]
    plain = seeded(limits, coordinated=coordinated)
    permuted = seeded([limits[j] for j in order], coordinated=coordinated)
    mirror = seeded(mirrored, coordinated=coordinated)
    for _ in range(2000):
        q = [rng.gauss(0.0, 1.0) for _ in limits]
        v = [rng.gauss(0.0, 1.0) for _ in limits]
        a = plain.step(q, v)
        b = permuted.step([q[j] for j in order], [v[j] for j in order])
        c = mirror.step([-x for x in q], [-x for x in v])
        assert b.position == tuple(a.position[j] for j in order)
        assert c.position == tuple(-x for x in a.position)
        assert a.scale == b.scale == c.scale


def test_i11_the_first_command_after_seeding_is_the_seed() -> None:
    limits = [joint('a'), joint('b', acceleration=3.0)]
    rng = random.Random(5)
    for _ in range(200):
        start = [rng.uniform(-1.5, 1.5) for _ in limits]
        limiter = seeded(limits, start)
        step = limiter.step([rng.uniform(-9.0, 9.0) for _ in limits])
        for q, s, one in zip(step.position, start, limits, strict=True):
            assert abs(q - s) <= one.acceleration * DT * DT * (1 + 1e-9)


def test_property_i12_coordinated_motion_keeps_its_direction_or_says_so() -> None:
    limits = [joint('a'), joint('b', velocity=0.5), joint('c', acceleration=2.0)]
    rng = random.Random(8)
    limiter = seeded(limits, coordinated=True)
    kept = 0
    for _ in range(3000):
        wanted = [rng.uniform(-1.0, 1.0) for _ in limits]
        step = limiter.step_velocity(wanted)
        if step.scale == 0.0:
            assert all(flag & LimitFlag.SCALED for flag in step.flags)
            continue
        kept += 1
        for v, w in zip(step.velocity, wanted, strict=True):
            assert v == pytest.approx(step.scale * w, abs=1e-12)
    assert kept > 100


def test_property_i13_its_own_output_as_reference_changes_nothing() -> None:
    limits = [joint('a'), joint('b', velocity=0.7), joint('c', continuous=True)]
    for coordinated in (False, True):
        first = seeded(limits, coordinated=coordinated)
        again = seeded(limits, coordinated=coordinated)
        for step in smooth(first, 4000, seed=1):
            echo = again.step(step.position, step.velocity)
            assert (echo.position, echo.velocity) == (step.position, step.velocity)


def test_property_i14_the_same_inputs_give_the_same_bits() -> None:
    limits = [joint('a'), joint('b', velocity=0.7)]
    assert smooth(seeded(limits), 3000, 2) == smooth(seeded(limits), 3000, 2)


def test_i15_a_change_of_source_is_no_jump() -> None:
    limits = [joint('a'), joint('b')]
    limiter, checker = seeded(limits), Checker(limits, DT)
    checker.seed(limiter.position)
    rng = random.Random(4)
    sources = [
        lambda: limiter.step([1.4, -1.4], [1.0, 1.0]),
        lambda: limiter.step([-1.0, 0.3]),
        lambda: limiter.step_velocity([1.0, -2.0]),
        limiter.brake,
        limiter.hold,
    ]
    for _ in range(3000):
        step = rng.choice(sources)()
        assert checker.check(step.position).ok


def test_i16_the_limiter_has_no_clock() -> None:
    import bc_runtime.safety.limiter as module

    tree = ast.parse(Path(module.__file__).read_text(encoding='utf-8'))
    imported = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {'time', 'datetime', 'numpy'}


# -- use --------------------------------------------------------------------------------------


def test_flags_name_what_binds() -> None:
    limiter = seeded([joint()])
    assert limiter.step([1.4]).active & LimitFlag.ACCELERATION
    for _ in range(30):
        step = limiter.step([9.0])
    assert step.active & LimitFlag.POSITION
    assert step.active & LimitFlag.APPROACH
    limiter = seeded([joint()])
    for _ in range(30):
        step = limiter.step_velocity([5.0])
    assert step.active == LimitFlag.VELOCITY
    assert limiter.brake().active & LimitFlag.BRAKE


def test_rollback_takes_exactly_one_step_back() -> None:
    limiter = seeded([joint()])
    for _ in range(20):
        step = limiter.step([1.0])
    limiter.step([1.0])
    limiter.rollback()
    assert limiter.position == step.position
    assert limiter.velocity == step.velocity
    limiter.rollback()
    assert limiter.position == step.position


def test_seeding_is_required_and_checked() -> None:
    limiter = Limiter([joint('a'), joint('b')], DT)
    with pytest.raises(SafetyError, match='seed'):
        limiter.step([0.0, 0.0])
    for wrong in ([0.0], [0.0, math.nan], [0.0, 0.0, 0.0]):
        with pytest.raises(SafetyError, match=r"expected 2 finite numbers for \['a', 'b'\]"):
            limiter.seed(wrong)
    limiter.seed([0.0, 0.0])
    limiter.reset()
    assert not limiter.seeded


@pytest.mark.parametrize('dt', [0.0, -1.0, math.nan])
def test_a_period_is_required(dt: float) -> None:
    with pytest.raises(SafetyError, match='period'):
        Limiter([joint()], dt)
    with pytest.raises(SafetyError, match='at least one joint'):
        Limiter([], DT)
