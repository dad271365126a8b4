# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from bc_runtime.safety import JointLimits, Limiter, audit_commands
from bc_runtime.spec.errors import SafetyError

DT = 0.01
LIMITS = [
    JointLimits(name='a', lower=-1.0, upper=1.0, velocity=1.0, acceleration=5.0, deceleration=10.0)
]


def run() -> np.ndarray:
    limiter = Limiter(LIMITS, DT)
    limiter.seed([0.0])
    return np.array([limiter.step([2.0 if k < 300 else -2.0]).position for k in range(600)])


def test_a_clean_run_uses_its_limits_fully_and_exceeds_none() -> None:
    report = audit_commands(run(), LIMITS, DT, before=[[0.0], [0.0]])
    assert report.ok
    assert report.position_excess == 0.0
    assert report.velocity_ratio == pytest.approx(1.0, abs=1e-6)
    assert report.acceleration_ratio == pytest.approx(1.0, abs=1e-6)
    assert report.ticks == 600


@pytest.mark.parametrize(
    ('what', 'damage'),
    [
        ('jump', lambda q: q.__setitem__((100, 0), q[100, 0] + 0.001)),
        ('missing message', lambda q: q.__setitem__(slice(60, -1), q[61:].copy())),
        ('outside', lambda q: q.__setitem__((slice(None), 0), q[:, 0] + 0.05)),
    ],
)
def test_damage_is_found(what: str, damage: object) -> None:
    commands = run()
    damage(commands)  # type: ignore[operator]
    report = audit_commands(commands, LIMITS, DT)
    assert not report.ok, what
    assert report.violations
    assert 'a: q=' in report.first


def test_not_finite_and_empty_and_wrong_shape() -> None:
    commands = run()
    commands[5, 0] = np.nan
    report = audit_commands(commands, LIMITS, DT)
    assert not report.ok
    assert 'command 5, a' in report.first
    assert audit_commands(np.empty((0, 1)), LIMITS, DT).ok
    with pytest.raises(SafetyError, match=r'expected commands of shape \(ticks, 1\)'):
        audit_commands(np.zeros((3, 2)), LIMITS, DT)
