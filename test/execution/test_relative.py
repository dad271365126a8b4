# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Actions relative to the observed state."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bc_runtime.execution import Timeline, make_strategy, rotation
from bc_runtime.spec import ActionKind

STEP = 100_000_000


def test_differences_refer_to_the_state_of_their_own_observation(make_chunk):
    """The robot moves on while the policy thinks; the target does not move with it."""
    line = Timeline(make_strategy('latest'))

    def observed(step, anchor, received_ns):
        return make_chunk(
            [[0.0, 9.0], [0.1, 9.0], [0.2, 9.0], [0.3, 9.0], [0.4, 9.0]],
            step=step,
            received_ns=received_ns,
            references=('observation_state', 'absolute'),
            anchor={'joint_1': anchor, 'other': 100.0},
        )

    line.add(observed(0, 1.0, received_ns=0))
    assert line.at(2 * STEP).values == pytest.approx([1.2, 9.0])
    line.add(observed(4, 5.0, received_ns=7 * STEP))
    assert line.at(7 * STEP).values == pytest.approx([5.3, 9.0])


def test_the_anchor_is_added_in_double_precision(make_chunk):
    line = Timeline(make_strategy('latest'))
    anchor = {'joint_1': 1000.123456789}
    line.add(make_chunk([0.25, 0.5], references=('observation_state',), anchor=anchor))
    assert line.at(0).values[0] == 1000.123456789 + 0.25


def test_relative_and_absolute_forms_of_one_plan_agree_in_an_ensemble(make_chunk):
    rng = np.random.default_rng(0)
    relative = Timeline(make_strategy('temporal_ensemble'))
    absolute = Timeline(make_strategy('temporal_ensemble'))
    for step in range(6):
        values = rng.normal(size=(8, 2)).astype(np.float32)
        anchor = np.round(rng.normal(size=2) * 64) / 64  # exact in float32
        absolute.add(make_chunk(values, step=step))
        relative.add(
            make_chunk(
                values - anchor.astype(np.float32),
                step=step,
                references=('observation_state',) * 2,
                anchor={'joint_1': anchor[0], 'joint_2': anchor[1]},
            )
        )
    a, r = absolute.at(5 * STEP), relative.at(5 * STEP)
    assert r.values == pytest.approx(a.values, abs=1e-6)
    assert r.velocities == pytest.approx(a.velocities, abs=1e-5)


@pytest.mark.parametrize(
    'kind', [ActionKind.QUATERNION, ActionKind.ROTATION_6D, ActionKind.AXIS_ANGLE]
)
def test_relative_rotations_are_in_the_frame_of_the_observed_orientation(make_chunk, kind):
    """Observed: a quarter about z. Relative: a quarter about the tool's own x."""
    observed = rotation.exp(np.array([0.0, 0.0, math.pi / 2]))
    turn = rotation.exp(np.array([math.pi / 2, 0.0, 0.0]))
    expected = rotation.multiply(observed, turn)
    base, value = (rotation.from_quaternion(q, kind) for q in (observed, turn))
    names = tuple(f'tool.r{i}' for i in range(len(base)))
    line = Timeline(make_strategy('latest'))
    line.add(
        make_chunk(
            [value, value],
            names=names,
            kinds=(kind,) * len(base),
            references=('observation_state',) * len(base),
            anchor=dict(zip(names, base.tolist(), strict=True)),
        )
    )
    result = rotation.to_quaternion(line.at(0).values, kind)
    assert abs(float(result @ expected)) == pytest.approx(1.0, abs=1e-6)


def test_a_relative_continuous_joint_unwraps(make_chunk):
    line = Timeline(make_strategy('latest'))
    line.add(
        make_chunk(
            [0.0, 0.2],
            kinds=('continuous_joint',),
            references=('observation_state',),
            anchor={'joint_1': 3.1},
        )
    )
    middle = line.at(STEP // 2)
    assert middle.values[0] == pytest.approx(3.2)
    assert middle.velocities[0] == pytest.approx(2.0, rel=1e-5)
