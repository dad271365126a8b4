# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Blending and interpolation by kind of action."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from bc_runtime.execution import ActionChunk, BlendOptions, Timeline, make_strategy, rotation
from bc_runtime.spec import ActionKind, ExecutionError

STEP = 100_000_000
MEAN = make_strategy('temporal_ensemble', {'coeff': 0.0})


def mean_of(rows, kinds, *, t_ns=0, interpolation='linear', blending=None, strategy=MEAN):
    """Setpoint of chunks that all start at 0; rows (n, D) are constant, (n, K, D) are chunks."""
    line = Timeline(strategy, interpolation=interpolation, blending=blending)
    for sequence, row in enumerate(rows):
        values = np.atleast_2d(np.asarray(row, dtype=np.float32))
        if values.shape[0] == 1:
            values = np.tile(values, (3, 1))
        line.add(
            ActionChunk(
                stamp_ns=0,
                dt_ns=STEP,
                values=values,
                names=tuple(f'd{d}' for d in range(values.shape[1])),
                kinds=kinds,
                sequence=sequence,
                received_ns=0,
            )
        )
    return line.at(t_ns)


# ---- angles ------------------------------------------------------------------------------------


def test_continuous_joints_take_the_short_way_round():
    value = mean_of([[3.1], [-3.1]], ('continuous_joint',)).values[0]
    assert math.remainder(value - math.pi, math.tau) == pytest.approx(0.0, abs=1e-6)
    assert mean_of([[3.1], [-3.1]], ('joint_position',)).values[0] == pytest.approx(0.0, abs=1e-6)


