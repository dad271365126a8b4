# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny ONNX policies, built on the spot: a linear map from joint states to a chunk.

`chunk = reshape(state @ weights)`, plus what the options add: `+ noise`, `+ sum(hidden)` with
`hidden' = hidden + mean(state)`, `+ mean(image)`, `+ committed actions * weights + delay`.
"""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import pytest

JOINTS = ('shoulder', 'elbow', 'gripper')
CHUNK = 4
DIM = len(JOINTS)

Build = Callable[..., Path]


def spec_dict(
    *,
    noise: bool = False,
    recurrent: bool = False,
    prefix: bool = False,
    image: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """Return the JSON of the tiny policy's spec, with top-level keys replaced."""
    inputs: list[dict[str, Any]] = [
        {
            'kind': 'state',
            'name': 'state',
            'shape': [1, DIM],
            'joints': list(JOINTS),
            'units': ['rad', 'rad', 'm'],
        },
    ]
    if image:
        inputs.append(
            {
                'kind': 'image',
                'name': 'front',
                'shape': [1, 6, 8, 3],
                'camera': 'front',
                'height': 6,
                'width': 8,
                'layout': 'HWC',
                'dtype': 'uint8',
                'color': 'rgb',
                'resize': {'mode': 'stretch', 'interpolation': 'area'},
            }
        )
    if noise:
        inputs.append(
            {'kind': 'noise', 'name': 'noise', 'shape': [1, CHUNK, DIM], 'distribution': 'normal'}
        )
    if recurrent:
        inputs.append(
            {
                'kind': 'recurrent',
                'name': 'hidden',
                'shape': [1, 2],
                'output': 'hidden_next',
                'reset_value': 0.5,
            }
        )
    if prefix:
        inputs += [
            {'kind': 'prefix', 'name': 'committed', 'shape': [1, CHUNK, DIM], 'role': 'actions'},
            {'kind': 'prefix', 'name': 'mask', 'shape': [1, CHUNK, 1], 'role': 'weights'},
            {'kind': 'prefix', 'name': 'delay', 'shape': [1], 'role': 'delay'},
        ]
    spec = {
        'schema_version': 1,
        'name': 'tiny',
        'version': '1',
        'family': 'mlp',
        'license': 'Apache-2.0',
        'control_hz': 10.0,
        'chunk_size': CHUNK,
        'inputs': inputs,
        'output': {
            'name': 'action',
            'groups': [
                {'kind': 'joint_position', 'names': list(JOINTS[:2]), 'units': ['rad', 'rad']},
                {'kind': 'gripper', 'names': [JOINTS[2]], 'units': ['m']},
            ],
        },
    }
    spec.update(changes)
    return spec


def weights() -> np.ndarray:
    """Return the (DIM, CHUNK * DIM) matrix of the tiny policy."""
    return np.random.default_rng(7).normal(size=(DIM, CHUNK * DIM)).astype(np.float32)


