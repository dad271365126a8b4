# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""PolicySpec: what goes out comes back, and each mistake is named by key path."""

from __future__ import annotations

from collections.abc import Callable
import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bc_runtime.spec import (
    ActionKind,
    BindingError,
    InputKind,
    InstructionInput,
    PolicySpec,
    Reference,
    SpecError,
)
from bc_runtime.spec.self_test import make_inputs

Change = Callable[[dict[str, Any]], None]


def refused(spec: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as error:
        PolicySpec.from_dict(spec, source='arm.onnx')
    assert str(error.value).startswith('arm.onnx: ')
    return str(error.value)


def test_json_round_trip(spec: dict[str, Any]) -> None:
    first = PolicySpec.from_dict(spec)
    text = first.to_json()
    assert PolicySpec.from_json(text) == first
    assert PolicySpec.from_json(text).to_json() == text
    assert first.to_dict() == spec


def test_side_file_round_trip(spec: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / 'arm.policy.yaml'
    path.write_text(yaml.safe_dump(spec))
    assert PolicySpec.from_yaml_file(path) == PolicySpec.from_dict(spec)


def test_what_the_spec_says(spec: dict[str, Any]) -> None:
    read = PolicySpec.from_dict(spec)
    assert read.action_names == ('lift', 'grip', 'suction')
    assert read.action_dim == 3
    assert read.action_kinds[1] is ActionKind.GRIPPER
    assert read.action_units == ('rad', 'm', '1')
    assert read.action_references[0] is Reference.OBSERVATION_STATE
    assert read.dt_ns == 66_666_667
    assert [item.name for item in read.state_inputs] == ['state']
    assert [item.name for item in read.image_inputs] == ['front']
    assert [item.kind for item in read.instruction_inputs] == [
        InputKind.EMBEDDING,
        InputKind.TEXT,
        InputKind.TOKENS,
    ]


def test_defaults_are_filled_in(spec: dict[str, Any]) -> None:
    for key in (
        'version',
        'license',
        'n_action_steps',
        'stamp_index',
        'training_ranges',
        'self_test',
        'source',
    ):
        del spec[key]
    read = PolicySpec.from_dict(spec)
    assert (read.n_action_steps, read.stamp_index, read.self_test) == (4, 0, None)
    assert read.actions[1].reference is Reference.ABSOLUTE


def put(*path: Any, value: Any) -> Change:
    def change(spec: dict[str, Any]) -> None:
        target = spec
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    return change


def drop(*path: Any) -> Change:
    def change(spec: dict[str, Any]) -> None:
        target = spec
        for key in path[:-1]:
            target = target[key]
        del target[path[-1]]

    return change


def change_prefix(role: str, shape: list[int]) -> Change:
    def change(spec: dict[str, Any]) -> None:
        next(i for i in spec['inputs'] if i.get('role') == role)['shape'] = shape

    return change


MISTAKES: list[tuple[Change, str, str]] = [
    # what was changed, key path, what the message says
    (
        change_prefix('actions', [1, 50, 32]),
        'inputs',
        'the shape [1, 50, 32]; expected [1, P, 3], one column for each action',
    ),
    (change_prefix('delay', [2]), 'inputs', 'is one number, got the shape [2]'),
    (drop('chunk_size'), 'chunk_size', 'required key is missing; keys given here: control_hz,'),
    (
        put('chunk_sise', value=4),
        '',
        'unknown key chunk_sise; known here: chunk_size, control_hz,',
    ),
    (put('chunk_sise', value=4), '', "Did you mean 'chunk_size'?"),
    (
        put('schema_version', value=2),
        'schema_version',
        'reads up to version 1, the file has 2; upgrade',
    ),
    (put('schema_version', value='1'), 'schema_version', "expected a whole number, got '1' (str)"),
    (put('schema_version', value=0), 'schema_version', 'expected at least 1, got 0'),
    (put('name', value=''), 'name', "expected a name, got ''"),
    (put('name', value=5), 'name', 'expected text, got 5 (int); quote it'),
    (put('control_hz', value=0), 'control_hz', 'expected at least 0.01, got 0'),
    (put('control_hz', value=5000), 'control_hz', 'expected at most 1000, got 5000'),
    (put('control_hz', value=10**400), 'control_hz', 'expected a finite number, got 1000'),
    (put('control_hz', value=True), 'control_hz', 'expected a number, got True (bool)'),
    (put('chunk_size', value=4.0), 'chunk_size', 'expected a whole number, got 4.0 (float)'),
    (put('chunk_size', value=True), 'chunk_size', 'expected a whole number, got True (bool)'),
    (put('n_action_steps', value=5), 'n_action_steps', 'expected at most chunk_size (4), got 5'),
    (put('stamp_index', value=4), 'stamp_index', 'expected below chunk_size (4), got 4'),
    (put('inputs', value=[]), 'inputs', 'expected at least one input, got an empty list'),
    (put('inputs', value={}), 'inputs', 'expected a list, got {} (dict)'),
    (put('inputs', 0, value='state'), 'inputs[0]', "expected a mapping, got 'state' (str)"),
    (put('inputs', 1, 'name', value='state'), 'inputs', 'given more than once: state'),
    (
        put('inputs', 0, 'kind', value='imgae'),
        'inputs[0].kind',
        "got 'imgae'. Did you mean 'image'?",
    ),
    (
        put('inputs', 0, 'units', value=['rad']),
        'inputs[0].units',
        'expected 2 units, one per name',
    ),
    (put('inputs', 0, 'joints', value=['a', 'a']), 'inputs[0].joints', 'given more than once: a'),
    (
        put('inputs', 0, 'quantity', value='torque'),
        'inputs[0].quantity',
        'effort, position, velocity',
    ),
    (
        put('inputs', 0, 'shape', value=[1, 2, 3]),
        'inputs[0].shape',
        'expected [1, 2, 2] (batch, n_obs_steps, feature), got [1, 2, 3]',
    ),
    (
        put('inputs', 0, 'shape', value=[1, 0]),
        'inputs[0].shape[1]',
        'positive whole number, got 0',
    ),
    (
        put('inputs', 6, 'shape', value=[10**6, 10**6]),
        'inputs[6].shape',
        'at most 100000000 elements',
    ),
    (put('inputs', 2, 'height', value=64), 'inputs[2].shape', 'expected [1, 2, 3, 64, 96]'),
    (put('inputs', 2, 'layout', value='NHWC'), 'inputs[2].layout', 'expected one of CHW, HWC'),
    (
        put('inputs', 2, 'value_range', value=[1, 0]),
        'inputs[2].value_range',
        'low < high, got [1, 0]',
    ),
    (
        put('inputs', 2, 'resize', 'crop', value=[0, 0, 4.5, 4]),
        'inputs[2].resize.crop',
        'whole pixels',
    ),
    (
        put('inputs', 2, 'resize', 'crop', value=[-1, 0, 4, 4]),
        'inputs[2].resize.crop',
        'whole pixels',
    ),
    (
        put('inputs', 2, 'resize', 'crop', value=[0, 0, 4]),
        'inputs[2].resize.crop',
        'expected 4 numbers',
    ),
    (
        put('inputs', 2, 'resize', 'pad_value', value=256),
        'inputs[2].resize.pad_value',
        'at most 255',
    ),
    (
        put('inputs', 2, 'resize', 'antialias', value=True),
        'inputs[2].resize',
        'unknown key antialias',
    ),
    (drop('inputs', 2, 'resize'), 'inputs[2].resize', 'required key is missing'),
    (put('inputs', 3, 'table', value={}), 'inputs[3].table', 'at least one instruction'),
    (
        put('inputs', 3, 'table', 'lift the cube', value=[1]),
        'inputs[3].table.lift the cube',
        'expected 2 numbers, got 1',
    ),
    (
        put('inputs', 3, 'table', 'lift the cube', value=[1, 'x']),
        'inputs[3].table.lift the cube[1]',
        "expected a number, got 'x' (str)",
    ),
    (put('inputs', 3, 'shape', value=[2, 2]), 'inputs[3].shape', 'a batch dimension of 1 first'),
    (put('inputs', 3, 'dtype', value='int64'), 'inputs[3].dtype', 'expected one of float32'),
    (put('inputs', 4, 'table', value={'a': []}), 'inputs[4]', 'unknown key table'),
    (put('inputs', 4, 'dtype', value='int64'), 'inputs[4].dtype', 'expected one of utf8'),
    (
        put('inputs', 5, 'table', 'lift the cube', value=[5, 7.5, 0]),
        'inputs[5].table.lift the cube',
        'whole numbers for int64',
    ),
    (put('inputs', 6, 'distribution', value='gauss'), 'inputs[6].distribution', 'normal, uniform'),
    (
        put('inputs', 8, 'dtype', value='banana'),
        'inputs[8].dtype',
        "expected one of float32; got 'banana'",
    ),
    (
        put('inputs', 9, 'dtype', value='float32'),
        'inputs[9].dtype',
        'expected one of int32, int64',
    ),
    (put('inputs', 9, 'role', value='length'), 'inputs[9].role', 'actions, delay, weights'),
    (put('output', 'groups', value=[]), 'output.groups', 'at least one group, got an empty list'),
    (put('output', 'groups', 0, 'names', value=[]), 'output.groups[0].names', 'at least one name'),
    (put('output', 'groups', 0, 'names', value=['grip']), 'output.groups', 'more than once: grip'),
    (put('output', 'groups', 0, 'units', value=[1]), 'output.groups[0].units', 'expected 1 units'),
    (
        put('output', 'groups', 0, 'kind', value='quaternion'),
        'output.groups[0].names',
        'a quaternion group has 4 dimensions, got 1',
    ),
    (put('output', 'groups', 0, 'kind', value='joint'), 'output.groups[0].kind', "got 'joint'"),
    (
        put('output', 'groups', 0, 'reference', value='delta'),
        'output.groups[0].reference',
        'absolute, observation_state',
    ),
    (
        put('training_ranges', 'state.lift', 'min', value=3),
        'training_ranges.state.lift.min',
        'expected at most max (2), got 3',
    ),
    (
        put('training_ranges', 'state.lift', 'std', value=-1),
        'training_ranges.state.lift.std',
        'at least 0',
    ),
    (
        put('training_ranges', 'state.lfit', value={}),
        'training_ranges.state.lfit',
        'belongs to no input or action of this policy; expected one of action.grip',
    ),
    (put('training_ranges', 'state.lfit', value={}), '', "Did you mean 'state.lift'?"),
    (
        put('self_test', 'expected', value=[0.0]),
        'self_test.expected',
        'expected 12 numbers, got 1',
    ),
    (
        put('self_test', 'expected', 3, value=float('nan')),
        'self_test.expected[3]',
        'finite number, got nan',
    ),
    (
        put('self_test', 'tolerance', value='1e-4'),
        'self_test.tolerance',
        "expected a number, got '1e-4' (str); write 0.0001 without quotes",
    ),
    (put('self_test', 'tolerance', value=0), 'self_test.tolerance', 'a number above 0'),
    (put('source', value=[]), 'source', 'expected a mapping, got [] (list)'),
    (put('output', 5, value='x'), 'output', 'expected keys of text, got 5 (int); quote it'),
]


@pytest.mark.parametrize(
    ('change', 'path', 'words'), MISTAKES, ids=[f'{p or "top"}: {w[:30]}' for _, p, w in MISTAKES]
)
def test_a_mistake_is_named(spec: dict[str, Any], change: Change, path: str, words: str) -> None:
    change(spec)
    text = refused(spec)
    assert path in text
    assert words in text


@pytest.mark.parametrize('value', [None, [], 'spec', 5])
def test_a_spec_is_a_mapping(value: object) -> None:
    with pytest.raises(SpecError, match='expected a mapping, got'):
        PolicySpec.from_dict(value)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('{', 'not valid JSON'),
        ('', 'not valid JSON'),
        ('[' * 100_000, 'not valid JSON'),
        ('{"name": "a", "name": "b"}', 'key given more than once: name'),
        ('{"source": {"loss": NaN}}', 'NaN is no number of JSON'),
    ],
)
def test_bad_json(text: str, words: str) -> None:
    with pytest.raises(SpecError) as error:
        PolicySpec.from_json(text, source='arm.onnx')
    assert words in str(error.value)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('name: [', 'not valid YAML'),
        ('name: arm\nname: leg\n', 'key given more than once: name'),
        ('source:\n  seed: 1\n  seed: 2\n', 'key given more than once: seed'),
        ('!!python/object/apply:os.system [ls]', 'not valid YAML'),
        ('[' * 1200, 'not valid YAML'),
        ('date: 2026-13-45\n', 'not valid YAML'),
    ],
)
def test_bad_side_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / 'arm.policy.yaml'
    path.write_text(text)
    with pytest.raises(SpecError) as error:
        PolicySpec.from_yaml_file(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_an_unreadable_side_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match='cannot be read'):
        PolicySpec.from_yaml_file(tmp_path / 'nowhere.yaml')
    (tmp_path / 'bytes.yaml').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(SpecError, match='cannot be read'):
        PolicySpec.from_yaml_file(tmp_path / 'bytes.yaml')


