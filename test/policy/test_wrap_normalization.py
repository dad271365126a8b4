# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc wrap --normalization`: physical values go in and come out of somebody else's graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import pytest
import yaml

from bc_runtime.policy import load_policy

Build = Callable[..., Path]
Bc = Callable[..., tuple[int, str]]

STATE = {'mode': 'mean_std', 'mean': [0.1, 0.2, 0.3], 'std': [0.5, 1.0, 2.0]}
ACTION = {'mode': 'min_max', 'min': [-1.0, 0.0, 2.0], 'max': [1.0, 4.0, 2.5]}


@pytest.fixture
def wrap(make_spec: Any, tmp_path: Path, bc: Bc) -> Callable[..., tuple[int, str]]:
    def run(model: Path, rules: Any, **spec: Any) -> tuple[int, str]:
        side, norms = tmp_path / 'spec.yaml', tmp_path / 'norms.yaml'
        side.write_text(yaml.safe_dump(make_spec(name='wrapped', **spec)))
        norms.write_text(yaml.safe_dump(rules))
        out = tmp_path / 'out.onnx'
        return bc('wrap', model, '--spec', side, '--normalization', norms, '-o', out)

    return run


def physical(chunk: np.ndarray) -> np.ndarray:
    low, high = np.array(ACTION['min']), np.array(ACTION['max'])
    return (chunk + 1.0) / 2.0 * (high - low) + low


def test_vectors_are_normalised_and_actions_are_not(
    build: Build, wrap: Any, tmp_path: Path, state: np.ndarray
) -> None:
    bare = build(spec=None)
    code, text = wrap(bare, {'inputs': {'state': STATE}, 'output': ACTION})
    assert code == 0, text
    seen = (state - np.array(STATE['mean'])) / (np.array(STATE['std']) + 1e-8)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(bare), providers=['CPUExecutionProvider'])
    chunk = session.run(None, {'state': seen.astype(np.float32)})[0][0]
    got = load_policy(tmp_path / 'out.onnx').infer({'state': state}).values
    np.testing.assert_allclose(got, physical(chunk), rtol=0, atol=1e-5)


def image_model(path: Path) -> np.ndarray:
    """Float pictures (1, 3, 6, 8) in, their weighted channel means out; return the weights."""
    weights = np.random.default_rng(3).normal(size=(3, 12)).astype(np.float32)
    nodes = [
        helper.make_node('GlobalAveragePool', ['front'], ['pooled']),
        helper.make_node('Reshape', ['pooled', 'flat'], ['mean']),
        helper.make_node('Add', ['mean', 'state'], ['sum']),
        helper.make_node('MatMul', ['sum', 'weights'], ['rows']),
        helper.make_node('Reshape', ['rows', 'shape'], ['action']),
    ]
    graph = helper.make_graph(
        nodes,
        'image',
        [
            helper.make_tensor_value_info('state', TensorProto.FLOAT, (1, 3)),
            helper.make_tensor_value_info('front', TensorProto.FLOAT, (1, 3, 6, 8)),
        ],
        [helper.make_tensor_value_info('action', TensorProto.FLOAT, (1, 4, 3))],
        [
            numpy_helper.from_array(weights, 'weights'),
            numpy_helper.from_array(np.array([1, 3], dtype=np.int64), 'flat'),
            numpy_helper.from_array(np.array([1, 4, 3], dtype=np.int64), 'shape'),
        ],
    )
    opset = [helper.make_opsetid('', 17)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opset), path)
    return weights


PICTURE = {
    'mode': 'mean_std',
    'layout': 'CHW',
    'range': [0, 1],
    'mean': [0.485, 0.456, 0.406],
    'std': [0.229, 0.224, 0.225],
}


