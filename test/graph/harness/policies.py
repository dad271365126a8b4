# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny policy that moves for ever, and misbehaves when its instruction says so.

joint_1 and joint_6 run round a circle in their plane: from any state the chunk goes on along the
circle, so the motion needs no memory and never ends. The other joints hold a pose. Words in the
instruction choose what goes wrong, as the scripted hardware of ros2_control does with magic
values: nothing, NaN, a jump of ten radians, a rush beyond all limits, an exception, or an
inference that takes long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import math
from pathlib import Path
import time
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

JOINTS = (*(f'joint_{i}' for i in range(1, 7)), 'gripper')
POSE = (-0.3, -0.35, 1.55, 0.0, 1.94, 0.0, 0.08)
CIRCLE = (0, 5)  # joint_1, joint_6
RADIUS_RAD = 0.4
SPEED_RAD_S = 0.6
CONTROL_HZ = 15.0
CHUNK = 12

SCENES = tuple(f'put the {colour} cube in the tray' for colour in ('red', 'green', 'blue'))
SAY_NAN = 'say NaN'
JUMP = 'jump'
RUSH = 'rush'
RAISE = 'raise'
THINK_LONG = 'think long'
INSTRUCTIONS = (*SCENES, SAY_NAN, JUMP, RUSH, RAISE, THINK_LONG)

_WORDS = {'nan': SAY_NAN, 'jump': JUMP, 'rush': RUSH, 'raise': RAISE, 'long': THINK_LONG}

JUMP_RAD = 10.0
#: joint_6 at step k of a rush is k² times this ahead [rad]: at the end ten times too fast.
RUSH_RAD = 0.04
#: Longer than the chunk lasts (CHUNK / CONTROL_HZ = 0.8 s).
THINK_S = 1.1
_SQUARE = 96


def spec_dict(
    joints: Sequence[str] = JOINTS, *, ranges: Mapping[str, tuple[float, float]] | None = None
) -> dict[str, Any]:
    """Return the JSON of the policy's spec; `ranges` are what it claims to be trained on."""
    units = ['m' if name == 'gripper' else 'rad' for name in joints]
    images = [
        {
            'kind': 'image',
            'name': f'image_{camera}',
            'shape': [1, 72, 96, 3],
            'camera': camera,
            'height': 72,
            'width': 96,
            'layout': 'HWC',
            'dtype': 'uint8',
            'color': 'rgb',
            'resize': {'mode': 'stretch', 'interpolation': 'area'},
        }
        for camera in ('front', 'wrist')
    ]
    table = np.eye(len(INSTRUCTIONS)).tolist()
    return {
        'training_ranges': {
            name: {'min': low, 'max': high, 'mean': (low + high) / 2, 'std': (high - low) / 4}
            for name, (low, high) in (ranges or {}).items()
        },
        'schema_version': 1,
        'name': 'orbit',
        'family': 'mlp',
        'control_hz': CONTROL_HZ,
        'chunk_size': CHUNK,
        'n_action_steps': CHUNK,
        'inputs': [
            {
                'kind': 'state',
                'name': 'state',
                'shape': [1, len(joints)],
                'joints': list(joints),
                'units': units,
            },
            *images,
            {
                'kind': 'embedding',
                'name': 'instruction',
                'shape': [1, len(INSTRUCTIONS)],
                'table': dict(zip(INSTRUCTIONS, table, strict=True)),
            },
        ],
        'output': {
            'name': 'action',
            'groups': [
                {
                    'kind': 'gripper' if name == 'gripper' else 'joint_position',
                    'names': [name],
                    'units': [unit],
                }
                for name, unit in zip(joints, units, strict=True)
            ],
        },
    }


def orbit(
    path: Path,
    *,
    joints: Sequence[str] = JOINTS,
    with_spec: bool = True,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    think_s: float = THINK_S,
) -> Path:
    """Write the policy.

    Args:
        path: Of the file to write.
        joints: Names in the spec, for a policy that fits another robot.
        with_spec: Whether the spec goes into the file.
        ranges: What it claims to be trained on, e.g. `state.joint_1`.
        think_s: How long it thinks when told to [s].
    """
    loops = _loops_for(think_s)
    model = _model(loops)
    if with_spec:
        entry = model.metadata_props.add()
        entry.key, entry.value = 'bc_policy', json.dumps(spec_dict(joints, ranges=ranges))
    onnx.save(model, str(path))
    return path


