# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Prove a loaded policy before it may act: stored self-test, then warm-up runs."""

from __future__ import annotations

from dataclasses import dataclass
import math
import statistics
import time

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.base import Policy
from bc_runtime.policy.errors import SelfTestFailed
from bc_runtime.spec.self_test import make_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """Durations of the policy call in warm-up runs [ns], in order."""

    durations_ns: tuple[int, ...]

    @property
    def median_s(self) -> float:
        """Median duration [s]."""
        return statistics.median(self.durations_ns) / 1e9


def run_seeded(policy: Policy, seed: int) -> NDArray[np.float32]:
    """Return the chunk (chunk_size, D) for the seeded inputs of the policy's spec.

    The inputs include noise, hidden state and an empty prefix, so that nothing depends on what ran
    before; the episode state is reset afterwards.
    """
    policy.reset(seed=seed)
    values = policy.infer(make_inputs(policy.spec, seed)).values
    policy.reset()
    return values


def run_self_test(policy: Policy) -> float:
    """Run the self-test that the spec stores.

    Returns:
        Largest absolute deviation, in action units; NaN where the spec stores no self-test.

    Raises:
        SelfTestFailed: the deviation is larger than the stored tolerance.
    """
    spec = policy.spec
    test = spec.self_test
    if test is None:
        return math.nan
    expected = np.asarray(test.expected).reshape(spec.chunk_size, spec.action_dim)
    got = run_seeded(policy, test.seed)
    deviation = np.abs(got - expected)
    largest = float(deviation.max())
    if largest > test.tolerance:
        step, column = (int(i) for i in np.unravel_index(deviation.argmax(), deviation.shape))
        name, unit = spec.action_names[column], spec.action_units[column]
        raise SelfTestFailed(
            f'{policy.path}: the self-test failed on {policy.provider}: expected '
            f'{name!r} at step {step} = {expected[step, column]:.6g} {unit}, got '
            f'{got[step, column]:.6g} (off by {largest:.3g}, tolerance {test.tolerance:.3g}). '
            'The file is damaged or its weights were changed, or this provider computes '
            'something else; export it again or choose another provider',
            deviation=largest,
            tolerance=test.tolerance,
        )
    return largest


def warm_up(policy: Policy, *, runs: int, seed: int = 0, budget_s: float = math.inf) -> WarmUp:
    """Run seeded inferences, so that the first real one is as fast as the rest.

    Args:
        policy: Loaded policy; its episode state is reset.
        runs: Inferences to run.
        seed: Seed of the input.
        budget_s: No further run is begun after this time [s]; at least one is run.
    """
    inputs = make_inputs(policy.spec, seed)
    policy.reset(seed=seed)
    end = time.monotonic() + budget_s
    durations: list[int] = []
    while len(durations) < max(1, runs) and (not durations or time.monotonic() < end):
        durations.append(policy.infer(inputs).inference_ns)
    policy.reset()
    return WarmUp(durations_ns=tuple(durations))
