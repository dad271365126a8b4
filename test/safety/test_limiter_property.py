# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded bulk run of the limiter: no stream of inputs leads to a bad command.

`BC_PROPERTY_TICKS` sets the number of ticks over all configurations (default 1,000,000).
Every tick is judged twice from what would be sent, in the type in which it would be sent: by the
Checker at once, by the auditor afterwards. Invariants I1-I6 and I18 of docs/explanation/safety.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
import math
import os
import random

import pytest

from bc_runtime.safety import (
    Checker,
    JointLimits,
    Limiter,
    LimiterStep,
    audit_commands,
    to_output,
)
from bc_runtime.safety.limits import OutputType

TICKS = int(os.environ.get('BC_PROPERTY_TICKS', '1000000'))
#: share of the ticks, rate [Hz], joints, coordinated, output type
CONFIGURATIONS: list[tuple[float, float, int, bool, OutputType]] = [
    (0.12, 10.0, 7, False, 'float64'),
    (0.12, 50.0, 7, True, 'float64'),
    (0.12, 100.0, 7, False, 'float32'),
    (0.04, 100.0, 14, True, 'float64'),
    (0.12, 250.0, 6, False, 'float64'),
    (0.12, 500.0, 7, True, 'float32'),
    (0.18, 500.0, 2, False, 'float64'),
    (0.18, 100.0, 1, False, 'float64'),
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


@pytest.mark.parametrize(('share', 'rate', 'n', 'coordinated', 'dtype'), CONFIGURATIONS)
def test_bulk_property_no_command_ever_leaves_its_limits(
    share: float, rate: float, n: int, coordinated: bool, dtype: OutputType
) -> None:
    rng = random.Random(f'{rate}-{n}-{coordinated}-{dtype}')
    ticks = round(TICKS * share)
    done = 0
    while done < ticks:
        base = [one.rounded_inward(dtype) for one in random_limits(rng, n)]
        limiter = Limiter(base, 1.0 / rate, coordinated=coordinated)
        checker = Checker(base, 1.0 / rate, dtype=dtype)
        start = to_output(
            [rng.uniform(max(one.low, -3.0), min(one.high, 3.0)) for one in base], dtype
        )
        limiter.seed(start)
        checker.seed(start)
        inputs = hostile_inputs(rng, base)
        limits: Sequence[JointLimits] = base
        strongest = [one.deceleration for one in base]
        sent = [start, start]
        for _ in range(8):
            block = min(rng.randint(1, 1500), ticks - done)
            if not block:
                break
            done += block
            for _ in range(block):
                step = one_tick(limiter, *next(inputs))
                command = to_output(step.position, dtype)
                verdict = checker.check(command)
                assert verdict.ok, (done, verdict, limits)
                assert len(step.position) == len(step.velocity) == len(step.flags) == n
                sent.append(command)
            # In motion, the larger deceleration stays allowed.
            allowed = [
                replace(one, deceleration=most)
                for one, most in zip(limits, strongest, strict=True)
            ]
            report = audit_commands(sent[2:], allowed, 1.0 / rate, dtype=dtype, before=sent[:2])
            assert report.finite
            assert report.position_excess == 0.0
            if limits is base:
                assert report.ok, report
            else:
                # Lowered limits are reached by braking; the checker has judged that each tick.
                assert report.acceleration_ratio <= 1.0 + 1e-6, report
            sent = sent[-2:]
            if rng.random() < 0.5:
                limits = changed(rng, base)
                limiter.set_limits(limits)
                checker.set_limits(limits)
                strongest = [
                    max(s, one.deceleration) for s, one in zip(strongest, limits, strict=True)
                ]


def one_tick(limiter: Limiter, kind: str, q_ref: object, v_ref: object) -> LimiterStep:
    if kind == 'brake':
        return limiter.brake()
    if kind == 'velocity':
        return limiter.step_velocity(q_ref)  # type: ignore[arg-type]
    return limiter.step(q_ref, v_ref)  # type: ignore[arg-type]
