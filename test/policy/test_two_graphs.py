# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Policies of two graphs: encoder and step network in files of their own, the loop in numpy."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import json
from pathlib import Path
import shutil
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import pytest

from bc_runtime.policy import (
    InferenceFailed,
    ModelFileError,
    ModelNotAllowed,
    NonFiniteOutput,
    PolicySlot,
    SelfTestFailed,
    SpecMismatch,
    SpecMissing,
    TwoGraphPolicy,
    list_models,
    load_policy,
)
from bc_runtime.policy.loader import open_onnx
from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.policy.policy_file import read_spec
from bc_runtime.policy.sampler import Sampler
from bc_runtime.policy.self_test import run_seeded
from bc_runtime.policy.two_graph_policy import read_step_file
from bc_runtime.policy.wrap import wrap_model
from bc_runtime.spec import PolicySpec, SpecError
from bc_runtime.spec.sampling import Sampling
from bc_runtime.spec.self_test import make_inputs

ROWS, CHUNK, DIM = 6, 4, 3
DDIM = {
    'method': 'ddim',
    'steps': 5,
    'prediction': 'epsilon',
    'schedule': 'squaredcos_cap_v2',
    'train_steps': 100,
}
EULER = {'method': 'euler', 'steps': 4, 'prediction': 'velocity'}
Pair = Callable[..., Path]
MakeSpec = Callable[..., dict[str, Any]]


def encoder_graph(gain: float = 0.5) -> onnx.ModelProto:
    """Return condition = state @ mix, action_gain = gain, action_offset = state in every row."""
    shape = np.array([1, CHUNK, DIM], dtype=np.int64)
    constants = {
        'mix': np.random.default_rng(3).normal(size=(DIM, 8)).astype(np.float32),
        'shape': shape,
        'gains': np.full((1, CHUNK, DIM), gain, dtype=np.float32),
    }
    nodes = [
        helper.make_node('MatMul', ['state', 'mix'], ['condition']),
        helper.make_node('Expand', ['state', 'shape'], ['action_offset']),
        helper.make_node('Identity', ['gains'], ['action_gain']),
    ]
    outputs = {
        'condition': (1, 8),
        'action_gain': (1, CHUNK, DIM),
        'action_offset': (1, CHUNK, DIM),
    }
    return _model(nodes, {'state': (1, DIM)}, outputs, constants)


def step_graph(
    time: int = TensorProto.INT64, *, nan: bool = False, width: int = 8, columns: int = DIM
) -> Any:
    """Return prediction = 0.3 sample + condition @ leave + 0.01 time."""
    rng = np.random.default_rng(4)
    constants = {
        'leave': rng.normal(size=(width, ROWS * columns)).astype(np.float32) * np.float32(0.2),
        'shape': np.array([1, ROWS, columns], dtype=np.int64),
        'part': np.array(np.nan if nan else 0.3, dtype=np.float32),
        'slow': np.array(0.01, dtype=np.float32),
    }
    nodes = [
        helper.make_node('MatMul', ['condition', 'leave'], ['flat']),
        helper.make_node('Reshape', ['flat', 'shape'], ['pull']),
        helper.make_node('Mul', ['sample', 'part'], ['kept']),
        helper.make_node('Cast', ['time'], ['clock'], to=TensorProto.FLOAT),
        helper.make_node('Mul', ['clock', 'slow'], ['late']),
        helper.make_node('Add', ['kept', 'pull'], ['sum']),
        helper.make_node('Add', ['sum', 'late'], ['prediction']),
    ]
    inputs = {'sample': (1, ROWS, columns), 'time': (1,), 'condition': (1, width)}
    return _model(nodes, inputs, {'prediction': (1, ROWS, columns)}, constants, {'time': time})


def _model(
    nodes: list[Any],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    constants: dict[str, np.ndarray],
    types: dict[str, int] | None = None,
) -> onnx.ModelProto:
    infos = [
        [
            helper.make_tensor_value_info(n, (types or {}).get(n, TensorProto.FLOAT), shape)
            for n, shape in side.items()
        ]
        for side in (inputs, outputs)
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, 'part', *infos, weights)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid('', 17)])


