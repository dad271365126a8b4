# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Any torch module with a declared spec becomes a policy file, with its proof inside."""

from __future__ import annotations

from dataclasses import replace
import zipfile

import numpy as np
import pytest

pytest.importorskip('torch', reason='export needs torch (requirements/train.txt)')
pytest.importorskip('onnx', reason='export needs onnx (requirements/train.txt)')

import torch

from bc_runtime.export.errors import ExportError, ParityError, StatisticsMissing
from bc_runtime.export.module import export_module
from bc_runtime.export.program import export_program
from bc_runtime.export.sampling import DiffusionSampler, DiffusionSchedule, FlowSampler
from bc_runtime.policy import ModelFileError, ProviderUnavailable, SpecMismatch, load_policy
from bc_runtime.spec import PolicySpec

K, D = 4, 2
NOISE = {'kind': 'noise', 'name': 'noise', 'shape': [1, K, D], 'distribution': 'normal'}
HIDDEN = {'kind': 'recurrent', 'name': 'h', 'shape': [1, 1, 5], 'output': 'h_next'}
UNIFORM = {'kind': 'noise', 'name': 'pick', 'shape': [1, 3], 'distribution': 'exponential'}


def make_spec(*extra, **changes):
    limits = {'min': -1.0, 'max': 1.0, 'mean': 0.0, 'std': 0.5}
    state = {'kind': 'state', 'name': 'state', 'shape': [1, D], 'joints': ['a', 'b']}
    return PolicySpec.from_dict(
        {
            'schema_version': 1,
            'name': 'net',
            'family': 'mlp',
            'control_hz': 10.0,
            'chunk_size': K,
            'inputs': [{**state, 'units': ['rad', 'rad']}, *extra],
            'output': {
                'name': 'action',
                'groups': [
                    {'kind': 'joint_position', 'names': ['a', 'b'], 'units': ['rad', 'rad']}
                ],
            },
            'training_ranges': {
                f'{side}.{name}': limits for side in ('state', 'action') for name in 'ab'
            },
            **changes,
        }
    )


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(D, K * D)

    def forward(self, state):
        return self.layer(state).reshape(1, K, D)