def test_pictures_go_in_as_the_camera_gives_them(
    wrap: Any, tmp_path: Path, state: np.ndarray
) -> None:
    weights = image_model(tmp_path / 'bare.onnx')
    code, text = wrap(tmp_path / 'bare.onnx', {'inputs': {'front': PICTURE}}, image=True)
    assert code == 0, text
    picture = np.random.default_rng(4).integers(0, 256, (1, 6, 8, 3), dtype=np.uint8)
    scaled = (picture[0] / 255.0 - np.array(PICTURE['mean'])) / np.array(PICTURE['std'])
    wanted = ((scaled.mean(axis=(0, 1)) + state) @ weights).reshape(4, 3)
    policy = load_policy(tmp_path / 'out.onnx')
    got = policy.infer({'state': state, 'front': picture}).values
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ('rules', 'words'),
    [
        ({'inputs': {'stat': STATE}}, 'no input of this name can be normalised; known: state'),
        ({'inputs': {'state': {'mode': 'mean_std', 'mean': [0, 0, 0]}}}, 'missing: std'),
        ({'inputs': {'state': {**STATE, 'std': [1.0, 1.0]}}}, 'std'),
        ({'inputs': {'state': {**STATE, 'mode': 'whiten'}}}, 'mean_std'),
        ({'inputs': {'state': {**STATE, 'layout': 'CHW'}}}, 'layout'),
        ({'inputs': {'state': {**STATE, 'std': [1, 1, -2]}}}, 'above zero'),
        ({'output': {'mode': 'min_max', 'min': [0, 0, 0]}}, 'missing: max'),
        ({'outputs': ACTION}, 'outputs'),
    ],
)
def test_rules_that_do_not_fit_write_nothing(
    build: Build, wrap: Any, tmp_path: Path, rules: Any, words: str
) -> None:
    code, text = wrap(build(spec=None), rules)
    assert code == 2
    assert words in text
    assert not (tmp_path / 'out.onnx').exists()


def test_a_picture_of_another_layout_is_refused(wrap: Any, tmp_path: Path) -> None:
    image_model(tmp_path / 'bare.onnx')
    rules = {'inputs': {'front': {**PICTURE, 'layout': 'HWC'}}}
    code, text = wrap(tmp_path / 'bare.onnx', rules, image=True)
    assert code == 2
    assert "the graph takes 'front' as [1, 3, 6, 8]" in text


def single_action_model(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A state of 3 in, one action of 3 out, in the given shape; return the weights."""
    weights = np.random.default_rng(5).normal(size=(3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node('MatMul', ['state', 'weights'], ['row']),
            helper.make_node('Reshape', ['row', 'shape'], ['action']),
        ],
        'single',
        [helper.make_tensor_value_info('state', TensorProto.FLOAT, (1, 3))],
        [helper.make_tensor_value_info('action', TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(weights, 'weights'),
            numpy_helper.from_array(np.array(shape, dtype=np.int64), 'shape'),
        ],
    )
    opset = [helper.make_opsetid('', 17)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opset), path)
    return weights


@pytest.mark.parametrize('shape', [(1, 3), (1, 1, 3)])
@pytest.mark.parametrize('normalized', [False, True])
def test_one_action_is_held_for_the_chunk(
    make_spec: Any, tmp_path: Path, bc: Bc, state: np.ndarray, shape: Any, normalized: bool
) -> None:
    weights = single_action_model(tmp_path / 'bare.onnx', shape)
    side, norms, out = (tmp_path / name for name in ('spec.yaml', 'norms.yaml', 'out.onnx'))
    side.write_text(yaml.safe_dump(make_spec(name='held', chunk_size=4)))
    norms.write_text(yaml.safe_dump({'output': ACTION}))
    more = ('--normalization', norms) if normalized else ()
    code, text = bc('wrap', tmp_path / 'bare.onnx', '--spec', side, '--hold', *more, '-o', out)
    assert code == 0, text
    got = load_policy(out).infer({'state': state}).values
    action = state @ weights
    wanted = physical(action) if normalized else action
    np.testing.assert_allclose(got, np.repeat(wanted.reshape(1, 3), 4, axis=0), rtol=0, atol=1e-5)


def test_a_chunk_is_not_held(build: Build, make_spec: Any, tmp_path: Path, bc: Bc) -> None:
    side, out = tmp_path / 'spec.yaml', tmp_path / 'out.onnx'
    side.write_text(yaml.safe_dump(make_spec(name='held')))
    code, text = bc('wrap', build(spec=None), '--spec', side, '--hold', '-o', out)
    assert code == 2
    assert 'expected one action, [1, 3] or [1, 1, 3]' in text
    assert not out.exists()


def test_holding_for_one_step_is_no_holding(make_spec: Any, tmp_path: Path, bc: Bc) -> None:
    single_action_model(tmp_path / 'bare.onnx', (1, 3))
    side, out = tmp_path / 'spec.yaml', tmp_path / 'out.onnx'
    side.write_text(yaml.safe_dump(make_spec(name='held', chunk_size=1, n_action_steps=1)))
    code, text = bc('wrap', tmp_path / 'bare.onnx', '--spec', side, '--hold', '-o', out)
    assert code == 2
    assert 'chunk_size: expected for how many steps' in text