def spec_of(make_spec: MakeSpec, step: Path, changes: dict[str, Any]) -> dict[str, Any]:
    spec = make_spec(family='diffusion')
    shape = [1, ROWS, DIM]
    noise = {'kind': 'noise', 'distribution': 'normal'}
    spec['inputs'].append({**noise, 'name': 'noise', 'shape': shape})
    if changes.get('method') == 'ddpm':
        steps = [changes['steps'], *shape]
        spec['inputs'].append({**noise, 'name': 'step_noise', 'shape': steps})
    spec['sampling'] = {
        'step_file': step.name,
        'step_sha256': hashlib.sha256(step.read_bytes()).hexdigest(),
        'conditioning': [{'name': 'condition', 'shape': [1, 8]}],
        'first_row': 1,
        **changes,
    }
    return spec


@pytest.fixture
def pair(tmp_path: Path, make_spec: MakeSpec) -> Pair:
    """Return a function that writes a policy of two graphs with a true self-test."""

    def write(name: str = 'two', *, step: Any = None, proven: bool = True, **changes: Any) -> Path:
        changes = changes or DDIM
        folder = tmp_path / 'models'
        folder.mkdir(exist_ok=True)
        path, beside = folder / f'{name}.onnx', folder / f'{name}.step.onnx'
        flow = changes.get('method') == 'euler' or changes.get('schedule') == 'cosine'
        kind = TensorProto.FLOAT if flow else TensorProto.INT64
        onnx.save(step or step_graph(kind), beside)
        spec = spec_of(make_spec, beside, changes)
        model = encoder_graph()
        helper.set_model_props(model, {'bc_policy': json.dumps(spec)})
        onnx.save(model, path)
        if proven:
            found = read_onnx_file(path)
            chunk = run_seeded(open_onnx(found, read_spec(found)), 2)
            expected = [float(v) for v in chunk.ravel()]
            spec['self_test'] = {'seed': 2, 'expected': expected, 'tolerance': 1e-5}
            helper.set_model_props(model, {'bc_policy': json.dumps(spec)})
            onnx.save(model, path)
        return path

    return write


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    model = onnx.load(path)
    spec = json.loads(model.metadata_props[0].value)
    change(spec)
    helper.set_model_props(model, {'bc_policy': json.dumps(spec)})
    onnx.save(model, path)


def by_hand(state: np.ndarray, noise: np.ndarray, ask: Callable[..., Any]) -> np.ndarray:
    """Return DDIM with numbers of float64, written without a look at the product."""
    bar = [np.cos((i / 100 + 0.008) / 1.008 * np.pi / 2) ** 2 for i in range(101)]
    alphas = [max(bar[i + 1] / bar[i], 0.001) for i in range(100)]
    kept = np.cumprod(alphas)
    x = noise.astype(np.float64)
    for t in (80, 60, 40, 20, 0):
        e = ask(x, t)
        x0 = (x - np.sqrt(1 - kept[t]) * e) / np.sqrt(kept[t])
        after = kept[t - 20] if t else 1.0
        x = np.sqrt(after) * x0 + np.sqrt(1 - after) * e
    return np.asarray(0.5 * x[:, 1 : 1 + CHUNK] + state)[0]


def constants_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


@pytest.mark.parametrize('bind', [False, True])
def test_the_loop_gives_what_the_paper_says(pair: Pair, state: np.ndarray, bind: bool) -> None:
    file = read_onnx_file(pair())
    spec = read_spec(file)
    assert spec.sampling is not None
    loaded = open_onnx(file, spec)
    assert isinstance(loaded, TwoGraphPolicy)
    policy = TwoGraphPolicy(
        encoder=loaded._encoder,
        step=loaded._step,
        spec=spec,
        file=file,
        step_file=read_step_file(file, spec.sampling),
        bind=bind,
    )
    noise = make_inputs(spec, 5)['noise']
    mix, leave = constants_of(encoder_graph())['mix'], constants_of(step_graph())['leave']

    def ask(x: np.ndarray, t: int) -> np.ndarray:
        return 0.3 * x + (state @ mix @ leave).reshape(1, ROWS, DIM) + 0.01 * t

    for observed in (state, state + np.float32(0.2)):  # nothing is left of the one before
        values = policy.infer({'state': observed, 'noise': noise}).values
        state = observed
        np.testing.assert_allclose(values, by_hand(observed, noise, ask), atol=2e-5)