class Recurrent(torch.nn.Module):
    """A chunk from a mixture: the hidden state and the choice are inputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cell = torch.nn.LSTM(D, 5, batch_first=True)
        self.means = torch.nn.Linear(5, 3 * K * D)
        self.weights = torch.nn.Linear(5, 3)

    def forward(self, state, h, pick):
        seen, (h_next, _) = self.cell(state[:, None], (h, torch.zeros_like(h)))
        chances = self.weights(seen[:, -1]).softmax(-1)
        # The largest chance / Exp(1) is a fair draw (what torch.multinomial does).
        chosen = (chances / pick).argmax(-1)
        means = self.means(seen[:, -1]).reshape(1, 3, K, D)
        return means[torch.arange(1), chosen], h_next


class Denoising(torch.nn.Module):
    def __init__(self, sampler):
        super().__init__()
        torch.manual_seed(0)
        self.sampler = sampler
        self.mix = torch.nn.Linear(2 * D + 1, D)

    def forward(self, state, noise):
        def network(sample, time):
            seen = state[:, None].expand(1, K, D)
            when = time.float().reshape(1, 1, 1).expand(1, K, 1) / 10.0
            return torch.tanh(self.mix(torch.cat([sample, seen, when], dim=-1)))

        return self.sampler(network, noise)


def diffusion(**options):
    schedule = DiffusionSchedule(
        train_steps=10,
        betas='squaredcos_cap_v2',
        beta_start=1e-4,
        beta_end=0.02,
        prediction='epsilon',
        clip=1.0,
    )
    return DiffusionSampler(schedule, method='ddim', steps=5, **options)


@pytest.mark.parametrize(
    'sampler', [diffusion(), diffusion(unroll=True), FlowSampler(steps=5)], ids=str
)
def test_the_whole_sampling_loop_is_in_the_graph(sampler, tmp_path):
    module = Denoising(sampler)
    report = export_module(module, make_spec(NOISE), tmp_path / 'net.onnx')
    policy = load_policy(report.path, threads=1)
    state = np.array([[0.3, -0.2]], dtype=np.float32)
    noise = np.random.default_rng(1).normal(size=(1, K, D)).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(state), torch.from_numpy(noise))[0].numpy()
    got = policy.infer({'state': state, 'noise': noise}).values
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    other = policy.infer({'state': state, 'noise': noise + 1.0}).values
    assert np.abs(other - got).max() > 1e-3


def test_a_loop_keeps_the_graph_small(tmp_path):
    few = export_module(Denoising(FlowSampler(steps=4)), make_spec(NOISE), tmp_path / 'a.onnx')
    many = export_module(Denoising(FlowSampler(steps=64)), make_spec(NOISE), tmp_path / 'b.onnx')
    assert many.nodes == few.nodes
    assert many.size_bytes < few.size_bytes + 1000


@pytest.mark.parametrize('write', [export_module, export_program])
def test_hidden_state_and_choice_are_inputs_carried_by_the_backend(write, tmp_path):
    module, spec = Recurrent(), make_spec(HIDDEN, UNIFORM)
    suffix = '.onnx' if write is export_module else '.pt2'
    report = write(module, spec, tmp_path / f'net{suffix}')
    assert set(report.spec.source['parity']['outputs']) == {'action', 'h_next'}
    policy = load_policy(report.path, threads=1)
    states = np.random.default_rng(2).uniform(-1, 1, (6, 1, D)).astype(np.float32)
    picks = np.random.default_rng(3).exponential(size=(6, 1, 3)).astype(np.float32)
    hidden = torch.zeros(1, 1, 5)
    policy.reset(seed=1)
    for state, pick in zip(states, picks, strict=True):
        with torch.no_grad():
            wanted, hidden = module(torch.from_numpy(state), hidden, torch.from_numpy(pick))
        got = policy.infer({'state': state, 'pick': pick}).values
        np.testing.assert_allclose(got, wanted[0].numpy(), atol=1e-5)
    # A reset forgets; the same seed gives the same choices.
    runs = []
    for _ in range(2):
        policy.reset(seed=9)
        runs.append([policy.infer({'state': state}).values for state in states])
    assert np.array_equal(runs[0], runs[1])


def test_an_exported_program_of_torch_is_taken_too(tmp_path):
    program = torch.export.export(Net().eval(), (torch.zeros(1, D),))
    report = export_module(program, make_spec(), tmp_path / 'net.onnx')
    state = np.array([[0.3, -0.2]], dtype=np.float32)
    with torch.no_grad():
        wanted = program.module()(torch.from_numpy(state))[0].numpy()
    got = load_policy(report.path, threads=1).infer({'state': state}).values
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    with pytest.raises(ExportError, match='legacy exporter takes modules only'):
        export_module(program, make_spec(), tmp_path / 'two.onnx', exporter='legacy')


def test_the_source_is_compared_and_the_error_stored(tmp_path):
    module = Net()

    def source(tensors):
        with torch.no_grad():
            return module(torch.from_numpy(np.array(tensors['state']))).numpy() + 5e-5

    report = export_module(module, make_spec(), tmp_path / 'net.onnx', reference=source)
    assert report.source_error == pytest.approx(5e-5, rel=0.05)
    assert report.spec.source['parity']['source_max_abs_error'] == pytest.approx(5e-5, rel=0.05)
    with pytest.raises(ParityError, match='the source of the policy'):
        export_module(module, make_spec(), tmp_path / 'two.onnx', reference=source, tolerance=1e-5)
    assert not (tmp_path / 'two.onnx').exists()


def test_a_hidden_state_of_another_shape_is_refused(tmp_path):
    wrong = {**HIDDEN, 'shape': [1, 1, 6]}
    with pytest.raises(ExportError):
        export_module(Recurrent(), make_spec(wrong, UNIFORM), tmp_path / 'net.onnx')
    with pytest.raises(ExportError, match=r'number of output|expected 2 outputs'):
        export_module(
            Mute(), make_spec(HIDDEN), tmp_path / 'net.onnx', exporter='legacy', opset=17
        )
    assert list(tmp_path.iterdir()) == []


class Mute(Net):
    def forward(self, state, h):
        return self.layer(state).reshape(1, K, D) + 0.0 * h.sum()


# ---- exported programs ----------------------------------------------------------------------


def test_a_program_is_loaded_proven_and_says_nothing_of_the_machine(tmp_path):
    report = export_program(Net(), make_spec(), tmp_path / 'net.pt2')
    policy = load_policy('net', model_dirs=[tmp_path], threads=1)
    assert policy.backend == 'torch'
    assert policy.self_test_error <= 1e-5
    assert len(policy.policy_id) == 64
    with zipfile.ZipFile(report.path) as archive:
        text = b''.join(archive.read(name) for name in archive.namelist())
    for trace in (b'/home', b'/work', b'/usr', b'.py', str(tmp_path).encode()):
        assert trace not in text
    assert [p.name for p in tmp_path.iterdir()] == ['net.pt2']


def test_a_program_runs_on_the_cpu_only(tmp_path):
    report = export_program(Net(), make_spec(), tmp_path / 'net.pt2')
    with pytest.raises(ProviderUnavailable, match='CPU only'):
        load_policy(report.path, providers=['CUDAExecutionProvider'])


def test_a_program_that_does_not_fit_its_spec_is_refused(tmp_path):
    program = torch.export.export(Net().eval(), (torch.zeros(1, D),))
    path = tmp_path / 'net.pt2'
    spec = replace(make_spec(), chunk_size=3, n_action_steps=3)
    torch.export.save(program, str(path), extra_files={'bc_policy.json': spec.to_json()})
    with pytest.raises(SpecMismatch, match=r'float32 \[1, 3, 2\] in the spec'):
        load_policy(path)


class Payload:
    """What a pickle can do."""

    def __reduce__(self):
        return (print, ('code from the file ran',))


def repack(path, changes):
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(entries)).split('/')[0]
    entries.update({f'{root}/{name}': data for name, data in changes.items()})
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def test_pickled_code_in_the_sample_inputs_never_runs(tmp_path, capsys):
    report = export_program(Net(), make_spec(), tmp_path / 'net.pt2')
    evil = tmp_path / 'evil.pt'
    torch.save(((Payload(),), {}), evil)
    repack(report.path, {'data/sample_inputs/model.pt': evil.read_bytes()})
    with pytest.raises(ModelFileError, match='no plain tensors'):
        load_policy(report.path)
    assert 'ran' not in capsys.readouterr().out


def test_free_shapes_are_refused(tmp_path):
    """Their expressions are evaluated as Python by the loader."""

    class Free(torch.nn.Module):
        def forward(self, x):
            return x.reshape(x.shape[0] * 2)

    program = torch.export.export(
        Free(), (torch.zeros(3, 2),), dynamic_shapes=({0: torch.export.Dim('n', max=9)},)
    )
    path = tmp_path / 'net.pt2'
    torch.export.save(program, str(path), extra_files={'bc_policy.json': make_spec().to_json()})
    with pytest.raises(ModelFileError, match=r'static shapes|guards'):
        load_policy(path)


def test_statistics_are_required_of_programs_too(tmp_path):
    with pytest.raises(StatisticsMissing):
        export_program(Net(), replace(make_spec(), training_ranges={}), tmp_path / 'net.pt2')
    with pytest.raises(ExportError, match=r'ends in \.pt2'):
        export_program(Net(), make_spec(), tmp_path / 'net.onnx')


def test_file_and_module_are_timed_side_by_side(tmp_path):
    report = export_module(Net(), make_spec(), tmp_path / 'net.onnx', measure_speed=True)
    assert report.speed.file_s > 0
    assert report.speed.torch_s > 0
    assert 'eager torch' in str(report.speed)
    assert export_module(Net(), make_spec(), tmp_path / 'two.onnx').speed is None
