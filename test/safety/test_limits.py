# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.safety import JointLimits, align_limits, limits_of, to_output
from bc_runtime.spec.errors import SafetyError
from bc_runtime.spec.robot_config import RobotConfig

JOINT = {'name': 'j', 'velocity': 2.0, 'acceleration': 10.0, 'deceleration': 12.0}


def test_limits_of_the_example_robot(repository: Path) -> None:
    robot = RobotConfig.from_file(repository / 'config' / 'robots' / 'sim_arm.yaml')
    limits = limits_of(robot.joints)
    assert [one.name for one in limits] == list(robot.joint_names)
    first = limits[0]
    assert first.low == first.lower + 0.02
    assert first.high == first.upper - 0.02


def test_continuous_joints_have_no_ends() -> None:
    one = JointLimits(**JOINT, continuous=True)
    assert one.low == -math.inf
    assert one.high == math.inf


@pytest.mark.parametrize(
    ('changes', 'says'),
    [
        ({'velocity': 0.0}, 'velocity must be finite and positive'),
        ({'acceleration': -1.0}, 'acceleration'),
        ({'deceleration': math.nan}, 'deceleration'),
        ({'jerk': 0.0}, 'jerk'),
        ({'margin': -0.1}, 'margin'),
        ({'lower': -math.inf}, 'finite position limits'),
        ({'margin': 1.0}, 'nothing is left'),
    ],
)
def test_impossible_limits_are_refused_with_the_joint_s_name(
    changes: dict[str, float], says: str
) -> None:
    with pytest.raises(SafetyError, match="joint 'j'") as error:
        JointLimits(**{**JOINT, 'lower': -1.0, 'upper': 1.0, **changes})
    assert says in str(error.value)


def test_align_is_slow_but_brakes_fully() -> None:
    (one,) = align_limits([JointLimits(**JOINT, lower=-1.0, upper=1.0)])
    assert one.velocity == 0.5
    assert one.acceleration == 5.0
    assert one.deceleration == 12.0


@pytest.mark.parametrize('factor', [0.0, 1.1, math.nan])
def test_scaling_only_slows(factor: float) -> None:
    with pytest.raises(SafetyError, match='factor'):
        JointLimits(**JOINT, lower=-1.0, upper=1.0).scaled(factor, 0.5)


@given(
    st.floats(-1e3, 1e3).flatmap(
        lambda low: st.tuples(st.just(low), st.floats(low + 1e-2, low + 1e3))
    ),
    st.floats(0.0, 1.0),
)
def test_property_commands_inside_stay_inside_in_float32(
    ends: tuple[float, float], share: float
) -> None:
    one = JointLimits(**JOINT, lower=ends[0], upper=ends[1])
    inner = one.rounded_inward('float32')
    assert ends[0] <= inner.low <= inner.high <= ends[1]
    assert np.float32(inner.low) == inner.low
    assert np.float32(inner.high) == inner.high
    assert inner.low - ends[0] <= max(1e-6 * abs(ends[0]), 1e-37)
    command = min(max(inner.low + share * (inner.high - inner.low), inner.low), inner.high)
    (sent,) = to_output([command], 'float32')
    assert ends[0] <= sent <= ends[1]


def test_the_float32_of_a_limit_may_be_outside_of_it() -> None:
    (sent,) = to_output([2.8973], 'float32')
    assert sent > 2.8973
    one = JointLimits(**JOINT, lower=-2.8973, upper=2.8973)
    assert one.rounded_inward('float32').high < 2.8973


def test_output_values_are_what_numpy_would_send() -> None:
    values = [0.1, -2.345, 1e-30, 0.0]
    assert to_output(values, 'float32') == tuple(float(np.float32(v)) for v in values)
    assert to_output(values, 'float64') == tuple(values)
    with pytest.raises(SafetyError, match='float32'):
        to_output([1e300], 'float32')