def make_model(
    *,
    noise: bool = False,
    recurrent: bool = False,
    prefix: bool = False,
    image: bool = False,
    nan: bool = False,
    state_name: str = 'state',
    state_type: int = TensorProto.FLOAT,
    state_shape: tuple[int | str, ...] = (1, DIM),
    output_shape: tuple[int, ...] = (1, CHUNK, DIM),
    declared_shape: tuple[int | str, ...] | None = None,
    rows: int | None = None,
    opset: int = 17,
    ir_version: int = 8,
) -> onnx.ModelProto:
    """Return the graph."""
    inputs = [helper.make_tensor_value_info(state_name, state_type, state_shape)]
    outputs = [
        helper.make_tensor_value_info('action', TensorProto.FLOAT, declared_shape or output_shape)
    ]
    constants = {
        'weights': weights()[:, : int(np.prod(output_shape))],
        'shape': np.array(output_shape, dtype=np.int64),
    }
    nodes = [
        helper.make_node('Cast', [state_name], ['x'], to=TensorProto.FLOAT),
        helper.make_node('MatMul', ['x', 'weights'], ['flat']),
        helper.make_node('Reshape', ['flat', 'shape'], ['chunk']),
    ]
    terms = ['chunk']
    if image:
        inputs.append(helper.make_tensor_value_info('front', TensorProto.UINT8, (1, 6, 8, 3)))
        nodes += [
            helper.make_node('Cast', ['front'], ['pixels'], to=TensorProto.FLOAT),
            helper.make_node('ReduceMean', ['pixels'], ['brightness'], keepdims=0),
        ]
        terms.append('brightness')
    if noise:
        inputs.append(helper.make_tensor_value_info('noise', TensorProto.FLOAT, (1, CHUNK, DIM)))
        terms.append('noise')
    if recurrent:
        inputs.append(helper.make_tensor_value_info('hidden', TensorProto.FLOAT, (1, 2)))
        outputs.append(helper.make_tensor_value_info('hidden_next', TensorProto.FLOAT, (1, 2)))
        nodes += [
            helper.make_node('ReduceMean', ['x'], ['mean'], keepdims=0),
            helper.make_node('Add', ['hidden', 'mean'], ['hidden_next']),
            helper.make_node('ReduceSum', ['hidden'], ['memory'], keepdims=0),
        ]
        terms.append('memory')
    if prefix:
        inputs += [
            helper.make_tensor_value_info('committed', TensorProto.FLOAT, (1, CHUNK, DIM)),
            helper.make_tensor_value_info('mask', TensorProto.FLOAT, (1, CHUNK, 1)),
            helper.make_tensor_value_info('delay', TensorProto.INT64, (1,)),
        ]
        nodes += [
            helper.make_node('Mul', ['committed', 'mask'], ['guided']),
            helper.make_node('Cast', ['delay'], ['delay_steps'], to=TensorProto.FLOAT),
        ]
        terms += ['guided', 'delay_steps']
    if nan:
        constants['broken'] = np.array([0.0, np.nan, 0.0], dtype=np.float32)
        terms.append('broken')
    total = terms[0]
    for i, term in enumerate(terms[1:]):
        nodes.append(helper.make_node('Add', [total, term], [f'sum_{i}']))
        total = f'sum_{i}'
    if rows is not None:
        # Cut at run time, so that the shape is not known before.
        constants |= {'zero': np.array([0], dtype=np.int64), 'one': np.array([1], dtype=np.int64)}
        constants['rows'] = np.array([rows], dtype=np.int64)
        nodes += [
            helper.make_node('Cast', ['x'], ['whole'], to=TensorProto.INT64),
            helper.make_node('Mul', ['whole', 'zero'], ['zeros']),
            helper.make_node('ReduceMax', ['zeros'], ['maximum'], keepdims=0),
            helper.make_node('Add', ['maximum', 'rows'], ['ends']),
            helper.make_node('Slice', [total, 'zero', 'ends', 'one'], ['cut']),
        ]
        total = 'cut'
    nodes.append(helper.make_node('Identity', [total], ['action']))
    graph = helper.make_graph(
        nodes,
        'tiny',
        inputs,
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph,
        ir_version=ir_version,
        opset_imports=[helper.make_opsetid('', opset)],
        producer_name='test',
    )


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return a function that writes a tiny policy and returns its path.

    `spec` is the JSON to store, None for no spec, 'default' for the matching one; the rest goes to
    `make_model`, and `seed` stores a true self-test.
    """

    def write(
        name: str = 'tiny.onnx', *, spec: Any = 'default', seed: int | None = None, **options: Any
    ) -> Path:
        model = make_model(**options)
        path = tmp_path / name
        kinds = ('noise', 'recurrent', 'prefix', 'image')
        if spec == 'default':
            spec = spec_dict(**{kind: options.get(kind, False) for kind in kinds})
        if seed is not None:
            spec = with_self_test(model, spec, seed)
        if spec is not None:
            helper.set_model_props(model, {'bc_policy': json.dumps(spec)})
        onnx.save(model, path)
        return path

    return write


def with_self_test(model: onnx.ModelProto, spec: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the spec with a self-test computed by onnx's own reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    from bc_runtime.spec import PolicySpec
    from bc_runtime.spec.self_test import make_inputs

    inputs = make_inputs(PolicySpec.from_dict(spec), seed)
    chunk = ReferenceEvaluator(model).run(['action'], inputs)[0]
    test = {'seed': seed, 'expected': [float(v) for v in chunk.ravel()], 'tolerance': 1e-4}
    return {**spec, 'self_test': test}


@pytest.fixture
def state() -> np.ndarray:
    """Return one observed joint state, read-only as it comes from an observation."""
    values = np.array([[0.1, -0.2, 0.03]], dtype=np.float32)
    values.flags.writeable = False
    return values


@pytest.fixture
def expected(state: np.ndarray) -> np.ndarray:
    """Return the plain tiny policy's chunk for `state`."""
    return (state @ weights()).reshape(CHUNK, DIM)


@pytest.fixture
def make_spec() -> Callable[..., dict[str, Any]]:
    """Return `spec_dict`."""
    return spec_dict


@pytest.fixture
def make_graph() -> Callable[..., onnx.ModelProto]:
    """Return `make_model`."""
    return make_model


@pytest.fixture
def bc(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Return a function that runs one verb as `bc` does: exit code, and what was printed."""
    import argparse
    import importlib

    from bc_runtime.spec import BcError

    def run(verb: str, *words: object) -> tuple[int, str]:
        module = importlib.import_module(f'bc_runtime.cli.{verb}')
        parser = argparse.ArgumentParser()
        module.add_parser(parser.add_subparsers())
        try:
            code = module.run(parser.parse_args([verb, *(str(word) for word in words)]))
        except BcError as error:
            return 2, f'error: {error}'
        return code, capsys.readouterr().out

    return run
