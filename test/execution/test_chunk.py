# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

from bc_runtime.execution import ActionChunk
from bc_runtime.spec import ActionKind, BcError, ExecutionError, Reference


def test_times_are_whole_nanoseconds_from_the_observation(make_chunk):
    chunk = make_chunk(np.zeros((4, 2)), stamp_ns=1_000, dt_ns=66_666_667, stamp_index=1)
    assert chunk.time_of(1) == 1_000
    assert chunk.time_of(0) == 1_000 - 66_666_667
    assert chunk.time_of(3) == 1_000 + 2 * 66_666_667
    assert chunk.end_ns == 1_000 + 3 * 66_666_667


def test_a_chunk_is_a_read_only_copy(make_chunk):
    values = np.zeros((2, 1), dtype=np.float32)
    anchor = {'joint_1': 0.5}
    chunk = make_chunk(values, anchor=anchor)
    values[0] = 7.0
    anchor['joint_1'] = 7.0
    assert chunk.values[0, 0] == 0.0
    assert chunk.anchor['joint_1'] == 0.5
    with pytest.raises(ValueError, match='read-only'):
        chunk.values[0] = 1.0
    with pytest.raises(TypeError):
        chunk.anchor['joint_1'] = 1.0
    with pytest.raises(AttributeError):
        chunk.stamp_ns = 3


def test_text_becomes_kinds_and_references(make_chunk):
    chunk = make_chunk(np.zeros((2, 1)), kinds=['gripper'], references=['absolute'])
    assert chunk.kinds == (ActionKind.GRIPPER,)
    assert chunk.references == (Reference.ABSOLUTE,)


def test_chunks_of_the_same_dimensions_share_a_layout(make_chunk):
    assert make_chunk(np.zeros((2, 3))).layout is make_chunk(np.ones((5, 3)), step=4).layout


def test_delay_is_never_negative(make_chunk):
    assert make_chunk(np.zeros((2, 1)), stamp_ns=50, received_ns=80).delay_ns == 30
    assert make_chunk(np.zeros((2, 1)), stamp_ns=50, received_ns=20).delay_ns == 0


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_refuses_the_chunk_and_is_named(make_chunk, bad):
    values = np.zeros((5, 3))
    values[3, 1] = bad
    with pytest.raises(ExecutionError, match=r"'joint_2' at step 3.*whole chunk is refused"):
        make_chunk(values)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'values': np.zeros((3,))}, r'shape \(chunk_size, action_dim\).*got shape \(3,\)'),
        ({'values': np.zeros((0, 2))}, r'got shape \(0, 2\)'),
        ({'values': np.zeros((3, 3))}, r'expected 2 columns, one for each of a, b'),
        ({'names': ('a', 'a')}, 'unique action names, got twice: a'),
        ({'kinds': ('gripper',)}, '2 action names, got 1 kinds'),
        ({'references': ('absolute',)}, '1 references'),
        ({'dt_ns': 0}, 'dt_ns is in nanoseconds'),
        ({'dt_ns': 20}, 'expected a step dt_ns above 2000 and up to 600000000000, got 20'),
    ],
)
def test_impossible_chunks_are_refused_with_both_sides(fields, message):
    good = {
        'stamp_ns': 0, 'dt_ns': 10**8, 'values': np.zeros((3, 2)), 'names': ('a', 'b'),
        'kinds': ('joint_position', 'joint_position'), 'sequence': 1, 'received_ns': 0,
    }  # fmt: skip
    ActionChunk(**good)
    with pytest.raises(ExecutionError, match=message) as error:
        ActionChunk(**(good | fields))
    assert isinstance(error.value, BcError)


def test_an_unknown_kind_is_refused(make_chunk):
    with pytest.raises(ExecutionError, match="'teleport' is not a valid ActionKind; kinds: "):
        make_chunk(np.zeros((2, 1)), kinds=('teleport',))
    with pytest.raises(ExecutionError, match="'sideways' is not a valid Reference"):
        make_chunk(np.zeros((2, 1)), kinds=('joint_position',), references=('sideways',))


@pytest.mark.parametrize(
    'fields', [{'sequence': 2**63}, {'sequence': -1}, {'stamp_index': 2**31}, {'dt_ns': 2**62}]
)
def test_numbers_that_do_not_fit_are_refused(make_chunk, fields):
    with pytest.raises(ExecutionError):
        make_chunk(np.zeros((2, 1)), **fields)


@pytest.mark.parametrize(
    ('kinds', 'message'),
    [
        (('quaternion',) * 3, 'expected 4 neighbouring dimensions of kind quaternion'),
        (('quaternion',) * 3 + ('gripper',), "from 'joint_1' on"),
        (('rotation_6d',) * 5 + ('position',), 'expected 6 neighbouring'),
    ],
)
def test_a_rotation_has_all_its_columns(make_chunk, kinds, message):
    with pytest.raises(ExecutionError, match=message):
        make_chunk(np.ones((2, len(kinds))), kinds=kinds)


@pytest.mark.parametrize(
    ('kind', 'values'),
    [('quaternion', [0, 0, 0, 0]), ('rotation_6d', [1, 2, 3, 2, 4, 6]), ('rotation_6d', [0] * 6)],
)
def test_what_has_no_direction_is_not_a_rotation(make_chunk, kind, values):
    good = {'quaternion': [0, 0, 0, 1], 'rotation_6d': [1, 0, 0, 0, 1, 0]}[kind]
    make_chunk([good, good], kinds=(kind,) * len(values))
    with pytest.raises(ExecutionError, match=f"{kind} at 'joint_1', step 1.*is not a rotation"):
        make_chunk([good, values], kinds=(kind,) * len(values))


def test_relative_actions_need_their_anchor(make_chunk):
    fields = {'references': ('observation_state', 'absolute', 'observation_state')}
    with pytest.raises(ExecutionError, match=r'joint_1, joint_3 are relative.*only \(none\)'):
        make_chunk(np.zeros((2, 3)), **fields)
    with pytest.raises(ExecutionError, match=r'joint_3 are relative.*only joint_1'):
        make_chunk(np.zeros((2, 3)), anchor={'joint_1': 0.0}, **fields)
    with pytest.raises(ExecutionError, match='expected a finite anchor'):
        make_chunk(np.zeros((2, 3)), anchor={'joint_1': 0.0, 'joint_3': np.nan}, **fields)


@pytest.mark.parametrize('kind', ['joint_velocity', 'binary', 'angular_velocity'])
def test_a_velocity_or_a_switch_cannot_be_relative_to_a_state(make_chunk, kind):
    with pytest.raises(ExecutionError, match='cannot be relative to the observed state'):
        make_chunk(
            np.zeros((2, 1)), kinds=(kind,), references=('observation_state',),
            anchor={'joint_1': 0.0},
        )  # fmt: skip
