# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Write into a graph the conversions between its inputs and outputs and those of the spec."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bc_runtime.export.compose import NormalizationError, NormalizationRules, graph_shape, rename
from bc_runtime.policy.conversion import Conversion, conversion
from bc_runtime.policy.signature import TensorInfo, spec_inputs, spec_outputs
from bc_runtime.spec import PolicySpec

#: Orders of a flat output: all actions of step 0 first, or all steps of action 0 first.
FLAT_ORDERS: Final = ('steps', 'actions')
_TYPES: Final = {
    'float32': TensorProto.FLOAT,
    'float64': TensorProto.DOUBLE,
    'float16': TensorProto.FLOAT16,
    'bfloat16': TensorProto.BFLOAT16,
    'int32': TensorProto.INT32,
    'int64': TensorProto.INT64,
    'uint8': TensorProto.UINT8,
    'uint16': TensorProto.UINT16,
}
_NAMES: Final = {number: name for name, number in _TYPES.items()}
#: Before it, every initializer must be an input, too.
_IR_WITH_FREE_INITIALIZERS: Final = 4
#: Of Squeeze and Unsqueeze; before it, they are attributes.
_OPSET_WITH_AXES_AS_INPUT: Final = 13


def adapt(
    model: Any,
    spec: PolicySpec,
    *,
    rules: NormalizationRules | None = None,
    flat: str = '',
    hold: bool = False,
) -> list[str]:
    """Convert element types and shapes at the edges of a graph, in place.

    Args:
        model: `onnx.ModelProto`.
        spec: Of the result. What cannot be converted without loss stays as it is, and is found
            when the result is compared with the spec.
        rules: Normalisation that is written next; its inputs become float32 in the graph's layout.
        flat: Order of a flat output, of `FLAT_ORDERS`; empty: not known.
        hold: The output is one action, held next.

    Returns:
        What was converted, for people; empty: nothing.

    Raises:
        NormalizationError: the output is flat, and its order is not given.
    """
    graph = model.graph
    model.ir_version = max(model.ir_version, _IR_WITH_FREE_INITIALIZERS)
    said = []
    for wanted in _inputs(spec, rules):
        old = next((each for each in graph.input if each.name == wanted.name), None)
        how = None if old is None else _how(wanted, old)
        if old is None or how is None or not how.needed or how.flat:
            continue
        said.append(f'input {wanted.name}: {_info(old).type} from {wanted.type}')
        _convert_input(graph, wanted, old, how)
    for wanted in spec_outputs(spec):
        old = next((each for each in graph.output if each.name == wanted.name), None)
        if old is None:
            continue
        if hold and wanted.name == spec.output:
            wanted = TensorInfo(name=wanted.name, dtype=wanted.dtype, shape=_info(old).shape)
            how = Conversion(cast=True) if _info(old).dtype in ('float16', 'float64') else None
        else:
            how = _how(wanted, old)
            free = not all(isinstance(dim, int) for dim in _info(old).shape)
            if how is not None and how.shape is not None and flat and free:
                how = dataclasses.replace(how, flat=True)
        if how is None or not how.needed:
            continue
        if how.flat and flat not in FLAT_ORDERS:
            raise NormalizationError(
                f'the output {wanted.name!r} is {_info(old).type}: steps and actions lie in one '
                'axis, and the file does not say in which order. Say it: --flat steps (all '
                'actions of the first step come first), or --flat actions (all steps of the '
                'first action come first)'
            )
        said.append(f'output {wanted.name}: {_info(old).type} to {wanted.type}')
        _convert_output(model, wanted, old, how, flat)
    if said:
        # Shapes and types that were inferred belong to the tensors before.
        del graph.value_info[:]
    return said


def _inputs(spec: PolicySpec, rules: NormalizationRules | None) -> Iterator[TensorInfo]:
    for item, info in zip(spec.inputs, spec_inputs(spec), strict=True):
        rule = None if rules is None else rules.inputs.get(item.name)
        if rule is None:
            yield info
        else:
            shape = tuple(graph_shape(item, rule))
            yield TensorInfo(name=item.name, dtype='float32', shape=shape)


def _info(value: Any) -> TensorInfo:
    kind = value.type.tensor_type
    shape = tuple(
        dim.dim_value if dim.HasField('dim_value') else (dim.dim_param or None)
        for dim in kind.shape.dim
    )
    return TensorInfo(
        name=value.name, dtype=_NAMES.get(kind.elem_type, str(kind.elem_type)), shape=shape
    )


def _how(wanted: TensorInfo, value: Any) -> Conversion | None:
    if not value.type.tensor_type.HasField('shape'):
        return None
    return conversion(wanted, _info(value))


def _convert_input(graph: Any, wanted: TensorInfo, old: Any, how: Conversion) -> None:
    inner = f'{wanted.name}__inner'
    rename(graph, wanted.name, inner)
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if how.cast:
        steps.append(('Cast', [], {'to': old.type.tensor_type.elem_type}))
    if how.shape is not None:
        steps.append(('Reshape', [_numbers(graph, f'{inner}_shape', how.shape)], {}))
    nodes = _chain(wanted.name, inner, steps)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:]
    graph.node.extend([*nodes, *kept])
    old.CopyFrom(_value(wanted))


def _convert_output(model: Any, wanted: TensorInfo, old: Any, how: Conversion, flat: str) -> None:
    graph = model.graph
    inner = f'{wanted.name}__inner'
    rename(graph, wanted.name, inner)
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    shape = tuple(int(dim or 1) for dim in wanted.shape)
    if how.flat:
        turned = flat == 'actions'
        parts = (shape[0], shape[2], shape[1]) if turned else shape
        steps.append(('Reshape', [_numbers(graph, f'{inner}_shape', parts)], {}))
        if turned:
            steps.append(('Transpose', [], {'perm': [0, 2, 1]}))
    elif how.shape is not None:
        # Not Reshape: that would take any output of as many values, in whatever order.
        steps += _axes(model, 'Squeeze', f'{inner}_surplus', how.shape)
        steps += _axes(model, 'Unsqueeze', f'{inner}_missing', shape)
    if how.cast:
        steps.append(('Cast', [], {'to': _TYPES[wanted.dtype]}))
    graph.node.extend(_chain(inner, wanted.name, steps))
    old.CopyFrom(_value(wanted))


def _axes(
    model: Any, kind: str, name: str, shape: tuple[int, ...]
) -> list[tuple[str, list[str], dict[str, Any]]]:
    """Return the node that removes, or adds, the axes of length 1 of a shape."""
    axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    if not axes:
        return []
    opset = next((each.version for each in model.opset_import if not each.domain), 1)
    if opset < _OPSET_WITH_AXES_AS_INPUT:
        return [(kind, [], {'axes': axes})]
    return [(kind, [_numbers(model.graph, name, axes)], {})]


def _chain(
    source: str, target: str, steps: list[tuple[str, list[str], dict[str, Any]]]
) -> Iterator[Any]:
    for number, (kind, more, attributes) in enumerate(steps):
        last = number == len(steps) - 1
        result = target if last else f'{source}__step_{number}'
        yield helper.make_node(kind, [source, *more], [result], **attributes)
        source = result


def _numbers(graph: Any, name: str, values: tuple[int, ...]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array(values, dtype=np.int64), name))
    return name


def _value(info: TensorInfo) -> Any:
    return helper.make_tensor_value_info(info.name, _TYPES[info.dtype], list(info.shape))
