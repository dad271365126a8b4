# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How the dimensions of an action are grouped by kind, once per set of names and kinds.

Outside, an action has the policy's D columns. Inside the timeline every rotation is a quaternion
of four columns, whatever form the policy uses, so that interpolation and blending know one form of
rotation only; all other columns are the same inside and outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bc_runtime.spec.actions import GROUP_SIZES, ActionKind, Reference
from bc_runtime.spec.errors import ExecutionError, available

#: Kinds whose value is itself a rate.
RATE_KINDS = frozenset(
    {ActionKind.JOINT_VELOCITY, ActionKind.LINEAR_VELOCITY, ActionKind.ANGULAR_VELOCITY}
)

#: Kinds that can be relative to the observed state.
RELATIVE_KINDS = frozenset(ActionKind) - RATE_KINDS - {ActionKind.BINARY}

_LINEAR_KINDS = frozenset({ActionKind.JOINT_POSITION, ActionKind.POSITION})

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationGroup:
    """One rotation: columns [outer, outer + size) outside, [inner, inner + 4) inside."""

    kind: ActionKind
    outer: int
    inner: int
    name: str

    @property
    def size(self) -> int:
        """Number of columns outside."""
        return GROUP_SIZES[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActionLayout:
    """Columns by kind. Index arrays count inside columns unless they say otherwise.

    Attributes:
        inner_dim: Number of inside columns.
        plain_outer: Outside columns that are not part of a rotation.
        plain_inner: The same columns inside.
        continuous: Angles modulo a full turn.
        gripper: Gripper openings.
        binary: On/off actions.
        rates: Columns whose value is itself a rate.
        rotations: Groups of columns that are one rotation.
        relative: Outside columns that are relative to the observed state.
        all_linear: Whether blending is a weighted mean for every column.
    """

    names: tuple[str, ...]
    kinds: tuple[ActionKind, ...]
    inner_dim: int
    plain_outer: Indices
    plain_inner: Indices
    continuous: Indices
    gripper: Indices
    binary: Indices
    rates: Indices
    rotations: tuple[RotationGroup, ...]
    relative: tuple[int, ...]
    all_linear: bool

    @staticmethod
    def of(
        names: tuple[str, ...],
        kinds: tuple[ActionKind, ...],
        references: tuple[Reference, ...] = (),
    ) -> ActionLayout:
        """Return the (cached) layout of the given dimensions.

        Raises:
            ExecutionError: repeated names, lengths that differ, a rotation with missing columns,
                a relative velocity or relative binary action.
        """
        return _layout(names, kinds, references)


@lru_cache(maxsize=64)
def _layout(
    names: tuple[str, ...], kinds: tuple[ActionKind, ...], references: tuple[Reference, ...]
) -> ActionLayout:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ExecutionError(f'expected unique action names, got twice: {available(repeated)}')
    references = references or (Reference.ABSOLUTE,) * len(names)
    if not len(names) == len(kinds) == len(references):
        raise ExecutionError(
            f'expected one kind and one reference for each of {len(names)} action names, '
            f'got {len(kinds)} kinds and {len(references)} references'
        )
    plain_outer: list[int] = []
    plain_inner: list[int] = []
    rotations: list[RotationGroup] = []
    outer = inner = 0
    while outer < len(names):
        kind = kinds[outer]
        size = GROUP_SIZES.get(kind, 1)
        if kinds[outer : outer + size] != (kind,) * size:
            raise ExecutionError(
                f'expected {size} neighbouring dimensions of kind {kind.value} from '
                f'{names[outer]!r} on, got kinds {[k.value for k in kinds[outer : outer + size]]}'
            )
        if len(set(references[outer : outer + size])) > 1:
            raise ExecutionError(
                f'expected one reference for the rotation at {names[outer]!r}, '
                f'got {[r.value for r in references[outer : outer + size]]}'
            )
        if kind in GROUP_SIZES:
            rotations.append(RotationGroup(kind=kind, outer=outer, inner=inner, name=names[outer]))
            inner += 4
        else:
            plain_outer.append(outer)
            plain_inner.append(inner)
            inner += 1
        outer += size
    relative = tuple(d for d, r in enumerate(references) if r is not Reference.ABSOLUTE)
    for d in relative:
        if kinds[d] not in RELATIVE_KINDS:
            raise ExecutionError(
                f'{names[d]!r} is a {kinds[d].value}; it cannot be relative to the observed '
                f'state. Kinds that can: {available(k.value for k in RELATIVE_KINDS)}'
            )

    def columns(*wanted: ActionKind) -> Indices:
        pairs = zip(plain_outer, plain_inner, strict=True)
        return np.array([i for o, i in pairs if kinds[o] in wanted], dtype=np.intp)

    return ActionLayout(
        names=names,
        kinds=kinds,
        inner_dim=inner,
        plain_outer=np.array(plain_outer, dtype=np.intp),
        plain_inner=np.array(plain_inner, dtype=np.intp),
        continuous=columns(ActionKind.CONTINUOUS_JOINT),
        gripper=columns(ActionKind.GRIPPER),
        binary=columns(ActionKind.BINARY),
        rates=columns(*RATE_KINDS),
        rotations=tuple(rotations),
        relative=relative,
        all_linear=all(kind in _LINEAR_KINDS for kind in kinds),
    )
