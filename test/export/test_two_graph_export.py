# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One graph and two graphs of the same weights are the same policy."""

from __future__ import annotations

from collections.abc import Sequence
import math

import numpy as np
import onnx
import pytest

pytest.importorskip('torch', reason='export needs torch (requirements/train.txt)')

import torch

from bc_runtime.cli import export as cli
from bc_runtime.export.errors import ExportError, ParityError, StatisticsMissing
from bc_runtime.export.module import export_module
from bc_runtime.export.sampling import (
    METHODS,
    PREDICTIONS,
    SCHEDULES,
    DiffusionSampler,
    DiffusionSchedule,
    FlowSampler,
)
from bc_runtime.export.two_graphs import export_two_graphs
from bc_runtime.policy import list_models, load_policy
from bc_runtime.policy.sampler import Sampler
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.self_test import make_inputs

H, K, D = 8, 6, 3
NAMES = ('a', 'b', 'c')


def make_spec(**changes):
    limits = {'min': -1.0, 'max': 1.0, 'mean': 0.0, 'std': 0.5}
    noise = {'kind': 'noise', 'distribution': 'normal'}
    inputs = [
        {'kind': 'state', 'name': 'state', 'shape': [1, D], 'joints': list(NAMES)}
        | {'units': ['rad'] * D},
        {**noise, 'name': 'noise', 'shape': [1, H, D]},
    ]
    steps = changes.pop('step_noise', 0)
    if steps:
        inputs.append({**noise, 'name': 'step_noise', 'shape': [steps, 1, H, D]})
    groups = [{'kind': 'joint_position', 'names': list(NAMES), 'units': ['rad'] * D}]
    return PolicySpec.from_dict(
        {
            'schema_version': 1,
            'name': 'net',
            'family': 'diffusion',
            'control_hz': 10.0,
            'chunk_size': K,
            'inputs': inputs,
            'output': {'name': 'action', 'groups': groups},
            'training_ranges': {f'{s}.{n}': limits for s in ('state', 'action') for n in NAMES},
            **changes,
        }
    )


class Net(torch.nn.Module):
    """An encoder, a step network told the time, and de-normalisation.

    Regressions pinned: the legacy exporter left the module in training mode, so that what it gave
    afterwards (the dropout; LeRobot's random crop) was not what had been exported.
    """

    def __init__(self, sampler):
        super().__init__()
        torch.manual_seed(0)
        self.eyes = torch.nn.Sequential(torch.nn.Linear(D, 64), torch.nn.Dropout())
        self.enter = torch.nn.Linear(H * D + 64 + 1, 32)
        self.leave = torch.nn.Linear(32, H * D)
        self.sampler = sampler
        self.register_buffer('gain', torch.tensor([0.5, 1.0, 2.0]))

    def forward(self, state, noise, *step_noise):
        seen = self.eyes(state)
        plan = self.sampler(lambda x, t: self.predict(x, t, seen), noise, *step_noise)
        return plan[:, 1 : 1 + K] * self.gain + state[:, None]

    def encode(self, state):
        offset = state[:, None].expand(1, K, D)
        return self.gain.expand(1, K, D), offset, self.eyes(state)

    def predict(self, sample, time, seen):
        clock = 0.01 * time.to(sample.dtype)[:, None]
        x = torch.tanh(self.enter(torch.cat([sample.flatten(1), seen, clock], dim=1)))
        return self.leave(x).reshape(1, H, D)

    def sampling(self, names: Sequence[str]):
        if isinstance(self.sampler, FlowSampler):
            return self.sampler.plan(first_row=1)
        return self.sampler.plan(names, first_row=1)


def schedule(**changes):
    fields = {
        'train_steps': 100,
        'betas': 'squaredcos_cap_v2',
        'beta_start': 0.0001,
        'beta_end': 0.02,
        'prediction': 'epsilon',
        'clip': 1.0,
    }
    return DiffusionSchedule(**{**fields, **changes})


@pytest.mark.parametrize(
    'sampler',
    [
        DiffusionSampler(schedule(), method='ddim', steps=10),
        DiffusionSampler(schedule(prediction='v_prediction'), method='ddpm', steps=12),
        FlowSampler(steps=8),
        FlowSampler(steps=4, start=1.0, end=0.0),
    ],
    ids=['ddim', 'ddpm', 'flow', 'flow back'],
)
def test_one_graph_and_two_graphs_agree(tmp_path, sampler):
    needs = getattr(sampler, 'needs_step_noise', False)
    spec = make_spec(step_noise=sampler.steps if needs else 0)
    module = Net(sampler)
    one = export_module(module, spec, tmp_path / 'one.onnx')
    two = export_two_graphs(module, spec, tmp_path / 'two.onnx', measure_speed=True)
    assert two.max_abs_error <= 1e-4
    assert two.spec.source['parity']['max_abs_error'] == pytest.approx(two.max_abs_error, rel=0.01)
    assert two.speed is not None
    policies = [load_policy(each.path, threads=1) for each in (one, two)]
    for seed in range(16):
        inputs = make_inputs(spec, seed)
        first, second = (policy.infer(inputs).values for policy in policies)
        assert np.abs(first - second).max() <= 1e-5
        with torch.no_grad():
            theirs = module(*(torch.from_numpy(np.array(v)) for v in inputs.values()))[0]
        assert np.abs(second - theirs.numpy()).max() <= 1e-4
    # The same seed gives the same noise: either can take over from the other.
    for policy in policies:
        policy.reset(seed=4)
    state = {'state': make_inputs(spec, 99)['state']}
    first, second = (policy.infer(state).values for policy in policies)
    assert np.abs(first - second).max() <= 1e-5
    assert list_models([tmp_path]) == ('one', 'two')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['one.onnx', 'two.onnx', 'two.step.onnx']


