# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint does not say: names, units, cameras and rate, in a YAML file.

name: pick
license: Apache-2.0
control_hz: 30
inputs:
observation.state: {joints: [lift, turn, grip], units: [rad, rad, m]}
observation.environment_state: {stream: goal, names: [x, y], units: [m, m]}
observation.images.top: {camera: front, resize: {mode: none, interpolation: area}}
actions:
- {kind: joint_position, names: [lift, turn], units: [rad, rad]}
- {kind: gripper, names: [grip], units: [m]}
instructions: [pick up the cube]  # of policies that are told their task
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bc_runtime.export.errors import ExportError
from bc_runtime.spec.actions import ActionGroup, read_action_group
from bc_runtime.spec.errors import ConfigError
from bc_runtime.spec.fields import Fields
from bc_runtime.spec.text_formats import TextFormatError, parse_yaml


class DeclarationError(ExportError, ConfigError):
    """The declaration is not readable, or does not fit the checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What belongs to a checkpoint and is not in it.

    Attributes:
        control_hz: Rate of the data set (its fps), which is the rate of the actions.
        inputs: Feature key -> keys of a policy spec's input, without those that the checkpoint
            gives (`name`, `shape`, sizes).
        actions: Groups of the action dimensions, in order.
        training_ranges: `state.<name>` or `action.<name>` -> min, max, mean, std; for checkpoints
            that hold none.
        instructions: The sentences that the robot may be told, word for word as in the data set.
        source: File name, for messages.
    """

    name: str
    version: str
    license: str
    control_hz: float
    inputs: Mapping[str, Mapping[str, object]]
    actions: tuple[ActionGroup, ...]
    source: str
    training_ranges: Mapping[str, object] = field(default_factory=dict)
    instructions: tuple[str, ...] = ()

    @property
    def action_groups(self) -> list[dict[str, object]]:
        """The action groups in the form of a policy spec."""
        return [
            {
                'kind': group.kind.value,
                'names': list(group.names),
                'units': list(group.units),
                'reference': group.reference.value,
            }
            for group in self.actions
        ]


def read_declaration(path: Path) -> Declaration:
    """Read a declaration file.

    Raises:
        DeclarationError: unreadable, or a key is missing, unknown or of another type.
    """
    try:
        value = parse_yaml(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f'cannot be read: {error}', source=str(path)) from None
    except TextFormatError as error:
        raise DeclarationError(str(error), source=str(path)) from None
    f = Fields(value, source=str(path), error=DeclarationError)
    inputs = f.section('inputs')
    declaration = Declaration(
        name=f.text('name', filled=True),
        version=f.text('version', '0'),
        license=f.text('license', ''),
        control_hz=f.number('control_hz', minimum=0.01, maximum=1000.0),
        inputs={key: inputs.mapping(key) for key in inputs.names()},
        actions=tuple(read_action_group(s) for s in f.sections('actions')),
        source=str(path),
        training_ranges=f.mapping('training_ranges', {}),
        instructions=f.texts('instructions', ()),
    )
    if not all(words.strip() for words in declaration.instructions):
        raise f.fail('instructions', 'expected sentences, got an empty one')
    f.done()
    return declaration
