# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What every backend that runs a graph here has in common: own inputs, episode state, checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
import math
import secrets
import time

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.base import Inference, Prefix, Tensors
from bc_runtime.policy.errors import InferenceFailed, NonFiniteOutput
from bc_runtime.policy.own_inputs import noise_for, prefix_tensors
from bc_runtime.policy.tensor_check import TensorCheck
from bc_runtime.spec.errors import PolicyError
from bc_runtime.spec.inputs import NoiseInput, PrefixInput, RecurrentInput
from bc_runtime.spec.policy_spec import PolicySpec


@dataclass(slots=True)
class _Episode:
    seed: int
    hidden: dict[str, NDArray[np.generic]]
    count: int = field(default=0)


class GraphPolicy(ABC):
    """A graph and its episode state.

    Args:
        spec: The contract.
        path: The model's file.
        policy_id: Sha256 hex of the file.
        provider: What executes it.
    """

    backend = ''

    def __init__(self, *, spec: PolicySpec, path: str, policy_id: str, provider: str) -> None:
        self.spec = spec
        self.path = path
        self.policy_id = policy_id
        self.provider = provider
        self.warmup_s = math.nan
        self.self_test_error = math.nan
        self._noise = tuple(i for i in spec.inputs if isinstance(i, NoiseInput))
        self._prefix = tuple(i for i in spec.inputs if isinstance(i, PrefixInput))
        self._recurrent = tuple(i for i in spec.inputs if isinstance(i, RecurrentInput))
        self._outputs = [spec.output, *(item.output for item in self._recurrent)]
        self._names = spec.action_names
        self._check = TensorCheck(spec, source=path)
        self._feeds: dict[str, NDArray[np.generic]] = {}
        self._episode = self._begin(None)

    @abstractmethod
    def _run(self, feeds: Tensors) -> list[NDArray[np.generic]]:
        """Return the chunk (1, chunk_size, D), then the hidden states in the inputs' order."""

    def reset(self, *, seed: int | None = None) -> None:
        """Begin an episode; see `Policy.reset`."""
        # A new object, so that an inference that is running cannot carry its state over.
        self._episode = self._begin(seed)

    def _begin(self, seed: int | None) -> _Episode:
        return _Episode(
            seed=secrets.randbits(32) if seed is None else seed,
            hidden={
                item.name: np.full(item.shape, item.reset_value, dtype=item.dtype)
                for item in self._recurrent
            },
        )

    def infer(self, tensors: Tensors, *, prefix: Prefix | None = None) -> Inference:
        """Return the chunk for one observation; see `Policy.infer`.

        Raises:
            InputMismatch: a tensor is missing, unknown, or of another type or shape.
            InferenceFailed: the backend raised, or the chunk has another shape.
            NonFiniteOutput: the chunk or the hidden state is not finite; the hidden state stays.
        """
        episode = self._episode
        index = episode.count
        episode.count += 1
        feeds = self._feeds
        if self._noise:
            feeds.update(noise_for(self._noise, seed=episode.seed, index=index))
        if self._prefix:
            feeds.update(prefix_tensors(self._prefix, prefix, action_names=self._names))
        feeds.update(episode.hidden)
        self._check.inputs(tensors)
        feeds.update(tensors)
        start = time.perf_counter_ns()
        try:
            outputs = self._run(feeds)
        except PolicyError:
            raise
        # Backends raise what they like: those of onnxruntime derive from Exception directly.
        except Exception as error:  # noqa: BLE001
            text = ' '.join(str(error).split())
            raise InferenceFailed(
                f'{self.path}: {self.provider} failed: {text}{_hint(text)}'
            ) from None
        elapsed = time.perf_counter_ns() - start
        values = self._check.chunk(np.asarray(outputs[0], dtype=np.float32))
        hidden = dict(zip((item.name for item in self._recurrent), outputs[1:], strict=True))
        for name, state in hidden.items():
            if not np.isfinite(state).all():
                raise NonFiniteOutput(
                    f'{self.path}: the hidden state {name!r} became NaN or infinite in '
                    f'inference {index} since the reset; the last finite one is kept'
                )
        episode.hidden = hidden
        return Inference(values=values, inference_ns=elapsed, seed=episode.seed, index=index)


def _hint(text: str) -> str:
    if 'out of memory' not in text.lower() and 'failed to allocate' not in text.lower():
        return ''
    return (
        '. The device has no memory left: close what else uses it, load a smaller policy '
        '(bc optimize --form fp16), or limit it with the provider option gpu_mem_limit'
    )
