# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Write into somebody else's ONNX graph what it lacks: normalisation, and holding of actions.

Normalisation makes physical values go in and come out:

    inputs:
      state: {mode: mean_std, mean: [0.1, -0.2], std: [0.5, 0.4]}
      top: {layout: CHW, range: [0, 1], mode: mean_std, mean: [0.485, 0.456, 0.406], std: [...]}
    output: {mode: min_max, min: [-1.2, 0.0], max: [1.3, 0.09]}

`mean_std` is (x - mean) / (std + eps), `min_max` maps [min, max] to [-1, 1]; the output is undone
the other way. A picture goes in as the spec says; `range` is what 0 and 255 become first, and
`layout` is the one of the graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import TensorProto, helper, numpy_helper
import onnx.checker
import onnx.shape_inference

from bc_runtime.export.errors import ExportError, StatisticsMissing
from bc_runtime.spec import PolicySpec
from bc_runtime.spec.errors import ConfigError, available
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.inputs import ImageInput, PolicyInput, StateInput, VectorInput
from bc_runtime.spec.text_formats import TextFormatError, parse_yaml

MODES: Final = ('mean_std', 'min_max', 'none')
_TYPES: Final = {
    'uint8': TensorProto.UINT8,
    'uint16': TensorProto.UINT16,
    'float32': TensorProto.FLOAT,
}


class NormalizationError(ExportError, ConfigError):
    """What is to be written is not readable, or does not fit the spec or the graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One tensor's normalisation as `(x - offset) / span`, elementwise.

    Attributes:
        offset: (D,) values; for pictures one per channel.
        span: The same, never zero.
        back: Span of the inverse; MEAN_STD has no eps on the way out.
        layout: Of the graph's pictures: HWC or CHW; empty for vectors.
        range: What 0 and 255 of a picture become first; None: they stay.
    """

    offset: NDArray[np.float32]
    span: NDArray[np.float32]
    back: NDArray[np.float32]
    layout: str = ''
    range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizationRules:
    """What `read_normalization` found: input name -> rule, and the output's."""

    inputs: dict[str, Rule]
    output: Rule | None


def read_normalization(path: Path, spec: PolicySpec) -> NormalizationRules:
    """Read a normalisation file for a policy.

    Raises:
        NormalizationError: unreadable, or it does not fit the spec.
        StatisticsMissing: a mode has no numbers.
    """
    try:
        value = parse_yaml(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise NormalizationError(f'cannot be read: {error}', source=str(path)) from None
    except TextFormatError as error:
        raise NormalizationError(str(error), source=str(path)) from None
    f = Fields(value, source=str(path), error=NormalizationError)
    known = {
        item.name: item
        for item in spec.inputs
        if isinstance(item, StateInput | VectorInput | ImageInput)
    }
    rules = {}
    for name, section in f.named_sections('inputs', {}):
        if name not in known:
            raise section.fail(
                '', f'no input of this name can be normalised; known: {available(known)}'
            )
        item = known[name]
        width = item.channels if isinstance(item, ImageInput) else item.feature_shape[0]
        rules[name] = _read_rule(section, width, picture=isinstance(item, ImageInput))
    output = _read_rule(f.section('output'), spec.action_dim) if f.has('output') else None
    f.done()
    return NormalizationRules(inputs=rules, output=output)


def compose(model: Any, spec: PolicySpec, rules: NormalizationRules) -> Any:
    """Write the rules into a graph, in place.

    Args:
        model: `onnx.ModelProto` that takes and gives normalised values.
        spec: Of the result.
        rules: From `read_normalization`.

    Returns:
        The model, checked.

    Raises:
        NormalizationError: the graph has no such input or output, or its shape does not fit.
    """
    graph = model.graph
    before: list[Any] = []
    for item in spec.inputs:
        if item.name in rules.inputs:
            before += _before_input(graph, item, rules.inputs[item.name])
    after = _after_output(graph, spec, rules.output) if rules.output is not None else []
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:]
    graph.node.extend([*before, *nodes, *after])
    # Shapes that were inferred belong to the tensors before.
    del graph.value_info[:]
    return checked(model)