@pytest.mark.parametrize('exporter', ['dynamo', 'legacy'])
def test_each_file_holds_its_own_weights_and_no_loop(tmp_path, exporter):
    module = Net(DiffusionSampler(schedule(), method='ddim', steps=10))
    report = export_two_graphs(module, make_spec(), tmp_path / 'two.onnx', exporter=exporter)
    models = [onnx.load(tmp_path / name) for name in ('two.onnx', 'two.step.onnx')]
    for model in models:
        assert 'Loop' not in {node.op_type for node in model.graph.node}
        assert model.producer_name == 'bc_runtime'
    floats = [sum(math.prod(each.dims) for each in model.graph.initializer) for model in models]
    eyes = sum(p.numel() for p in module.eyes.parameters())
    step = sum(p.numel() for p in (*module.enter.parameters(), *module.leave.parameters()))
    assert eyes <= floats[0] <= eyes + 100
    assert step <= floats[1] <= step + 100
    assert report.size_bytes == sum(p.stat().st_size for p in tmp_path.iterdir())
    assert len(models[1].metadata_props) == 0


@pytest.mark.parametrize('steps', [1, 10, 16, 100])
@pytest.mark.parametrize('clip', [1.0, None])
@pytest.mark.parametrize('betas', SCHEDULES)
@pytest.mark.parametrize('prediction', PREDICTIONS)
@pytest.mark.parametrize('method', METHODS)
def test_the_loop_in_numpy_is_the_loop_in_torch(method, prediction, betas, clip, steps):
    theirs = DiffusionSampler(
        schedule(betas=betas, prediction=prediction, clip=clip), method=method, steps=steps
    )
    ours = Sampler(theirs.plan(NAMES), NAMES)
    np.testing.assert_array_equal(ours.times, theirs.timesteps.numpy())
    np.testing.assert_allclose(ours.rows, theirs.table.numpy(), rtol=3e-7, atol=1e-12)
    mix = torch.linspace(-0.2, 0.2, D * D).reshape(D, D)

    def network(sample, timestep):
        return torch.tanh(sample @ mix + 0.01 * timestep.float().reshape(1, 1, 1))

    def ask(sample, time):
        return network(torch.from_numpy(sample), torch.from_numpy(time)).numpy()

    generator = torch.Generator().manual_seed(1)
    noise = torch.randn((1, H, D), generator=generator)
    drawn = torch.randn((steps, 1, H, D), generator=generator) if method == 'ddpm' else None
    wanted = theirs(network, noise, drawn).numpy()
    got = ours.run(ask, noise.numpy(), None if drawn is None else drawn.numpy())
    assert np.abs(got - wanted).max() <= 3e-6 * max(1.0, np.abs(wanted).max())


def test_an_export_that_fails_leaves_the_old_pair(tmp_path):
    path = tmp_path / 'two.onnx'
    export_two_graphs(Net(FlowSampler(steps=2)), make_spec(), path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    class Wrong(Net):
        def predict(self, sample, time, seen):
            said = super().predict(sample, time, seen)
            return said + 1.0 if torch.compiler.is_exporting() else said

    with pytest.raises(ParityError):
        export_two_graphs(Wrong(FlowSampler(steps=2)), make_spec(), path)
    unset = Net(FlowSampler(steps=2))
    unset.gain.fill_(float('nan'))
    with pytest.raises(StatisticsMissing):
        export_two_graphs(unset, make_spec(), path)
    with pytest.raises(ExportError, match='missing: encode, predict, sampling'):
        export_two_graphs(torch.nn.Linear(D, D), make_spec(), path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    load_policy(path)


def test_two_graphs_are_for_policies_with_a_loop(tmp_path, bc_export):
    (tmp_path / 'x.npz').touch()
    (tmp_path / 'x.pth').touch()
    (tmp_path / 'y.yaml').touch()
    words = bc_export(tmp_path / 'x.npz', '--out', tmp_path / 'o.onnx', '--two-graphs')
    assert 'for checkpoints of LeRobot' in words
    declared = ('--declare', tmp_path / 'y.yaml')
    words = bc_export(tmp_path / 'x.pth', '--out', tmp_path / 'o.onnx', '--two-graphs', *declared)
    assert 'no sampling loop' in words


@pytest.fixture
def bc_export():
    import argparse

    from bc_runtime.spec import ConfigError

    def run(*words):
        parser = argparse.ArgumentParser()
        cli.add_parser(parser.add_subparsers())
        with pytest.raises(ConfigError) as error:
            cli.run(parser.parse_args(['export', *(str(word) for word in words)]))
        return str(error.value)

    return run