def test_continuous_joints_turn_the_short_way_inside_a_chunk():
    setpoint = mean_of([[[3.0], [-3.0], [-2.9]]], ('continuous_joint',), t_ns=STEP // 2)
    assert math.remainder(setpoint.values[0] - math.pi, math.tau) == pytest.approx(0.0, abs=1e-6)
    assert setpoint.velocities[0] == pytest.approx((math.tau - 6.0) * 10, rel=1e-5)


# ---- grippers and switches ---------------------------------------------------------------------


def test_the_newest_chunk_decides_the_gripper_of_two():
    kinds = ('joint_position', 'gripper')
    setpoint = mean_of([[1.0, 0.0], [3.0, 0.08]], kinds)
    assert setpoint.values == pytest.approx([2.0, 0.08])
    newest = mean_of([[1.0, 0.0], [3.0, 0.08]], kinds, blending=BlendOptions(gripper='newest'))
    assert newest.values == pytest.approx([2.0, 0.08])
    averaged = mean_of([[1.0, 0.0], [3.0, 0.08]], kinds, blending=BlendOptions(gripper='average'))
    assert averaged.values == pytest.approx([2.0, 0.04])


@pytest.mark.parametrize(
    ('said', 'decision'),
    [
        ([0.08, 0.08, 0.0], 0.08),  # one newest chunk alone does not close it
        ([0.08, 0.0, 0.0], 0.0),
        ([0.0, 0.08, 0.0, 0.08], 0.08),  # a tie: the side of the newest
        ([0.08, 0.0, 0.08, 0.0], 0.0),
        ([0.01, 0.05, 0.03], 0.03),
        ([0.04], 0.04),
    ],
)
def test_a_gripper_is_where_most_of_the_weight_says(said, decision):
    """Regressions pinned: under temporal ensembling the newest chunk alone decided the gripper.

    The joints were blended with what older chunks had foreseen, the gripper was not: the arm hung
    above the tray with the cube in its hand, as low as the mean of "lower" and "risen again", and
    never as low as the newest chunk wanted it before it would open the hand. 34 of 40 scenes
    succeeded so, 60 of 60 with the median.
    """
    setpoint = mean_of([[v] for v in said], ('gripper',))
    assert setpoint.values[0] == pytest.approx(decision)


@pytest.mark.parametrize('kind', ['gripper', 'binary'])
def test_weights_count_for_grippers_and_switches(kind):
    old_first = make_strategy('temporal_ensemble', {'coeff': 2.0})
    assert mean_of([[1.0], [0.0], [0.0]], (kind,), strategy=old_first).values[0] == 1.0
    new_first = make_strategy('temporal_ensemble', {'coeff': -2.0})
    assert mean_of([[1.0], [1.0], [0.0]], (kind,), strategy=new_first).values[0] == 0.0


@pytest.mark.parametrize('rule', ['median', 'newest', 'average'])
def test_a_gripper_that_all_chunks_agree_on_is_what_they_say(rule):
    options = BlendOptions(gripper=rule)
    assert mean_of([[0.03]] * 5, ('gripper',), blending=options).values[0] == pytest.approx(0.03)


def test_a_gripper_moves_between_actions_like_a_position():
    setpoint = mean_of(
        [[[0.0], [0.0], [0.0]], [[0.08], [0.04], [0.0]]], ('gripper',), t_ns=STEP // 2
    )
    assert setpoint.values[0] == pytest.approx(0.06)
    assert setpoint.velocities[0] == pytest.approx(-0.4)


@pytest.mark.parametrize(
    ('said', 'decision'),
    [
        ([0.080, 0.079, 0.081], 0.080),  # chatter: the first decision stands
        ([0.080, 0.079, 0.010], 0.010),  # a real change
        ([0.080, 0.010, 0.012], 0.010),
        ([0.080, 0.076, 0.072], 0.072),  # drift is followed once it is large enough
    ],
)
def test_gripper_hysteresis_is_along_the_chunks(said, decision):
    options = BlendOptions(gripper='newest', gripper_threshold=0.005)
    setpoint = mean_of([[v] for v in said], ('gripper',), blending=options)
    assert setpoint.values[0] == pytest.approx(decision)


@pytest.mark.parametrize(
    ('said', 'on'),
    [
        ([0.0, 1.0], 1.0),
        ([1.0, 0.0], 0.0),
        ([1.0, 0.5], 1.0),  # undecided: the older one stands
        ([0.0, 0.55, 0.45], 0.0),
        ([0.55], 1.0),
        ([0.45], 0.0),
        ([0.55, 0.45], 1.0),
    ],
)
def test_switches_are_on_or_off_with_hysteresis(said, on):
    setpoint = mean_of([[v] for v in said], ('binary',))
    assert setpoint.values[0] == on
    assert setpoint.velocities[0] == 0.0


@pytest.mark.parametrize('interpolation', ['hold', 'linear', 'cubic'])
def test_a_switch_has_no_value_between_two_actions(interpolation):
    chunk = [[0.0], [1.0], [1.0]]
    before = mean_of([chunk], ('binary',), t_ns=STEP - 2_000, interpolation=interpolation)
    at = mean_of([chunk], ('binary',), t_ns=STEP, interpolation=interpolation)
    assert (before.values[0], at.values[0]) == (0.0, 1.0)


def test_decisions_listen_only_to_chunks_with_weight():
    """A chunk that is masked out altogether does not move the gripper either."""
    line = Timeline(
        make_strategy('real_time_chunking', {'schedule': 'ones', 'execution_horizon': 1})
    )
    for sequence, (stamp_ns, value) in enumerate(((0, 0.01), (STEP, 0.09))):
        line.add(
            ActionChunk(
                stamp_ns=stamp_ns, dt_ns=STEP, values=np.full((8, 1), value), names=('g',),
                kinds=('gripper',), sequence=sequence, received_ns=stamp_ns,
            )
        )  # fmt: skip
    assert line.at(2 * STEP).weights.tolist() == [1.0, 0.0]
    assert line.at(2 * STEP).values[0] == pytest.approx(0.01)
    assert line.at(8 * STEP).values[0] == pytest.approx(0.09)


def test_thresholds_that_cross_are_refused():
    with pytest.raises(ExecutionError, match='binary_off <= binary_on'):
        BlendOptions(binary_on=0.3, binary_off=0.7)
    with pytest.raises(ExecutionError, match='gripper_threshold'):
        BlendOptions(gripper_threshold=-1.0)
    with pytest.raises(ValueError, match='vote'):
        BlendOptions(gripper='vote')


# ---- velocities --------------------------------------------------------------------------------


def test_velocities_are_blended_and_are_their_own_rate():
    kinds = ('joint_velocity', 'linear_velocity', 'angular_velocity')
    setpoint = mean_of([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]], kinds)
    assert setpoint.values == pytest.approx([2.0, 3.0, 4.0])
    assert setpoint.velocities == pytest.approx([2.0, 3.0, 4.0])


# ---- rotations ---------------------------------------------------------------------------------

QUATERNION = ('quaternion',) * 4
unit = st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.3)


def angle_between(a, b):
    """Angle between two rotations given as quaternions of any sign [rad]."""
    return 2 * math.acos(
        min(1.0, abs(float(np.dot(rotation.normalized(a), rotation.normalized(b)))))
    )


def test_opposite_signs_are_the_same_rotation():
    q = [0.1, 0.2, 0.3, 0.9]
    mean = mean_of([q, [-x for x in q]], QUATERNION).values
    assert angle_between(mean, np.array(q)) < 1e-3


def test_the_mean_of_two_rotations_is_half_way():
    quarter = [0.0, 0.0, math.sin(math.pi / 4), math.cos(math.pi / 4)]
    mean = mean_of([[0, 0, 0, 1], quarter], QUATERNION).values
    assert mean == pytest.approx([0, 0, math.sin(math.pi / 8), math.cos(math.pi / 8)], abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(unit, st.booleans()), min_size=1, max_size=6), st.data())
