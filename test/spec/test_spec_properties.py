# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Properties: whatever is valid survives a round trip; whatever is not ends in one error class."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from bc_runtime.spec import BcError, PolicySpec, RobotConfig, RobotConfigError, SpecError
from bc_runtime.spec.actions import GROUP_SIZES, ActionKind

NAMES = st.text(min_size=1, max_size=8).filter(str.strip)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the JSON of a valid spec."""
    names = st.lists(NAMES, min_size=1, max_size=4, unique=True)
    steps, chunk = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    history = [steps] if steps > 1 or draw(st.booleans()) else []
    joints = draw(names)
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    layout, color = draw(st.sampled_from(['HWC', 'CHW'])), draw(st.sampled_from(['rgb', 'mono']))
    channels = 3 if color == 'rgb' else 1
    picture = [channels, height, width] if layout == 'CHW' else [height, width, channels]
    low = draw(st.floats(-10, 10))
    inputs: list[dict[str, Any]] = [
        {
            'kind': 'state',
            'shape': [1, *history, len(joints)],
            'joints': joints,
            'units': draw(st.lists(NAMES, min_size=len(joints), max_size=len(joints))),
            'quantity': draw(st.sampled_from(['position', 'velocity', 'effort'])),
        },
        {
            'kind': 'image',
            'shape': [1, *history, *picture],
            'camera': draw(NAMES),
            'color': color,
            'height': height,
            'width': width,
            'layout': layout,
            'dtype': draw(st.sampled_from(['uint8', 'float32'])),
            'value_range': [low, low + 1.0],
            'resize': {
                'mode': draw(st.sampled_from(['stretch', 'letterbox', 'center_crop'])),
                'interpolation': draw(st.sampled_from(['area', 'linear', 'nearest'])),
            },
        },
        {
            'kind': 'embedding',
            'shape': [1, 2],
            'table': draw(
                st.dictionaries(
                    NAMES, st.lists(NUMBERS, min_size=2, max_size=2), min_size=1, max_size=3
                )
            ),
        },
        {'kind': 'noise', 'shape': [1, chunk], 'distribution': 'uniform'},
        {
            'kind': 'recurrent',
            'shape': [2, 1, 3],
            'output': draw(NAMES),
            'reset_value': draw(NUMBERS),
        },
        {'kind': 'prefix', 'shape': [1], 'role': 'delay'},
    ]
    inputs = draw(st.lists(st.sampled_from(inputs), min_size=1, unique_by=id))
    for i, item in enumerate(inputs):
        item['name'] = f'{draw(NAMES)} {i}'
    kinds = draw(st.lists(st.sampled_from(list(ActionKind)), min_size=1, max_size=3))
    groups = []
    for i, kind in enumerate(kinds):
        size = GROUP_SIZES.get(kind, draw(st.integers(1, 3)))
        groups.append(
            {
                'kind': kind.value,
                'names': [f'{draw(NAMES)} {i} {k}' for k in range(size)],
                'units': [draw(NAMES) for _ in range(size)],
                'reference': draw(st.sampled_from(['absolute', 'observation_state'])),
            }
        )
    dimensions = sum(len(group['names']) for group in groups)
    spec: dict[str, Any] = {
        'schema_version': 1,
        'name': draw(NAMES),
        'version': draw(st.text(max_size=5)),
        'family': draw(NAMES),
        'license': draw(st.text(max_size=5)),
        'control_hz': draw(st.floats(0.1, 1000)),
        'n_obs_steps': steps,
        'chunk_size': chunk,
        'n_action_steps': draw(st.integers(1, chunk)),
        'stamp_index': draw(st.integers(0, chunk - 1)),
        'inputs': inputs,
        'output': {'name': draw(NAMES), 'groups': groups},
        'source': draw(st.dictionaries(st.text(max_size=5), JSON, max_size=3)),
    }
    first = groups[0]['names'][0]
    if draw(st.booleans()):
        spec['training_ranges'] = {
            f'action.{first}': {
                'min': -1.0,
                'max': draw(st.floats(-1, 9)),
                'mean': 0.0,
                'std': 1.0,
            }
        }
    if draw(st.booleans()):
        values = st.lists(NUMBERS, min_size=chunk * dimensions, max_size=chunk * dimensions)
        spec['self_test'] = {
            'seed': draw(st.integers(0, 2**32)),
            'expected': draw(values),
            'tolerance': draw(st.floats(1e-9, 1)),
        }
    return spec


@settings(max_examples=60, deadline=None)
@given(specs())
def test_property_a_valid_spec_survives_a_round_trip(value: dict[str, Any]) -> None:
    spec = PolicySpec.from_dict(value)
    again = PolicySpec.from_json(spec.to_json())
    assert again == spec
    assert again.to_dict() == spec.to_dict()
    assert len(spec.action_names) == len(spec.action_kinds) == len(spec.action_units)


def replaced(value: Any, at: int, by: object) -> Any:
    """Return a deep copy with the node number `at` (in reading order) replaced."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        entries = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in list(entries):
            places.append((node, key))
            if isinstance(child, (dict, list)):
                walk(child)

    walk(value)
    node, key = places[at % len(places)]
    node[key] = by
    return value


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 10_000), by=JSON | st.floats() | st.binary(max_size=3))
def test_property_any_damage_to_a_spec_is_read_or_refused(at: int, by: object) -> None:
    from bc_runtime.spec.self_test import make_inputs

    damaged = replaced(SPEC, at, by)
    try:
        spec = PolicySpec.from_dict(damaged)
    except SpecError as error:
        assert str(error)
    else:
        make_inputs(spec, 0)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 10_000), by=JSON | st.floats())
def test_property_any_damage_to_a_robot_is_read_or_refused(at: int, by: object) -> None:
    import yaml

    text = yaml.safe_dump(replaced(ROBOT, at, by))
    try:
        config = RobotConfig.from_yaml(text)
    except RobotConfigError as error:
        assert str(error)
    else:
        assert all(joint.lower < joint.upper for joint in config.joints)
        assert sorted(config.command.joints) == sorted(config.joint_names)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_property_any_text_is_no_policy_and_no_robot(text: str) -> None:
    for parse in (PolicySpec.from_json, RobotConfig.from_yaml):
        with pytest.raises(BcError):
            parse(text)


SPEC: dict[str, Any] = {}
ROBOT: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _examples(spec: dict[str, Any], robot: dict[str, Any]) -> None:
    SPEC.update(spec)
    ROBOT.update(robot)
