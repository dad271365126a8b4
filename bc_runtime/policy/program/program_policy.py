# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A policy that torch runs: an exported program, on the CPU."""

from __future__ import annotations

import importlib
import io
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.policy.base import Tensors
from bc_runtime.policy.errors import BackendUnavailable, ModelFileError, ProviderUnavailable
from bc_runtime.policy.graph_policy import GraphPolicy
from bc_runtime.policy.onnx_session import default_threads
from bc_runtime.policy.program.archive import ProgramFile
from bc_runtime.policy.signature import TensorInfo, check_signature
from bc_runtime.spec.policy_spec import PolicySpec

PROVIDER = 'torch on the CPU'


class ProgramPolicy(GraphPolicy):
    """One exported program and its episode state.

    Args:
        module: From `load_program`.
        spec: The contract.
        file: The archive.
    """

    backend = 'torch'

    def __init__(self, *, module: Any, spec: PolicySpec, file: ProgramFile) -> None:
        super().__init__(spec=spec, path=str(file.path), policy_id=file.sha256, provider=PROVIDER)
        self.file = file
        self._torch = import_torch()
        self._module = module
        self._order = [item.name for item in spec.inputs]

    def _run(self, feeds: Tensors) -> list[NDArray[np.generic]]:
        torch = self._torch
        # Observations are read-only; torch would warn of it and does not write into inputs.
        values = [torch.from_numpy(np.array(feeds[name])) for name in self._order]
        with torch.inference_mode():
            result = self._module(*values)
        parts = result if isinstance(result, (tuple, list)) else (result,)
        return [part.numpy() for part in parts]


def import_torch() -> Any:
    """Return the torch module.

    Raises:
        BackendUnavailable: it is not installed.
    """
    try:
        return importlib.import_module('torch')
    except ImportError as error:
        raise BackendUnavailable(
            f'exported programs (.pt2) need torch, which cannot be imported ({error}). Install '
            'the extra bc_runtime[torch], or export the policy to ONNX (bc export)'
        ) from None


def load_program(
    file: ProgramFile, spec: PolicySpec, *, providers: tuple[str, ...], threads: int | None
) -> ProgramPolicy:
    """Return the policy of an archive that was looked into.

    Args:
        file: From `read_program_file`.
        spec: The contract; compared with the program here.
        providers: Execution providers that were asked for; programs run on the CPU only.
        threads: Threads of torch in this process; None: one core is left free.

    Raises:
        BackendUnavailable: torch is not installed.
        ProviderUnavailable: another provider than the CPU was asked for.
        ModelFileError: torch refuses the file.
        SpecMismatch: spec and program differ.
    """
    if providers and providers[0] != 'CPUExecutionProvider':
        raise ProviderUnavailable(
            f'{file.path}: exported programs run on the CPU only, {providers[0]} was asked for; '
            'export the policy to ONNX for it',
            requested=providers[0],
            available=('CPUExecutionProvider',),
        )
    torch = import_torch()
    torch.set_num_threads(threads if threads is not None else default_threads())
    try:
        # torch would fall back to full unpickling where this fails.
        torch.load(io.BytesIO(file.sample_inputs), weights_only=True)
    except Exception:  # noqa: BLE001
        raise ModelFileError(
            f'{file.path}: this program is refused, because loading it could run code from the '
            'file: its sample inputs are no plain tensors'
        ) from None
    logger = logging.getLogger('torch.export')
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        program = torch.export.load(io.BytesIO(file.content))
    # torch raises what it likes; all of it means the same to the caller.
    except Exception as error:  # noqa: BLE001
        text = ' '.join(str(error).split())[:500]
        raise ModelFileError(
            f'{file.path}: torch {torch.__version__} does not load this program of torch '
            f'{file.torch_version}: {type(error).__name__}: {text}'
        ) from None
    finally:
        logger.setLevel(level)
    inputs, outputs = _signature(program, spec)
    check_signature(spec, inputs, outputs, source=str(file.path))
    return ProgramPolicy(module=program.module(), spec=spec, file=file)


def _signature(
    program: Any, spec: PolicySpec
) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Return the tensors of a program under the names of the spec: programs know an order only."""
    nodes = {node.name: node for node in program.graph.nodes}
    wanted = [item.name for item in spec.inputs]
    hidden = [str(item.output) for item in spec.inputs if hasattr(item, 'output')]
    inputs = _infos(nodes, program.graph_signature.user_inputs, wanted)
    return inputs, _infos(nodes, program.graph_signature.user_outputs, [spec.output, *hidden])


def _infos(nodes: Any, found: Any, names: list[str]) -> tuple[TensorInfo, ...]:
    infos = []
    for position, node_name in enumerate(found):
        value = nodes[node_name].meta.get('val') if node_name in nodes else None
        name = names[position] if position < len(names) else str(node_name)
        dtype = str(getattr(value, 'dtype', 'unknown')).removeprefix('torch.')
        infos.append(TensorInfo(name=name, dtype=dtype, shape=tuple(getattr(value, 'shape', ()))))
    return tuple(infos)
