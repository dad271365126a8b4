# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The policy of the sequence fuzz: what it wants, its chunks, and chunks that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sequence_robot import specs_of

from bc_runtime.execution import ActionChunk
from bc_runtime.spec import PolicySpec

if TYPE_CHECKING:
    from sequence_world import World

S = 1_000_000_000


class PolicyProcess:
    """Makes chunks from where the robot is; one of several policies is in charge."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.specs = specs_of(world.setup, world.joints)
        self.current = 0
        self.style = 'sway'
        """sway, fast, edge, jumpy, still or off."""
        self._sequence = 0
        self.newest: ActionChunk | None = None
        """The chunk that was handed over last."""

    @property
    def spec(self) -> PolicySpec:
        return self.specs[self.current]

    @property
    def policy_id(self) -> str:
        return f'{self.current}' * 64

    def _values(self, spec: PolicySpec) -> np.ndarray:
        steps, dt = spec.chunk_size, spec.dt_ns * 1e-9
        rates = spec.action_kinds[0] in ('joint_velocity', 'linear_velocity', 'angular_velocity')
        columns = []
        for j, one in enumerate(self._world.joints):
            want = self._wish(j) * one.velocity
            if rates:
                columns.append([want] * steps)
            elif self.style == 'edge':
                columns.append([9.0 if want > 0.0 else -9.0] * steps)
            elif self.style == 'jumpy':
                columns.append([self._world.q[j] + 0.4 * want * (-1) ** k for k in range(steps)])
            else:
                columns.append([self._world.q[j] + want * dt * k for k in range(steps)])
        return np.asarray(columns, dtype=np.float32).T

    def _wish(self, j: int) -> float:
        """Wanted share of the velocity limit."""
        if self.style == 'still':
            return 0.0
        if self.style in ('fast', 'edge'):
            return 1.5 if self._world.wave(0) > 0.0 else -1.5
        return self._world.wave(j)

    def chunk(self, **changes: object) -> ActionChunk:
        spec = self.spec
        self._sequence += 1
        fields: dict[str, object] = {
            'stamp_ns': self._world.ros,
            'dt_ns': spec.dt_ns,
            'names': spec.action_names,
            'kinds': spec.action_kinds,
            'references': spec.action_references,
            'policy_id': self.policy_id,
            'sequence': self._sequence,
            'epoch': self._world.loop.epoch,
            'received_ns': self._world.ros,
            'stamp_index': spec.stamp_index,
        }
        if 'values' not in changes:
            fields['values'] = self._values(spec)
        chunk = ActionChunk(**(fields | changes))
        self._world.oracle.on_chunk(chunk)
        return chunk

    def wrong(self, kind: str) -> ActionChunk | None:
        if kind == 'future':
            return self.chunk(stamp_ns=self._world.ros + 900_000_000)
        if kind == 'late':
            return self.chunk(stamp_ns=self._world.ros - 2 * S)
        if kind == 'foreign':
            return self.chunk(policy_id='f' * 64)
        if kind == 'epoch':
            return self.chunk(epoch=self._world.loop.epoch - 1)
        if kind == 'backward':
            return self.chunk(stamp_ns=self._world.ros - 150_000_000)
        if kind == 'malformed':
            return self.chunk(values=np.zeros((3, len(self._world.joints)), np.float32))
        if kind == 'far':
            values = self._values(self.spec) + np.float32(1.2)
            return self.chunk(values=values)
        return self.newest  # the same once more
