# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""`bc wrap` takes graphs as people export them: half floats, no batch axis, external data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import pytest
import yaml

from bc_runtime.policy import SpecMismatch, load_policy
from bc_runtime.policy.conversion import conversion
from bc_runtime.policy.signature import TensorInfo

Bc = Callable[..., tuple[int, str]]
Write = Callable[..., Path]

STEPS, WIDTH = 4, 3
WEIGHTS = np.random.default_rng(5).normal(size=(3, STEPS * WIDTH)).astype(np.float32)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a linear policy with other edges than the spec has."""

    def make(
        *,
        state: tuple[int | str, ...] = (1, 3),
        action: tuple[int | str, ...] = (1, STEPS, WIDTH),
        shape: tuple[int, ...] | None = None,
        kind: int = TensorProto.FLOAT,
        steps: int = STEPS,
        name: str = 'state',
        output: str = 'action',
        ir_version: int = 10,
        opset: int = 17,
        external: bool = False,
        actions_first: bool = False,
    ) -> Path:
        shape = shape or tuple(int(dim) for dim in action)
        element = helper.tensor_dtype_to_np_dtype(kind)
        weights = WEIGHTS.reshape(3, STEPS, WIDTH)[:, :steps]
        if actions_first:
            weights = weights.transpose(0, 2, 1)
        constants = [
            numpy_helper.from_array(weights.reshape(3, -1).astype(element), 'weights'),
            numpy_helper.from_array(np.array([1, 3], dtype=np.int64), 'row'),
            numpy_helper.from_array(np.array(shape, dtype=np.int64), 'shape'),
            numpy_helper.from_array(np.arange(500, dtype=np.float32), 'unused'),
        ]
        inputs = [helper.make_tensor_value_info(name, kind, state)]
        if ir_version < 4:
            inputs += [
                helper.make_tensor_value_info(each.name, each.data_type, each.dims)
                for each in constants
            ]
        graph = helper.make_graph(
            [
                helper.make_node('Reshape', [name, 'row'], ['rows']),
                helper.make_node('MatMul', ['rows', 'weights'], ['flat']),
                helper.make_node('Reshape', ['flat', 'shape'], [output]),
                helper.make_node('Identity', ['flat'], ['extra']),
            ],
            'foreign',
            inputs,
            [
                helper.make_tensor_value_info('extra', kind, (1, steps * WIDTH)),
                helper.make_tensor_value_info(output, kind, action),
            ],
            constants,
        )
        opsets = [helper.make_opsetid('', opset)]
        model = helper.make_model(graph, ir_version=ir_version, opset_imports=opsets)
        path = tmp_path / 'bare.onnx'
        onnx.save(
            model,
            path,
            save_as_external_data=external,
            location='bare.onnx.data',
            size_threshold=100,
        )
        return path

    return make


@pytest.fixture
def wrap(make_spec: Any, tmp_path: Path, bc: Bc) -> Callable[..., tuple[int, str]]:
    def run(model: Path, *options: object, **spec: Any) -> tuple[int, str]:
        side = tmp_path / 'spec.yaml'
        side.write_text(yaml.safe_dump(make_spec(name='wrapped', **spec)))
        return bc('wrap', model, '--spec', side, '-o', tmp_path / 'out.onnx', *options)

    return run


def infer(path: Path, state: np.ndarray) -> np.ndarray:
    return load_policy(path).infer({'state': state}).values


def expected(state: np.ndarray) -> np.ndarray:
    return (state @ WEIGHTS).reshape(STEPS, WIDTH)


@pytest.mark.parametrize(
    'edges',
    [
        {'action': (STEPS, WIDTH)},
        {'action': (STEPS, 1, WIDTH)},
        {'action': (1, STEPS, WIDTH, 1)},
        {'action': (1, 1, STEPS, WIDTH)},
        {'action': ('steps', 'actions'), 'shape': (STEPS, WIDTH)},
        {'action': ('batch', 'steps', WIDTH), 'shape': (1, STEPS, WIDTH)},
        {'action': ('batch', 1, 'steps', WIDTH), 'shape': (1, 1, STEPS, WIDTH)},
        {'state': (3,)},
        {'state': ('n',)},
        {'state': (1, 1, 3)},
        {'state': ('batch', 'time', 3)},
        {'state': (3,), 'action': (STEPS, WIDTH), 'kind': TensorProto.FLOAT16},
        {'kind': TensorProto.FLOAT16},
        {'kind': TensorProto.DOUBLE},
        {'kind': TensorProto.DOUBLE, 'action': (STEPS, WIDTH), 'opset': 9, 'ir_version': 4},
        {'action': (STEPS, WIDTH), 'ir_version': 3, 'opset': 8},
        {'action': (STEPS, WIDTH), 'external': True},
        {'kind': TensorProto.FLOAT16, 'external': True},
    ],
    ids=str,
)
def test_the_edges_of_a_foreign_graph_are_converted(
    write: Write, wrap: Any, tmp_path: Path, state: np.ndarray, edges: dict[str, Any]
) -> None:
    """Regressions pinned: each of these was refused without a way out."""
    code, text = wrap(write(**edges))
    assert code == 0, text
    atol = 5e-3 if edges.get('kind') == TensorProto.FLOAT16 else 1e-5
    np.testing.assert_allclose(
        infer(tmp_path / 'out.onnx', state), expected(state), rtol=0, atol=atol
    )


def test_what_was_converted_is_said(write: Write, wrap: Any) -> None:
    code, text = wrap(write(action=(STEPS, WIDTH), kind=TensorProto.FLOAT16))
    assert code == 0, text
    assert 'converted: input state: float16 [1, 3] from float32 [1, 3]' in text
    assert 'converted: output action: float16 [4, 3] to float32 [1, 4, 3]' in text


@pytest.mark.parametrize('action', [(1, STEPS * WIDTH), (STEPS * WIDTH,), ('values',)])
def test_the_order_of_a_flat_output_is_asked_for(
    write: Write, wrap: Any, tmp_path: Path, state: np.ndarray, action: tuple[Any, ...]
) -> None:
    shape = (1, STEPS * WIDTH)[-len(action) :]
    code, text = wrap(write(action=action, shape=shape))
    assert code == 2
    assert '--flat steps' in text
    assert '--flat actions' in text
    code, text = wrap(write(action=action, shape=shape), '--flat', 'steps')
    assert code == 0, text
    np.testing.assert_allclose(infer(tmp_path / 'out.onnx', state), expected(state), atol=1e-5)
    other = write(action=action, shape=shape, actions_first=True)
    code, text = wrap(other, '--flat', 'actions', '--force')
    assert code == 0, text
    np.testing.assert_allclose(infer(tmp_path / 'out.onnx', state), expected(state), atol=1e-5)


def test_a_flat_output_behind_free_axes_is_not_taken_for_steps_and_actions(
    write: Write, wrap: Any, tmp_path: Path, state: np.ndarray
) -> None:
    model = write(action=('batch', 'values'), shape=(1, STEPS * WIDTH))
    code, text = wrap(model)
    assert code == 2
    assert 'does not fit the graph' in text
    assert '--flat' in text
    code, text = wrap(model, '--flat', 'steps')
    assert code == 0, text
    np.testing.assert_allclose(infer(tmp_path / 'out.onnx', state), expected(state), atol=1e-5)


@pytest.mark.parametrize('kind', [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
@pytest.mark.parametrize('action', [(WIDTH,), (1, WIDTH), (1, 1, WIDTH)])
def test_one_action_is_held(
    write: Write, wrap: Any, tmp_path: Path, state: np.ndarray, action: Any, kind: int
) -> None:
    code, text = wrap(write(action=action, steps=1, kind=kind), '--hold')
    assert code == 0, text
    wanted = np.repeat(expected(state)[:1], STEPS, axis=0)
    np.testing.assert_allclose(infer(tmp_path / 'out.onnx', state), wanted, atol=5e-3)


@pytest.mark.parametrize('external', [False, True])
@pytest.mark.parametrize('kind', [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_normalisation_goes_with_external_data_and_half_floats(
    write: Write, wrap: Any, tmp_path: Path, state: np.ndarray, external: bool, kind: int
) -> None:
    """Regressions pinned: torch 2.9 and later write external data by default; it was refused."""
    norms = tmp_path / 'norms.yaml'
    mean, std = [0.1, 0.2, 0.3], [0.5, 1.0, 2.0]
    norms.write_text(
        yaml.safe_dump(
            {
                'inputs': {'state': {'mode': 'mean_std', 'mean': mean, 'std': std}},
                'output': {'mode': 'mean_std', 'mean': [1.0, 2.0, 3.0], 'std': [2.0, 2.0, 2.0]},
            }
        )
    )
    model = write(action=(STEPS, WIDTH), kind=kind, external=external)
    code, text = wrap(model, '--normalization', norms)
    assert code == 0, text
    seen = ((state - np.array(mean)) / np.array(std)).astype(np.float32)
    wanted = expected(seen) * 2.0 + np.array([1.0, 2.0, 3.0])
    model.unlink()
    np.testing.assert_allclose(infer(tmp_path / 'out.onnx', state), wanted, atol=2e-2)
    assert (tmp_path / 'bare.onnx.data').exists() == external


def test_a_model_of_the_hugging_face_cache_is_wrapped(
    write: Write, wrap: Any, tmp_path: Path, state: np.ndarray
) -> None:
    model = write(action=(STEPS, WIDTH), external=True)
    snapshot, blobs = tmp_path / 'hub' / 'snapshots' / 'abc', tmp_path / 'hub' / 'blobs'
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name in ('bare.onnx', 'bare.onnx.data'):
        model.with_name(name).rename(blobs / f'{name}-blob')
        (snapshot / name).symlink_to(blobs / f'{name}-blob')
    code, text = wrap(snapshot / 'bare.onnx')
    assert code == 0, text
    np.testing.assert_allclose(infer(tmp_path / 'out.onnx', state), expected(state), atol=1e-5)
    assert not (tmp_path / 'bare.onnx.data').is_symlink()


@pytest.mark.parametrize(
    ('name', 'output'),
    [('serving_default_state:0', 'StatefulPartitionedCall:0'), ('model/state', 'model/action')],
)
def test_names_with_colons_and_slashes(
    write: Write,
    wrap: Any,
    make_spec: Any,
    tmp_path: Path,
    state: np.ndarray,
    name: str,
    output: str,
) -> None:
    spec = make_spec()
    spec['inputs'][0]['name'], spec['output']['name'] = name, output
    model = write(name=name, output=output, action=(STEPS, WIDTH), kind=TensorProto.DOUBLE)
    code, text = wrap(model, inputs=spec['inputs'], output=spec['output'])
    assert code == 0, text
    got = load_policy(tmp_path / 'out.onnx').infer({name: state}).values
    np.testing.assert_allclose(got, expected(state), atol=1e-5)


@pytest.mark.parametrize(
    'edges',
    [
        {'kind': TensorProto.FLOAT, 'state': (1, 3), 'action': (STEPS, 2, 2), 'shape': (1,)},
        {'action': (WIDTH, STEPS)},
    ],
    ids=str,
)
def test_what_would_lose_values_or_guess_an_order_is_refused(
    write: Write, wrap: Any, tmp_path: Path, edges: dict[str, Any]
) -> None:
    code, text = wrap(write(**edges))
    assert code == 2
    assert text.startswith('error: ')
    assert not (tmp_path / 'out.onnx').exists()


def test_whole_numbers_do_not_become_joint_positions() -> None:
    wanted = TensorInfo(name='state', dtype='float32', shape=(1, 3))
    for dtype in ('int64', 'uint8', 'bool', 'string'):
        found = TensorInfo(name='state', dtype=dtype, shape=(1, 3))
        assert conversion(wanted, found) is None


def test_loading_an_unconverted_graph_names_bc_wrap(write: Write, make_spec: Any) -> None:
    model = write(action=(STEPS, WIDTH))
    model.with_name('bare.policy.yaml').write_text(yaml.safe_dump(make_spec()))
    with pytest.raises(SpecMismatch, match='bc wrap'):
        load_policy(model)
