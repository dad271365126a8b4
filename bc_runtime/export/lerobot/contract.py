# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint and declaration together: the `PolicySpec` of the exported graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bc_runtime.export.errors import StatisticsMissing
from bc_runtime.export.lerobot.checkpoint import Feature, LeRobotCheckpoint
from bc_runtime.export.lerobot.declaration import Declaration, DeclarationError
from bc_runtime.spec import PolicySpec, SpecError
from bc_runtime.spec.errors import available, did_you_mean

#: Feature types that the graphs take.
KINDS = ('STATE', 'ENV', 'VISUAL')
#: The graph's name of what the robot is told, for policies that are told anything.
INSTRUCTION = 'instruction'


def input_name(key: str) -> str:
    """Return the graph's name of a feature: `observation.images.top` -> `images.top`."""
    return key.removeprefix('observation.')


def make_spec(
    checkpoint: LeRobotCheckpoint,
    declaration: Declaration,
    *,
    family: str,
    n_obs_steps: int,
    chunk_size: int,
    n_action_steps: int,
    extra_inputs: Sequence[Mapping[str, object]] = (),
    source: Mapping[str, object],
) -> PolicySpec:
    """Return the contract of the graph.

    Args:
        checkpoint: Gives order, sizes and statistics.
        declaration: Gives names and units.
        family: Policy family.
        n_obs_steps: History.
        chunk_size: Actions of one chunk.
        n_action_steps: Executed of them.
        extra_inputs: Noise inputs.
        source: Facts about the origin.

    Raises:
        DeclarationError: the declaration does not fit the checkpoint.
    """
    if declaration.training_ranges:
        raise _wrong(declaration, 'training_ranges', 'the checkpoint has its own statistics')
    keys = [feature.key for feature in checkpoint.inputs]
    for key in declaration.inputs:
        if key not in keys:
            raise _wrong(
                declaration,
                f'inputs.{key}',
                f'the checkpoint has no such input; expected one of {available(keys)}.'
                f'{did_you_mean(key, keys)}',
            )
    missing = [key for key in keys if key not in declaration.inputs]
    if missing:
        raise _wrong(declaration, 'inputs', f'these inputs are missing: {available(missing)}')
    history = (n_obs_steps,) if n_obs_steps > 1 else ()
    names = [name for group in declaration.actions for name in group.names]
    if (len(names),) != checkpoint.action.shape:
        raise _wrong(
            declaration,
            'actions',
            f'expected {checkpoint.action.shape[0]} action dimensions (the checkpoint has that '
            f'many), got {len(names)}: {available(names)}',
        )
    ranges: dict[str, object] = {}
    estimated: list[str] = []
    inputs = []
    for feature in checkpoint.inputs:
        entry = _input(feature, declaration, history)
        inputs.append(entry)
        if feature.kind != 'VISUAL':
            labels = _labels(entry)
            if len(labels) != int(np.prod(feature.shape)):
                raise _wrong(
                    declaration,
                    f'inputs.{feature.key}',
                    f'expected {feature.shape[0]} names (the checkpoint has that many '
                    f'dimensions), got {len(labels)}: {available(labels)}',
                )
            for label, limits in zip(labels, _ranges(checkpoint, feature, estimated), strict=True):
                ranges.setdefault(f'state.{label}', limits)
    for name, limits in zip(names, _ranges(checkpoint, checkpoint.action, estimated), strict=True):
        ranges[f'action.{name}'] = limits
    notes = {'estimated_ranges': sorted(set(estimated))} if estimated else {}
    text = {
        'schema_version': 1,
        'name': declaration.name,
        'version': declaration.version,
        'family': family,
        'license': declaration.license,
        'control_hz': declaration.control_hz,
        'n_obs_steps': n_obs_steps,
        'chunk_size': chunk_size,
        'n_action_steps': n_action_steps,
        'inputs': [*inputs, *(dict(each) for each in extra_inputs)],
        'output': {
            'name': 'action',
            'groups': declaration.action_groups,
        },
        'training_ranges': ranges,
        'source': {**source, **notes},
    }
    try:
        return PolicySpec.from_dict(text, source=declaration.source)
    except SpecError as error:
        raise DeclarationError(str(error)) from None


def _input(
    feature: Feature, declaration: Declaration, history: tuple[int, ...]
) -> dict[str, object]:
    given = dict(declaration.inputs[feature.key])
    name = input_name(feature.key)
    if feature.kind == 'VISUAL':
        if len(feature.shape) != 3 or feature.shape[0] != 3:
            raise _wrong(
                declaration,
                f'inputs.{feature.key}',
                f'expected a colour picture of 3 channels, the checkpoint has {feature.shape}',
            )
        _, height, width = feature.shape
        return {
            'kind': 'image',
            'name': name,
            'shape': [1, *history, height, width, 3],
            'height': height,
            'width': width,
            'layout': 'HWC',
            'dtype': 'uint8',
            'color': 'rgb',
            **given,
        }
    if feature.kind not in KINDS or len(feature.shape) != 1:
        raise _wrong(
            declaration,
            f'inputs.{feature.key}',
            f'inputs of type {feature.kind} and shape {list(feature.shape)} cannot be exported; '
            f'known types: {available(KINDS)}',
        )
    kind = 'state' if 'joints' in given else 'vector'
    return {'kind': kind, 'name': name, 'shape': [1, *history, *feature.shape], **given}


def _labels(entry: Mapping[str, Any]) -> list[str]:
    names = entry.get('joints', entry.get('names'))
    return [str(name) for name in names] if isinstance(names, (list, tuple)) else []


def _ranges(
    checkpoint: LeRobotCheckpoint, feature: Feature, estimated: list[str]
) -> list[dict[str, float]]:
    """Return min, max, mean and std of each dimension; what is not stored is estimated."""
    stats = {name: v.reshape(-1) for name, v in checkpoint.stats.get(feature.key, {}).items()}
    low, high = _first(stats, 'min', 'q01'), _first(stats, 'max', 'q99')
    mean, std = stats.get('mean'), stats.get('std')
    if low is None or high is None:
        if mean is None or std is None:
            raise StatisticsMissing(
                f'{checkpoint.directory}: {feature.key!r} has neither min and max nor mean and '
                f'std among its statistics, got {available(stats)}; they are needed for range '
                'checks on the robot'
            )
        low, high = mean - 3.0 * std, mean + 3.0 * std
        estimated.append(f'{feature.key}: min and max are mean -+ 3 std')
    if mean is None or std is None:
        mean, std = (low + high) / 2.0, (high - low) / np.float32(12.0**0.5)
        estimated.append(f'{feature.key}: mean and std are those of a uniform distribution')
    rows = zip(low, high, mean, std, strict=True)
    return [
        {'min': float(a), 'max': float(b), 'mean': float(m), 'std': float(s)}
        for a, b, m, s in rows
    ]


def _first(stats: Mapping[str, NDArray[np.float32]], *names: str) -> NDArray[np.float32] | None:
    return next((stats[name] for name in names if name in stats), None)


def _wrong(declaration: Declaration, path: str, message: str) -> DeclarationError:
    return DeclarationError(message, source=declaration.source, path=path)
