# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The inputs that a policy makes itself: sampling noise, hidden state, committed actions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.base import Prefix
from bc_runtime.policy.errors import InputMismatch
from bc_runtime.spec.errors import available
from bc_runtime.spec.inputs import NoiseInput, PrefixInput
from bc_runtime.spec.self_test import make_noise


def noise_for(
    items: Sequence[NoiseInput], *, seed: int, index: int
) -> dict[str, NDArray[np.generic]]:
    """Return the noise of inference `index` of an episode.

    Each inference has a stream of its own, so that one chunk can be recomputed from (seed, index)
    without the ones before it.
    """
    if not items:
        return {}
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    return {item.name: make_noise(item, generator) for item in items}


def prefix_tensors(
    items: Sequence[PrefixInput], prefix: Prefix | None, *, action_names: tuple[str, ...]
) -> dict[str, NDArray[np.generic]]:
    """Return the prefix inputs: committed actions, their weights and the delay.

    Columns are put into the policy's order by name. Rows past the committed ones repeat the last
    one; the delay and the weights tell the graph not to look at them. No prefix means delay 0.

    Raises:
        InputMismatch: the prefix has other action names than the policy.
    """
    result: dict[str, NDArray[np.generic]] = {}
    if prefix is None or not len(prefix.values):
        return {item.name: np.zeros(item.shape, dtype=item.dtype) for item in items}
    if set(prefix.names) != set(action_names):
        raise InputMismatch(
            f"expected a prefix of the policy's actions {available(action_names)}, "
            f'got {available(prefix.names)}'
        )
    columns = [prefix.names.index(name) for name in action_names]
    values = prefix.values[:, columns]
    weights = prefix.weights
    if weights is None:
        weights = (np.arange(len(values)) < prefix.delay_steps).astype(np.float32)
    for item in items:
        if item.role == 'delay':
            result[item.name] = np.full(item.shape, prefix.delay_steps, dtype=item.dtype)
            continue
        width = len(action_names) if item.role == 'actions' else 1
        rows = int(np.prod(item.shape)) // width
        used = min(rows, len(values))
        if item.role == 'actions':
            table = np.repeat(values[-1:], rows, axis=0)
            table[:used] = values[:used]
        else:
            table = np.zeros((rows, 1), dtype=np.float32)
            table[:used, 0] = weights[:used]
        result[item.name] = table.reshape(item.shape).astype(item.dtype)
    return result