def test_property_quaternion_blending_ignores_signs_and_order(rows, data):
    plain = [q for q, _ in rows]
    flipped = [[-x for x in q] if flip else q for q, flip in rows]
    order = data.draw(st.permutations(range(len(rows))))
    a = mean_of(plain, QUATERNION).values
    b = mean_of(flipped, QUATERNION).values
    c = mean_of([flipped[i] for i in order], QUATERNION).values
    assert np.linalg.norm(a) == pytest.approx(1.0)
    assert np.array_equal(a, b)  # to the last bit, canonical sign
    # Well-defined means only: for a tie of two eigenvalues every order is as good.
    q = rotation.normalized(np.array(plain, dtype=np.float32).astype(np.float64))
    _, eigenvalues, _ = rotation.mean(q, np.full(len(q), 1 / len(q)))
    if eigenvalues[3] - eigenvalues[2] > 1e-3:
        assert angle_between(a, c) < 1e-5


@settings(max_examples=40, deadline=None)
@given(st.lists(unit, min_size=1, max_size=5), st.integers(0, STEP * 3 // 2))
def test_property_every_form_of_rotation_gives_the_same_rotation(rows, t_ns):
    q = rotation.normalized(np.array(rows))
    q = q * np.where(q[:, :1] @ np.ones((1, 4)) < 0, -1.0, 1.0)
    near = rotation.multiply(q, rotation.exp(np.tile([0.2, -0.1, 0.3], (len(q), 1))))
    chunks = np.stack((q, near, near), axis=1)  # (n, 3, 4)
    reference = mean_of(list(chunks), QUATERNION, t_ns=t_ns).values
    for kind in (ActionKind.ROTATION_6D, ActionKind.AXIS_ANGLE):
        form = rotation.from_quaternion(chunks, kind)
        setpoint = mean_of(list(form), (kind,) * form.shape[-1], t_ns=t_ns)
        again = rotation.to_quaternion(setpoint.values, kind)
        _, eigenvalues, _ = rotation.mean(q, np.full(len(q), 1 / len(q)))
        if eigenvalues[3] - eigenvalues[2] > 0.05:
            assert angle_between(again, reference) < 1e-3


def test_six_dimensional_rotations_are_orthonormalised():
    setpoint = mean_of([[2.0, 0, 0, 0.5, 3.0, 0]], ('rotation_6d',) * 6)
    assert setpoint.values == pytest.approx([1, 0, 0, 0, 1, 0], abs=1e-6)


@pytest.mark.parametrize('interpolation', ['linear', 'cubic'])
def test_rotations_turn_evenly_between_actions(interpolation):
    """1 rad/s about z: at any time the angle is the time, and the rate is 1 rad/s."""
    turns = [[0.0, 0.0, math.sin(0.05 * k), math.cos(0.05 * k)] for k in range(8)]
    for t_ns in (0, 30_000_000, 250_000_000, 600_000_000, 690_000_000):
        setpoint = mean_of([turns], QUATERNION, t_ns=t_ns, interpolation=interpolation)
        half = t_ns * 1e-9 / 2
        expected = [0.0, 0.0, math.sin(half), math.cos(half)]
        rate = [0.0, 0.0, 0.5 * math.cos(half), -0.5 * math.sin(half)]
        assert setpoint.values == pytest.approx(expected, abs=3e-6)
        # Catmull-Rom takes the chord of two steps for the tangent: 4e-4 short on this circle.
        assert setpoint.velocities == pytest.approx(rate, abs=3e-4)


def test_a_full_turn_of_axis_angle_is_followed():
    """Rotation vectors near pi flip; the motion does not."""
    angles = np.arange(12) * 0.6
    wrapped = [math.remainder(a, math.tau) for a in angles]
    chunk = [[0.0, 0.0, a] for a in wrapped]
    for t_ns in range(0, 11 * STEP, STEP // 4):
        vector = mean_of([chunk], ('axis_angle',) * 3, t_ns=t_ns).values
        assert math.remainder(vector[2] - 6.0 * t_ns * 1e-9, math.tau) == pytest.approx(
            0, abs=1e-5
        )


@pytest.mark.parametrize('kind', [ActionKind.QUATERNION, ActionKind.ROTATION_6D])
def test_matrix_and_back(kind):
    rng = np.random.default_rng(0)
    q = rotation.normalized(rng.normal(size=(200, 4)))
    again = rotation.to_quaternion(rotation.from_quaternion(q, kind), kind)
    assert np.abs(np.abs(np.sum(q * again, axis=1)) - 1.0).max() < 1e-12
    assert rotation.exp(rotation.log(q)) == pytest.approx(np.where(q[:, 3:] < 0, -q, q), abs=1e-12)
