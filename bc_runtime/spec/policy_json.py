# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Write a PolicySpec in its JSON form; the inverse of `PolicySpec.from_dict`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bc_runtime.spec.inputs import ImageInput, InstructionInput, PolicyInput

if TYPE_CHECKING:
    from bc_runtime.spec.policy_spec import PolicySpec

SCHEMA_VERSION = 1


def spec_to_dict(spec: PolicySpec) -> dict[str, object]:
    """Return the JSON form of a spec."""
    result: dict[str, object] = {
        'schema_version': SCHEMA_VERSION,
        'name': spec.name,
        'version': spec.version,
        'family': spec.family,
        'license': spec.license,
        'control_hz': spec.control_hz,
        'n_obs_steps': spec.n_obs_steps,
        'chunk_size': spec.chunk_size,
        'n_action_steps': spec.n_action_steps,
        'stamp_index': spec.stamp_index,
        'inputs': [_input_to_dict(item) for item in spec.inputs],
        'output': {
            'name': spec.output,
            'groups': [
                {
                    'kind': group.kind.value,
                    'names': list(group.names),
                    'units': list(group.units),
                    'reference': group.reference.value,
                }
                for group in spec.actions
            ],
        },
        'training_ranges': {
            name: {'min': r.minimum, 'max': r.maximum, 'mean': r.mean, 'std': r.std}
            for name, r in spec.training_ranges.items()
        },
        'source': dict(spec.source),
    }
    if spec.self_test is not None:
        result['self_test'] = {
            'seed': spec.self_test.seed,
            'expected': list(spec.self_test.expected),
            'tolerance': spec.self_test.tolerance,
        }
    if spec.sampling is not None:
        result['sampling'] = spec.sampling.to_dict()
    return result


def _input_to_dict(item: PolicyInput) -> dict[str, object]:
    values: dict[str, object] = {'kind': item.kind.value}
    for each in dataclasses.fields(item):
        value = getattr(item, each.name)
        if each.name == 'kind':
            continue
        values[each.name] = list(value) if isinstance(value, tuple) else value
    if isinstance(item, ImageInput):
        rule = dataclasses.asdict(item.resize)
        rule['crop'] = list(rule['crop']) if rule['crop'] is not None else None
        values['resize'] = {key: value for key, value in rule.items() if value is not None}
    if isinstance(item, InstructionInput):
        if item.table:
            values['table'] = {words: list(row) for words, row in item.table.items()}
        else:
            values.pop('table')
    return values