def _model(loops: int) -> Any:
    dims = len(JOINTS)
    plane = np.zeros((dims, 2), np.float32)
    plane[CIRCLE[0], 0] = plane[CIRCLE[1], 1] = 1.0
    ahead = np.arange(CHUNK) * (SPEED_RAD_S / RADIUS_RAD / CONTROL_HZ)
    turns = np.zeros((2, CHUNK * dims), np.float32)
    for k, angle in enumerate(ahead):
        turn = RADIUS_RAD * np.array(
            [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
        )
        turns[:, k * dims : (k + 1) * dims] = turn @ plane.T
    jump = np.zeros((1, CHUNK, dims), np.float32)
    jump[0, :, 0] = JUMP_RAD
    only_6 = np.zeros((1, 1, dims), np.float32)
    only_6[0, 0, CIRCLE[1]] = 1.0
    rush = np.zeros((1, CHUNK, dims), np.float32)
    rush[0, :, CIRCLE[1]] = RUSH_RAD * np.arange(CHUNK) ** 2
    picture = np.full((1,), 1e-9, np.float32)
    constants = {
        'pose': np.array([POSE], np.float32),
        'pose_chunk': np.array([[POSE] * CHUNK], np.float32),
        'plane': plane,
        'turns': turns,
        'tiny': np.array([1e-6], np.float32),
        'chunk_shape': np.array([1, CHUNK, dims], np.int64),
        'jump': jump,
        'rush': rush,
        'only_6': only_6,
        'one': np.array([1.0], np.float32),
        'nan': np.array([np.nan], np.float32),
        'picture': picture,
        'zero': np.array([0.0], np.float32),
        'half': np.array([0.5], np.float32),
        'axis_1': np.array([1], np.int64),
        'scalar': np.array([], np.int64),
        **{
            f'at_{word}': np.array([INSTRUCTIONS.index(text)], np.int64)
            for word, text in _WORDS.items()
        },
    }
    node = helper.make_node
    nodes = [
        node('Sub', ['state', 'pose'], ['from_pose']),
        node('MatMul', ['from_pose', 'plane'], ['in_plane']),
        node('ReduceL2', ['in_plane'], ['radius'], axes=[1], keepdims=1),
        node('Add', ['radius', 'tiny'], ['safe_radius']),
        node('Div', ['in_plane', 'safe_radius'], ['direction']),
        node('MatMul', ['direction', 'turns'], ['circle_flat']),
        node('Reshape', ['circle_flat', 'chunk_shape'], ['circle']),
        # Pictures count so little that only their presence matters.
        *_mean('image_front', 'front_mean'),
        *_mean('image_wrist', 'wrist_mean'),
        node('Add', ['front_mean', 'wrist_mean'], ['pictures']),
        node('Mul', ['pictures', 'picture'], ['picture_share']),
        *_chosen('nan'),
        *_chosen('jump'),
        *_chosen('rush'),
        *_chosen('raise'),
        # Element 1 of a tensor with one element: ONNX Runtime raises while it runs.
        node('Cast', ['raise_share'], ['raise_index'], to=TensorProto.INT64),
        node('Gather', ['zero', 'raise_index'], ['harmless'], axis=0),
        *_chosen('long'),
        node('Mul', ['jump', 'jump_share'], ['jumped']),
        # A rush starts from the state of joint_6, wherever that is, instead of the circle.
        node('Mul', ['only_6', 'rush_share'], ['rushing_6']),
        node('Sub', ['one', 'rushing_6'], ['circling']),
        node('Mul', ['circle', 'circling'], ['circle_kept']),
        node('Unsqueeze', ['from_pose', 'axis_1'], ['from_pose_3d']),
        node('Mul', ['from_pose_3d', 'rushing_6'], ['present_6']),
        node('Mul', ['rush', 'rush_share'], ['ahead_6']),
        node('Add', ['present_6', 'ahead_6'], ['rushed']),
        node('Greater', ['nan_share', 'half'], ['is_nan']),
        node('Where', ['is_nan', 'nan', 'picture_share'], ['extra']),
        node('Greater', ['long_share', 'half'], ['is_long_1']),
        node('Reshape', ['is_long_1', 'scalar'], ['is_long']),
        node(
            'If',
            ['is_long'],
            ['thought'],
            then_branch=_thinking(loops),
            else_branch=_not_thinking(),
        ),
        node(
            'Sum',
            ['pose_chunk', 'circle_kept', 'jumped', 'rushed', 'extra', 'harmless', 'thought'],
            ['action'],
        ),
    ]
    inputs = [
        helper.make_tensor_value_info('state', TensorProto.FLOAT, [1, dims]),
        helper.make_tensor_value_info('image_front', TensorProto.UINT8, [1, 72, 96, 3]),
        helper.make_tensor_value_info('image_wrist', TensorProto.UINT8, [1, 72, 96, 3]),
        helper.make_tensor_value_info('instruction', TensorProto.FLOAT, [1, len(INSTRUCTIONS)]),
    ]
    outputs = [helper.make_tensor_value_info('action', TensorProto.FLOAT, [1, CHUNK, dims])]
    graph = helper.make_graph(
        nodes,
        'orbit',
        inputs,
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 9
    return model


def _mean(image: str, name: str) -> list[Any]:
    return [
        helper.make_node('Cast', [image], [f'{name}_float'], to=TensorProto.FLOAT),
        helper.make_node('ReduceMean', [f'{name}_float'], [name], keepdims=0),
    ]


def _chosen(word: str) -> list[Any]:
    """Return nodes that give (1,): 1 where the instruction is the one of that word, else 0."""
    return [
        helper.make_node('Gather', ['instruction', f'at_{word}'], [f'{word}_2d'], axis=1),
        helper.make_node('Squeeze', [f'{word}_2d', 'axis_1'], [f'{word}_share']),
    ]


def _not_thinking() -> Any:
    zero = numpy_helper.from_array(np.zeros((1, 1, 1), np.float32), 'zero')
    return helper.make_graph(
        [helper.make_node('Constant', [], ['nothing'], value=zero)],
        'not_thinking',
        [],
        [helper.make_tensor_value_info('nothing', TensorProto.FLOAT, [1, 1, 1])],
    )


def _thinking(loops: int) -> Any:
    """Return a branch that multiplies matrices for a while; its result is zero."""
    # Powers of one: a product that shrinks ends in slow numbers, then in trivial ones.
    square = numpy_helper.from_array(np.eye(_SQUARE, dtype=np.float32), 'square')
    body = helper.make_graph(
        [
            helper.make_node('Identity', ['go_on'], ['go_on_out']),
            helper.make_node('MatMul', ['work', 'square_const'], ['work_out']),
            helper.make_node('Constant', [], ['square_const'], value=square),
        ][::-1],
        'body',
        [
            helper.make_tensor_value_info('turn', TensorProto.INT64, []),
            helper.make_tensor_value_info('go_on', TensorProto.BOOL, []),
            helper.make_tensor_value_info('work', TensorProto.FLOAT, [_SQUARE, _SQUARE]),
        ],
        [
            helper.make_tensor_value_info('go_on_out', TensorProto.BOOL, []),
            helper.make_tensor_value_info('work_out', TensorProto.FLOAT, [_SQUARE, _SQUARE]),
        ],
    )
    values = {
        'loops': np.array(loops, np.int64),
        'always': np.array(True),
        'ones': np.full((_SQUARE, _SQUARE), 1e-3, np.float32),
        'shape_111': np.array([1, 1, 1], np.int64),
        'none': np.array([0.0], np.float32),
    }
    node = helper.make_node
    nodes = [
        *(
            node('Constant', [], [name], value=numpy_helper.from_array(value, name))
            for name, value in values.items()
        ),
        # It starts from an input, so that nothing of it can be computed beforehand.
        node('Mul', ['ones', 'picture_share'], ['start']),
        node('Loop', ['loops', 'always', 'start'], ['end'], body=body),
        node('ReduceMean', ['end'], ['end_mean'], keepdims=0),
        node('Mul', ['end_mean', 'none'], ['end_zero']),
        node('Reshape', ['end_zero', 'shape_111'], ['thoughts']),
    ]
    return helper.make_graph(
        nodes,
        'thinking',
        [],
        [helper.make_tensor_value_info('thoughts', TensorProto.FLOAT, [1, 1, 1])],
    )


def _loops_for(seconds: float) -> int:
    """Return how many turns take that long on this machine."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    turns = 300
    session = onnxruntime.InferenceSession(
        _model(turns).SerializeToString(), options, providers=['CPUExecutionProvider']
    )
    feed = {
        'state': np.array([POSE], np.float32),
        'image_front': np.full((1, 72, 96, 3), 99, np.uint8),
        'image_wrist': np.full((1, 72, 96, 3), 99, np.uint8),
        'instruction': np.eye(len(INSTRUCTIONS), dtype=np.float32)[-1:],
    }
    session.run(None, feed)
    begin = time.thread_time()
    session.run(None, feed)
    return round(turns * seconds / max(time.thread_time() - begin, 1e-4))
