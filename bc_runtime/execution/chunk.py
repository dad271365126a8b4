# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ActionChunk: K future actions of one policy call, on the ROS clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bc_runtime.execution.layout import ActionLayout
from bc_runtime.execution.rotation import check_rotations
from bc_runtime.spec.actions import ActionKind, Reference
from bc_runtime.spec.errors import ExecutionError, available

#: A time this close to a grid point of a chunk counts as the grid point [ns]. Stamps and steps are
#: rounded to whole nanoseconds, so that a rate like 15 Hz drifts by up to 1 ns a step.
SNAP_NS = 1_000


#: Times and numbers of a chunk are kept in 64 bits: what is larger is nonsense.
_LONGEST_STEP_NS = 600_000_000_000
_FARTHEST_INDEX = 1_000_000
_COUNTED = 2**63


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActionChunk:
    """Action k is meant for `stamp_ns + (k - stamp_index) * dt_ns` [ns, ROS clock].

    Attributes:
        stamp_ns: Stamp of the observation that the chunk was computed from [ns, ROS clock].
        dt_ns: Time between two actions [ns].
        values: (chunk_size, action_dim) float32, physical units, read-only.
        names: D unique names of the action dimensions.
        kinds: D kinds; a rotation is a run of 4, 6 or 3 neighbours (x, y, z, w for a quaternion).
        sequence: Counts the chunks of one policy process.
        received_ns: When the chunk became usable [ns, ROS clock]. Real-time chunking and the start
            from rest need it; it is part of the chunk so that a replay gives the same commands.
        references: D references; empty means all absolute.
        stamp_index: Index of the action that belongs to `stamp_ns`. Above 0 for policies that
            predict from their first observation step (Diffusion Policy: n_obs_steps - 1), below 0
            for policies trained on actions shifted into the future.
        epoch: Chunks of another epoch than the timeline's are never executed.
        anchor: Observed state by action name, for the dimensions that are relative to it.
        layout: How the dimensions are grouped; shared by all chunks of the same dimensions.
    """

    stamp_ns: int
    dt_ns: int
    values: NDArray[np.float32]
    names: tuple[str, ...]
    kinds: tuple[ActionKind, ...]
    sequence: int
    received_ns: int
    references: tuple[Reference, ...] = ()
    stamp_index: int = 0
    policy_id: str = ''
    epoch: int = 0
    observation_sequence: int = 0
    anchor: Mapping[str, float] | None = None
    layout: ActionLayout = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Normalise the field types and refuse what cannot be executed.

        Raises:
            ExecutionError: wrong shape, not finite, repeated names, impossible rotation, missing
                anchor.
        """
        values = _as_values(self.values)
        names = tuple(self.names)
        try:
            kinds = tuple(ActionKind(kind) for kind in self.kinds)
            references = tuple(Reference(r) for r in self.references)
        except ValueError as error:
            raise ExecutionError(
                f'chunk {self.sequence}: {error}; kinds: {available(ActionKind)}; references: '
                f'{available(Reference)}'
            ) from None
        if not references:
            references = (Reference.ABSOLUTE,) * len(names)
        if values.shape[1] != len(names):
            raise ExecutionError(
                f'chunk {self.sequence}: expected {len(names)} columns, one for each of '
                f'{", ".join(names)}; got values of shape {values.shape}'
            )
        if not 2 * SNAP_NS < self.dt_ns <= _LONGEST_STEP_NS:
            raise ExecutionError(
                f'chunk {self.sequence}: expected a step dt_ns above {2 * SNAP_NS} and up to '
                f'{_LONGEST_STEP_NS}, got {self.dt_ns}; dt_ns is in nanoseconds'
            )
        if not (0 <= self.sequence < _COUNTED and abs(self.stamp_index) <= _FARTHEST_INDEX):
            raise ExecutionError(
                f'chunk {self.sequence}: expected a sequence from 0 to 2**63 and a stamp_index of '
                f'at most {_FARTHEST_INDEX}, got {self.stamp_index}'
            )
        if not np.isfinite(values).all():
            k, d = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise ExecutionError(
                f'chunk {self.sequence}: expected finite actions, got {values[k, d]} for '
                f'{names[d]!r} at step {k}; the whole chunk is refused'
            )
        layout = ActionLayout.of(names, kinds, references)
        check_rotations(values, layout.rotations, what=f'chunk {self.sequence}')
        object.__setattr__(self, 'values', values)
        object.__setattr__(self, 'names', names)
        object.__setattr__(self, 'kinds', kinds)
        object.__setattr__(self, 'references', references)
        object.__setattr__(self, 'layout', layout)
        if self.anchor is not None:
            object.__setattr__(self, 'anchor', MappingProxyType(dict(self.anchor)))
        self._check_anchor(layout)

    def _check_anchor(self, layout: ActionLayout) -> None:
        if not layout.relative:
            return
        anchor = self.anchor or {}
        missing = [self.names[d] for d in layout.relative if self.names[d] not in anchor]
        if missing:
            raise ExecutionError(
                f'chunk {self.sequence}: {available(missing)} are relative to the observed state, '
                f'but the anchor has only {available(anchor)}; send the observed value of each '
                'relative dimension with the chunk'
            )
        if not all(np.isfinite(anchor[self.names[d]]) for d in layout.relative):
            raise ExecutionError(
                f'chunk {self.sequence}: expected a finite anchor, got {dict(anchor)}'
            )

    @property
    def chunk_size(self) -> int:
        """Number of actions K."""
        return len(self.values)

    @property
    def delay_ns(self) -> int:
        """Time from the observation's stamp until the chunk was usable [ns]; never negative."""
        return max(self.received_ns - self.stamp_ns, 0)

    @property
    def end_ns(self) -> int:
        """End of the period of the last action [ns, ROS clock]."""
        return self.time_of(self.chunk_size)

    def time_of(self, k: int) -> int:
        """Return the time that action k is meant for [ns, ROS clock]."""
        return self.stamp_ns + (k - self.stamp_index) * self.dt_ns


def _as_values(values: ArrayLike) -> NDArray[np.float32]:
    array = np.array(values, dtype=np.float32, order='C')
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 1:
        raise ExecutionError(
            'expected chunk values of shape (chunk_size, action_dim), at least (1, 1); '
            f'got shape {array.shape}'
        )
    array.setflags(write=False)
    return array
