# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Timeline: chunks go in, a setpoint for any time comes out."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

import numpy as np

from bc_runtime.execution import rotation
from bc_runtime.execution.action_store import Array
from bc_runtime.execution.anchoring import absolute_actions
from bc_runtime.execution.blending import BlendOptions, blend
from bc_runtime.execution.chunk import SNAP_NS, ActionChunk
from bc_runtime.execution.chunk_table import ChunkTable
from bc_runtime.execution.interpolation import Interpolation, Pieces, mean_on_grid, write_pieces
from bc_runtime.execution.layout import ActionLayout
from bc_runtime.execution.setpoint import (
    CommittedPrefix,
    Hole,
    HoleReason,
    LiveChunk,
    Setpoint,
    make_setpoint,
)
from bc_runtime.execution.strategies import Strategy
from bc_runtime.spec.errors import ExecutionError


class AddResult(StrEnum):
    """What became of a chunk; `accepted` says whether it counts."""

    ACCEPTED = 'accepted'
    OUT_OF_ORDER = 'out_of_order'  # accepted; a newer observation's chunk had come before
    DUPLICATE = 'duplicate'  # stamp, sequence and policy are known
    STALE_EPOCH = 'stale_epoch'
    FUTURE_EPOCH = 'future_epoch'  # an epoch that this timeline has not been told of
    STALE_OBSERVATION = 'stale_observation'  # observed before the moment given to clear
    EXPIRED = 'expired'  # every action that may be executed is past
    INCOMPATIBLE = 'incompatible'  # other action names or kinds than the live chunks
    FULL = 'full'  # older than all of the max_chunks live chunks

    @property
    def accepted(self) -> bool:
        """Whether the chunk is part of the timeline now."""
        return self in (AddResult.ACCEPTED, AddResult.OUT_OF_ORDER)