def test_a_source_that_json_cannot_hold(spec: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / 'arm.policy.yaml'
    path.write_text(
        yaml.safe_dump({**spec, 'source': {'kept': 1}}).replace('kept: 1', 'trained: 2026-01-02')
    )
    with pytest.raises(SpecError, match='source: cannot be written as JSON'):
        PolicySpec.from_yaml_file(path).to_json()


def test_a_history_of_one_step_may_be_left_out_of_the_shape(spec: dict[str, Any]) -> None:
    spec['n_obs_steps'] = 1
    spec['inputs'] = [copy.deepcopy(spec['inputs'][0])]
    spec['training_ranges'] = {}
    for shape in ([1, 2], [1, 1, 2]):
        spec['inputs'][0]['shape'] = shape
        assert PolicySpec.from_dict(spec).inputs[0].shape == tuple(shape)
    spec['inputs'][0]['shape'] = [2]
    assert 'or [1, 2], got [2]' in refused(spec)


def test_unknown_instructions_list_the_table(spec: dict[str, Any]) -> None:
    item = PolicySpec.from_dict(spec).inputs[3]
    assert isinstance(item, InstructionInput)
    assert item.encode('lift the cube') == (1.0, 0.0)
    with pytest.raises(BindingError) as error:
        item.encode('lift the cubes')
    assert "'drop the cube', 'lift the cube'" in str(error.value)
    assert "Did you mean 'lift the cube'?" in str(error.value)


def test_self_test_inputs_are_of_the_spec_and_repeat(spec: dict[str, Any]) -> None:
    read = PolicySpec.from_dict(spec)
    first, again, other = (make_inputs(read, seed) for seed in (1, 1, 2))
    assert list(first) == [item.name for item in read.inputs]
    for item in read.inputs:
        assert first[item.name].shape == item.shape
        if item.dtype != 'utf8':
            assert first[item.name].dtype.name == item.dtype
        np.testing.assert_array_equal(first[item.name], again[item.name])
    assert not np.array_equal(first['state'], other['state'])
    lift = first['state'][..., 0]
    assert ((lift >= -1.0) & (lift <= 2.0)).all()
    assert first['delay'] == 0
    assert 0.0 <= first['front'].min() < 0.1 < 0.9 < first['front'].max() <= 1.0


def test_self_test_inputs_are_the_same_on_every_machine(spec: dict[str, Any]) -> None:
    """A stored self-test is worthless if its inputs drift; these numbers must never change."""
    first = make_inputs(PolicySpec.from_dict(spec), 11)
    got = [float(first['state'].ravel()[0]), float(first['noise'].ravel()[0])]
    assert got == pytest.approx([-0.6142894, -1.2973191], abs=1e-6)


def test_a_few_lines_that_stand_for_billions_of_values_are_refused_at_once(
    spec: dict[str, Any],
) -> None:
    bomb: Any = ['x'] * 10
    for _ in range(12):
        bomb = [bomb] * 10
    spec['name'] = bomb
    assert 'name: expected text, got [[[' in refused(spec)
