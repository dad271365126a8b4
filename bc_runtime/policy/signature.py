# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Compare what a spec promises with what a graph has: names, element types, shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bc_runtime.policy.errors import SpecMismatch
from bc_runtime.spec.errors import available, did_you_mean
from bc_runtime.spec.inputs import RecurrentInput
from bc_runtime.spec.policy_spec import PolicySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One input or output; a dimension that is text or None is free."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    @property
    def type(self) -> str:
        """Element type and shape, for people."""
        size = ', '.join('?' if dim is None else str(dim) for dim in self.shape)
        return f'{self.dtype} [{size}]'

    def __str__(self) -> str:
        return f'{self.name} {self.type}'


def spec_inputs(spec: PolicySpec) -> tuple[TensorInfo, ...]:
    """Return the inputs that a spec asks of its graph."""
    return tuple(TensorInfo(name=i.name, dtype=i.dtype, shape=i.shape) for i in spec.inputs)


def spec_outputs(spec: PolicySpec) -> tuple[TensorInfo, ...]:
    """Return the outputs that a spec asks of its graph: the chunk, then hidden states."""
    chunk = TensorInfo(
        name=spec.output, dtype='float32', shape=(1, spec.chunk_size, spec.action_dim)
    )
    hidden = tuple(
        TensorInfo(name=i.output, dtype=i.dtype, shape=i.shape)
        for i in spec.inputs
        if isinstance(i, RecurrentInput)
    )
    return (chunk, *hidden)


def check_signature(
    spec: PolicySpec,
    graph_inputs: Sequence[TensorInfo],
    graph_outputs: Sequence[TensorInfo],
    *,
    source: str,
) -> None:
    """Refuse a graph that is not the one of the spec.

    Raises:
        SpecMismatch: lists every difference and prints both sides.
    """
    check_tensors(
        spec_inputs(spec), spec_outputs(spec), graph_inputs, graph_outputs, source=source
    )


def check_tensors(
    wanted_inputs: Sequence[TensorInfo],
    wanted_outputs: Sequence[TensorInfo],
    graph_inputs: Sequence[TensorInfo],
    graph_outputs: Sequence[TensorInfo],
    *,
    source: str,
) -> None:
    """Refuse a graph that has other tensors than the spec wants; see `check_signature`."""
    problems = _compare('input', wanted_inputs, graph_inputs)
    missing = {info.name for info in graph_inputs} - {info.name for info in wanted_inputs}
    problems += [
        f'the graph needs the input {name!r}, unknown to the spec' for name in sorted(missing)
    ]
    problems += _compare('output', wanted_outputs, graph_outputs)
    if not problems:
        return
    lines = [
        f'{source}: the policy spec and the graph differ: ' + '; '.join(problems),
        f'  spec inputs:   {_listed(wanted_inputs)}',
        f'  graph inputs:  {_listed(graph_inputs)}',
        f'  spec outputs:  {_listed(wanted_outputs)}',
        f'  graph outputs: {_listed(graph_outputs)}',
        'Correct the spec, let bc wrap convert it (floats of another size, shapes without the '
        'batch), or export the policy again.',
    ]
    raise SpecMismatch('\n'.join(lines))


def _compare(what: str, wanted: Sequence[TensorInfo], found: Sequence[TensorInfo]) -> list[str]:
    by_name = {info.name: info for info in found}
    problems = []
    for each in wanted:
        other = by_name.get(each.name)
        if other is None:
            hint = did_you_mean(each.name, by_name)
            problems.append(
                f"the spec's {what} {each.name!r} is not in the graph, which has "
                f'{available(by_name)}.{hint}'
            )
        elif each.dtype != other.dtype or not _fits(each.shape, other.shape):
            problems.append(
                f'{what} {each.name!r} is {each.type} in the spec but {other.type} in the graph'
            )
            if each.dtype.startswith('float') and other.dtype.startswith(('int', 'uint')):
                # No cast: 0.7 rad would become 0.
                problems[-1] += (
                    ', which would cut off fractions: let the model take and give floats and '
                    f'cast inside, or write dtype: {other.dtype} into the spec if this is a '
                    'hidden state'
                )
    return problems


def _fits(wanted: tuple[int | str | None, ...], found: tuple[int | str | None, ...]) -> bool:
    return len(wanted) == len(found) and all(
        not isinstance(other, int) or dim == other
        for dim, other in zip(wanted, found, strict=True)
    )


def _listed(infos: Sequence[TensorInfo]) -> str:
    return '; '.join(str(info) for info in infos) or '(none)'
