# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One inference: what goes in, what the policy adds itself, what may come out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bc_runtime.policy import (
    InferenceFailed,
    InputMismatch,
    NonFiniteOutput,
    Prefix,
    accepts_prefix,
    load_policy,
)
from bc_runtime.policy.onnx_session import default_threads
from bc_runtime.spec.errors import PolicyError

Build = Callable[..., Path]


def test_noise_repeats_bit_for_bit_with_the_seed(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(noise=True, seed=1))
    policy.reset(seed=42)
    first = [policy.infer({'state': state}).values for _ in range(3)]
    policy.reset(seed=42)
    again = [policy.infer({'state': state}).values for _ in range(3)]
    policy.reset(seed=43)
    other = policy.infer({'state': state}).values
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other)


def test_one_chunk_can_be_recomputed_from_its_seed_and_index(
    build: Build, state: np.ndarray
) -> None:
    from bc_runtime.policy.own_inputs import noise_for

    policy = load_policy(build(noise=True, seed=1))
    policy.reset(seed=9)
    third = [policy.infer({'state': state}) for _ in range(3)][2]
    noise = noise_for([policy.spec.inputs[1]], seed=third.seed, index=third.index)
    alone = policy.infer({'state': state, **noise})
    np.testing.assert_array_equal(third.values, alone.values)


def test_a_reset_without_a_seed_takes_a_new_one_and_says_which(
    build: Build, state: np.ndarray
) -> None:
    policy = load_policy(build(noise=True, seed=1))
    seeds = set()
    for _ in range(4):
        policy.reset()
        seeds.add(policy.infer({'state': state}).seed)
    assert len(seeds) > 1
    policy.reset(seed=next(iter(seeds)))
    assert policy.infer({'state': state}).seed == next(iter(seeds))


def test_noise_is_standard_normal(build: Build) -> None:
    from bc_runtime.policy.own_inputs import noise_for

    policy = load_policy(build(noise=True, seed=1))
    item = policy.spec.inputs[1]
    draws = np.array([noise_for([item], seed=0, index=i)['noise'] for i in range(2000)])
    assert abs(draws.mean()) < 0.03
    assert abs(draws.std() - 1.0) < 0.03


def test_the_hidden_state_is_fed_back_and_reset(
    build: Build, state: np.ndarray, expected: np.ndarray
) -> None:
    policy = load_policy(build(recurrent=True, seed=1))
    mean = float(state.mean())
    for _ in range(2):
        for step in range(4):
            memory = 2 * (0.5 + step * mean)  # two hidden units, 0.5 at reset
            values = policy.infer({'state': state}).values
            np.testing.assert_allclose(values, expected + memory, atol=1e-5)
        policy.reset()


def test_a_reset_during_an_inference_is_not_undone_by_it(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(recurrent=True, seed=1))
    first = policy.infer({'state': state}).values
    policy.reset()
    session = policy._session  # type: ignore[attr-defined]

    class ResetMeanwhile:
        def run(self, *args: Any) -> Any:
            policy.reset()
            return session.run(*args)

    policy._session = ResetMeanwhile()  # type: ignore[attr-defined]
    policy.infer({'state': state})
    policy._session = session  # type: ignore[attr-defined]
    np.testing.assert_array_equal(policy.infer({'state': state}).values, first)


def test_a_hidden_state_that_is_not_finite_is_not_kept(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(recurrent=True, seed=1))
    first = policy.infer({'state': state}).values
    policy.reset()
    broken = np.full((1, 2), np.inf, dtype=np.float32)
    with pytest.raises(NonFiniteOutput):
        policy.infer({'state': state, 'hidden': broken})
    np.testing.assert_array_equal(policy.infer({'state': state}).values, first)


def test_not_finite_observations_are_refused_by_their_result(
    build: Build, state: np.ndarray, expected: np.ndarray
) -> None:
    policy = load_policy(build(seed=1))
    with pytest.raises(NonFiniteOutput, match='12 of 12 predicted values are not finite'):
        policy.infer({'state': np.full((1, 3), np.nan, dtype=np.float32)})
    np.testing.assert_allclose(policy.infer({'state': state}).values, expected, atol=1e-6)


@pytest.mark.parametrize(
    ('tensors', 'words'),
    [
        ({}, r'input state did not come; got \(none\)'),
        (
            {'state': np.zeros((1, 4), np.float32)},
            r'expected float32 \[1, 3\], got float32 \[1, 4\]',
        ),
        ({'state': np.zeros((3,), np.float32)}, r'expected float32 \[1, 3\], got float32 \[3\]'),
        ({'state': np.zeros((1, 3))}, r'expected float32 \[1, 3\], got float64 \[1, 3\]'),
        ({'states': np.zeros((1, 3), np.float32)}, r"no input 'states'; its inputs: state"),
    ],
)
def test_other_tensors_than_the_spec_s(build: Build, tensors: Any, words: str) -> None:
    policy = load_policy(build(seed=1))
    with pytest.raises(InputMismatch, match=words):
        policy.infer(tensors)


