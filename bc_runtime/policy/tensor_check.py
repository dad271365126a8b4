# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What goes into a policy and what comes out of it are what the spec says, in every backend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.base import Tensors
from bc_runtime.policy.errors import InferenceFailed, InputMismatch, NonFiniteOutput
from bc_runtime.spec.errors import available
from bc_runtime.spec.inputs import NoiseInput, PrefixInput, RecurrentInput
from bc_runtime.spec.policy_spec import PolicySpec


class TensorCheck:
    """Compares tensors with a spec.

    Args:
        spec: The contract.
        source: File or address, for messages.
    """

    def __init__(self, spec: PolicySpec, *, source: str) -> None:
        self._source = source
        self._output = spec.output
        self._names = spec.action_names
        self._wanted = {item.name: (item.dtype, item.shape) for item in spec.inputs}
        self._observed = tuple(
            item.name
            for item in spec.inputs
            if not isinstance(item, NoiseInput | PrefixInput | RecurrentInput)
        )
        self._chunk_shape = (1, spec.chunk_size, spec.action_dim)

    def inputs(self, tensors: Tensors) -> None:
        """Refuse tensors that are missing, unknown, or of another type or shape.

        Raises:
            InputMismatch: names the first of them.
        """
        for name, tensor in tensors.items():
            wanted = self._wanted.get(name)
            if wanted is None:
                raise InputMismatch(
                    f'{self._source}: the policy has no input {name!r}; its inputs: '
                    f'{available(self._wanted)}'
                )
            dtype, shape = wanted
            kind = 'utf8' if tensor.dtype.kind in 'OU' else tensor.dtype.name
            if tensor.shape != shape or kind != dtype:
                raise InputMismatch(
                    f'{self._source}: input {name!r}: expected {dtype} {list(shape)}, '
                    f'got {kind} {list(tensor.shape)}'
                )
        missing = [name for name in self._observed if name not in tensors]
        if missing:
            raise InputMismatch(
                f"{self._source}: the policy's input{'s' if len(missing) > 1 else ''} "
                f'{available(missing)} did not come; got {available(tensors)}'
            )

    def chunk(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values (chunk_size, D), read-only, of an output (1, chunk_size, D).

        Raises:
            InferenceFailed: the output has another shape.
            NonFiniteOutput: it holds NaN or infinity.
        """
        if chunk.shape != self._chunk_shape:
            raise InferenceFailed(
                f'{self._source}: expected an output {self._output!r} of shape '
                f'{list(self._chunk_shape)} (1, chunk_size, actions), got {list(chunk.shape)}'
            )
        values: NDArray[np.float32] = chunk[0]
        finite = np.isfinite(values)
        if not finite.all():
            step, column = (int(i) for i in np.argwhere(~finite)[0])
            raise NonFiniteOutput(
                f'{self._source}: {int((~finite).sum())} of {values.size} predicted values are '
                f'not finite, the first one is {values[step, column]} for {self._names[column]!r} '
                f'at step {step}; the chunk is refused'
            )
        values.flags.writeable = False
        return values
