# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The seam of every policy backend: tensors of one observation in, one chunk of actions out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bc_runtime.spec.errors import PolicyError
from bc_runtime.spec.inputs import PrefixInput
from bc_runtime.spec.policy_spec import PolicySpec

Tensors = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prefix:
    """Committed actions that go back to the policy (real-time chunking, Black et al. 2025).

    Row 0 stands for the first action of the chunk to come. Policies without prefix inputs ignore
    it; ask `accepts_prefix`.

    Attributes:
        names: Names of the D action dimensions, in the order of the columns.
        values: (P, D) actions that are still to be executed, physical units, finite.
        delay_steps: The first of them that will be executed before the new chunk can arrive.
        weights: (P,) guidance weight of each row in [0, 1]; None means 1 for the rows inside the
            delay and 0 for the rest.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    delay_steps: int
    weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise PolicyError(
                f'expected prefix values of shape (P, {len(self.names)}), one column per name, '
                f'got {self.values.shape}'
            )
        if not 0 <= self.delay_steps <= len(self.values):
            raise PolicyError(
                f'expected a prefix delay of 0 to {len(self.values)} steps (the rows given), '
                f'got {self.delay_steps}'
            )
        if not np.isfinite(self.values).all():
            raise PolicyError('expected finite prefix values, got NaN or infinity')
        if self.weights is not None and self.weights.shape != (len(self.values),):
            raise PolicyError(
                f'expected prefix weights of shape ({len(self.values)},), one per row, '
                f'got {self.weights.shape}'
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inference:
    """One chunk of actions.

    Attributes:
        values: (chunk_size, D) float32, finite, read-only, physical units.
        inference_ns: Duration of the policy call alone [ns], monotonic clock.
        seed: Seed of the sampling noise of this episode.
        index: Inferences since the last reset, from 0; with `seed` it fixes the noise.
    """

    values: NDArray[np.float32]
    inference_ns: int
    seed: int
    index: int


class Policy(Protocol):
    """A loaded policy.

    One inference at a time; `reset` may come from another thread meanwhile (see `PolicySlot`).
    """

    @property
    def spec(self) -> PolicySpec:
        """The contract of the policy."""

    @property
    def policy_id(self) -> str:
        """Sha256 hex of the model, on every message of this policy."""

    @property
    def backend(self) -> str:
        """What runs it, e.g. `onnxruntime`."""

    @property
    def provider(self) -> str:
        """The execution provider really in use."""

    @property
    def path(self) -> str:
        """Resolved path or address of the model."""

    @property
    def warmup_s(self) -> float:
        """Median duration of the warm-up inferences [s]; NaN if none were run."""

    @property
    def self_test_error(self) -> float:
        """Largest absolute deviation from the stored chunk, in action units; NaN if not tested."""

    def infer(self, tensors: Tensors, *, prefix: Prefix | None = None) -> Inference:
        """Return the chunk for one observation.

        Args:
            tensors: One tensor per observed input, shaped as in the spec. Noise, recurrent and
                prefix inputs are supplied by the policy itself; where `tensors` holds them all the
                same (self-test, replay), those values are used.
            prefix: Committed actions, for policies with prefix inputs.

        Raises:
            PolicyError: InputMismatch, InferenceFailed or NonFiniteOutput.
        """

    def reset(self, *, seed: int | None = None) -> None:
        """Begin an episode.

        The hidden state takes its reset value, the noise comes from `seed` (None: a new seed).
        """


def accepts_prefix(spec: PolicySpec) -> bool:
    """Return whether committed actions change what the policy predicts."""
    return any(isinstance(item, PrefixInput) for item in spec.inputs)
