# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The gate of the timeline: which chunks may become part of the plan."""

from __future__ import annotations

from collections import OrderedDict

from bc_runtime.execution import ActionChunk, AddResult, Timeline
from bc_runtime.spec import RobotConfig

_REMEMBERED = 64

#: Results that are no fault of the policy: the normal leftovers of a restart or of the network.
_HARMLESS = (AddResult.STALE_EPOCH, AddResult.STALE_OBSERVATION, AddResult.DUPLICATE)


class ChunkGate:
    """Adds chunks to a timeline and counts what became of them."""

    def __init__(self, timeline: Timeline, robot: RobotConfig) -> None:
        self._timeline = timeline
        self._joints = robot.command.joints
        self._stamps: OrderedDict[int, int] = OrderedDict()
        self.policy_id = ''
        self.accepted = 0
        self.rejected = 0
        self.rejected_in_a_row = 0
        self.last_reason = ''

    def add(self, chunk: ActionChunk) -> str:
        """Add a chunk; return why it was refused, empty if it counts."""
        reason = self._refusal(chunk)
        if not reason:
            result = self._timeline.add(chunk)
            if result.accepted:
                self.accepted += 1
                self.rejected_in_a_row = 0
                self._remember(chunk)
                return ''
            reason = result.value
            if result in _HARMLESS:
                return reason
        return self.reject(reason)

    def reject(self, reason: str) -> str:
        """Count a chunk that cannot be used, e.g. because its message contradicts itself."""
        self.rejected += 1
        self.rejected_in_a_row += 1
        self.last_reason = reason
        return reason

    def clear(self) -> None:
        """Forget the run of rejections; a new epoch begins."""
        self.rejected_in_a_row = 0
        self._stamps.clear()

    def stamp_of(self, sequence: int) -> int | None:
        """Return the observation stamp of a recent chunk [ns, ROS clock]."""
        return self._stamps.get(sequence)

    def _refusal(self, chunk: ActionChunk) -> str:
        if chunk.policy_id != self.policy_id:
            return (
                f'policy {chunk.policy_id[:12] or "(none)"} is not in charge '
                f'({self.policy_id[:12] or "(none)"} is)'
            )
        if set(chunk.names) != set(self._joints):
            return f'expected actions for {", ".join(self._joints)}; got {", ".join(chunk.names)}'
        return ''

    def _remember(self, chunk: ActionChunk) -> None:
        self._stamps[chunk.sequence] = chunk.stamp_ns
        if len(self._stamps) > _REMEMBERED:
            self._stamps.popitem(last=False)
