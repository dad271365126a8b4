# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The inference loop goes on whatever a policy or a message does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from bc_runtime.inference_loop import InferenceLoop, PolicyInputs
from bc_runtime.policy import InferenceFailed, PolicySlot
from bc_runtime.policy.base import Inference
from bc_runtime.spec import BcError, PolicySpec

S = 1_000_000_000
SPEC = {
    'schema_version': 1,
    'name': 'tiny',
    'family': 'mlp',
    'control_hz': 10.0,
    'chunk_size': 4,
    'inputs': [
        {'kind': 'state', 'name': 'state', 'shape': [1, 1], 'joints': ['a'], 'units': ['rad']}
    ],
    'output': {
        'name': 'action',
        'groups': [
            {
                'kind': 'joint_position',
                'names': ['a'],
                'units': ['rad'],
                'reference': 'observation_state',
            }
        ],
    },
}


class Fake:
    """Stands where a session would."""

    spec = PolicySpec.from_dict(SPEC)
    policy_id, backend, provider, path = 'a' * 64, 'onnx', 'CPU', '/none'
    warmup_s, self_test_error = 0.0, 0.0

    def __init__(self) -> None:
        self.raises: Exception | None = None

    def reset(self, *, seed: int | None = None) -> None:
        """Begin an episode."""

    def infer(self, tensors: Mapping[str, Any], *, prefix: object = None) -> Inference:
        """Give a chunk, or raise."""
        if self.raises is not None:
            raise self.raises
        return Inference(values=np.zeros((4, 1), np.float32), inference_ns=1, index=0, seed=0)


@pytest.fixture
def policy() -> Fake:
    return Fake()


@pytest.fixture
def loop(policy: Fake) -> InferenceLoop:
    slot = PolicySlot()
    slot.load(lambda: policy, requested='tiny')  # type: ignore[arg-type, return-value]
    slot.wait(5.0)
    loop = InferenceLoop(slot)
    loop.on_execution_state(epoch=1, accepting=True, remaining_s=0.0)
    return loop


def take(loop: InferenceLoop, stamp_ns: int, anchor: dict[str, float]) -> PolicyInputs:
    loop.on_observation(
        PolicyInputs(
            stamp_ns=stamp_ns,
            sequence=stamp_ns,
            epoch=1,
            policy_id='a' * 64,
            tensors={'state': np.zeros((1, 1), np.float32)},
            anchor=anchor,
        )
    )
    inputs = loop.take(now_ns=stamp_ns)
    assert inputs is not None, 'the trigger still waits for the chunk before'
    return inputs


@pytest.mark.parametrize(
    'error', [ValueError('cannot reshape'), MemoryError(), RuntimeError('of the session')]
)
def test_what_a_policy_raises_is_a_failed_inference_and_the_next_one_is_asked_for(
    policy: Fake, loop: InferenceLoop, error: Exception
) -> None:
    policy.raises = error
    with pytest.raises(InferenceFailed, match=type(error).__name__):
        loop.infer(take(loop, S, {'a': 0.0}))
    policy.raises = None
    assert loop.infer(take(loop, 2 * S, {'a': 0.0})).chunk.sequence == 1


@pytest.mark.parametrize('anchor', [{}, {'a': float('nan')}])
def test_an_observation_without_a_place_for_relative_actions_costs_one_chunk(
    loop: InferenceLoop, anchor: dict[str, float]
) -> None:
    with pytest.raises(BcError, match='anchor'):
        loop.infer(take(loop, S, anchor))
    assert loop.infer(take(loop, 2 * S, {'a': 0.0})).chunk.anchor == {'a': 0.0}
