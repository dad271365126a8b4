# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy gives: the action dimensions, in groups of one kind each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bc_runtime.spec.fields import Fields


class ActionKind(StrEnum):
    """The kind of an action dimension decides how chunks are blended and limited."""

    JOINT_POSITION = 'joint_position'
    CONTINUOUS_JOINT = 'continuous_joint'
    JOINT_VELOCITY = 'joint_velocity'
    GRIPPER = 'gripper'
    BINARY = 'binary'
    POSITION = 'position'
    QUATERNION = 'quaternion'
    ROTATION_6D = 'rotation_6d'
    AXIS_ANGLE = 'axis_angle'
    LINEAR_VELOCITY = 'linear_velocity'
    ANGULAR_VELOCITY = 'angular_velocity'


#: Kinds whose dimensions only make sense together, and how many there are.
GROUP_SIZES = {
    ActionKind.QUATERNION: 4,  # x, y, z, w (geometry_msgs order)
    ActionKind.ROTATION_6D: 6,  # first two columns of the rotation matrix (Zhou et al. 2019)
    ActionKind.AXIS_ANGLE: 3,
}


class Reference(StrEnum):
    """What an action is measured from."""

    ABSOLUTE = 'absolute'
    OBSERVATION_STATE = 'observation_state'


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionGroup:
    """Consecutive action dimensions of one kind.

    Attributes:
        names: Joint names for joint kinds, else names like `tool.x`.
        units: One unit per dimension: rad, m, rad/s, m/s, 1.
        reference: `observation_state` means value + observed state of the same name.
    """

    kind: ActionKind
    names: tuple[str, ...]
    units: tuple[str, ...]
    reference: Reference


def read_action_group(f: Fields) -> ActionGroup:
    """Read one group and refuse unknown keys and impossible combinations."""
    kind = ActionKind(f.text('kind', choices=[k.value for k in ActionKind]))
    names = f.texts('names')
    if not names:
        raise f.fail('names', 'expected at least one name, got an empty list')
    units = f.sequence('units')
    if len(units) != len(names) or not all(isinstance(unit, str) for unit in units):
        raise f.fail('units', f'expected {len(names)} units, one per name, got {list(units)!r}')
    size = GROUP_SIZES.get(kind)
    if size is not None and len(names) != size:
        raise f.fail('names', f'a {kind.value} group has {size} dimensions, got {len(names)}')
    reference = Reference(
        f.text('reference', Reference.ABSOLUTE.value, choices=[r.value for r in Reference])
    )
    group = ActionGroup(
        kind=kind, names=names, units=tuple(str(u) for u in units), reference=reference
    )
    f.done()
    return group