@pytest.mark.parametrize(
    'changes',
    [
        DDIM,
        {**DDIM, 'method': 'ddpm', 'clip': {'shoulder': 1.0}},
        {**DDIM, 'schedule': 'linear', 'prediction': 'v_prediction'},
        {'method': 'ddim', 'steps': 3, 'prediction': 'sample', 'schedule': 'cosine'},
        {**EULER, 'clip': {'gripper': 0.1}},
    ],
    ids=['ddim', 'ddpm', 'linear', 'cosine', 'euler'],
)
def test_every_method_loads_repeats_and_proves_itself(
    pair: Pair, state: np.ndarray, changes: dict[str, Any]
) -> None:
    policy = load_policy(pair(**changes))
    assert policy.self_test_error <= 1e-6
    policy.reset(seed=1)
    one, two = policy.infer({'state': state}), policy.infer({'state': state})
    policy.reset(seed=1)
    np.testing.assert_array_equal(policy.infer({'state': state}).values, one.values)
    assert np.abs(one.values - two.values).max() > 1e-4
    assert not one.values.flags.writeable
    if 'clip' in changes and changes['method'] == 'euler':
        assert (np.abs(one.values[:, 2] - state[0, 2]) <= 0.5 * 0.1 + 1e-6).all()


def test_a_constant_velocity_is_followed_exactly() -> None:
    sampler = Sampler(Sampling(**EULER, clip={'b': 0.5}), ('a', 'b'))
    times: list[float] = []

    def ask(sample: np.ndarray, time: np.ndarray) -> np.ndarray:
        times.append(float(time[0]))
        return -np.ones_like(sample)

    got = sampler.run(ask, np.full((1, 2, 2), 3.0, dtype=np.float32))
    np.testing.assert_allclose(got, [[[2.0, 0.5]] * 2], atol=1e-6)
    assert times == [0.0, 0.25, 0.5, 0.75]


def test_the_id_covers_both_files(pair: Pair) -> None:
    path = pair()
    before = load_policy(path).policy_id
    assert before == hashlib.sha256(path.read_bytes()).hexdigest()
    step = step_graph()
    step.graph.initializer[0].raw_data = bytes(len(step.graph.initializer[0].raw_data))
    assert load_policy(pair(step=step)).policy_id != before


def test_columns_behind_the_actions_are_left_out(pair: Pair, state: np.ndarray) -> None:
    """Networks of a fixed width (SmolVLA) move more columns than the robot has actions."""
    wide = [1, ROWS, DIM + 2]
    step = step_graph(TensorProto.FLOAT, columns=DIM + 2)
    path = pair(step=step, proven=False, **EULER)
    rewrite(path, lambda spec: spec['inputs'][-1].update(shape=wide))
    policy = load_policy(path, self_test=False)
    x = noise = make_inputs(policy.spec, 5)['noise']
    mix, leave = constants_of(encoder_graph())['mix'], constants_of(step)['leave']
    for k in range(4):
        x = x + 0.25 * (0.3 * x + (state @ mix @ leave).reshape(wide) + 0.01 * k / 4)
    values = policy.infer({'state': state, 'noise': noise}).values
    np.testing.assert_allclose(values, (0.5 * x[:, 1:5, :DIM] + state)[0], atol=1e-5)
    names = policy.spec.action_names
    rewrite(path, lambda spec: spec['sampling'].update(clip={names[0]: 1.0}))
    with pytest.raises(SpecError, match='wider'):
        load_policy(path)


def test_a_missing_second_file_is_refused(pair: Pair) -> None:
    path = pair()
    path.with_name('two.step.onnx').unlink()
    with pytest.raises(ModelFileError, match=r"'two\.step\.onnx' is missing.*Copy every file"):
        load_policy(path)


def test_a_link_to_a_second_file_is_refused(pair: Pair, tmp_path: Path) -> None:
    path = pair()
    step = path.with_name('two.step.onnx')
    step.rename(tmp_path / 'elsewhere.onnx')
    step.symlink_to(tmp_path / 'elsewhere.onnx')
    with pytest.raises(ModelFileError, match='is a link'):
        load_policy(path)
    with pytest.raises(ModelNotAllowed):
        load_policy(path, allowed_dirs=[path.parent])


