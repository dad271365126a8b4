# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A policy that ONNX Runtime runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.base import Tensors
from bc_runtime.policy.bound_run import BoundRun, can_bind
from bc_runtime.policy.graph_policy import GraphPolicy
from bc_runtime.policy.onnx_file import OnnxFile
from bc_runtime.policy.onnx_session import CPU, graph_inputs, graph_outputs
from bc_runtime.policy.signature import check_signature, spec_inputs, spec_outputs
from bc_runtime.spec.policy_spec import PolicySpec


class OnnxPolicy(GraphPolicy):
    """One ONNX Runtime session and its episode state.

    Args:
        session: From `create_session`.
        spec: The contract; compared with the graph here.
        file: The model.
        bind: Run on fixed buffers; None: where it saves time, which is not the CPU.

    Raises:
        SpecMismatch: spec and graph differ.
    """

    backend = 'onnxruntime'

    def __init__(
        self, *, session: Any, spec: PolicySpec, file: OnnxFile, bind: bool | None = None
    ) -> None:
        check_signature(spec, graph_inputs(session), graph_outputs(session), source=str(file.path))
        super().__init__(
            spec=spec,
            path=str(file.path),
            policy_id=file.sha256,
            provider=str(session.get_providers()[0]),
        )
        self.file = file
        self._session = session
        wish = self.provider != CPU if bind is None else bind
        self._bound = (
            BoundRun(session, spec_inputs(spec), spec_outputs(spec), self.provider)
            if wish and can_bind(spec, self.provider)
            else None
        )

    def _run(self, feeds: Tensors) -> list[NDArray[np.generic]]:
        if self._bound is not None:
            return self._bound.run(feeds)
        outputs: list[NDArray[np.generic]] = self._session.run(self._outputs, feeds)
        return outputs