def hold_action(model: Any, spec: PolicySpec) -> Any:
    """Repeat the single action of a graph over the chunk of the spec, in place.

    A plan is never continued past its last action, and the next chunk comes a step and a latency
    later, so that a policy which gives one action would brake after each of them.

    Args:
        model: `onnx.ModelProto` whose output is one action: (D,), (1, D) or (1, 1, D).
        spec: Of the result; its `chunk_size` K says how often.

    Returns:
        The model, checked; its output is (1, K, D).

    Raises:
        NormalizationError: the graph has no such output, or it is not one action.
    """
    graph = model.graph
    old = _output(graph, spec)
    width, count = spec.action_dim, spec.chunk_size
    if count < 2:
        raise NormalizationError(
            f'chunk_size: expected for how many steps the action is held, 2 or more, got {count}'
        )
    found = [dim.dim_value for dim in old.type.tensor_type.shape.dim]  # 0: free
    if len(found) not in (1, 2, 3) or any(
        has not in (0, wants) for has, wants in zip(reversed(found), (width, 1, 1), strict=False)
    ):
        raise NormalizationError(
            f'the output {spec.output!r} is {found}; expected one action, [1, {width}] or '
            f'[1, 1, {width}], or [{width}]'
        )
    inner = f'{spec.output}__single'
    rename(graph, spec.output, inner)
    for name, shape in (('one', [1, 1, width]), ('held', [1, count, width])):
        values = np.array(shape, dtype=np.int64)
        graph.initializer.append(numpy_helper.from_array(values, f'{inner}_{name}'))
    graph.node.extend(
        [
            helper.make_node('Reshape', [inner, f'{inner}_one'], [f'{inner}_row']),
            helper.make_node('Expand', [f'{inner}_row', f'{inner}_held'], [spec.output]),
        ]
    )
    kind = old.type.tensor_type.elem_type
    old.CopyFrom(helper.make_tensor_value_info(spec.output, kind, [1, count, width]))
    del graph.value_info[:]
    return checked(model)


def checked(model: Any) -> Any:
    """Return a model that ONNX accepts; one with external data is checked when it is loaded.

    Raises:
        NormalizationError: what was written does not fit the graph.
    """
    if any(each.data_location == TensorProto.EXTERNAL for each in model.graph.initializer):
        return model
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise NormalizationError(
            f'what was written does not fit the graph: {" ".join(str(error).split())}. An output '
            'in which steps and actions lie in one axis needs --flat'
        ) from None
    return model


def _read_rule(f: Fields, width: int, *, picture: bool = False) -> Rule:
    mode = f.text('mode', choices=MODES)
    layout = f.text('layout', 'HWC', choices=('HWC', 'CHW')) if picture else ''
    limits: tuple[float, float] | None = None
    if picture and f.has('range'):
        low, high = f.numbers('range', length=2)
        if low >= high:
            raise f.fail('range', f'expected [low, high] with low < high, got [{low}, {high}]')
        limits = (low, high)
    wanted = {'mean_std': ('mean', 'std'), 'min_max': ('min', 'max'), 'none': ()}[mode]
    missing = [name for name in wanted if not f.has(name)]
    if missing:
        raise StatisticsMissing(
            f'{f.source}: {f.path}: the mode {mode!r} needs the statistics {available(wanted)} of '
            f'the training data; missing: {available(missing)}'
        )
    first, second = np.zeros(width, np.float32), np.ones(width, np.float32)
    if wanted:
        first, second = (
            np.array(f.numbers(name, length=width), dtype=np.float32) for name in wanted
        )
    eps = f.number('eps', 1e-8, minimum=0.0, maximum=1.0)
    f.done()
    offset: NDArray[Any]
    span: NDArray[Any]
    back: NDArray[Any]
    if mode == 'min_max':
        whole = np.where(second == first, eps, second - first).astype(np.float32)
        # 2 (x - min) / span - 1 = (x - (min + span / 2)) / (span / 2)
        offset, span, back = first + whole / 2, whole / 2, whole / 2
    else:
        offset, span, back = first, second + np.float32(eps if wanted else 0.0), second
    if not (span > 0).all():
        raise f.fail(wanted[1], f'expected values above zero, got {second.tolist()}')
    return Rule(
        offset=offset.astype(np.float32),
        span=span.astype(np.float32),
        back=back.astype(np.float32),
        layout=layout,
        range=limits,
    )