@pytest.mark.parametrize('what', ['changed', 'foreign', 'truncated'])
def test_another_second_file_is_refused(pair: Pair, what: str) -> None:
    path = pair()
    step = path.with_name('two.step.onnx')
    if what == 'changed':
        model = onnx.load(step)
        model.producer_name = 'x'
        onnx.save(model, step)
    elif what == 'foreign':
        pair('other', **EULER)
        shutil.copy(path.with_name('other.step.onnx'), step)
    else:
        step.write_bytes(step.read_bytes()[:-20])
    with pytest.raises(ModelFileError, match='copy'):
        load_policy(path)


@pytest.mark.parametrize('name', ['../two.step.onnx', '/etc/x.step.onnx', 'a\\b.step.onnx', 'two'])
def test_a_second_file_elsewhere_is_refused(pair: Pair, name: str) -> None:
    path = pair()
    rewrite(path, lambda spec: spec['sampling'].update(step_file=name))
    with pytest.raises(SpecError, match='bare file name beside the policy'):
        load_policy(path)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'method': 'unipc'}, 'expected one of ddim, ddpm, euler'),
        ({'schedule': 'sigmoid'}, 'linear'),
        ({'prediction': 'velocity'}, 'epsilon'),
        ({'steps': 101}, 'at most 100'),
        ({'steps': 0}, 'at least 1'),
        ({'method': 'ddpm'}, 'step_noise'),
        ({'first_row': 3}, '7 or more'),
        ({'clip': {'elbo': 1.0}}, 'elbow'),
        ({'conditioning': []}, 'at least one tensor'),
        ({'conditioning': [{'name': 'sample', 'shape': [1]}]}, 'unique names other than'),
        ({'step_sha256': 'abc'}, '64 hexadecimal'),
        ({'sampler': 'x'}, 'unknown key'),
    ],
)
def test_a_wrong_section_names_the_mistake(pair: Pair, change: Any, words: str) -> None:
    path = pair()
    rewrite(path, lambda spec: spec['sampling'].update(change))
    with pytest.raises(SpecError, match=words) as error:
        load_policy(path)
    assert 'sampling' in str(error.value)


def test_shapes_that_do_not_fit_print_both_sides(pair: Pair) -> None:
    path = pair(step=step_graph(width=5), proven=False)
    with pytest.raises(SpecMismatch) as error:
        load_policy(path)
    assert 'two.step.onnx' in str(error.value)
    assert "input 'condition' is float32 [1, 8] in the spec but float32 [1, 5]" in str(error.value)
    path = pair(step=step_graph(TensorProto.FLOAT), proven=False)
    with pytest.raises(SpecMismatch, match="input 'time' is int64"):
        load_policy(path)


@pytest.mark.parametrize('clip', [{}, {'shoulder': 1.0, 'elbow': 1.0, 'gripper': 1.0}])
def test_a_prediction_that_is_not_finite_is_refused(pair: Pair, clip: Any) -> None:
    path = pair(step=step_graph(nan=True), proven=False, **DDIM, clip=clip)
    with pytest.raises(NonFiniteOutput, match=r'two\.step\.onnx.*step 1 of 5'):
        load_policy(path)


def test_infinity_is_not_hidden_by_the_cut() -> None:
    sampling = Sampling(**DDIM, clip={'a': 1.0})
    with pytest.raises(NonFiniteOutput):
        Sampler(sampling, ('a',)).run(
            lambda x, t: np.full_like(x, np.inf), np.zeros((1, 2, 1), dtype=np.float32)
        )


@pytest.mark.parametrize('clip', [{}, {'shoulder': 1.0}])
def test_a_schedule_without_signal_is_refused(pair: Pair, clip: dict[str, float]) -> None:
    hard = {**DDIM, 'schedule': 'linear', 'beta_end': 1.0, 'steps': 100, 'clip': clip}
    with pytest.raises(SpecMismatch, match='leaves no signal or no noise'):
        load_policy(pair(proven=False, **hard))


def test_a_flow_that_goes_nowhere_is_refused(pair: Pair) -> None:
    with pytest.raises(SpecError, match=r'sampling\.end: expected another flow time'):
        load_policy(pair(proven=False, **EULER, start=1.0))


