# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded bulk run of the limiter: no stream of inputs leads to a bad command.

`BC_PROPERTY_TICKS` sets the number of ticks over all configurations (default 1,000,000).
Every tick is judged here from the emitted positions with formulas of this file, and by the
Checker, in the type that would be sent. Invariants I1-I6 and I18 of docs/explanation/safety.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
import math
import os
import random

import pytest

from bc_runtime.safety import Checker, JointLimits, Limiter, to_output

TICKS = int(os.environ.get('BC_PROPERTY_TICKS', '1000000'))
#: rate [Hz], joints, coordinated, output type
CONFIGURATIONS = [
    (10.0, 7, False, 'float64'),
    (50.0, 7, True, 'float64'),
    (100.0, 7, False, 'float32'),
    (100.0, 14, True, 'float64'),
    (250.0, 6, False, 'float64'),
    (500.0, 7, True, 'float32'),
    (500.0, 2, False, 'float64'),
    (100.0, 1, False, 'float64'),
]


def random_limits(rng: random.Random, n: int) -> list[JointLimits]:
    limits = []
    for j in range(n):
        continuous = rng.random() < 0.15
        middle, half = rng.uniform(-1.0, 1.0), rng.uniform(0.02, 3.0)
        acceleration = 10.0 ** rng.uniform(0.0, 1.7)
        limits.append(
            JointLimits(
                name=f'j{j}',
                lower=-math.inf if continuous else middle - half,
                upper=math.inf if continuous else middle + half,
                velocity=10.0 ** rng.uniform(-0.5, 0.8),
                acceleration=acceleration,
                deceleration=acceleration * rng.uniform(1.0, 3.0),
                margin=0.0 if continuous else 0.1 * half,
                continuous=continuous,
            )
        )
    return limits


def hostile_inputs(
    rng: random.Random, limits: Sequence[JointLimits]
) -> Iterator[tuple[str, object, object]]:
    """Yield (what, q_ref, v_ref) for ever: smooth, steps, noise, NaN, huge, wrong length."""
    n = len(limits)
    target = [0.0] * n
    phase = [rng.uniform(0.0, 6.0) for _ in range(n)]
    tick = 0
    while True:
        mode = rng.choice(['wave', 'steps', 'noise', 'bad', 'huge', 'velocity', 'brake', 'edge'])
        for _ in range(rng.randint(1, 60)):
            tick += 1
            if mode == 'wave':
                target = [3.0 * math.sin(0.02 * tick + p) for p in phase]
                yield 'step', target, [0.06 * math.cos(0.02 * tick + p) for p in phase]
            elif mode == 'steps':
                if rng.random() < 0.1:
                    target = [rng.uniform(-4.0, 4.0) for _ in range(n)]
                yield 'step', target, None
            elif mode == 'noise':
                yield (
                    'step',
                    [rng.gauss(0.0, 2.0) for _ in range(n)],
                    [rng.gauss(0.0, 5.0) for _ in range(n)],
                )
            elif mode == 'bad':
                values: list[float] = list(target)
                values[rng.randrange(n)] = rng.choice([math.nan, math.inf, -math.inf])
                yield rng.choice([
                    ('step', values, None), ('step', target, values), ('velocity', values, None),
                    ('step', [0.0] * (n + 1), None), ('step', [], None), ('step', None, None),
                ])  # fmt: skip
            elif mode == 'huge':
                yield (
                    'step',
                    [rng.choice([-1e9, 1e9, 1e300, -1e300]) for _ in range(n)],
                    [rng.choice([-1e9, 1e9, 1e300, -1e300, 0.0]) for _ in range(n)],
                )
            elif mode == 'velocity':
                yield 'velocity', [rng.choice([-9.0, 9.0, 0.1]) for _ in range(n)], None
            elif mode == 'edge':
                yield 'step', [one.high if one.high < 9.0 else 0.0 for one in limits], None
            else:
                yield 'brake', None, None


def changed(rng: random.Random, limits: Sequence[JointLimits]) -> list[JointLimits]:
    """Return other velocity, acceleration and deceleration limits for the same joints."""
    return [
        replace(
            one,
            velocity=one.velocity * rng.uniform(0.3, 1.0),
            acceleration=one.acceleration * rng.uniform(0.5, 1.0),
            deceleration=one.deceleration * rng.choice([1.0, 1.0, 1.5, 0.7]),
        )
        for one in limits
    ]


@pytest.mark.parametrize(('rate', 'n', 'coordinated', 'dtype'), CONFIGURATIONS)
def test_bulk_property_no_command_ever_leaves_its_limits(
    rate: float, n: int, coordinated: bool, dtype: str
) -> None:
    rng = random.Random(f'{rate}-{n}-{coordinated}-{dtype}')
    ticks = TICKS // len(CONFIGURATIONS)
    dt = 1.0 / rate
    done = 0
    while done < ticks:
        base = [one.rounded_inward(dtype) for one in random_limits(rng, n)]
        limits: Sequence[JointLimits] = base
        limiter = Limiter(base, dt, coordinated=coordinated)
        checker = Checker(base, dt, dtype=dtype)
        start = [rng.uniform(max(o.low, -3.0), min(o.high, 3.0)) for o in base]
        start = list(to_output(start, dtype))
        limiter.seed(start)
        checker.seed(start)
        before, speed = list(start), [0.0] * n
        inputs = hostile_inputs(rng, base)
        strongest = [o.deceleration for o in base]
        for _ in range(min(5000, ticks - done)):
            done += 1
            if rng.random() < 0.002:
                limits = changed(rng, base)
                limiter.set_limits(limits)
                checker.set_limits(limits)
                strongest = [
                    max(s, o.deceleration) for s, o in zip(strongest, limits, strict=True)
                ]
            kind, q_ref, v_ref = next(inputs)
            if kind == 'brake':
                step = limiter.brake()
            elif kind == 'velocity':
                step = limiter.step_velocity(q_ref)
            else:
                step = limiter.step(q_ref, v_ref)
            verdict = checker.check(to_output(step.position, dtype))
            assert verdict.ok, (done, verdict, kind, limits)
            assert len(step.position) == len(step.velocity) == len(step.flags) == n
            for j, one in enumerate(limits):
                q, v = step.position[j], step.velocity[j]
                assert math.isfinite(q) and math.isfinite(v)
                assert one.low <= q <= one.high
                assert abs(q - before[j] - v * dt) <= 1e-15 * max(1.0, abs(q)) + 1e-15
                lowered = abs(speed[j]) > one.velocity
                if lowered:
                    least = abs(speed[j]) - one.deceleration * dt
                    assert abs(v) <= max(one.velocity, least) * (1 + 1e-12)
                else:
                    assert abs(v) <= one.velocity * (1 + 1e-12)
                most = max(one.acceleration, strongest[j])
                assert abs(v - speed[j]) <= most * dt * (1 + 1e-9)
                if not one.continuous and done % 7 == 0:
                    assert stops_inside(q, v, strongest[j] * dt, dt, one)
            before, speed = list(step.position), list(step.velocity)


def stops_inside(q: float, v: float, decel_step: float, dt: float, one: JointLimits) -> bool:
    """Brake step by step from here and look whether the joint stays inside (I4)."""
    while v != 0.0:
        slower = max(abs(v) - decel_step, 0.0)
        v = math.copysign(slower, v) if slower else 0.0
        q += v * dt
    return one.low - 1e-9 <= q <= one.high + 1e-9
