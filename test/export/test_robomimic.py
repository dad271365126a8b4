# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""robomimic's BC-RNN-GMM: read without running its file, forgetting as it forgets."""

from __future__ import annotations

from collections import OrderedDict
import importlib.util
import json

import numpy as np
import pytest

pytest.importorskip('torch', reason='export needs torch (requirements/train.txt)')
pytest.importorskip('onnx', reason='export needs onnx (requirements/train.txt)')

import torch

from bc_runtime.export.errors import ExportError, StatisticsMissing
from bc_runtime.export.lerobot.declaration import DeclarationError, read_declaration
from bc_runtime.export.robomimic import RobomimicGraph, export_robomimic, read_robomimic
from bc_runtime.policy import load_policy

SHAPES = OrderedDict(object=[3], robot0_joint_pos=[4])
HIDDEN, LAYERS, MODES, DIM, HORIZON = 12, 2, 3, 4, 5

DECLARATION = """
name: lift
control_hz: 20
inputs:
  object: {stream: object, names: [x, y, z], units: [m, m, m]}
  robot0_joint_pos: {joints: [j1, j2, j3, j4], units: [rad, rad, rad, rad]}
actions:
  - {kind: joint_velocity, names: [j1, j2, j3, j4], units: [rad/s, rad/s, rad/s, rad/s]}
training_ranges:
"""


def config(**changes):
    algo = {
        'actor_layer_dims': [],
        'rnn': {
            'enabled': True,
            'horizon': HORIZON,
            'hidden_dim': HIDDEN,
            'rnn_type': 'LSTM',
            'num_layers': LAYERS,
            'open_loop': False,
            'kwargs': {'bidirectional': False},
        },
        'gmm': {
            'enabled': True,
            'num_modes': MODES,
            'min_std': 0.0001,
            'std_activation': 'softplus',
            'low_noise_eval': True,
        },
    }
    value = {
        'algo_name': 'bc',
        'algo': algo,
        'observation': {
            'modalities': {
                'obs': {'low_dim': ['robot0_joint_pos', 'object'], 'rgb': []},
                'goal': {'low_dim': []},
            },
            'encoder': {'low_dim': {'core_class': None}},
        },
    }
    for path, new in changes.items():
        target = value
        *parents, last = path.split('.')
        for key in parents:
            target = target[key]
        target[last] = new
    return value


