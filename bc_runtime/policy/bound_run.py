# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Run a session on buffers that stay where they are.

On a GPU this is one copy in and one small copy out per inference, and the fixed addresses are what
CUDA graphs need. On a CPU a plain `run` reads the caller's memory without any copy, which is as
fast (benchmarks/bench_policy.py), so it is only used there when asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
import importlib
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.signature import TensorInfo
from bc_runtime.spec.policy_spec import PolicySpec

#: Provider -> device of its buffers.
DEVICES = {
    'CPUExecutionProvider': 'cpu',
    'CUDAExecutionProvider': 'cuda',
    'TensorrtExecutionProvider': 'cuda',
}


def can_bind(spec: PolicySpec, provider: str) -> bool:
    """Say whether a policy's inputs can lie in fixed buffers; texts cannot."""
    return provider in DEVICES and all(item.dtype != 'utf8' for item in spec.inputs)


class BoundRun:
    """A session with its input and output buffers.

    Args:
        session: ONNX Runtime session; its shapes are those given here.
        inputs: Of the graph.
        outputs: In the order of `run`.
        provider: The execution provider in use.
        kept: Outputs that stay on the device, in `values`; `run` does not give them.
        given: Inputs that another run keeps on the device; `run` does not take them.

    Attributes:
        values: Name -> buffer of the outputs `kept`.
    """

    def __init__(
        self,
        session: Any,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        provider: str,
        *,
        kept: Collection[str] = (),
        given: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        ort = importlib.import_module('onnxruntime')
        device = DEVICES[provider]

        def empty(info: TensorInfo) -> Any:
            kind = np.dtype(info.dtype).type
            return ort.OrtValue.ortvalue_from_shape_and_type(_sizes(info), kind, device, 0)

        self._session = session
        self._binding = session.io_binding()
        self._inputs = {}
        for info in inputs:
            value = given[info.name] if info.name in given else empty(info)
            self._binding.bind_ortvalue_input(info.name, value)
            if info.name not in given:
                self._inputs[info.name] = value
        self.values: dict[str, Any] = {}
        self._outputs: list[tuple[Any, NDArray[np.generic]]] = []
        for info in outputs:
            if info.name in kept:
                value = self.values[info.name] = empty(info)
            else:
                buffer = np.zeros(_sizes(info), dtype=info.dtype)
                value = ort.OrtValue.ortvalue_from_numpy(buffer, 'cpu', 0)
                self._outputs.append((value, buffer))
            self._binding.bind_ortvalue_output(info.name, value)

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Return the outputs, as copies that later runs leave alone."""
        for name, tensor in feeds.items():
            self._inputs[name].update_inplace(np.ascontiguousarray(tensor))
        self._session.run_with_iobinding(self._binding)
        return [np.array(value.numpy()) for value, _ in self._outputs]


def _sizes(info: TensorInfo) -> list[int]:
    return [int(dim or 0) for dim in info.shape]