def _before_input(graph: Any, item: PolicyInput, rule: Rule) -> list[Any]:
    old = next((each for each in graph.input if each.name == item.name), None)
    if old is None:
        raise NormalizationError(
            f'the graph has no input {item.name!r}; it has '
            f'{available(each.name for each in graph.input)}'
        )
    inner = f'{item.name}__normalized'
    rename(graph, item.name, inner)
    shape = list(item.shape)
    expected = graph_shape(item, rule)
    found = [dim.dim_value for dim in old.type.tensor_type.shape.dim]
    if len(found) != len(expected) or any(
        has and has != wants for has, wants in zip(found, expected, strict=True)
    ):
        raise NormalizationError(
            f'the graph takes {item.name!r} as {found}, the spec and the layout make {expected}'
        )
    old.CopyFrom(helper.make_tensor_value_info(item.name, _TYPES[item.dtype], shape))
    nodes, name = [], item.name
    if item.dtype != 'float32':
        nodes.append(helper.make_node('Cast', [name], [f'{inner}_float'], to=TensorProto.FLOAT))
        name = f'{inner}_float'
    turn = isinstance(item, ImageInput) and item.layout != rule.layout
    if turn:
        lead = list(range(len(shape) - 3))
        axes = (2, 0, 1) if rule.layout == 'CHW' else (1, 2, 0)
        order = [*lead, *(len(lead) + axis for axis in axes)]
        nodes.append(helper.make_node('Transpose', [name], [f'{inner}_turned'], perm=order))
        name = f'{inner}_turned'
    offset, span = rule.offset, rule.span
    if rule.range is not None and item.dtype != 'uint8':
        raise NormalizationError(
            f'the range of {item.name!r} says what 0 and 255 become, but the input is {item.dtype}'
        )
    if rule.range is not None:
        # ((low + x (high - low) / 255) - offset) / span, as one offset and one span.
        low, scale = rule.range[0], (rule.range[1] - rule.range[0]) / 255.0
        offset, span = (offset - low) / scale, span / scale
    trailing = (1, 1) if rule.layout == 'CHW' else ()
    _constant(graph, f'{inner}_offset', offset.reshape(*offset.shape, *trailing))
    _constant(graph, f'{inner}_span', span.reshape(*span.shape, *trailing))
    return [
        *nodes,
        helper.make_node('Sub', [name, f'{inner}_offset'], [f'{inner}_centred']),
        helper.make_node('Div', [f'{inner}_centred', f'{inner}_span'], [inner]),
    ]


def graph_shape(item: PolicyInput, rule: Rule) -> list[int]:
    """Return the shape in which a graph takes an input, in the graph's own layout of pictures."""
    shape = list(item.shape)
    if isinstance(item, ImageInput) and item.layout != rule.layout:
        *lead, a, b, c = shape
        return [*lead, c, a, b] if rule.layout == 'CHW' else [*lead, b, c, a]
    return shape


def _after_output(graph: Any, spec: PolicySpec, rule: Rule) -> list[Any]:
    _output(graph, spec)
    inner = f'{spec.output}__normalized'
    rename(graph, spec.output, inner)
    _constant(graph, f'{inner}_span', rule.back)
    _constant(graph, f'{inner}_offset', rule.offset)
    return [
        helper.make_node('Mul', [inner, f'{inner}_span'], [f'{inner}_scaled']),
        helper.make_node('Add', [f'{inner}_scaled', f'{inner}_offset'], [spec.output]),
    ]


def _output(graph: Any, spec: PolicySpec) -> Any:
    for each in graph.output:
        if each.name == spec.output:
            return each
    raise NormalizationError(
        f'the graph has no output {spec.output!r}; it has '
        f'{available(each.name for each in graph.output)}'
    )


def _constant(graph: Any, name: str, values: NDArray[Any]) -> None:
    graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))


def rename(graph: Any, old: str, new: str) -> None:
    """Rename a tensor wherever nodes read or write it, nested graphs included."""
    for node in _nodes(graph):
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new


def _nodes(graph: Any) -> Iterable[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField('g') else []
            for each in (*inner, *attribute.graphs):
                yield from _nodes(each)