def weights(cell=torch.nn.LSTM):
    torch.manual_seed(1)
    rnn = cell(7, HIDDEN, num_layers=LAYERS, batch_first=True)
    state = {f'policy.nets.rnn.nets.{k}': v.clone() for k, v in rnn.state_dict().items()}
    for name, size in (('mean', MODES * DIM), ('scale', MODES * DIM), ('logits', MODES)):
        layer = torch.nn.Linear(HIDDEN, size)
        for key, value in layer.state_dict().items():
            state[f'policy.nets.decoder.nets.{name}.{key}'] = 3.0 * value.clone()
    return state


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a checkpoint as robomimic does."""

    def write(*, model=None, extra=None, **changes):
        path = tmp_path / 'model.pth'
        content = {
            'model': OrderedDict(model or weights()),
            'config': json.dumps(config(**changes)),
            'algo_name': 'bc',
            'env_metadata': {'env_name': 'Lift', 'type': 1, 'env_kwargs': {}},
            'shape_metadata': {
                'ac_dim': DIM,
                'all_shapes': SHAPES,
                'all_obs_keys': list(SHAPES),
                'use_images': False,
            },
            **(extra or {}),
        }
        torch.save(content, path)
        return path

    return write


@pytest.fixture
def declared(tmp_path):
    path = tmp_path / 'lift.yaml'
    limits = '{min: -1.0, max: 1.0, mean: 0.0, std: 0.5}'
    names = [f'state.{n}' for n in ('x', 'y', 'z', 'j1', 'j2', 'j3', 'j4')]
    names += [f'action.j{k}' for k in range(1, 5)]
    path.write_text(DECLARATION + ''.join(f'  {name}: {limits}\n' for name in names))
    return read_declaration(path)


def observations(count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            'object': rng.normal(size=(1, 3)).astype(np.float32),
            'robot0_joint_pos': rng.normal(size=(1, 4)).astype(np.float32),
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize('kind', ['LSTM', 'GRU'])
def test_the_deployed_policy_is_robomimic_s_recurrence_by_hand(make, declared, tmp_path, kind):
    cell = getattr(torch.nn, kind)
    state = weights(cell)
    path = make(model=state, **{'algo.rnn.rnn_type': kind})
    report = export_robomimic(path, declared, tmp_path / 'out.onnx')
    policy = load_policy(report.path, threads=1)
    policy.reset(seed=0)
    rnn = cell(7, HIDDEN, num_layers=LAYERS, batch_first=True)
    rnn.load_state_dict(
        {k.removeprefix('policy.nets.rnn.nets.'): v for k, v in state.items() if '.rnn.' in k}
    )

    def layer(name, x):
        part = f'policy.nets.decoder.nets.{name}'
        return x @ state[f'{part}.weight'].T + state[f'{part}.bias']

    hidden = None
    for tick, tensors in enumerate(observations(3 * HORIZON + 2)):
        if tick % HORIZON == 0:
            hidden = None
        x = torch.from_numpy(np.concatenate([tensors[k] for k in SHAPES], axis=-1))[:, None]
        with torch.no_grad():
            out, hidden = rnn(x, hidden)
            means = torch.tanh(layer('mean', out[:, 0])).reshape(MODES, DIM)
            wanted = means[int(layer('logits', out[:, 0]).argmax())]
        got = policy.infer(tensors).values
        np.testing.assert_allclose(got[0], wanted.numpy(), rtol=0, atol=1e-5)


def test_parity_with_robomimic_s_own_network(make, declared, tmp_path):
    if not all(importlib.util.find_spec(name) for name in ('robomimic', 'torchvision')):
        pytest.skip('needs robomimic (requirements/lerobot-alone.txt)')
    from bc_runtime.export.lerobot.source import prepare_torchvision

    prepare_torchvision()
    import robomimic.models.policy_nets as nets
    import robomimic.utils.obs_utils as obs_utils

    obs_utils.initialize_obs_modality_mapping_from_dict({'low_dim': list(SHAPES)})
    torch.manual_seed(2)
    network = nets.RNNGMMActorNetwork(
        obs_shapes=SHAPES,
        ac_dim=DIM,
        mlp_layer_dims=[],
        rnn_hidden_dim=HIDDEN,
        rnn_num_layers=LAYERS,
        num_modes=MODES,
        rnn_kwargs={'bidirectional': False},
        encoder_kwargs={
            'low_dim': {
                'core_class': None,
                'core_kwargs': {},
                'obs_randomizer_class': None,
                'obs_randomizer_kwargs': {},
            }
        },
    ).eval()
    model = {f'policy.{key}': value for key, value in network.state_dict().items()}
    report = export_robomimic(make(model=model), declared, tmp_path / 'out.onnx')
    policy = load_policy(report.path, threads=1)
    policy.reset(seed=0)
    state = None
    for tick, tensors in enumerate(observations(2 * HORIZON + 1)):
        if tick % HORIZON == 0:
            state = network.get_rnn_init_state(batch_size=1, device='cpu')
        with torch.no_grad():
            said, state = network.forward_train_step(
                {k: torch.from_numpy(v) for k, v in tensors.items()}, rnn_state=state
            )
        best = said.mixture_distribution.logits.argmax(-1)
        wanted = said.component_distribution.base_dist.loc[0, best]
        held = np.broadcast_to(wanted.numpy(), (3, DIM))  # until the next one is there
        np.testing.assert_allclose(policy.infer(tensors).values, held, rtol=0, atol=1e-5)


@pytest.mark.parametrize('low_noise', [True, False])
def test_drawing_takes_the_modes_as_often_as_they_are_likely(make, declared, low_noise):
    path = make(**{'algo.gmm.low_noise_eval': low_noise})
    module = RobomimicGraph(read_robomimic(path), sample=True).eval()
    tensors = [torch.from_numpy(v) for v in observations(1)[0].values()]
    state = [torch.zeros(LAYERS, 1, HIDDEN)] * 2 + [torch.zeros(1, dtype=torch.int64)]
    generator = torch.Generator().manual_seed(0)
    still = torch.zeros(1, DIM)
    with torch.no_grad():
        features = module.rnn(torch.cat(tensors, -1)[:, None])[0][:, 0]
        means = torch.tanh(module.mean(features)).reshape(MODES, DIM)
        chances = torch.softmax(module.logits(features), dim=-1)[0]
        counts = torch.zeros(MODES)
        for _ in range(2000):
            q = torch.empty(1, MODES).exponential_(generator=generator)
            action = module(*tensors, *state, q, still)[0][0, 0]
            counts[int((means - action).abs().sum(-1).argmin())] += 1
        torch.testing.assert_close(counts / 2000, chances, atol=0.04, rtol=0)
        moved = module(*tensors, *state, q, torch.ones(1, DIM))[0][0, 0] - action
    assert bool((moved > 0).all())
    assert (float(moved.max()) < 2e-4) is low_noise


def test_a_drawing_policy_repeats_with_its_seed(make, declared, tmp_path):
    report = export_robomimic(make(), declared, tmp_path / 'out.onnx', sample=True)
    policy = load_policy(report.path, threads=1)
    runs = []
    for seed in (3, 3, 4):
        policy.reset(seed=seed)
        runs.append(np.array([policy.infer(t).values for t in observations(12)]))
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert report.spec.source['hidden_state_horizon'] == HORIZON


def test_observations_are_normalised_where_the_checkpoint_says_so(make, declared, tmp_path):
    stats = {
        'object': {'mean': [[1.0, 2.0, 3.0]], 'std': [[2.0, 2.0, 2.0]]},
        'robot0_joint_pos': {'mean': [[0.0] * 4], 'std': [[0.5] * 4]},
    }
    path = make(extra={'obs_normalization_stats': stats})
    report = export_robomimic(path, declared, tmp_path / 'out.onnx')
    plain = export_robomimic(make(), declared, tmp_path / 'plain.onnx')
    tensors = observations(1)[0]
    scaled = {
        key: ((v - np.array(stats[key]['mean'])) / np.array(stats[key]['std'])).astype(np.float32)
        for key, v in tensors.items()
    }
    got = load_policy(report.path, threads=1).infer(tensors).values
    wanted = load_policy(plain.path, threads=1).infer(scaled).values
    np.testing.assert_allclose(got, wanted, atol=1e-6)


class Payload:
    def __reduce__(self):
        return (print, ('code from the file ran',))


def test_code_in_the_file_never_runs(make, declared, tmp_path, capsys):
    path = make(extra={'env_metadata': {'hook': Payload()}})
    with pytest.raises(ExportError, match='would run code'):
        export_robomimic(path, declared, tmp_path / 'out.onnx')
    assert 'ran' not in capsys.readouterr().out


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'algo_name': 'bcq'}, "got 'bcq'"),
        ({'algo.gmm.enabled': False}, 'rnn and gmm enabled'),
        ({'algo.actor_layer_dims': [64]}, 'layers after'),
        ({'algo.rnn.open_loop': True}, 'open loop'),
        ({'observation.modalities.obs.rgb': ['agentview_image']}, 'pictures'),
        ({'observation.modalities.goal.low_dim': ['object']}, 'goals'),
        ({'observation.encoder.low_dim.core_class': 'ScanCore'}, 'encoder'),
        ({'algo.rnn.hidden_dim': 13}, 'not those of its config'),
        ({'algo.rnn': {}}, 'not those of robomimic'),
    ],
)
def test_what_the_graph_does_not_reproduce_is_refused(make, declared, tmp_path, changes, words):
    with pytest.raises(ExportError, match=words):
        export_robomimic(make(**changes), declared, tmp_path / 'out.onnx')
    assert not (tmp_path / 'out.onnx').exists()


def test_unknown_parts_and_foreign_files_are_refused(make, declared, tmp_path):
    with pytest.raises(ExportError, match='action_normalization_stats'):
        export_robomimic(
            make(extra={'action_normalization_stats': {}}), declared, tmp_path / 'out.onnx'
        )
    path = tmp_path / 'other.pth'
    path.write_bytes(b'not a checkpoint')
    with pytest.raises(ExportError, match='damaged'):
        read_robomimic(path)
    torch.save({'weights': torch.zeros(1)}, path)
    with pytest.raises(ExportError, match='got weights'):
        read_robomimic(path)


def test_a_declaration_must_name_the_inputs_and_their_ranges(make, tmp_path):
    path = tmp_path / 'lift.yaml'
    path.write_text(DECLARATION.replace('training_ranges:\n', ''))
    with pytest.raises(StatisticsMissing, match=r'action\.j1'):
        export_robomimic(make(), read_declaration(path), tmp_path / 'out.onnx')
    path.write_text(path.read_text() + 'instructions: [lift it]\n')
    with pytest.raises(DeclarationError, match="expected no sentences, got 'lift it'"):
        export_robomimic(make(), read_declaration(path), tmp_path / 'out.onnx')
    path.write_text(DECLARATION.replace('training_ranges:\n', '').replace('object:', 'objects:'))
    with pytest.raises(DeclarationError, match='object, robot0_joint_pos'):
        export_robomimic(make(), read_declaration(path), tmp_path / 'out.onnx')
