# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The policies in models/ beside ACT: no torch needed."""

from __future__ import annotations

import numpy as np
import pytest

from bc_runtime.binding import check_binding
from bc_runtime.policy import load_policy
from bc_runtime.resources import robot_file, share_directory
from bc_runtime.spec import RobotConfig
from bc_runtime.spec.inputs import NoiseInput, RecurrentInput
from bc_runtime.spec.self_test import make_inputs

MODELS = sorted(path.stem for path in (share_directory() / 'models').glob('*.onnx'))
LARGEST_BYTES = 6_000_000


@pytest.mark.parametrize('model', MODELS)
def test_shipped_model_passes_its_self_test_and_fits_its_robot(model):
    path = share_directory() / 'models' / f'{model}.onnx'
    policy = load_policy(path, threads=1)  # runs the self-test
    assert policy.spec.name == model
    assert model.endswith(policy.spec.family)
    robot = model.removesuffix(f'_{policy.spec.family}')
    check_binding(policy.spec, RobotConfig.from_file(robot_file(robot)))
    assert path.stat().st_size < LARGEST_BYTES
    source = policy.spec.source
    assert source['parity']['max_abs_error'] <= 1e-4
    assert str(source['command']).startswith('bc train ')


@pytest.mark.parametrize('model', MODELS)
def test_shipped_model_gives_the_same_chunk_from_the_same_seed(model):
    policy = load_policy(share_directory() / 'models' / f'{model}.onnx', threads=1)
    own = {i.name for i in policy.spec.inputs if isinstance(i, (NoiseInput, RecurrentInput))}
    tensors = {k: v for k, v in make_inputs(policy.spec, 5).items() if k not in own}
    policy.reset(seed=2)
    one = [policy.infer(tensors).values for _ in range(2)]
    policy.reset(seed=2)
    np.testing.assert_array_equal(one, [policy.infer(tensors).values for _ in range(2)])
    if own:  # noise is drawn anew, a hidden state goes on
        assert np.abs(one[0] - one[1]).max() > 0.0


@pytest.mark.parametrize('model', MODELS)
def test_shipped_model_is_in_the_table(model):
    table = (share_directory() / 'models' / 'README.md').read_text(encoding='utf-8')
    assert f'| `{model}.onnx` |' in table
