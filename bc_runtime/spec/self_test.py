# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded policy inputs for the self-test that is stored with a policy.

Only `Generator.random` of PCG64 is used, so that the same seed gives the same inputs on every
machine and NumPy version that keeps that stream.
"""

from __future__ import annotations

from collections.abc import Mapping
import math

import numpy as np
from numpy.typing import NDArray

from bc_runtime.spec.inputs import (
    ImageInput,
    InstructionInput,
    NoiseInput,
    PrefixInput,
    RecurrentInput,
    StateInput,
)
from bc_runtime.spec.policy_spec import PolicySpec, TrainingRange


def make_inputs(spec: PolicySpec, seed: int) -> dict[str, NDArray[np.generic]]:
    """Return one seeded tensor per input of `spec`, shaped as the graph wants them.

    States are uniform inside the training range (or [-1, 1] where none is known), pictures are
    random pixels, the instruction is one of the table, noise is Gaussian (Box-Muller), the hidden
    state is at its reset value, and a prefix is empty (delay 0).
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    result: dict[str, NDArray[np.generic]] = {}
    for item in spec.inputs:
        if isinstance(item, ImageInput):
            unit = generator.random(item.shape)
            low, high = item.value_range
            if item.dtype == 'float32':
                result[item.name] = (low + unit * (high - low)).astype(np.float32)
            else:
                result[item.name] = np.floor(unit * 256.0).astype(item.dtype)
        elif isinstance(item, InstructionInput):
            result[item.name] = _instruction(item, generator)
        elif isinstance(item, NoiseInput):
            result[item.name] = make_noise(item, generator)
        elif isinstance(item, RecurrentInput):
            result[item.name] = np.full(item.shape, item.reset_value, dtype=item.dtype)
        elif isinstance(item, PrefixInput):
            result[item.name] = np.zeros(item.shape, dtype=item.dtype)
        else:
            names = item.joints if isinstance(item, StateInput) else item.names
            low_high = np.array([_range(spec.training_ranges, name) for name in names])
            unit = generator.random(item.shape)
            values = low_high[:, 0] + unit * (low_high[:, 1] - low_high[:, 0])
            result[item.name] = values.astype(np.float32)
    return result


def make_noise(item: NoiseInput, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return sampling noise of the input's distribution, made from uniform numbers only."""
    if item.distribution == 'uniform':
        return generator.random(item.shape).astype(np.float32)
    first = 1.0 - generator.random(item.shape)
    if item.distribution == 'exponential':
        return (-np.log(first)).astype(np.float32)
    second = generator.random(item.shape)
    normal = np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * math.pi * second)
    return normal.astype(np.float32)


def _instruction(item: InstructionInput, generator: np.random.Generator) -> NDArray[np.generic]:
    pick = generator.random()
    if not item.table:
        return np.full(item.shape, 'self-test', dtype=object)
    words = sorted(item.table)[int(pick * len(item.table))]
    return np.asarray(item.table[words]).reshape(item.shape).astype(item.dtype)


def _range(ranges: Mapping[str, TrainingRange], name: str) -> tuple[float, float]:
    found = ranges.get(f'state.{name}')
    if found is None:
        return (-1.0, 1.0)
    return (found.minimum, found.maximum)
