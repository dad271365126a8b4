# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A policy of two graphs: the encoder once per inference, the step network once per step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.base import Tensors
from bc_runtime.policy.beside import file_beside
from bc_runtime.policy.bound_run import BoundRun, can_bind
from bc_runtime.policy.errors import ModelFileError
from bc_runtime.policy.graph_policy import GraphPolicy
from bc_runtime.policy.onnx_file import OnnxFile, read_onnx_file
from bc_runtime.policy.onnx_session import CPU, graph_inputs, graph_outputs
from bc_runtime.policy.sampler import Floats, Sampler
from bc_runtime.policy.signature import TensorInfo, check_tensors, spec_inputs
from bc_runtime.spec.inputs import NoiseInput
from bc_runtime.spec.policy_spec import PolicySpec
from bc_runtime.spec.sampling import (
    GAIN,
    NOISE,
    OFFSET,
    PREDICTION,
    SAMPLE,
    STEP_NOISE,
    TIME,
    Sampling,
)


def read_step_file(file: OnnxFile, sampling: Sampling) -> OnnxFile:
    """Look into the step network's file beside a policy, and compare it with the spec.

    Raises:
        ModelFileError: it is missing, a link, no ONNX file, or not the one of the export.
    """
    path = file.path.parent / sampling.step_file
    file_beside(file.path, sampling.step_file, 'second graph')
    step = read_onnx_file(path)
    if step.sha256 != sampling.step_sha256:
        raise ModelFileError(
            f'{path}: not the second graph that {file.path.name} was exported with: expected '
            f'sha256 {sampling.step_sha256}, got {step.sha256}. It was changed, damaged or is of '
            'another export; copy both files of one export, or export the policy again'
        )
    return step


class TwoGraphPolicy(GraphPolicy):
    """Two ONNX Runtime sessions, the loop between them, and the episode state.

    Args:
        encoder: Session of the policy's own file.
        step: Session of the step network.
        spec: The contract, with `sampling`; compared with both graphs here.
        file: The policy.
        step_file: The step network.
        bind: Run on fixed buffers, the conditioning staying on the device; None: where it saves
            time, which is not the CPU.

    Raises:
        SpecMismatch: spec and graphs differ.
    """

    backend = 'onnxruntime'

    def __init__(
        self,
        *,
        encoder: Any,
        step: Any,
        spec: PolicySpec,
        file: OnnxFile,
        step_file: OnnxFile,
        bind: bool | None = None,
    ) -> None:
        sampling = spec.sampling
        if sampling is None:
            raise ModelFileError(f'{file.path}: expected a spec with the section sampling')
        tensors = _Tensors(spec, sampling)
        for session, inputs, outputs, path in (
            (encoder, tensors.observed, tensors.encoded, file.path),
            (step, tensors.asked, tensors.said, step_file.path),
        ):
            check_tensors(
                inputs, outputs, graph_inputs(session), graph_outputs(session), source=str(path)
            )
        super().__init__(
            spec=spec,
            path=str(file.path),
            policy_id=file.sha256,
            provider=str(encoder.get_providers()[0]),
        )
        self.file = file
        self.step_file = step_file
        self._encoder = encoder
        self._step = step
        self._sampler = Sampler(sampling, spec.action_names, source=str(step_file.path))
        rows = slice(sampling.first_row, sampling.first_row + spec.chunk_size)
        self._cut = (slice(None), rows, slice(spec.action_dim))
        self._observed = [info.name for info in tensors.observed]
        self._encoded = [info.name for info in tensors.encoded]
        self._fed: dict[str, NDArray[np.generic]] = {}
        self._bound: tuple[BoundRun, BoundRun] | None = None
        wish = self.provider != CPU if bind is None else bind
        if wish and can_bind(spec, self.provider):
            kept = tuple(sampling.conditioning)
            first = BoundRun(encoder, tensors.observed, tensors.encoded, self.provider, kept=kept)
            second = BoundRun(step, tensors.asked, tensors.said, self.provider, given=first.values)
            self._bound = (first, second)

    def _run(self, feeds: Tensors) -> list[NDArray[np.generic]]:
        observed = {name: feeds[name] for name in self._observed}
        if self._bound is not None:
            gain, offset = self._bound[0].run(observed)
        else:
            gain, offset, *conditioning = self._encoder.run(self._encoded, observed)
            self._fed.update(zip(self._encoded[2:], conditioning, strict=True))
        noise = np.asarray(feeds[NOISE], dtype=np.float32)
        drawn = feeds.get(STEP_NOISE)
        step_noise = None if drawn is None else np.asarray(drawn, dtype=np.float32)
        sample = self._sampler.run(self._ask, noise, step_noise)
        gain, offset = (np.asarray(each, dtype=np.float32) for each in (gain, offset))
        return [gain * sample[self._cut] + offset]

    def _ask(self, sample: Floats, time: NDArray[np.generic]) -> Floats:
        if self._bound is not None:
            (said,) = self._bound[1].run({SAMPLE: sample, TIME: time})
        else:
            self._fed[SAMPLE], self._fed[TIME] = sample, time
            (said,) = self._step.run([PREDICTION], self._fed)
        return np.asarray(said, dtype=np.float32)


class _Tensors:
    """What goes into and comes out of the two graphs of a spec."""

    def __init__(self, spec: PolicySpec, sampling: Sampling) -> None:
        noises = {item.name for item in spec.inputs if isinstance(item, NoiseInput)}
        sample = next(item.shape for item in spec.inputs if item.name == NOISE)
        chunk = (1, spec.chunk_size, spec.action_dim)
        condition = tuple(
            TensorInfo(name=name, dtype='float32', shape=shape)
            for name, shape in sampling.conditioning.items()
        )
        self.observed = tuple(info for info in spec_inputs(spec) if info.name not in noises)
        self.encoded = (
            TensorInfo(name=GAIN, dtype='float32', shape=chunk),
            TensorInfo(name=OFFSET, dtype='float32', shape=chunk),
            *condition,
        )
        self.asked = (
            TensorInfo(name=SAMPLE, dtype='float32', shape=sample),
            TensorInfo(name=TIME, dtype=sampling.time_dtype, shape=(1,)),
            *condition,
        )
        self.said = (TensorInfo(name=PREDICTION, dtype='float32', shape=sample),)