def test_an_image_goes_in_as_it_is(build: Build, state: np.ndarray, expected: np.ndarray) -> None:
    policy = load_policy(build(image=True, seed=1))
    image = np.full((1, 6, 8, 3), 17, dtype=np.uint8)
    values = policy.infer({'state': state, 'front': image}).values
    np.testing.assert_allclose(values, expected + 17.0, atol=1e-4)


def test_chunks_are_not_overwritten_by_later_ones(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(seed=1))
    first = policy.infer({'state': state}).values
    kept = first.copy()
    policy.infer({'state': state * 2})
    np.testing.assert_array_equal(first, kept)


def test_a_failing_backend_is_translated(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(seed=1))

    class Broken:
        def run(self, *args: Any) -> Any:
            raise RuntimeError('CUDA failure 2: out of memory\n at line 7')

    policy._session = Broken()  # type: ignore[attr-defined]
    with pytest.raises(InferenceFailed, match=r'out of memory at line 7.*no memory left'):
        policy.infer({'state': state})


def committed(rows: int = 3, delay: int = 2, **changes: Any) -> Prefix:
    values = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    given = {'names': ('shoulder', 'elbow', 'gripper'), 'values': values, 'delay_steps': delay}
    return Prefix(**{**given, **changes})


def test_a_prefix_reaches_the_graph(build: Build, state: np.ndarray, expected: np.ndarray) -> None:
    policy = load_policy(build(prefix=True, seed=1))
    assert accepts_prefix(policy.spec)
    guided = np.zeros((4, 3), dtype=np.float32)
    guided[:2] = committed().values[:2]  # rows inside the delay have weight 1, the others 0
    values = policy.infer({'state': state}, prefix=committed()).values
    np.testing.assert_allclose(values, expected + guided + 2.0, atol=1e-5)
    np.testing.assert_allclose(policy.infer({'state': state}).values, expected, atol=1e-5)


def test_a_prefix_may_weigh_its_rows(
    build: Build, state: np.ndarray, expected: np.ndarray
) -> None:
    policy = load_policy(build(prefix=True, seed=1))
    weights = np.array([1.0, 0.5, 0.25], dtype=np.float32)
    prefix = committed(weights=weights)
    guided = np.zeros((4, 3), dtype=np.float32)
    guided[:3] = prefix.values * weights[:, None]
    values = policy.infer({'state': state}, prefix=prefix).values
    np.testing.assert_allclose(values, expected + guided + 2.0, atol=1e-5)


def test_a_prefix_is_put_into_the_policy_s_order(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(prefix=True, seed=1))
    straight = policy.infer({'state': state}, prefix=committed()).values
    turned = committed(
        names=('gripper', 'shoulder', 'elbow'), values=committed().values[:, [2, 0, 1]]
    )
    np.testing.assert_array_equal(policy.infer({'state': state}, prefix=turned).values, straight)


def test_a_longer_prefix_than_the_graph_takes_is_cut(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(prefix=True, seed=1))
    long = policy.infer({'state': state}, prefix=committed(rows=9)).values
    short = policy.infer({'state': state}, prefix=committed(rows=4)).values
    np.testing.assert_array_equal(long, short)


def test_a_prefix_of_other_actions_is_refused(build: Build, state: np.ndarray) -> None:
    policy = load_policy(build(prefix=True, seed=1))
    with pytest.raises(InputMismatch, match='got elbow, gripper, wrist'):
        policy.infer({'state': state}, prefix=committed(names=('wrist', 'elbow', 'gripper')))


def test_a_policy_without_prefix_inputs_ignores_one(
    build: Build, state: np.ndarray, expected: np.ndarray
) -> None:
    policy = load_policy(build(seed=1))
    assert not accepts_prefix(policy.spec)
    values = policy.infer({'state': state}, prefix=committed()).values
    np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'values': np.zeros((2, 4), np.float32)}, r'shape \(P, 3\).*got \(2, 4\)'),
        ({'delay_steps': 4}, 'delay of 0 to 3 steps'),
        ({'delay_steps': -1}, 'delay of 0 to 3 steps'),
        ({'values': np.full((3, 3), np.nan, np.float32)}, 'finite prefix values'),
        ({'weights': np.ones(2, np.float32)}, r'weights of shape \(3,\)'),
    ],
)
def test_an_impossible_prefix_is_refused(changes: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        committed(**changes)


def test_threads_and_spinning_are_set_as_measured(build: Build) -> None:
    options = load_policy(build(seed=1), threads=3)._session.get_session_options()  # type: ignore[attr-defined]
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry('session.intra_op.allow_spinning') == '0'
    options = load_policy(build(seed=1))._session.get_session_options()  # type: ignore[attr-defined]
    assert options.intra_op_num_threads == default_threads() >= 1