def test_a_prediction_of_another_shape_is_refused() -> None:
    with pytest.raises(InferenceFailed, match='shape of the sample'):
        Sampler(Sampling(**DDIM), ('a',)).run(
            lambda x, t: x[:, :1], np.zeros((1, 2, 1), dtype=np.float32)
        )


def test_damaged_weights_are_found_by_the_self_test(pair: Pair) -> None:
    path = pair()
    step = path.with_name('two.step.onnx')
    model = onnx.load(step)
    tensor = numpy_helper.to_array(model.graph.initializer[0]) * np.float32(1.01)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(tensor, 'leave'))
    onnx.save(model, step)
    digest = hashlib.sha256(step.read_bytes()).hexdigest()
    rewrite(path, lambda spec: spec['sampling'].update(step_sha256=digest))
    with pytest.raises(SelfTestFailed):
        load_policy(path)


def test_models_are_listed_once_and_the_second_graph_says_whose_it_is(pair: Pair) -> None:
    path = pair()
    assert list_models([path.parent]) == ('two',)
    policy = load_policy('two', model_dirs=[path.parent], allowed_dirs=[path.parent], threads=0)
    assert policy.path == str(path)
    with pytest.raises(SpecMissing, match=r'second graph of the policy two\.onnx'):
        load_policy(path.with_name('two.step.onnx'))


def test_a_slot_swaps_to_it(pair: Pair, state: np.ndarray, build: Callable[..., Path]) -> None:
    slot = PolicySlot()
    two = pair()
    for number, path in enumerate((build(seed=3), two)):
        slot.load(lambda path=path: load_policy(path), requested=str(path))
        assert slot.wait(20.0).reason == ''
        slot.swap()
        assert slot.active is not None
        assert slot.active.generation == number + 1
    assert slot.active is not None
    assert slot.active.policy_id == read_onnx_file(two).sha256
    slot.close()


def test_a_spec_in_a_side_file_must_be_written_into_the_model(
    pair: Pair, tmp_path: Path, bc: Callable[..., tuple[int, str]]
) -> None:
    path = pair(proven=False)
    spec = read_spec(read_onnx_file(path))
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    side = path.with_name('two.policy.yaml')
    side.write_text(json.dumps(spec.to_dict()))
    with pytest.raises(SpecMismatch, match='bc wrap'):
        load_policy(path)
    (tmp_path / 'out').mkdir()
    out = tmp_path / 'out' / 'wrapped.onnx'
    code, text = bc('wrap', path, '--spec', side, '-o', out)
    assert code == 0, text
    assert out.with_name('two.step.onnx').is_file()
    assert load_policy(out).self_test_error <= 1e-6
    norms = tmp_path / 'norms.yaml'
    norms.write_text('inputs: {}')
    code, text = bc('wrap', path, '--spec', side, '-o', out, '--force', '--normalization', norms)
    assert (code, 'policies of one graph' in text) == (2, True)


def test_wrapping_keeps_the_second_graph(pair: Pair, tmp_path: Path) -> None:
    path = pair()
    (tmp_path / 'copy').mkdir()
    stored = wrap_model(path, read_spec(read_onnx_file(path)), tmp_path / 'copy' / 'two.onnx')
    assert PolicySpec.from_json(stored.to_json()) == stored
    assert list_models([tmp_path / 'copy']) == ('two',)


def test_inspect_shows_both_graphs(pair: Pair, bc: Callable[..., tuple[int, str]]) -> None:
    path = pair()
    code, text = bc('inspect', path, '--runs', 2)
    assert code == 0
    for words in ('two.step.onnx', 'step inputs', 'prediction float32', 'ddim, 5 calls', 'passed'):
        assert words in text
    code, text = bc('inspect', path, '--runs', 2, '--json')
    facts = json.loads(text)
    assert facts['second_file']['sha256'] == facts['spec']['sampling']['step_sha256']
    path.with_name('two.step.onnx').unlink()
    code, text = bc('inspect', path)
    assert code == 1
    assert 'PROBLEM' in text
    assert 'missing' in text


def test_optimize_says_that_it_takes_one_graph(
    pair: Pair, bc: Callable[..., tuple[int, str]]
) -> None:
    code, text = bc('optimize', pair())
    assert code == 2
    assert 'forms are made of one graph only' in text
