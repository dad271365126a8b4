# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Our sampling loop is the one of diffusers, for every combination that LeRobot can be set to."""

from __future__ import annotations

import pytest

pytest.importorskip('torch', reason='export needs torch (requirements/train.txt)')

import torch

from bc_runtime.export.errors import ExportError
from bc_runtime.export.sampling import (
    PREDICTIONS,
    SCHEDULES,
    DiffusionSampler,
    DiffusionSchedule,
    FlowSampler,
)


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


def network(sample, timestep):
    mix = torch.linspace(-0.2, 0.2, 36).reshape(6, 6)
    return torch.tanh(sample @ mix + 0.01 * timestep.float().reshape(1, 1, 1))


@pytest.mark.parametrize('steps', [1, 10, 16, 100])
@pytest.mark.parametrize('clip', [1.0, None])
@pytest.mark.parametrize('betas', SCHEDULES)
@pytest.mark.parametrize('prediction', PREDICTIONS)
@pytest.mark.parametrize('method', ['ddim', 'ddpm'])
def test_sampling_parity_with_diffusers(method, prediction, betas, clip, steps):
    schedulers = pytest.importorskip('diffusers.schedulers', reason='needs diffusers')
    cls = schedulers.DDIMScheduler if method == 'ddim' else schedulers.DDPMScheduler
    theirs = cls(
        num_train_timesteps=100,
        beta_start=0.0001,
        beta_end=0.02,
        beta_schedule=betas,
        clip_sample=clip is not None,
        clip_sample_range=clip or 1.0,
        prediction_type=prediction,
    )
    theirs.set_timesteps(steps)
    start = torch.randn((1, 8, 6), generator=torch.Generator().manual_seed(1))
    sample, drawn = start, []
    for t in theirs.timesteps:
        options = {}
        if method == 'ddpm':
            options['generator'] = torch.Generator().manual_seed(int(t))
            drawn.append(torch.randn((1, 8, 6), generator=torch.Generator().manual_seed(int(t))))
        sample = theirs.step(network(sample, t[None]), t, sample, **options).prev_sample
    ours = DiffusionSampler(
        schedule(betas=betas, prediction=prediction, clip=clip), method=method, steps=steps
    )
    got = ours(network, start, torch.stack(drawn) if drawn else None)
    scale = max(1.0, float(sample.abs().max()))
    assert float((got - sample).abs().max()) <= 3e-6 * scale


def test_flow_goes_straight_where_the_velocity_is_constant():
    noise = torch.full((1, 3, 2), 5.0)
    assert torch.allclose(FlowSampler(steps=7)(lambda x, t: -torch.ones_like(x), noise), noise - 1)
    back = FlowSampler(steps=10, start=1.0, end=0.0)
    times = []
    back(lambda x, t: times.append(float(t)) or x, noise)
    assert times == pytest.approx([1 - 0.1 * k for k in range(10)])


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda: DiffusionSampler(schedule(), method='euler', steps=3), 'ddim, ddpm'),
        (lambda: DiffusionSampler(schedule(), method='ddim', steps=0), '1 to 100'),
        (lambda: DiffusionSampler(schedule(), method='ddim', steps=101), '1 to 100'),
        (lambda: schedule(betas='sigmoid'), 'squaredcos_cap_v2'),
        (lambda: schedule(prediction='flow'), 'epsilon'),
        (lambda: FlowSampler(steps=0), 'at least 1'),
    ],
)
def test_impossible_samplers_are_refused(make, words):
    with pytest.raises(ExportError, match=words):
        make()


def test_ddpm_without_its_noise_is_refused():
    sampler = DiffusionSampler(schedule(), method='ddpm', steps=3)
    with pytest.raises(ExportError, match='one noise tensor per step'):
        sampler(network, torch.zeros(1, 8, 6))
