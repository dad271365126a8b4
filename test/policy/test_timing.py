# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Threads are chosen by measurement; fixed buffers compute what a plain run computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bc_runtime.policy import OnnxPolicy, load_policy, timing
from bc_runtime.policy.onnx_file import read_onnx_file
from bc_runtime.policy.onnx_session import CPU, create_session
from bc_runtime.policy.policy_file import read_spec
from bc_runtime.policy.timing import Timing, choose_threads
from bc_runtime.spec.self_test import make_inputs

Build = Callable[..., Path]


@pytest.mark.parametrize(
    ('milliseconds', 'chosen'),
    [
        ({1: 10.0, 2: 9.5, 4: 9.4}, 1),  # a core for 5 % is not worth it
        ({1: 10.0, 2: 6.0, 4: 5.8}, 2),
        ({1: 10.0, 2: 6.0, 4: 3.5}, 4),
        ({1: 10.0, 2: 13.0, 4: 25.0}, 1),  # more threads than free cores
        ({1: 10.0, 2: 13.0, 4: 5.0}, 4),
    ],
)
def test_a_thread_must_be_worth_its_core(
    build: Build, monkeypatch: pytest.MonkeyPatch, milliseconds: dict[int, float], chosen: int
) -> None:
    path = build(seed=1)

    def measured(policies: dict[str, object], **_: object) -> dict[str, Timing]:
        return {name: Timing(durations_s=(milliseconds[int(name)] / 1e3,)) for name in policies}

    monkeypatch.setattr(timing, 'time_policies', measured)
    count, policy, found = choose_threads(
        lambda threads: load_policy(path, threads=threads), counts=tuple(milliseconds)
    )
    assert count == chosen
    assert set(found) == set(milliseconds)
    options = policy._session.get_session_options()  # type: ignore[attr-defined]
    assert options.intra_op_num_threads == chosen


def test_threads_zero_measures_at_load(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(seed=1), threads=0)
    assert policy._session.get_session_options().intra_op_num_threads >= 1  # type: ignore[attr-defined]
    assert policy.infer({'state': state}).index == 0


@pytest.mark.parametrize(
    'options', [{}, {'noise': True, 'recurrent': True, 'prefix': True, 'image': True}]
)
def test_fixed_buffers_give_the_same_chunks(build: Build, options: dict[str, bool]) -> None:
    file = read_onnx_file(build(seed=1, **options))
    spec = read_spec(file)
    plain, bound = (
        OnnxPolicy(
            session=create_session(file, providers=[CPU], allow_fallback=False, threads=1),
            spec=spec,
            file=file,
            bind=bind,
        )
        for bind in (False, True)
    )
    assert bound._bound is not None
    plain.reset(seed=4)
    bound.reset(seed=4)
    names = {'state', 'front'}
    kept = []
    for seed in range(4):
        tensors = {k: v for k, v in make_inputs(spec, seed).items() if k in names}
        one, two = plain.infer(tensors).values, bound.infer(tensors).values
        np.testing.assert_array_equal(one, two)
        kept.append((one.copy(), two))
    # Later runs leave earlier chunks alone.
    for one, two in kept:
        np.testing.assert_array_equal(one, two)


def test_a_policy_that_takes_texts_runs_without_fixed_buffers() -> None:
    from bc_runtime.policy.bound_run import can_bind
    from bc_runtime.spec import PolicySpec

    def spec(*inputs: dict[str, object]) -> PolicySpec:
        return PolicySpec.from_dict(
            {
                'schema_version': 1,
                'name': 'x',
                'family': 'x',
                'control_hz': 10.0,
                'chunk_size': 1,
                'inputs': list(inputs),
                'output': {
                    'name': 'a',
                    'groups': [{'kind': 'joint_position', 'names': ['j'], 'units': ['rad']}],
                },
            }
        )

    state = {'kind': 'state', 'name': 's', 'shape': [1, 1], 'joints': ['j'], 'units': ['rad']}
    assert can_bind(spec(state), CPU)
    assert not can_bind(spec(state, {'kind': 'text', 'name': 't', 'shape': [1]}), CPU)
    assert not can_bind(spec(state), 'OpenVINOExecutionProvider')
