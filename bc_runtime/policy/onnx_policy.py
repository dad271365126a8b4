# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A policy that ONNX Runtime runs."""

from __future__ import annotations

from dataclasses import dataclass, field
import math
import secrets
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.base import Inference, Prefix, Tensors
from bc_runtime.policy.errors import InferenceFailed, InputMismatch, NonFiniteOutput
from bc_runtime.policy.onnx_file import OnnxFile
from bc_runtime.policy.onnx_session import graph_inputs, graph_outputs
from bc_runtime.policy.own_inputs import noise_for, prefix_tensors
from bc_runtime.policy.signature import check_signature
from bc_runtime.spec.errors import available
from bc_runtime.spec.inputs import NoiseInput, PrefixInput, RecurrentInput
from bc_runtime.spec.policy_spec import PolicySpec


@dataclass(slots=True)
class _Episode:
    seed: int
    hidden: dict[str, NDArray[np.generic]]
    count: int = field(default=0)


class OnnxPolicy:
    """One ONNX Runtime session and its episode state.

    Args:
        session: From `create_session`.
        spec: The contract; compared with the graph here.
        file: The model.

    Raises:
        SpecMismatch: spec and graph differ.
    """

    backend = 'onnxruntime'

    def __init__(self, *, session: Any, spec: PolicySpec, file: OnnxFile) -> None:
        check_signature(spec, graph_inputs(session), graph_outputs(session), source=str(file.path))
        self.spec = spec
        self.file = file
        self.policy_id = file.sha256
        self.provider = str(session.get_providers()[0])
        self.path = str(file.path)
        self.warmup_s = math.nan
        self.self_test_error = math.nan
        self._session = session
        self._noise = tuple(i for i in spec.inputs if isinstance(i, NoiseInput))
        self._prefix = tuple(i for i in spec.inputs if isinstance(i, PrefixInput))
        self._recurrent = tuple(i for i in spec.inputs if isinstance(i, RecurrentInput))
        self._observed = tuple(
            item.name
            for item in spec.inputs
            if not isinstance(item, (NoiseInput, PrefixInput, RecurrentInput))
        )
        self._wanted = {item.name: (item.dtype, item.shape) for item in spec.inputs}
        self._outputs = [spec.output, *(item.output for item in self._recurrent)]
        self._chunk_shape = (1, spec.chunk_size, spec.action_dim)
        self._names = spec.action_names
        self._feeds: dict[str, NDArray[np.generic]] = {}
        self._episode = self._begin(None)

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
            InferenceFailed: ONNX Runtime raised, or the chunk has another shape.
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
        self._take(tensors)
        start = time.perf_counter_ns()
        try:
            outputs = self._session.run(self._outputs, feeds)
        # Every exception of onnxruntime derives from Exception directly.
        except Exception as error:  # noqa: BLE001
            text = ' '.join(str(error).split())
            raise InferenceFailed(f'{self.file.path}: {self.provider} failed: {text}') from None
        elapsed = time.perf_counter_ns() - start
        values = self._check(outputs[0])
        hidden = dict(zip((item.name for item in self._recurrent), outputs[1:], strict=True))
        for name, state in hidden.items():
            if not np.isfinite(state).all():
                raise NonFiniteOutput(
                    f'{self.file.path}: the hidden state {name!r} became NaN or infinite in '
                    f'inference {index} since the reset; the last finite one is kept'
                )
        episode.hidden = hidden
        return Inference(values=values, inference_ns=elapsed, seed=episode.seed, index=index)

    def _take(self, tensors: Tensors) -> None:
        feeds = self._feeds
        for name, tensor in tensors.items():
            wanted = self._wanted.get(name)
            if wanted is None:
                raise InputMismatch(
                    f'{self.file.path}: the policy has no input {name!r}; its inputs: '
                    f'{available(self._wanted)}'
                )
            dtype, shape = wanted
            kind = 'utf8' if tensor.dtype.kind in 'OU' else tensor.dtype.name
            if tensor.shape != shape or kind != dtype:
                raise InputMismatch(
                    f'{self.file.path}: input {name!r}: expected {dtype} {list(shape)}, '
                    f'got {kind} {list(tensor.shape)}'
                )
            feeds[name] = tensor
        missing = [name for name in self._observed if name not in tensors]
        if missing:
            raise InputMismatch(
                f"{self.file.path}: the policy's input{'s' if len(missing) > 1 else ''} "
                f'{available(missing)} did not come; got {available(tensors)}'
            )

    def _check(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        if chunk.shape != self._chunk_shape:
            raise InferenceFailed(
                f'{self.file.path}: expected an output {self.spec.output!r} of shape '
                f'{list(self._chunk_shape)} (1, chunk_size, actions), got {list(chunk.shape)}'
            )
        values: NDArray[np.float32] = chunk[0]
        finite = np.isfinite(values)
        if not finite.all():
            step, column = (int(i) for i in np.argwhere(~finite)[0])
            raise NonFiniteOutput(
                f'{self.file.path}: {int((~finite).sum())} of {values.size} predicted values are '
                f'not finite, the first one is {values[step, column]} for {self._names[column]!r} '
                f'at step {step}; the chunk is refused'
            )
        values.flags.writeable = False
        return values
