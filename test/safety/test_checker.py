# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The checker must pass what the limiter makes and catch everything else."""

from __future__ import annotations

import ast
from collections.abc import Callable
import math
from pathlib import Path
import random

import pytest

from bc_runtime.safety import CheckCode, Checker, JointLimits, Limiter, to_output
import bc_runtime.safety.checker as checker_module
from bc_runtime.spec.errors import SafetyError

DT = 0.01


def joints() -> list[JointLimits]:
    return [
        JointLimits(
            name=name, lower=-1.5, upper=1.5, velocity=2.0, acceleration=10.0, deceleration=15.0
        ).rounded_inward('float32')
        for name in ('a', 'b')
    ]


def pair(dtype: str = 'float64') -> tuple[Limiter, Checker]:
    limiter, checker = Limiter(joints(), DT), Checker(joints(), DT, dtype=dtype)  # type: ignore[arg-type]
    limiter.seed([0.0, 0.0])
    checker.seed([0.0, 0.0])
    return limiter, checker


def test_it_shares_no_function_with_the_limiter() -> None:
    tree = ast.parse(Path(checker_module.__file__).read_text(encoding='utf-8'))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in modules if name and name.startswith('bc_runtime')}
    assert ours == {'bc_runtime.safety.limits', 'bc_runtime.spec.errors'}
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == 'bc_runtime.safety.limits'
        for alias in node.names
    }
    assert names == {'JointLimits', 'OutputType'}


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_it_passes_the_limiter_s_work(dtype: str) -> None:
    limiter, checker = pair(dtype)
    rng = random.Random(1)
    target = [0.0, 0.0]
    for _ in range(5000):
        if rng.random() < 0.05:
            target = [rng.uniform(-2.0, 2.0) for _ in target]
        result = checker.check(to_output(limiter.step(target).position, dtype))  # type: ignore[arg-type]
        assert result.ok, result
        assert not result.text


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize(
    ('code', 'corrupt'),
    [
        (CheckCode.NOT_FINITE, lambda q, v: math.nan),
        (CheckCode.NOT_FINITE, lambda q, v: math.inf),
        (CheckCode.POSITION, lambda q, v: 1.51),
        (CheckCode.VELOCITY, lambda q, v: q + 2.01 * DT),
        (CheckCode.VELOCITY, lambda q, v: q - 2.5 * DT),
        (CheckCode.ACCELERATION, lambda q, v: q + (v + 10.5 * DT) * DT),
        (CheckCode.ACCELERATION, lambda q, v: q + (v - 15.5 * DT) * DT),
    ],
)
def test_it_catches_a_corrupted_value(
    dtype: str, code: CheckCode, corrupt: Callable[[float, float], float]
) -> None:
    limiter, checker = pair(dtype)
    for _ in range(10):
        step = limiter.step([1.0, 1.0])
        sent = to_output(step.position, dtype)  # type: ignore[arg-type]
        assert checker.check(sent).ok
    bad = [limiter.step([1.0, 1.0]).position[0], corrupt(sent[1], step.velocity[1])]
    if code is CheckCode.POSITION:
        checker.seed([0.0, 1.5])
        checker.check([0.0, joints()[1].high])
    result = checker.check(bad) if code is not CheckCode.POSITION else checker.check([0.0, 1.51])
    assert result.code is code, result
    assert result.joint in ('b', '')
    assert result.text


def test_it_catches_a_state_that_cannot_stop_before_the_limit() -> None:
    _, checker = pair()
    checker.seed([0.0, 1.5 - 0.10], [0.0, 2.0])
    # One legal command first: what was seeded is excused.
    checker.seed([0.0, 1.0], [0.0, 2.0])
    assert checker.check([0.0, 1.02]).ok
    value = 1.02
    for _ in range(40):
        value += 2.0 * DT
        result = checker.check([0.0, value])
        if not result.ok:
            break
    assert result.code is CheckCode.STOPPING_DISTANCE
    # Full braking from the last passed command ends inside.
    where, speed = value - 2.0 * DT, 2.0
    while speed > 0.0:
        speed = max(speed - 15.0 * DT, 0.0)
        where += speed * DT
    assert where <= 1.5


def test_a_refused_command_does_not_become_the_last_one() -> None:
    limiter, checker = pair()
    step = limiter.step([1.0, 1.0])
    assert checker.check(step.position).ok
    good = limiter.step([1.0, 1.0])
    assert not checker.check([q + 0.5 for q in good.position]).ok
    assert checker.check(good.position).ok


def test_after_a_refusal_the_brake_passes() -> None:
    limiter, checker = pair()
    for _ in range(15):
        assert checker.check(limiter.step([1.0, -1.0]).position).ok
    limiter.step([1.0, -1.0])
    assert not checker.check([9.0, 9.0]).ok
    limiter.rollback()
    while not limiter.at_rest:
        assert checker.check(limiter.brake().position).ok


@pytest.mark.parametrize(
    ('mistake', 'changes'),
    [
        ('no deceleration bound', {'deceleration': 1000.0}),
        ('no acceleration bound', {'acceleration': 1000.0}),
        ('no velocity bound', {'velocity': 10.0}),
        ('no position bound', {'lower': -10.0, 'upper': 10.0}),
        ('brakes a little too late', {'deceleration': 15.2}),
        ('margin forgotten', {'lower': -1.52, 'upper': 1.52}),
    ],
)
def test_it_catches_a_limiter_that_is_wrong(mistake: str, changes: dict[str, float]) -> None:
    from dataclasses import replace

    wrong = Limiter([replace(one, **changes) for one in joints()], DT)
    wrong.seed([0.0, 0.0])
    checker = Checker(joints(), DT)
    checker.seed([0.0, 0.0])
    rng = random.Random(2)
    for _ in range(2000):
        if rng.random() < 0.05:
            target = [rng.choice([-5.0, 5.0, 0.0]) for _ in range(2)]
        elif rng.random() < 0.001:
            target = [0.0, 0.0]
        else:
            target = locals().get('target', [5.0, -5.0])
        if not checker.check(wrong.step(target).position).ok:
            return
    pytest.fail(f'not caught: {mistake}')


def test_wrong_use_is_said_plainly() -> None:
    checker = Checker(joints(), DT)
    with pytest.raises(SafetyError, match='seed'):
        checker.check([0.0, 0.0])
    with pytest.raises(SafetyError, match='expected 2 finite'):
        checker.seed([0.0, math.nan])
    with pytest.raises(SafetyError, match='dtype'):
        Checker(joints(), DT, dtype='int8')  # type: ignore[arg-type]
    checker.seed([0.0, 0.0])
    assert checker.check([0.0]).code is CheckCode.DIMENSION
    assert checker.check(['x', None]).code is CheckCode.NOT_FINITE  # type: ignore[list-item]


def test_velocity_commands() -> None:
    limits = joints()
    checker = Checker(limits, DT)
    checker.seed([0.0, 0.0])
    assert checker.check_velocity([0.1, -0.1]).ok
    assert checker.check_velocity([0.2, 0.0]).ok
    assert checker.check_velocity([0.31, 0.0]).code is CheckCode.ACCELERATION
    assert checker.check_velocity([0.2, math.nan]).code is CheckCode.NOT_FINITE
    checker.seed([0.0, 0.0], [1.99, 0.0])
    assert checker.check_velocity([2.05, 0.0]).code is CheckCode.VELOCITY