class Timeline:
    """The known chunks of one epoch on one time axis.

    The answer for a time depends on the set of known chunks and on nothing else: not on the order
    in which they came, not on which times were asked before, not on a control rate. `at` changes
    nothing. Not thread-safe; one thread owns it.

    A time within 1 us of a grid point of a chunk counts as the grid point, so that rates which are
    no whole number of nanoseconds do not cost exactness.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        interpolation: Interpolation | str = Interpolation.LINEAR,
        blending: BlendOptions | None = None,
        start_from_rest: bool = True,
        max_chunks: int = 256,
        retain_s: float = 0.1,
        epoch: int = 0,
    ) -> None:
        """Make an empty timeline.

        Args:
            strategy: How chunks share a time, see `make_strategy`.
            interpolation: Between the actions of a chunk.
            blending: Rules for grippers and binary actions.
            start_from_rest: The robot stands still until the first chunk of an epoch comes, so
                chunks observed before that moment start at it, with their first action. Without
                this, a slow first inference makes the robot jump into the middle of its first
                chunk (lerobot #4223).
            max_chunks: Live chunks to keep; of more, the oldest observations are dropped.
            retain_s: How long ended chunks stay [s], counted from the newest `received_ns`: for
                questions about times a little before that. 0 is enough for one thread and clock.
            epoch: Epoch of the first chunks.
        """
        if max_chunks < 1:
            raise ExecutionError(f'expected max_chunks of at least 1, got {max_chunks}')
        if not retain_s >= 0.0:
            raise ExecutionError(f'expected retain_s of at least 0, got {retain_s}')
        self.strategy = strategy
        self.interpolation = Interpolation(interpolation)
        self.blending = blending or BlendOptions()
        self._start_from_rest = start_from_rest
        self._retain_ns = round(retain_s * 1e9)
        self._actions_around = (
            self.interpolation is not Interpolation.HOLD and not strategy.newest_only
        )
        self._cell = self.interpolation.actions, self.interpolation.terms
        self._table = ChunkTable(max_chunks)
        self._epoch = epoch
        self._newer_than_ns: int | None = None
        self._layout: ActionLayout | None = None

    @property
    def epoch(self) -> int:
        """Epoch whose chunks are accepted."""
        return self._epoch

    @property
    def names(self) -> tuple[str, ...]:
        """Action names of the live chunks; empty before the first."""
        return self._layout.names if self._layout is not None else ()

    def __len__(self) -> int:
        """Return the number of live chunks."""
        return self._table.count

    def clear(self, epoch: int, *, newer_than_ns: int | None = None) -> None:
        """Forget every chunk and accept only those of `epoch` from now on.

        Args:
            epoch: Normally one more than before.
            newer_than_ns: Also refuse chunks whose observation is not newer than this [ns, ROS
                clock]: after a takeover, what was seen before it is void.
        """
        self._table.clear()
        self._layout = None
        self._epoch = epoch
        self._newer_than_ns = newer_than_ns

    def add(self, chunk: ActionChunk, *, supersede: bool = False) -> AddResult:
        """Make a chunk known. Order of calls does not matter; late actions drop out by time.

        Args:
            chunk: The chunk.
            supersede: Actions of other names or kinds than the live chunks' cannot be blended with
                them. With this a newer one takes the place of them all: another policy has come.
        """
        if chunk.epoch != self._epoch:
            older = chunk.epoch < self._epoch
            return AddResult.STALE_EPOCH if older else AddResult.FUTURE_EPOCH
        if self._newer_than_ns is not None and chunk.stamp_ns <= self._newer_than_ns:
            return AddResult.STALE_OBSERVATION
        table = self._table
        key = (chunk.stamp_ns, chunk.sequence, chunk.policy_id)
        if table.find(key)[1]:
            return AddResult.DUPLICATE
        layout, replaces = chunk.layout, False
        if self._layout is not None and table.count and layout is not self._layout:
            reordered = _in_order_of(chunk, self._layout)
            replaces = reordered is None
            if replaces and not (supersede and key > table.keys[-1]):
                return AddResult.INCOMPATIBLE
            if reordered is not None:
                chunk, layout = reordered, self._layout
        zero_ns = chunk.time_of(0)
        open_ns = max(chunk.stamp_ns, zero_ns)
        size = chunk.chunk_size
        steps = self.strategy.executable_steps(size)
        close_ns = min(open_ns + steps * chunk.dt_ns, zero_ns + size * chunk.dt_ns)
        rest_ns = self._rest_until(chunk.received_ns)
        if close_ns + self.shift_of(chunk) <= chunk.received_ns:
            return AddResult.EXPIRED
        if rest_ns is not None and rest_ns != table.rest_until_ns:
            table.rest_until(rest_ns)
        table.drop_ended(chunk.received_ns - self._retain_ns)
        if replaces:
            table.drop_all()
        place, _ = table.find(key)
        newest = place == table.count
        if table.count == table.max_chunks:
            if place == 0:
                return AddResult.FULL
            table.drop_oldest()
            place -= 1
        self._layout = layout
        shape = (*self._cell, layout.inner_dim)
        row, grid = table.insert(place, key, chunk, zero_ns, open_ns, close_ns, shape)
        block = table.store.block(size).transpose(1, 0, 2)
        write_pieces(block, absolute_actions(chunk), self.interpolation, layout)
        table.store.write(row, grid, size)
        return AddResult.ACCEPTED if newest else AddResult.OUT_OF_ORDER

    def at(self, t_ns: int) -> Setpoint | Hole:
        """Return what the known chunks want at a time [ns, ROS clock], or why they do not say."""
        table, layout, strategy = self._table, self._layout, self.strategy
        rows, n = table.covering(t_ns, actions_around=self._actions_around)
        if layout is None or not n:
            return self._hole(t_ns)
        if strategy.newest_only:
            newest = rows.stop - 1 if isinstance(rows, slice) else int(rows[-1])
            rows = slice(newest, newest + 1)
            weights = _ALONE
        else:
            weights = strategy.weights(table, rows, n, t_ns)
        cells, u, per_s = table.cells_at(rows, t_ns)
        if layout.all_linear and isinstance(u, float):  # what `blend` comes to, without a detour
            value, rate = mean_on_grid(cells, layout.inner_dim, u, per_s, weights)
        else:
            pieces = Pieces(cells, layout.inner_dim, u, per_s)
            value, rate = blend(pieces, weights, layout, self.blending)
            if layout.rotations:
                value, rate = _outside(value, rate, layout)
        value.setflags(write=False)
        rate.setflags(write=False)
        return make_setpoint(t_ns, layout.names, value, rate, table.sequence[rows], weights)

    def remaining_s(self, t_ns: int) -> float:
        """Return how long the plan lasts from a time on without a hole [s]; 0 in a hole."""
        table = self._table
        end = t_ns
        while True:
            rows, n = table.covering(end)
            if not n:
                return max(end - t_ns, 0) * 1e-9
            end = int(table.close[rows].max())

    def committed(self, t_ns: int, n: int, *, dt_ns: int | None = None) -> CommittedPrefix | None:
        """Return up to `n` actions from a time on, for a policy that continues from them.

        Only what is covered without a hole is returned, possibly nothing: a prefix that is padded
        pulls a policy towards the padding.

        Args:
            t_ns: Stamp of the observation that the next chunk will be computed from.
            n: Largest number of steps, normally the inference delay in steps.
            dt_ns: Step; default that of the newest chunk.

        Returns:
            None before the first chunk.
        """
        layout = self._layout
        if layout is None or not self._table.count:
            return None
        step_ns = int(self._table.dt[self._table.live.stop - 1]) if dt_ns is None else dt_ns
        actions = []
        for i in range(n):
            setpoint = self.at(t_ns + i * step_ns)
            if isinstance(setpoint, Hole):
                break
            actions.append(setpoint.values)
        values = np.array(actions, dtype=np.float32).reshape(len(actions), len(layout.names))
        values.setflags(write=False)
        return CommittedPrefix(stamp_ns=t_ns, dt_ns=step_ns, names=layout.names, values=values)

    def live_chunks(self) -> tuple[LiveChunk, ...]:
        """Return the live chunks, oldest observation first."""
        t = self._table
        received, shift = t.received[t.live].tolist(), t.shift().tolist()
        return tuple(
            LiveChunk(
                sequence=sequence,
                policy_id=policy_id,
                stamp_ns=stamp,
                received_ns=received[i],
                shift_ns=shift[i],
                from_ns=t.opens[i],
                until_ns=t.closes[i],
            )
            for i, (stamp, sequence, policy_id) in enumerate(t.keys)
        )

    def shift_of(self, chunk: ActionChunk) -> int:
        """Return how much later than its stamps say a chunk would begin [ns]."""
        rest_ns = self._rest_until(chunk.received_ns)
        return 0 if rest_ns is None else max(rest_ns - chunk.stamp_ns, 0)

    def _rest_until(self, received_ns: int) -> int | None:
        """Return when the first chunk of this epoch came, with one more chunk."""
        if not self._start_from_rest:
            return None
        known = self._table.rest_until_ns
        return received_ns if known is None else min(known, received_ns)

    def _hole(self, t_ns: int) -> Hole:
        table = self._table
        if not table.count:
            return Hole(t_ns=t_ns, reason=HoleReason.NO_CHUNK)
        ended = [close for close in table.closes if close <= t_ns + SNAP_NS]
        coming = [opened for opened in table.opens if opened > t_ns + SNAP_NS]
        dropped_ns = table.dropped_until_ns
        if dropped_ns is not None and dropped_ns <= t_ns + SNAP_NS:
            ended.append(dropped_ns)
        if ended and coming:
            reason = HoleReason.GAP
        else:
            reason = HoleReason.EXHAUSTED if ended else HoleReason.BEFORE_FIRST
        return Hole(
            t_ns=t_ns,
            reason=reason,
            covered_until_ns=max(ended, default=None),
            covered_from_ns=min(coming, default=None),
        )


_ALONE = np.ones(1)
_ALONE.setflags(write=False)


def _in_order_of(chunk: ActionChunk, layout: ActionLayout) -> ActionChunk | None:
    """Return the chunk with its columns in the order of the layout's names, or None."""
    if chunk.names != layout.names:
        if set(chunk.names) != set(layout.names):
            return None
        order = [chunk.names.index(name) for name in layout.names]
        chunk = replace(
            chunk,
            values=chunk.values[:, order],
            names=layout.names,
            kinds=tuple(chunk.kinds[i] for i in order),
            references=tuple(chunk.references[i] for i in order),
        )
    return chunk if chunk.kinds == layout.kinds else None


def _outside(value: Array, rate: Array, layout: ActionLayout) -> tuple[Array, Array]:
    """Return (D,) outside columns of (inner_dim,) value and rate."""
    outer, outer_rate = np.empty(len(layout.names)), np.empty(len(layout.names))
    outer[layout.plain_outer] = value[layout.plain_inner]
    outer_rate[layout.plain_outer] = rate[layout.plain_inner]
    h = 1e-6  # [s] for the rate of the outside form, which is smooth but long to write
    for group in layout.rotations:
        q, q_rate = (x[group.inner : group.inner + 4] for x in (value, rate))
        columns = slice(group.outer, group.outer + group.size)
        outer[columns] = rotation.from_quaternion(q, group.kind)
        after = rotation.from_quaternion(rotation.normalized(q + h * q_rate), group.kind)
        before = rotation.from_quaternion(rotation.normalized(q - h * q_rate), group.kind)
        outer_rate[columns] = (after - before) / (2.0 * h)
    return outer, outer_rate
