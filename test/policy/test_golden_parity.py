# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""LeRobot's own chunks against ours, from its models as ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bc_runtime.policy import load_policy

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'

#: Largest |ours - LeRobot's| [rad]; float32 noise of another kernel library. Measured: 2.2e-6 for
#: ACT, 1.9e-5 for ten denoising steps. The actions span several rad.
TOLERANCE = {'act': 5e-6, 'diffusion': 5e-5}


def test_act_chunks_parity_with_lerobot() -> None:
    stream = np.load(GOLDEN / 'act_te_c20.npz')
    policy = load_policy(GOLDEN / 'act_c20_tiny.onnx')
    worst = 0.0
    for step, chunk in zip(stream['infer_step'], stream['chunks'], strict=True):
        tensors = {'state': stream['obs_state'][step][None], 'env': stream['obs_env'][step][None]}
        worst = max(worst, float(np.abs(policy.infer(tensors).values - chunk).max()))
    print(f'ACT: {len(stream["chunks"])} chunks, largest deviation {worst:.2e} rad')
    assert np.abs(stream['chunks']).max() > 1.0
    assert worst <= TOLERANCE['act']


def test_diffusion_chunks_parity_with_lerobot_under_its_recorded_noise() -> None:
    stream = np.load(GOLDEN / 'diff_ddim10.npz')
    policy = load_policy(GOLDEN / 'diff_ddim10_tiny.onnx')
    starts = {0, *(int(step) for step in stream['reset_steps'])}
    worst = 0.0
    for number, step in enumerate(stream['infer_step']):
        # Two observations, oldest first; the first tick of an episode repeats the only one it has.
        window = [step if int(step) in starts else step - 1, step]
        tensors = {
            'state': stream['obs_state'][window][None],
            'env': stream['obs_env'][window][None],
            'noise': stream['noise'][number][None],
        }
        deviation = np.abs(policy.infer(tensors).values - stream['chunks'][number])
        worst = max(worst, float(deviation.max()))
    print(f'diffusion: {len(stream["chunks"])} chunks, largest deviation {worst:.2e} rad')
    assert worst <= TOLERANCE['diffusion']


@pytest.mark.parametrize('wrong', ['state', 'env'])
def test_parity_is_lost_when_an_input_changes(wrong: str) -> None:
    stream = np.load(GOLDEN / 'act_te_c20.npz')
    policy = load_policy(GOLDEN / 'act_c20_tiny.onnx')
    tensors = {'state': stream['obs_state'][3][None], 'env': stream['obs_env'][3][None]}
    tensors[wrong] = tensors[wrong] + np.float32(0.1)
    assert np.abs(policy.infer(tensors).values - stream['chunks'][3]).max() > 1e-3
